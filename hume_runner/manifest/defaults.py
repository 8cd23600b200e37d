"""What holds where a manifest says nothing, for the values that depend on the API."""

from __future__ import annotations

import os

from hume_runner.manifest.model import Api, Limits
from hume_runner.registry import registered

KEY_VARIABLE = "HUME_API_KEY"


def most_sources(api: Api, limits: Limits) -> int:
    """Default of `batching.max_sources`."""
    found = registered(api)
    assert found is not None
    return (limits.sources_per_job if found.host_limits else None) or found.sources_per_job


def most_bytes(api: Api, limits: Limits) -> int:
    """Default of `batching.max_bytes`: a job must hold at least the largest upload."""
    found = registered(api)
    assert found is not None
    return max((limits.upload_bytes if found.host_limits else None) or 0, found.job_bytes)


def in_hand(api: Api, workers: int | None) -> int | None:
    """Where it is measured here: how many pieces are out of the queue at one time, so many that no worker waits for the
    next one. None elsewhere."""
    found = registered(api)
    assert found is not None
    return (workers or os.cpu_count() or 1) + 2 if found.here else None


def largest_upload(api: Api, limits: Limits) -> int | None:
    """The largest file that is sent whole, in bytes; None where larger ones are cut."""
    found = registered(api)
    if found is None or found.upload_bytes is None:
        return None
    return (limits.upload_bytes if found.host_limits else None) or found.upload_bytes

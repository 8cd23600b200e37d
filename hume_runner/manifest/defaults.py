"""What holds where a manifest says nothing, for the values that depend on the API.

Sources: batch-v0's documented limits (100 sources a request, 100 MB an upload); expression-v1 takes a body of 25 MB, of
which a little is left free for the parts' headers.
"""

from __future__ import annotations

from hume_runner.manifest.model import Api

UPLOAD_BYTES = 100_000_000
SOURCES_PER_JOB = 100
IMAGES_PER_REQUEST = 500
REQUEST_BYTES = 24_900_000
KEY_VARIABLE = "HUME_API_KEY"


def most_sources(api: Api, sources_per_job: int | None) -> int:
    """Default of `batching.max_sources`."""
    return IMAGES_PER_REQUEST if api == "expression-v1" else sources_per_job or SOURCES_PER_JOB


def most_bytes(api: Api, upload_bytes: int | None) -> int:
    """Default of `batching.max_bytes`: a job must hold at least the largest upload."""
    return REQUEST_BYTES if api == "expression-v1" else max(upload_bytes or 0, UPLOAD_BYTES)

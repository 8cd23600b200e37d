"""What a manifest means to an open state, for whoever plans without a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hume_runner.planning.prepare import Options, Plan
from hume_runner.planning.recall import scan_or_recall
from hume_runner.planning.selection import EVERYTHING, Selection
from hume_runner.sources import expand_in_blocks
from hume_runner.state.shards import check_shard, held_by
from hume_runner.state.staging import Scan

if TYPE_CHECKING:
    from hume_runner.endpoint import Endpoint
    from hume_runner.manifest.model import Manifest
    from hume_runner.sources.left_out import LeftOut
    from hume_runner.state.reader import StateReader


@contextmanager
def planned(
    manifest: Manifest,
    store: StateReader,
    endpoint: Endpoint,
    *,
    retry_failed: bool,
    now: float,
    selection: Selection = EVERYTHING,
    whole: Path | None = None,
    left_out: LeftOut | None = None,
) -> Iterator[Plan]:
    """What it means, decided and not packed yet, for as long as the block lasts.

    `whole`: for a shard, the state of which it is a part. `left_out` is told what patterns meet that is no source.
    """
    check_shard(store, selection.shard)
    with held_by(whole, store) as held:
        expand = partial(expand_in_blocks, left_out=left_out)
        scan = scan_or_recall(manifest, expand, endpoint.service, store, Scan, selection=selection, held=held)
    options = Options(retry_failed=retry_failed, real_endpoint=not endpoint.simulated, now=now)
    with Plan(manifest, scan, store, endpoint.service, options) as plan:
        yield plan.decide()

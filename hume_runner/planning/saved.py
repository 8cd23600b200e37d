"""A plan that was kept, to be looked at before it is run."""

from __future__ import annotations

import shlex

from hume_runner.errors import UsageError
from hume_runner.frozen import frozen
from hume_runner.planning.selection import EVERYTHING, Selection


@frozen
class SavedPlan:
    """What a saved plan was made from: `run --plan` does nothing unless all of it still holds."""

    endpoint: str
    retry_failed: bool
    manifest_sha256: str
    lineage: str
    serial: int
    scan: str
    selection: Selection = EVERYTHING
    path: str = "FILE"


def refuse_stale(saved: SavedPlan, now: SavedPlan) -> None:
    """Refuse to run what nobody looked at: `now` is what the same plan would be made from. Raises: UsageError."""
    if saved.selection != now.selection:
        raise UsageError(
            f"the saved plan is about another selection: {shlex.join(saved.selection.flags) or 'everything'}",
            hint="run it without --limit, --select and with the same --shard, or make a new one",
        )
    stale = (
        "the manifest changed"
        if saved.manifest_sha256 != now.manifest_sha256
        else "the state belongs to another history"
        if saved.lineage and saved.lineage != now.lineage
        else "another run happened since"
        if saved.serial != now.serial
        else "the sources changed"
        if saved.scan != now.scan
        else f"it was made for {saved.endpoint}"
        if saved.endpoint != now.endpoint
        else f"it was made {'with' if saved.retry_failed else 'without'} --retry-failed"
        if saved.retry_failed != now.retry_failed
        else None
    )
    if stale:
        raise UsageError(
            f"the saved plan is stale: {stale}",
            hint=f"make a new one with `hume-runner plan MANIFEST --out {shlex.quote(saved.path)}`",
        )

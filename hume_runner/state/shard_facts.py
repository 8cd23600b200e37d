"""What has to be known of a shard's state before it is merged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hume_runner import small_json
from hume_runner.frozen import frozen
from hume_runner.state.connection import guarded
from hume_runner.state.reader import StateReader
from hume_runner.state.recognising import Recognised, recognised


@frozen
class ShardFacts:
    """What has to be known of a state before it is merged. `simulated`: of the jobs that a service took, both are told
    apart by it; `open`: jobs without an end that the whole does not know as they are; `closed`: the lineage of a state
    that took them over."""

    state: Path
    outputs: str | None
    lineage: str
    serial: int
    shard: str | None
    api: str | None
    settings: Mapping[str, Any] | None
    simulated: frozenset[bool]
    open: frozenset[int]
    items: int
    waiting: int
    closed: str | None


def facts_of(store: StateReader, state: Path, whole: StateReader) -> ShardFacts:
    """See `ShardFacts`."""
    settings = store.meta("settings")
    items = store.counts().items
    return ShardFacts(
        state=state,
        outputs=store.meta("outputs"),
        lineage=store.lineage,
        serial=store.serial,
        shard=store.meta("shard"),
        api=store.meta("api"),
        settings=small_json.kept(settings) if settings else None,
        simulated=kinds_of(store),
        open=frozenset(one.number for one in _open_jobs(store, whole)),
        items=items["total"],
        waiting=items["total"] - items["done"] - items["failed"],
        closed=store.meta("closed"),
    )


def kinds_of(store: StateReader) -> frozenset[bool]:
    """Whether what a service took of this state was simulated: of both kinds, neither, or one."""
    with guarded(store.path):
        rows = store._db.execute("SELECT DISTINCT simulated FROM jobs WHERE remote_id IS NOT NULL").fetchall()
    return frozenset(bool(row[0]) for row in rows)


def _open_jobs(store: StateReader, whole: StateReader) -> Iterator[Recognised]:
    with guarded(store.path):
        row = store._db.execute(
            "SELECT 1 FROM jobs WHERE status IN ('submitting', 'submitted', 'ambiguous') LIMIT 1"
        ).fetchone()
    return (one for one in recognised(whole, store) if one.open and not one.told) if row else iter(())

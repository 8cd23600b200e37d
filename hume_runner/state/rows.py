"""What the state knows, as values, and how a row becomes one."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hume_runner import small_json
from hume_runner.frozen import frozen
from hume_runner.services.jobs import PlanItem
from hume_runner.state.lifecycle import ItemStatus, JobStatus, item_status
from hume_runner.stores.address import is_remote

# Why a job ended that was never sent, as nothing of it is listed any more.
REMOVED = "removed"
# Why nobody is asked any more about a lost one: nothing that is listed waits for it.
UNLISTED = "unlisted"


@frozen
class JobRow:
    """A job as the state knows it. Times are Unix seconds; `*_at` of the service are by the service's clock."""

    number: int
    key: str
    status: JobStatus
    sources: int
    bytes: int
    billable_seconds: float | None
    nonce: str | None
    request: Mapping[str, Any]
    tries: int
    endpoint: str | None
    simulated: bool
    remote_id: str | None
    clock_offset: float | None
    submitting_at: float | None
    submitted_at: float | None
    created_at: float | None
    started_at: float | None
    ended_at: float | None
    finished_at: float | None
    billed_seconds: float | None
    reason: str | None
    error: str | None
    lost_at: float | None
    lost_how: str | None
    waited_s: float | None

    @property
    def kept(self) -> bool:
        """Whether its answer comes from a file that somebody kept: nothing tells when it was measured."""
        return (self.endpoint or "").startswith(KEPT)


@frozen
class StoredAnswer:
    """A file with an answer: `path` is relative to the output directory, POSIX.

    `stamp`: how it looked when it was recorded `at` (Unix seconds), None where nobody noted it.
    """

    name: str
    path: str
    size: int
    sha256: str
    stamp: str | None = None
    at: float | None = None


@frozen
class ItemRow:
    """One line of the results: an item and what became of it. `simulated` is None where nobody can know."""

    id: str
    kind: str
    value: str
    place: str
    labels: Mapping[str, Any]
    status: ItemStatus
    reason: str | None
    error: str | None
    job: int | None
    remote_id: str | None
    simulated: bool | None


@frozen
class MemberRow:
    """A job's member with every id under which the manifest lists its content; `content`: that content's SHA-256."""

    position: int
    kind: str
    match: str | None
    detail: Mapping[str, Any]
    ids: tuple[str, ...]
    outcome: str | None
    error: str | None
    content: bytes = b""


@frozen
class Counts:
    """Items and jobs by state."""

    items: Mapping[str, int]
    jobs: Mapping[str, int]


# How the endpoint of a job begins whose answer somebody kept as a file (see `engine/adopt_files.py`).
KEPT = "file:"
# Of a job `j`: nobody said of a kept answer whether a service measured it.
UNTOLD = f"(j.endpoint LIKE '{KEPT}%' AND NOT j.simulated AND json_extract(j.request, '$.simulated') IS NULL)"
ITEM_COLUMNS = (
    "i.id, i.kind, i.value, i.place, i.labels, m.outcome, m.reason, m.error, m.job, j.remote_id, "
    f"CASE WHEN {UNTOLD} THEN NULL ELSE m.simulated END, j.status"
)
JOB_COLUMNS = (
    "job, key, status, sources, bytes, billable_seconds, nonce, request, tries, endpoint, simulated, remote_id, "
    "clock_offset, submitting_at, submitted_at, created_at, started_at, ended_at, finished_at, billed_seconds, "
    "reason, error, lost_at, lost_how, waited_s"
)


def nonce_of(lineage: str, number: int, tries: int, key: str) -> str:
    """What marks one try of one job of one state. Derived, so that a copy of the state finds what the original sent;
    from the job's content as well, since two histories of a state may give one number to different jobs."""
    return hashlib.sha256(f"{lineage}/{number}/{tries}/{key}".encode()).hexdigest()[:10]


def plan_item(
    key: bytes,
    id: str,
    kind: Any,
    value: str,
    path: str | bytes | None,
    inside: str | None,
    size: int,
    content: bytes,
    facts: str | None,
    md5: bytes | None = None,
) -> PlanItem:
    """A `PlanItem` from its columns. A path is absolute on this machine, or the URI of an object in a store."""
    place = None if path is None else os.fsdecode(path)
    remote = place if place is not None and is_remote(place) else None
    return PlanItem(
        key=key,
        id=id,
        kind=kind,
        value=value,
        path=Path(place) if place is not None and remote is None else None,
        remote=remote,
        inside=inside,
        size_bytes=size,
        content_sha256=content.hex(),
        content_md5=md5.hex() if md5 is not None else None,
        facts=from_json(facts),
    )


def item_row(r: Sequence[Any]) -> ItemRow:
    return ItemRow(
        id=r[0],
        kind=r[1],
        value=r[2],
        place=r[3],
        labels=from_json(r[4]),
        status=item_status(r[5], JobStatus(r[11]) if r[11] else None),
        reason=r[6],
        error=r[7],
        job=r[8],
        remote_id=r[9],
        simulated=None if r[10] is None else bool(r[10]),
    )


def job_row(row: Sequence[Any]) -> JobRow:
    return JobRow(
        number=row[0],
        key=row[1],
        status=JobStatus(row[2]),
        sources=row[3],
        bytes=row[4],
        billable_seconds=row[5],
        nonce=row[6],
        request=from_json(row[7]),
        tries=row[8],
        endpoint=row[9],
        simulated=bool(row[10]),
        remote_id=row[11],
        clock_offset=row[12],
        submitting_at=row[13],
        submitted_at=row[14],
        created_at=row[15],
        started_at=row[16],
        ended_at=row[17],
        finished_at=row[18],
        billed_seconds=row[19],
        reason=row[20],
        error=row[21],
        lost_at=row[22],
        lost_how=row[23],
        waited_s=row[24],
    )


def to_json(value: Mapping[str, Any]) -> str | None:
    return json.dumps(value, ensure_ascii=False, sort_keys=True) if value else None


def from_json(text: str | None) -> Mapping[str, Any]:
    return small_json.kept(text) if text else {}

"""Jobs of a shard are known in the whole by what happened to them, whatever numbers they have."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from hume_runner.state.disk import Disk
from hume_runner.state.reader import StateReader
from hume_runner.state.recognising import MERGED, recognised
from hume_runner.state.store import Store

Events = Sequence[tuple[float, str]]
SENT: Events = [(1.0, "intend"), (2.0, "accept")]
AGAIN: Events = [(11.0, "intend"), (12.0, "accept")]
ANSWERED: Events = [*SENT, (3.0, "finish")]
UNFINISHED: Events = [*SENT, (3.0, "break")]
REVIVED: Events = [*UNFINISHED, (4.0, "revive")]


@dataclass
class Case:
    theirs: Events
    ours: Events | None = None  # None: never merged
    remote: str | None = "r1"
    our_remote: str | None = "r1"
    status: str = "done"
    gone: bool = False
    known: bool = True
    told: bool = False
    moved: bool = False


CASES = {
    "never merged": Case(theirs=ANSWERED, known=False, moved=True),
    "as it was": Case(theirs=ANSWERED, ours=ANSWERED, told=True),
    "as it was when it was open": Case(theirs=SENT, ours=SENT, status="submitted", told=True),
    "answered since": Case(theirs=ANSWERED, ours=SENT, moved=True),
    "asked for once more": Case(theirs=REVIVED, ours=UNFINISHED, status="submitted", moved=True),
    "its answer lost since": Case(theirs=[*ANSWERED, (5.0, "lost on disk")], ours=ANSWERED),
    "billed since": Case(theirs=[*ANSWERED, (5.0, "billed")], ours=ANSWERED),
    "the whole went on with it": Case(theirs=SENT, ours=ANSWERED, status="submitted", told=True),
    "another under its number": Case(theirs=AGAIN, ours=SENT, remote="r2", known=False, moved=True),
    "another under its number and of its name": Case(theirs=AGAIN, ours=SENT, known=False, moved=True),
    "sent once more from a backup": Case(
        theirs=[(1.0, "intend"), (2.0, "refuse"), (13.0, "intend"), (14.0, "accept")],
        ours=[(1.0, "intend"), (2.0, "refuse"), (3.0, "intend"), (4.0, "accept")],
        remote="r2",
        known=False,
        moved=True,
    ),
    "the whole knows its true name": Case(theirs=SENT, ours=[*SENT, (9.0, "renamed")], our_remote="r9", told=True),
    "found since it was lost": Case(
        theirs=[(1.0, "intend"), (2.0, "lose"), (3.0, "find")],
        ours=[(1.0, "intend"), (2.0, "lose")],
        our_remote=None,
        status="submitted",
        moved=True,
    ),
    "planned anew by the whole": Case(
        theirs=[(1.0, "intend"), (2.0, "lose")],
        ours=[(1.0, "intend"), (2.0, "lose")],
        remote=None,
        our_remote=None,
        status="ambiguous",
        gone=True,
        told=True,
    ),
    "planned anew by the whole, and found since": Case(
        theirs=[(1.0, "intend"), (2.0, "lose"), (3.0, "find")],
        ours=[(1.0, "intend"), (2.0, "lose")],
        our_remote=None,
        status="submitted",
        gone=True,
        known=False,
        moved=True,
    ),
    "never sent": Case(
        theirs=[(1.0, "spoil")], ours=[(1.0, "spoil")], remote=None, our_remote=None, status="failed", told=True
    ),
}


def state(path: Path, *, name: str) -> sqlite3.Connection:
    with Store.create_or_open(path, disk=Disk(), name="study", lineage=name):
        pass
    path.with_name(path.name + ".seal").unlink(missing_ok=True)
    return sqlite3.connect(path, isolation_level=None)


def add(db: sqlite3.Connection, number: int, remote: str | None, status: str, events: Events, before: str = "") -> None:
    db.execute(
        "INSERT INTO jobs (job, key, status, sources, bytes, endpoint, remote_id) VALUES (?, 'k', ?, 1, 1, 'e', ?)",
        (number, status, remote),
    )
    db.executemany(
        "INSERT INTO attempts (job, at, event) VALUES (?, ?, ?)", [(number, at, before + event) for at, event in events]
    )


@pytest.mark.parametrize("before", [MERGED, ""], ids=["merged when closed", "merged when open"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_job_is_known_by_its_history(case: Case, before: str, tmp_path: Path) -> None:
    number, ours = 7, 40
    with closing(state(tmp_path / "shard", name="a")) as db:
        add(db, 3, "r0", "done", ANSWERED)  # never merged
        add(db, number, case.remote, case.status, case.theirs)
        add(db, 9, None, "planned", [])
    with closing(state(tmp_path / "whole", name="b")) as db:
        add(db, 1, "other", "done", ANSWERED)  # the whole's own
        if case.ours is not None:
            add(db, ours, case.our_remote, "done", case.ours, before)
            db.execute("INSERT INTO merged_jobs VALUES ('a', ?, ?), ('c', 3, 1)", (number, ours))
        if case.gone:
            db.execute("DELETE FROM jobs WHERE job = ?", (ours,))
    with StateReader.peek(tmp_path / "whole") as whole, StateReader.peek(tmp_path / "shard") as shard:
        first, found = recognised(whole, shard)
    assert (first.number, first.job, first.told) == (3, None, False)
    assert (found.number, found.job, found.told, found.moved) == (
        number,
        ours if case.known else None,
        case.told,
        case.moved,
    )
    assert found.open == (case.status in ("submitted", "ambiguous"))
    assert found.sent == (case.remote is not None or found.open)

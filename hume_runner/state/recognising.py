"""Which jobs of a shard's state the whole's state has taken in, and whether as they are by now.

A number alone does not tell: a state that was put back gives its numbers out again, to other jobs. A job is known by
what happened to it first, which it keeps for good, and it is as it was taken in while nothing has happened to it since.
What happened stands in `attempts`, which a merge takes along with the job.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import Any

from hume_runner.frozen import frozen
from hume_runner.state.connection import guarded
from hume_runner.state.lifecycle import Event
from hume_runner.state.reader import StateReader

# What a job was when it was merged is not among the orders that evidence is read from: whose came first is not known
# across states.
MERGED = "merged:"
_MOVES = frozenset(event.value for event in Event)


@frozen
class Recognised:
    """A job of a shard by its `number` there. `job`: which it is in the whole; None where the whole has not taken it
    in. `told`: all that happened to it is known there; `moved`: what is not has changed its status. `sent`: a service
    has it, or may; `open`: and its answer is outstanding."""

    number: int
    job: int | None
    told: bool
    moved: bool
    sent: bool
    open: bool


@frozen
class _History:
    """A job as one of the two states has it: where it is at a service, if it is, and what happened to it, in order."""

    number: int
    there: tuple[str, str] | None
    events: tuple[tuple[float, str], ...]
    gone: bool = False  # it was planned anew, and is no job any more
    sent: bool = False
    open: bool = False


def recognised(whole: StateReader, shard: StateReader) -> Iterator[Recognised]:
    """Every job of the shard that is no plan, by its number; streamed."""
    known = _taken_in(whole, shard.lineage)
    ours = next(known, None)
    for theirs in _jobs(shard):
        while ours is not None and ours[0] < theirs.number:
            ours = next(known, None)
        mine = ours[1] if ours is not None and ours[0] == theirs.number else None
        yield _compared(theirs, mine)


def _compared(theirs: _History, ours: _History | None) -> Recognised:
    news = [one for one in theirs.events if ours is None or one not in ours.events]
    known = ours is not None and not (news and (ours.gone or _is_another(theirs, ours) or theirs.events[0] in news))
    return Recognised(
        number=theirs.number,
        job=ours.number if ours is not None and known else None,
        told=known and not news,
        moved=not known or any(event in _MOVES for _, event in news),
        sent=theirs.sent,
        open=theirs.open,
    )


def _is_another(theirs: _History, ours: _History) -> bool:
    """Whether the two are different jobs at the service. Not asked while nothing is new: the whole may have found out
    under which name a job is there."""
    return theirs.there is not None and ours.there is not None and theirs.there != ours.there


def _jobs(shard: StateReader) -> Iterator[_History]:
    with guarded(shard.path):
        rows = shard._db.execute(
            "SELECT j.job, j.endpoint, j.remote_id, x.at, x.event, "
            "j.status IN ('submitting', 'submitted', 'ambiguous') FROM jobs j LEFT JOIN attempts x ON x.job = j.job "
            "WHERE j.status != 'planned' ORDER BY j.job, x.attempt"
        )
        for number, found in itertools.groupby(rows, key=itemgetter(0)):
            same = list(found)
            _, endpoint, remote_id, _, _, is_open = same[0]
            yield _History(
                number=number,
                there=_there(endpoint, remote_id),
                events=_events(same, 3),
                sent=remote_id is not None or bool(is_open),
                open=bool(is_open),
            )


def _taken_in(whole: StateReader, lineage: str) -> Iterator[tuple[int, _History | None]]:
    """(number in the shard, the job as it is in the whole; None where it is there no more)."""
    with guarded(whole.path):
        rows = whole._db.execute(
            "SELECT d.theirs, d.job, h.job, h.endpoint, h.remote_id, x.at, x.event FROM merged_jobs d "
            "LEFT JOIN jobs h ON h.job = d.job LEFT JOIN attempts x ON x.job = d.job WHERE d.lineage = ? "
            "ORDER BY d.theirs, x.attempt",
            (lineage,),
        )
        for number, found in itertools.groupby(rows, key=itemgetter(0)):
            same = list(found)
            _, job, here, endpoint, remote_id, _, _ = same[0]
            yield (
                number,
                _History(number=job, there=_there(endpoint, remote_id), events=_events(same, 5), gone=here is None),
            )


def _there(endpoint: str | None, remote_id: str | None) -> tuple[str, str] | None:
    return (endpoint or "", remote_id) if remote_id is not None else None


def _events(rows: Iterable[tuple[Any, ...]], first: int) -> tuple[tuple[float, str], ...]:
    return tuple((row[first], row[first + 1].removeprefix(MERGED)) for row in rows if row[first] is not None)

"""Submissions whose answers were lost: what is known of each, and what one look at the service shows of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field

from hume_runner.frozen import frozen
from hume_runner.services.jobs import Job


@frozen
class Candidate:
    """A job at the service that carries what a lost submission carried, under the names in `matches` (by the members'
    positions).

    `gone`: it was measured and billed, and its answer cannot be had any more. `running`: it is not known yet whether it
    will be billed. `maybe`: it can neither be taken for ours nor be excluded. `shut`: this key cannot open it, so that
    any other comes first. `named`: `remote_id` is its id, and not words for an entry that has none.
    """

    remote_id: str
    matches: Mapping[int, str]
    created_at: float | None
    simulated: bool = False
    gone: bool = False
    running: bool = False
    maybe: bool = False
    named: bool = True
    shut: bool = False
    billed_seconds: float | None = None


@frozen
class LostJob:
    """A submission whose answer was lost: the job as it was sent, and from when to when at the widest, in Unix seconds
    by the service's clock as well as that is known: its own answers may be hours off.

    -inf to inf where it is not known at all. The machine's time does not stand for it: anybody may set that.

    What follows is told by the order in which the state recorded it, whatever any clock says, and is only what lies
    next. `before`: remote ids of jobs of ours that the service had surely taken before, the last one first; `after`: of
    those that it took since this one was sent, and how many seconds after that, at the most; `later`: those of them
    that were sent only after this one's end.
    """

    job: Job
    sent_at: float
    ended_at: float
    before: Sequence[str] = ()
    after: Mapping[str, float] = field(default_factory=dict)
    later: frozenset[str] = frozenset()
    # Some of those before and after as they were sent, by remote id: how the service tells of what it surely has.
    controls: Mapping[str, Job] = field(default_factory=dict)


@frozen
class Look:
    """What one look at the service showed of one lost job.

    `conclusive`: had the service taken the job by then, this look would have shown it, so that no candidate means that
    it did not. `why`: what the look lacked for that, in words. `most`: how many of the candidates can be ours, where it
    is only their size that tells; more of them cannot be told apart. `final`: nothing can show later either.
    """

    candidates: tuple[Candidate, ...] = ()
    conclusive: bool = False
    why: str = ""
    most: int | None = None
    final: bool = False

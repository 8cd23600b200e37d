"""What a loop takes from the state: what an earlier run left at the service, and the jobs that are planned."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

from hume_runner.engine.evidence import Evidence
from hume_runner.engine.reactions import sending
from hume_runner.engine.reactions.base import Moment, Rules
from hume_runner.engine.view import AtService, ToFetch, View
from hume_runner.services.base import Host, Keeper
from hume_runner.services.jobs import Ended
from hume_runner.state.lifecycle import JobStatus
from hume_runner.state.reader import StateReader
from hume_runner.state.rows import UNLISTED
from hume_runner.state.store import Store

# Of so many jobs that an earlier run sent it is checked that the service shows what was sent.
_REMINDED = 1_000


def resumed(view: View, rules: Rules, store: Store, service: Host, evidence: Evidence, at: Moment) -> View:
    """With what an earlier run left: jobs that are waited for, whose answers are there, whose submission was lost."""
    store.recover(at.wall)
    waiting: dict[int, AtService] = {}
    to_fetch: dict[int, ToFetch] = {}
    for row in store.jobs(JobStatus.SUBMITTED):
        assert row.remote_id is not None
        if store.received(row.number) is not None:
            ended_at = None if row.submitted_at is None else row.submitted_at + (row.clock_offset or 0.0)
            ended = Ended(created_at=row.created_at, started_at=row.created_at, ended_at=ended_at)
            to_fetch[row.number] = ToFetch(ended=ended, here=True)
            continue
        if next(store.answers(row.number), None) is not None:
            # It was done, and carries more by now: its answer is here, or there to be fetched again.
            ended = Ended(created_at=row.created_at, started_at=row.started_at, ended_at=row.ended_at)
            to_fetch[row.number] = ToFetch(ended=ended)
            continue
        waiting[row.number] = AtService(
            remote_id=row.remote_id,
            submitted_at=at.now - max(0.0, at.wall - (row.submitted_at or at.wall)),
            since=at.now,
            created_at=row.created_at or (row.submitting_at or at.wall),
            simulated=row.simulated,
        )
    _remind(service.keeper, waiting, evidence)
    view = replace(
        view,
        waiting=waiting,
        to_fetch=to_fetch,
        committed_s=store.committed_seconds(),
        unproven_s=store.unproven_seconds(),
    )
    for row in store.jobs(JobStatus.AMBIGUOUS):
        # How long ago it was lost is anybody's guess by now: the machine's time may have been set. So the wait begins
        # anew; what a run waited to the end by its own clock only has a person asked sooner.
        slow, cost, waited_s = row.lost_how == "slow", row.billable_seconds or 0.0, row.waited_s or 0.0
        unlisted = not store.awaited(row.number)
        if unlisted and row.reason == UNLISTED:
            continue  # that was told
        view = sending.lost(
            view, rules, row.number, slow=slow, cost=cost, here=False, at=at, waited_s=waited_s, unlisted=unlisted
        )
    return view


def _remind(keeper: Keeper | None, waiting: dict[int, AtService], evidence: Evidence) -> None:
    if keeper is None:
        return
    for there in islice(waiting.values(), _REMINDED):
        sent = evidence.sent_as(there.remote_id)
        if sent is not None:
            keeper.remind(sent)


def refilled(view: View, store: StateReader) -> View:
    """With some planned jobs at hand; the others stay in the state."""
    if view.no_more:
        return view
    # What waited for another in a chain goes first: its medium is prepared and half measured.
    at_hand = {*view.queue, *view.held_back, *view.submitting, *view.passed_over}
    freed = [number for number in store.freed() if number not in at_hand]
    queue, unprepared, taken_up = [*reversed(freed), *view.queue], list(view.unprepared), view.taken_up
    if len(queue) + len(unprepared) <= 2 * view.most_transfers:
        for number, prepare in store.planned(4 * view.most_transfers, beyond=taken_up):
            taken_up = number
            # What an earlier run lost and the service does not have, or what a chain freed, waits here already.
            if number not in view.held_back and number not in queue:
                (unprepared if prepare else queue).append(number)
    return replace(view, queue=queue, unprepared=unprepared, taken_up=taken_up)

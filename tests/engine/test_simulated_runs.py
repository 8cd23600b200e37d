"""Whole runs of the loop's pure parts against a service with slots, in simulated time: how long, and how many polls."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field, replace
from itertools import count

import pytest

from hume_runner.engine.reactions import sending, waiting
from hume_runner.engine.reactions.base import Moment
from hume_runner.engine.view import Action, Fetch, Poll, Sent, Submit, View, begun, ended, next_actions
from hume_runner.services.jobs import Accepted, Ended, Pending, Progress
from tests.engine.reactions.cases import rules
from tests.tiers import sampled

SERVER = 1_700_000_000.0  # what the service's clock says when ours says 0


@dataclass
class Simulated:
    """`jobs` of `job_s` seconds on `slots` slots, taken in order; each request takes `request_s`."""

    jobs: int
    job_s: float
    slots: int
    in_flight: int
    request_s: float = 0.02
    transfers: int = 8
    polls: int = 0
    frees: list[float] = field(default_factory=list)
    spans: dict[str, tuple[float, float, float]] = field(default_factory=dict)  # created, started, ended
    longer_s: float = 0.0  # every third job takes so much longer

    def take(self, name: str, now: float) -> None:
        while len(self.frees) < self.slots:
            self.frees.append(0.0)
        start = max(now, heapq.heappop(self.frees))
        end = start + self.job_s + (self.longer_s if len(self.spans) % 3 == 2 else 0.0)
        heapq.heappush(self.frees, end)
        self.spans[name] = (now, start, end)

    def tell(self, name: str, now: float) -> Progress:
        created, started, over = self.spans[name]
        if now >= over:
            return Ended(created_at=SERVER + created, started_at=SERVER + started, ended_at=SERVER + over)
        return Pending(started=now >= started)

    def run(self) -> float:
        """Seconds until the last answer is here."""
        view = View(
            most_in_flight=self.in_flight,
            limit=self.in_flight,
            most_transfers=self.transfers,
            queue=list(range(1, self.jobs + 1)),
        )
        now, order = 0.0, count()
        due: list[tuple[float, int, Action]] = []
        while not view.finished:
            actions, wake = next_actions(view, now)
            for action in actions:
                view = begun(view, action, now)
                if isinstance(action, Submit):
                    view = replace(view, submitting={**view.submitting, action.job: Sent(at=now)})
                self.polls += isinstance(action, Poll)
                heapq.heappush(due, (now + self.request_s, next(order), action))
            if due and (wake is None or due[0][0] <= wake):
                now, _, action = heapq.heappop(due)
                view = self.react(view, action, now)
            else:
                assert wake is not None
                now = max(now, wake)
        return now

    def react(self, view: View, action: Action, now: float) -> View:
        view, at = ended(view, action), Moment(now=now, wall=SERVER + now)
        middle = now - self.request_s / 2
        match action:
            case Submit(job):
                self.take(f"r{job}", middle)
                # The service's date has whole seconds.
                came = Accepted(remote_id=f"r{job}", server_time_s=SERVER + int(middle), simulated=False)
                return sending.accepted(view, job, came, at).view
            case Poll():
                told = {there.remote_id: self.tell(there.remote_id, middle) for there in view.waiting.values()}
                return waiting.polled(view, rules(), told, at).view
            case Fetch(job):
                return replace(view, fetching={one: kept for one, kept in view.fetching.items() if one != job})
            case _:
                raise AssertionError(action)


@pytest.mark.parametrize(("in_flight", "request_s"), [(100, 0.005), (100, 0.02), (100, 0.05), (50, 0.005), (50, 0.02)])
def test_two_hundred_jobs_on_fifty_slots_take_little_longer_than_they_must_and_few_polls(
    in_flight: int, request_s: float
) -> None:
    service = Simulated(jobs=200, job_s=3.0, slots=50, in_flight=in_flight, request_s=request_s)
    # What no pacing can save: the first wave goes out and the last one comes back by so many workers.
    transfers_s = 2 * 50 / service.transfers * request_s
    assert service.run() - transfers_s <= 12 * (1.02 if in_flight == 100 else 1.05)
    assert service.polls / service.jobs <= 0.18


@sampled(3)
@pytest.mark.parametrize("longer_s", [0.0, 0.4, 2.0])
@pytest.mark.parametrize(("jobs", "slots", "job_s"), [(1, 1, 3.0), (20, 20, 3.0), (60, 7, 30.0), (300, 300, 600.0)])
def test_other_shapes_are_neither_held_up_nor_asked_about_for_each_job(
    jobs: int, slots: int, job_s: float, longer_s: float
) -> None:
    service = Simulated(jobs=jobs, job_s=job_s, slots=slots, in_flight=jobs, longer_s=longer_s)
    took = service.run()
    least = max(over for _, _, over in service.spans.values())
    assert took <= least * 1.06 + 1.0
    assert service.polls <= 45 + 1.5 * jobs

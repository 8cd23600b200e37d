"""How fast to send, and when to ask again. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hume_runner.frozen import frozen


def rate_after_complaint(rate: float, full: float) -> float:
    """Requests per second once the service asks for a pause: half as many, one in ten seconds at the least."""
    return max(min(0.1, full), rate / 2)


def rate_after_success(rate: float, full: float) -> float:
    """A twentieth of the full rate comes back with each request that went well."""
    return min(full, rate + full / 20)


def limit_after_complaint(limit: float) -> float:
    """How many jobs may be at the service at once: half as many once it complains, one at the least."""
    return max(1.0, limit / 2)


def limit_after_success(limit: float, most: int) -> float:
    """One more with each job that it takes."""
    return min(float(most), limit + 1)


@frozen
class PollRule:
    """Seconds between polls: a share of the youngest waiting job's age, between `least` and `most`.

    `close` is the least time between two polls when several jobs are expected to end, one after another.
    """

    least: float = 0.25
    most: float = 30.0
    share: float = 0.05
    close: float = 0.08


def expected_ends(
    submitted: Sequence[float], *, typical: float, slots: int | None, freed: Sequence[float], most: int
) -> list[float]:
    """When the first `most` of the waiting jobs are expected to end, in the order of their submission (ascending).

    The service works on `slots` jobs at a time (None: nobody has seen one wait), takes them in order, and needs
    `typical` seconds for each. `freed`: when the latest of its slots became free, ascending.
    """
    ends: list[float] = []
    known = list(freed[-slots:]) if slots else []
    never = slots - len(known) if slots is not None else most  # slots that no job of ours has left yet
    for number, time in enumerate(submitted[:most]):
        start = time
        if number >= never and slots is not None:
            # The slot of the job that ended so many places before, or of one that is still waited for.
            at = number - never
            start = max(time, known[at] if at < len(known) else ends[number - slots])
        ends.append(start + typical)
    return ends


def next_poll_at(
    rule: PollRule,
    *,
    now: float,
    last: float,
    submitted: Iterable[float],
    typical: float | None,
    slots: int | None = None,
    freed: Sequence[float] = (),
) -> float:
    """When to poll next. `submitted`: times of the waiting jobs; `typical`: how long the service worked on recent jobs
    at the least; `slots` and `freed` as in `expected_ends`.

    A new job is looked at often and an old one seldom. Once it is known how long jobs take, the next poll is when a
    few of them can be done: one request tells about all of them, so a poll a job would be wasted. Jobs that wait for a
    slot are done one work later than that slot becomes free; and as long as there are some, the service has something
    to do, and half of them may begin before more have to be sent.
    """
    times = sorted(submitted)
    if not times:
        return now
    interval = min(rule.most, max(rule.least, rule.share * (now - times[-1])))
    if typical is None:
        return last + interval
    queued = max(0, len(times) - slots) if slots is not None else 0
    few = max(4, len(times) // 8, queued // 2)
    # A job that is late by a little is about to end; one that is late by more nobody can tell about.
    grace = max(rule.close, rule.share * typical)
    ends = expected_ends(times, typical=typical, slots=slots, freed=freed, most=min(len(times), 2 * few + _LATE))
    if slots is not None:
        # Of what is worked on, and that has taken `typical` so far: how long the youngest has waited says nothing.
        interval = min(rule.most, max(rule.least, rule.share * typical))
    overdue = sum(end <= last - grace for end in ends)
    soon, soonest = last + max(rule.close, grace / 4), last + rule.close
    expected = sorted(soon if end <= last else max(end, soonest) for end in ends[overdue:])
    if not expected:
        return last + interval
    # Sure of nothing, so never silent for more than four intervals; and not for more than one if a job is overdue.
    patience = interval if overdue else 4 * interval
    # One that ends is not left for longer than an interval for the sake of others; while some wait, its slot is used.
    together = expected[0] + (4 * interval if queued else interval)
    return min([end for end in expected[:few] if end <= together][-1], last + patience)


# So many late jobs are looked at: one makes polls come often, and how many there are changes nothing.
_LATE = 8

"""What a poll tells of the jobs at the service, or does not."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import assert_never

from hume_runner import events
from hume_runner.amounts import seconds_text
from hume_runner.engine import facts, reconcile
from hume_runner.engine.reactions.base import Moment, Reaction, Rules, refuses, without
from hume_runner.engine.reactions.sending import misled
from hume_runner.engine.reactions.stopping import stop
from hume_runner.engine.view import AtService, ToFetch, View
from hume_runner.errors import (
    ApiError,
    HostUnknown,
    ServiceRefused,
    ServiceUnavailable,
)
from hume_runner.http.backoff import backoff
from hume_runner.services.jobs import Broken, Ended, Mistaken, Pending, Progress, Unseen, job_name
from hume_runner.services.lost import Candidate, Look

# So many recent jobs tell how long one takes, and so many when slots at the service became free.
_RECENT = 30
_FREED = 1_000


def polled(view: View, rules: Rules, progress: Mapping[str, Progress], at: Moment) -> Reaction:
    """How far the waiting jobs are, by remote id."""
    reaction = Reaction(view=replace(_slots_seen(view, progress), trouble=replace(view.trouble, polls=0)))
    for job, there in view.waiting.items():
        found = progress.get(there.remote_id)
        reaction = reaction.then(_progressed(reaction.view, rules, job, there, found, at))
        if job in reaction.view.waiting and _waited_s(there, at) > rules.execution.job_timeout_s:
            reaction = reaction.then(_timed_out(reaction.view, rules, job))
    return reaction


def _waited_s(there: AtService, at: Moment) -> float:
    """How long a job is waited for, for sure: in this run, or by the service's own clock since it began. The machine's
    may have been set since an earlier run sent it."""
    by_service = at.server - there.created_at if at.server is not None else 0.0
    return max(at.now - there.since, by_service)


def _slots_seen(view: View, progress: Mapping[str, Progress]) -> View:
    """With how many jobs the service works on at a time, where some wait for that, and when slots became free."""
    told = [(there, progress.get(there.remote_id)) for there in view.waiting.values()]
    working = sum(isinstance(found, Pending) and found.started for _, found in told)
    queued = sum(isinstance(found, Pending) and not found.started for _, found in told)
    slots = view.slots
    if working:
        # With none that waits, there may be more of them than are used.
        slots = working if queued else max(working, slots) if slots is not None else None
    ended = [
        there.submitted_at + max(0.0, found.ended_at - found.created_at)
        for there, found in told
        if isinstance(found, Ended) and found.created_at is not None and found.ended_at is not None
    ]
    return replace(view, slots=slots, freed=tuple(sorted((*view.freed, *ended))[-_FREED:]) if ended else view.freed)


def _progressed(view: View, rules: Rules, job: int, there: AtService, found: Progress | None, at: Moment) -> Reaction:
    match found:
        case Ended():
            began = found.started_at if found.started_at is not None else found.created_at
            took = (
                found.ended_at - began
                if began is not None and found.ended_at is not None
                else at.now - there.submitted_at
            )
            view = replace(
                view,
                waiting=without(view.waiting, job),
                to_fetch={**view.to_fetch, job: ToFetch(ended=found)},
                turnarounds=(*view.turnarounds[1 - _RECENT :], max(0.0, took)),
            )
            return Reaction(view=view, events=(events.JobEnded(job=job_name(job)),))
        case Broken(message=message):
            times = {"created_at": found.created_at, "started_at": found.started_at, "ended_at": found.ended_at}
            return _broken(view, facts.Broken(job=job, reason="job_failed", message=message, times=times))
        case Mistaken(message=message):
            return misled(view, rules, job, message, at)
        case Unseen():
            return _unseen(view, rules, job, there)
        case Pending() | None:
            if there.remote_id not in view.trouble.unseen:
                return Reaction(view=view)
            trouble = replace(view.trouble, unseen=without(view.trouble.unseen, there.remote_id))
            return Reaction(view=replace(view, trouble=trouble))
        case _:
            assert_never(found)


def _broken(view: View, fact: facts.Broken) -> Reaction:
    return Reaction(
        view=replace(view, waiting=without(view.waiting, fact.job)),
        facts=(fact,),
        events=(events.JobFailed(job=job_name(fact.job), message=fact.message),),
        failures=True,
    )


def _timed_out(view: View, rules: Rules, job: int) -> Reaction:
    limit = seconds_text(rules.execution.job_timeout_s)
    message = f"not finished after {limit} s (execution.job_timeout); --retry-failed asks for it again, unpaid"
    return _broken(view, facts.Broken(job=job, reason="job_timeout", message=message))


def looked(view: View, job: int, look: Look, known: Collection[str]) -> Reaction:
    """What a look shows of a job that the service does not know under the name that it told. `known`: those of its
    candidates that another job of ours holds."""
    settled = reconcile.settle(look, known, waited_s=0.0, wait_s=0.0)
    return _renamed(view, job, settled.chosen) if isinstance(settled, reconcile.Found) else Reaction(view=view)


def _renamed(view: View, job: int, chosen: Candidate) -> Reaction:
    """It has it under another one."""
    there = replace(
        view.waiting[job], remote_id=chosen.remote_id, created_at=chosen.created_at or view.waiting[job].created_at
    )
    view = replace(view, waiting={**view.waiting, job: there})
    told = events.Found(job=job_name(job), remote_id=chosen.remote_id, duplicates=0)
    return Reaction(view=view, facts=(facts.Renamed(job=job, chosen=chosen),), events=(told,))


def nearly_given_up(view: View, rules: Rules) -> tuple[int, ...]:
    """The jobs for whose sake the next poll would stop the run, if the service does not know them then either."""
    unseen, most = view.trouble.unseen, rules.patience.unseen
    return tuple(job for job, there in view.waiting.items() if unseen.get(there.remote_id, 0) + 1 >= most)


def _unseen(view: View, rules: Rules, job: int, there: AtService) -> Reaction:
    times = view.trouble.unseen.get(there.remote_id, 0) + 1
    view = replace(view, trouble=replace(view.trouble, unseen={**view.trouble.unseen, there.remote_id: times}))
    if times < rules.patience.unseen:
        return Reaction(view=view)
    error = ServiceRefused(
        f"{job_name(job)}: the service does not know the job {there.remote_id} under this key",
        hint="use the key of the account that submitted it, and the same endpoint; nothing was sent again",
    )
    return stop(view, error, leave=True)


def poll_failed(view: View, rules: Rules, error: ApiError, at: Moment) -> Reaction:
    """The service did not tell how far the jobs are, or whether it has a lost one."""
    retry = rules.execution.retry
    polls = view.trouble.polls + 1
    wait = backoff(polls, most=retry.max_wait_s, asked=error.retry_after_s, random=lambda: at.chance)
    view = replace(view, poll_not_before=at.now + wait, trouble=replace(view.trouble, polls=polls))
    reaction = Reaction(view=view)
    if refuses(error):
        reaction = reaction.then(stop(view, ServiceRefused(str(error), hint=error.hint), leave=True))
    told = Reaction(view=reaction.view, events=(events.PollFailed(message=str(error)),))
    reaction = reaction.then(told)
    if polls < retry.attempts and not isinstance(error, HostUnknown):
        return reaction
    given_up = ServiceUnavailable(
        f"the service does not tell how far the jobs are: {error}",
        hint="the jobs go on without us; run the same command again later",
    )
    return reaction.then(stop(reaction.view, given_up, leave=True))

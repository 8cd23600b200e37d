"""What happens to a submission: whether it may go out, and what its answer means."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import assert_never

from hume_runner import events
from hume_runner.amounts import seconds_text
from hume_runner.engine import facts
from hume_runner.engine.pacing import limit_after_complaint, limit_after_success
from hume_runner.engine.reactions.base import Moment, Reaction, Rules, without
from hume_runner.engine.reactions.stopping import end_with, stop
from hume_runner.engine.view import AtService, Lost, Sent, ToFetch, View
from hume_runner.errors import (
    CostCapReached,
    HumeRunnerError,
    LostAnswerNeedsDecision,
    ServiceRefused,
    ServiceUnavailable,
)
from hume_runner.frozen import frozen
from hume_runner.http.backoff import backoff
from hume_runner.services.jobs import (
    Accepted,
    Answered,
    Draft,
    Ended,
    Job,
    Member,
    Prepared,
    Refused,
    SubmitResult,
    Unknown,
    job_name,
)
from hume_runner.services.lost import Candidate
from hume_runner.state.rows import JobRow

# What waits for a lost submission to be settled is looked at again after so many seconds.
_UNTIL_SETTLED_S = 0.2


def prepared(view: View, job: int, came: Prepared) -> Reaction:
    """A medium is prepared, and becomes the jobs that are sent; what follows once they have numbers is `ready`."""
    became = facts.Replaced(job=job, drafts=came.drafts, failed=came.failed, given_up=came.given_up)
    return Reaction(view=view, facts=(became,))


def ready(view: View, came: Prepared, planned: Sequence[int], names: Mapping[int, str]) -> Reaction:
    """A prepared medium became these jobs: they go before what is not prepared yet, since media wait on the disk, and
    nothing is measured meanwhile. `names`: the items' ids by their positions."""
    noted = next(iter(names.values())) if len(names) == 1 else ""
    told: tuple[events.Event, ...] = (
        *(
            events.ItemFailed(item=names.get(position, ""), reason=reason, message=message)
            for position, reason, message in came.failed
        ),
        *(events.MediumNoted(item=noted, message=message) for message in came.notes),
    )
    if came.expected not in (None, len(came.drafts)):
        told += (events.MediaPrepared(jobs=len(came.drafts), expected=int(came.expected or 0)),)
    return Reaction(view=replace(view, queue=[*view.queue, *planned]), events=told, failures=bool(came.failed))


@frozen
class Divide:
    """What goes together of its members: other jobs take its place."""

    parts: Sequence[Sequence[Member]]


@frozen
class Ask:
    """It may have been paid for: somebody is asked before it is sent."""

    why: str


def first(job: Job, left_out: Collection[bytes], doubts: Mapping[bytes, str]) -> Divide | Ask | None:
    """What has to be done with a planned job before it may be sent; None where nothing has to.

    `left_out`: keys of members that are not to be sent now; `doubts`: of those that may have been paid for, and why.
    """
    listed = [member for member in job.members if member.item.id and member.item.key not in left_out]
    if len(listed) < len(job.members):
        # A lost job that is not at the service, and the manifest or the selection has changed since: what it still
        # lists goes.
        return Divide(parts=(listed,))
    clear = [member for member in job.members if member.item.key not in doubts]
    doubtful = [member for member in job.members if member.item.key in doubts]
    if clear and doubtful:
        # What is beyond doubt does not wait until somebody was asked about the rest.
        return Divide(parts=(clear, doubtful))
    return Ask(why=next(iter(doubts.values()))) if doubts else None


def replaced(view: View, job: Job, drafts: Sequence[Draft]) -> Reaction:
    """Not all of a job goes, or not together: these jobs take its place, and their turn among all that are planned."""
    return Reaction(view=view, facts=(facts.Replaced(job=job.number, drafts=tuple(drafts)),))


def may_send(view: View, rules: Rules, job: Job, suspects: Sequence[Candidate], at: Moment) -> Reaction:
    """Before a job goes out: if it may, nothing is stopped and it is not held back.

    `suspects`: what the service measured before and may be this job, unknown to the state, with an answer that cannot
    be had again.
    """
    cap, cost = rules.execution.max_billable_seconds, job.billable_seconds
    if cap is not None and cost is not None and round(view.committed_s + cost, 3) > cap:
        error: HumeRunnerError = CostCapReached(
            f"cost cap: {seconds_text(view.committed_s)} of {seconds_text(cap)} billable seconds are used"
            f"{_perhaps(view)}, and {job.name} needs {seconds_text(cost)}",
            hint="raise execution.max_billable_seconds or pass --max-billable-seconds, then run again",
        )
        return stop(view, error, leave=False)
    if job.number in view.agreed:  # to this very job
        return Reaction(view=view)
    if suspects and not rules.pay_again and view.lost:
        # One of them may be what was lost: whether it was is known once that is settled.
        return Reaction(view=replace(view, held_back={**view.held_back, job.number: at.now + _UNTIL_SETTLED_S}))
    if suspects:
        first, more = suspects[0], f" and {len(suspects) - 1} more" if len(suspects) > 1 else ""
        told = (
            f"the service is measuring something that may be this, as {first.remote_id}{more}"
            if first.running
            else f"the service has measured something of this size already, as {first.remote_id}{more}"
            if first.gone
            else f"something that may be this has gone silent there, {first.remote_id}{more}, and nobody knows "
            "whether it was billed"
        )
        if rules.pay_again:
            message = f"{job.name}: {told}; sent as agreed, and paid twice if that was this"
            named = tuple(one.remote_id for one in suspects if one.named)
            agreed = facts.Agreed(job=job.number, remote_ids=named, doubt=told)
            return Reaction(
                view=replace(view, agreed=view.agreed | {job.number}),
                facts=(agreed,),
                events=(events.Agreed(job=job.name, message=message),),
            )
        error = LostAnswerNeedsDecision(
            f"{job.name}: {told}, and this state knows nothing of it; its answer cannot be had again",
            hint="if that was something else, or to pay once more: --pay-again",
        )
        return stop(view, error, leave=False)
    return Reaction(view=view)


def asked_about(view: View, job: Job, why: str) -> Reaction:
    """Somebody agreed to pay for a job once more, and then it was not sent, or not taken: who has not agreed is asked
    again. All else goes on."""
    error = LostAnswerNeedsDecision(
        f"{job.name}: {why}; that it is paid for once more was agreed to for an earlier run, from which the service "
        "did not take it",
        hint="`--pay-again` sends it now",
    )
    view = end_with(replace(view, passed_over=view.passed_over | {job.number}), error)
    return Reaction(view=view, events=(events.Undecided(job=job.name, message=str(error)),))


def _perhaps(view: View) -> str:
    if not view.unproven_s:
        return ""
    lost = seconds_text(view.unproven_s)
    return f" ({lost} of them by submissions whose answers were lost, which nobody knows to be free)"


def cannot_be_read(view: View, job: Job, message: str) -> Reaction:
    """The only source of a job vanished since it was planned."""
    told = events.JobFailed(job=job.name, message=message)
    unread = facts.Unsent(job=job.number, reason="source_unreadable", message=f"cannot read a source: {message}")
    return Reaction(view=view, facts=(unread,), events=(told,), failures=True)


def sent(view: View, job: Job, at: Moment) -> View:
    """The request leaves, as soon as its intent is recorded."""
    cost = job.billable_seconds or 0.0
    on_the_way = Sent(at=at.now, billable_seconds=cost, members=len(job.members))
    return replace(view, submitting={**view.submitting, job.number: on_the_way}, committed_s=view.committed_s + cost)


def not_sent(view: View, jobs: Collection[int]) -> View:
    """Nothing of them left: their intents could not be recorded, or what came next failed."""
    given_back = sum(view.submitting[job].billable_seconds for job in jobs)
    submitting = {job: sent for job, sent in view.submitting.items() if job not in jobs}
    return replace(view, submitting=submitting, committed_s=view.committed_s - given_back)


def came(
    view: View, rules: Rules, job: int, result: SubmitResult, row: JobRow, *, told_before: bool, at: Moment
) -> Reaction:
    """The answer to a submission that the state knows as `row`. `told_before`: its id is another job's."""
    match result:
        case Accepted(remote_id=remote_id) if told_before:
            message = f"the service answered with the id of another job, {remote_id}"
            return misled(view, rules, job, message, at)
        case Accepted():
            return accepted(view, job, result, at)
        case Answered():
            sent_at = (row.submitting_at or at.wall) + (row.clock_offset or 0.0)
            return answered(view, job, result, sent_at, at)
        case Refused():
            return refused(view, rules, job, result, row.tries, at)
        case Unknown():
            return unknown(view, rules, job, result, at)
        case _:
            assert_never(result)


def accepted(view: View, job: int, came: Accepted, at: Moment) -> Reaction:
    """The service took it, and works on it."""
    created_at = came.server_time_s if came.server_time_s is not None else at.wall
    there = AtService(
        remote_id=came.remote_id,
        submitted_at=at.now,
        since=at.now,
        created_at=created_at,
        simulated=came.simulated,
    )
    return Reaction(
        view=replace(_taken(view, job, at), waiting={**view.waiting, job: there}),
        facts=(facts.Accepted(job=job, remote_id=came.remote_id, created_at=created_at, simulated=came.simulated),),
        events=(events.Submitted(job=job_name(job), remote_id=came.remote_id),),
    )


def answered(view: View, job: int, came: Answered, sent_at: float, at: Moment) -> Reaction:
    """The service measured at once. `sent_at`: when the request left, Unix seconds by the service's clock, which tells
    whole seconds only."""
    took_s = at.now - view.submitting[job].at if job in view.submitting else 0.0
    ended = Ended(created_at=sent_at, started_at=sent_at, ended_at=sent_at + took_s)
    return Reaction(
        view=replace(_taken(view, job, at), to_fetch={**view.to_fetch, job: ToFetch(ended=ended, here=True)}),
        facts=(
            facts.Accepted(
                job=job,
                remote_id=came.remote_id,
                created_at=sent_at,
                simulated=came.simulated,
                answer=came.body,
                carry=came.carry,
                billed_seconds=came.billed_seconds,
            ),
        ),
        events=(events.Submitted(job=job_name(job), remote_id=came.remote_id),),
    )


def _taken(view: View, job: int, at: Moment) -> View:
    return replace(
        view,
        submitting=without(view.submitting, job),
        limit=limit_after_success(view.limit, view.most_in_flight),
        taken_at=at.now,
        trouble=replace(view.trouble, submissions=0),
    )


def refused(view: View, rules: Rules, job: int, came: Refused, tries: int, at: Moment) -> Reaction:
    """The service surely did not take it. `tries`: how often it was sent, this time included."""
    was = view.submitting[job]
    view = replace(view, submitting=without(view.submitting, job), committed_s=view.committed_s - was.billable_seconds)
    name, message = job_name(job), came.message
    again = (facts.Refused(job=job, message=message),)
    if came.stops_run:
        error = came.error or ServiceRefused(message, hint=came.hint)
        return Reaction(view=view, facts=again).then(stop(view, error, leave=True))
    if came.temporary:
        view = replace(
            _held_back(view, rules, job, tries, at, came.retry_after_s), limit=limit_after_complaint(view.limit)
        )
        # What an interruption gave up is no news.
        news = () if view.interrupted else (events.RefusedForNow(job=name, message=message),)
        told = Reaction(view=view, facts=again, events=news)
        return told.then(in_vain(view, rules, tries, message))
    if came.divisible and was.members > 1:
        # It was not paid for: its halves are tried, until the member at fault stands alone.
        halved = facts.Halved(job=job, message=message)
        return Reaction(view=view, facts=(halved,), events=(events.Split(job=name, message=message),))
    return Reaction(
        view=view,
        facts=(facts.Rejected(job=job, reason=came.reason, message=message),),
        events=(events.JobFailed(job=name, message=message),),
        failures=True,
    )


def _held_back(view: View, rules: Rules, job: int, tries: int, at: Moment, asked: float | None) -> View:
    """One failure more in a row, and a wait before this job is sent again."""
    wait = backoff(tries, most=rules.execution.retry.max_wait_s, asked=asked, random=lambda: at.chance)
    trouble = replace(view.trouble, submissions=view.trouble.submissions + 1)
    return replace(view, held_back={**view.held_back, job: at.now + wait}, trouble=trouble)


def in_vain(view: View, rules: Rules, tries: int, message: str) -> Reaction:
    """All workers together get as many failures in a row as one job has tries, and each at least that many."""
    attempts = rules.execution.retry.attempts
    if tries % attempts != 0 or view.trouble.submissions < attempts:
        return Reaction(view=view)
    error = ServiceUnavailable(
        f"the service does not take jobs now: {message}", hint="nothing is lost; run the same command again later"
    )
    return stop(view, error, leave=True)


def unknown(view: View, rules: Rules, job: int, came: Unknown, at: Moment) -> Reaction:
    """No answer: only asking the service tells whether it took the job."""
    was = view.submitting.get(job, Sent(at=at.now))
    view = replace(view, submitting=without(view.submitting, job))
    return Reaction(
        view=lost(view, rules, job, slow=came.slow, cost=was.billable_seconds, here=True, at=at),
        facts=(facts.Lost(job=job, message=came.message, slow=came.slow, took_s=at.now - was.at),),
        events=(events.Lost(job=job_name(job), message=came.message),),
    )


def lost(
    view: View,
    rules: Rules,
    job: int,
    *,
    slow: bool,
    cost: float,
    here: bool,
    at: Moment,
    waited_s: float = 0.0,
    unlisted: bool = False,
) -> View:
    """A lost submission, by this run (`here`) or an earlier one, gets its whole wait from now on. What an earlier run
    waited to the end (`waited_s`) only says how soon a person is asked."""
    wait_s = rules.patience.settle_slow_s if slow else rules.patience.settle_s
    one = Lost(
        since=at.now,
        wait_s=wait_s,
        next_at=at.now,
        billable_seconds=cost,
        here=here,
        waited_before_s=waited_s,
        unlisted=unlisted,
    )
    return replace(view, lost={**view.lost, job: one})


def misled(view: View, rules: Rules, job: int, message: str, at: Moment) -> Reaction:
    """The id that the service told is another job's: it took this one, and it is looked for by what it carries."""
    was = view.submitting.get(job, Sent(at=at.now))
    view = replace(view, submitting=without(view.submitting, job), waiting=without(view.waiting, job))
    return Reaction(
        view=lost(view, rules, job, slow=False, cost=was.billable_seconds, here=True, at=at),
        facts=(facts.Misled(job=job, message=message),),
        events=(events.Lost(job=job_name(job), message=message),),
    )

"""What happens to a run when something comes back: pure functions from values to values.

Each takes the view and what came, and gives a `Reaction`: the new view, the facts to record, the events to tell.
Nothing here waits, reads or writes; `loop.py` only drives. In the order in which a job goes through them:

planned ──► accepted / answered ──► polled ──► fetched
   ▲  ▲        │ refused              │ unseen    │ came early, fetch failed: again
   │  └────────┤                      ▼           ▼
   │           ▼ unknown            broken     given up for this run
   └──────── settled (not there, gone)      (found: polled)

The first reason for which a run stops is the one that it ends with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar, assert_never

from hume_runner import events
from hume_runner.engine import facts, reconcile
from hume_runner.engine.pacing import limit_after_complaint, limit_after_success
from hume_runner.engine.view import AtService, Ending, Lost, Sent, ToFetch, View
from hume_runner.errors import (
    ApiError,
    AuthError,
    CostCapReached,
    Discontinued,
    FailureBudgetExceeded,
    HumeRunnerError,
    LostAnswerNeedsDecision,
    NotFound,
    ServiceRefused,
    ServiceUnavailable,
    UnexpectedResponse,
)
from hume_runner.http.backoff import backoff
from hume_runner.manifest.model import ExecutionSection
from hume_runner.services.base import (
    Accepted,
    Answered,
    AnswerUnreadable,
    Broken,
    Candidate,
    Ended,
    Job,
    Mistaken,
    Outcome,
    Pending,
    Progress,
    Refused,
    Unknown,
    Unseen,
    job_name,
)
from hume_runner.state.rows import StoredAnswer

K = TypeVar("K")
V = TypeVar("V")

# So many answers in a row that cannot be had are the service's trouble, not one job's.
_FETCHES_IN_VAIN = 3
# An answer that cannot be read so many times over is not harmed on the way.
_ALIKE = 2
# So many recent jobs tell how long one takes.
_RECENT = 30
# What waits for a lost submission to be settled is looked at again after so many seconds.
_UNTIL_SETTLED_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long the loop waits for things that settle by themselves, in seconds.

    `settle_s`: how long the service has, from the end of a request that was cut off, to show what it took of it;
    `settle_slow_s`: the same after a time-out, where it may have everything and be slow. `late_s`: an answer that does
    not speak of every source is asked for again this long. `unseen`: how many polls in a row may not know one of our
    jobs before the run stops.
    """

    settle_s: float = 120.0
    settle_slow_s: float = 900.0
    late_s: float = 60.0
    unseen: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the manifest and the command line say about how to react. `artifacts`: whether they are wanted;
    `keeps_answers`: whether the service has an answer for whoever asks later, so that a job can be adopted."""

    execution: ExecutionSection
    patience: Patience
    artifacts: bool
    pay_again: bool = False
    keeps_answers: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """When something came back: by the run's monotonic clock, and in Unix seconds. `chance` is from 0 to 1, for the
    jitter of waits."""

    now: float
    wall: float
    chance: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaction:
    """A new view, what to record before anything else, what to tell. `failures`: whether items failed, so that the
    budget has to be looked at."""

    view: View
    facts: tuple[facts.Fact, ...] = ()
    events: tuple[events.Event, ...] = ()
    failures: bool = False

    def then(self, after: Reaction) -> Reaction:
        """This, and what follows from its view."""
        return Reaction(
            view=after.view,
            facts=(*self.facts, *after.facts),
            events=(*self.events, *after.events),
            failures=self.failures or after.failures,
        )


# -- stopping --------------------------------------------------------------------------------------------------------


def stop(view: View, error: HumeRunnerError, *, leave: bool) -> Reaction:
    """Submit nothing more; `leave`: do not wait for what the service works on either."""
    told = () if view.ending else (events.Stopping(message=str(error)),)
    ending = view.ending or Ending(error=error)
    return Reaction(view=replace(view, ending=ending, no_more=True, leaving=view.leaving or leave), events=told)


def end_with(view: View, error: HumeRunnerError) -> View:
    """Go on with everything else, and end with this error if nothing else comes before."""
    return view if view.ending else replace(view, ending=Ending(error=error))


def interrupted(view: View, signal: str, exit_code: int) -> Reaction:
    """The first signal: what is on its way is finished, nothing is begun."""
    requests, seconds = view.on_the_way
    ending = view.ending if view.ending.error is not None else Ending(exit_code=exit_code)
    return Reaction(
        view=replace(view, ending=ending, interrupted=True, no_more=True, leaving=True),
        events=(events.Interrupted(signal=signal, requests=requests, billable_seconds=seconds),),
    )


def over_budget(view: View, rules: Rules, failed: int, total: int) -> Reaction:
    """So many of all items have failed by now."""
    if rules.execution.max_failures.allows(failed, total):
        return Reaction(view=view)
    error = FailureBudgetExceeded(
        f"{failed} of {total} items failed: more than execution.max_failures allows",
        hint="look at the reasons with `hume-runner status --jobs`; what was not submitted stays planned",
    )
    return stop(view, error, leave=False)


def may_send(view: View, rules: Rules, job: Job, suspects: Sequence[Candidate], at: Moment) -> Reaction:
    """Before a job goes out: if it may, nothing is stopped and it is not held back.

    `suspects`: what the service measured before and may be this job, unknown to the state, with an answer that cannot
    be had again.
    """
    cap, cost = rules.execution.max_billable_seconds, job.billable_seconds
    if cap is not None and cost is not None and view.committed_s + cost > cap:
        error: HumeRunnerError = CostCapReached(
            f"cost cap: {view.committed_s:g} of {cap:g} billable seconds are used{_perhaps(view)}, and {job.name} "
            f"needs {cost:g}",
            hint="raise execution.max_billable_seconds or pass --max-billable-seconds, then run again",
        )
        return stop(view, error, leave=False)
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
            agreed = facts.Agreed(job=job.number, remote_ids=tuple(one.remote_id for one in suspects if one.named))
            return Reaction(view=view, facts=(agreed,), events=(events.Agreed(job=job.name, message=message),))
        error = LostAnswerNeedsDecision(
            f"{job.name}: {told}, and this state knows nothing of it; its answer cannot be had again",
            hint="if that was something else, or to pay once more: --pay-again",
        )
        return stop(view, error, leave=False)
    return Reaction(view=view)


def _perhaps(view: View) -> str:
    if not view.unproven_s:
        return ""
    return f" ({view.unproven_s:g} of them by submissions whose answers were lost, which nobody knows to be free)"


# -- a submission's answer -------------------------------------------------------------------------------------------


def sent(view: View, job: Job, at: Moment) -> View:
    """The intent is recorded, and the request leaves."""
    cost = job.billable_seconds or 0.0
    on_the_way = Sent(at=at.now, billable_seconds=cost, members=len(job.members))
    return replace(view, submitting={**view.submitting, job.number: on_the_way}, committed_s=view.committed_s + cost)


def accepted(view: View, job: int, came: Accepted, at: Moment) -> Reaction:
    """The service took it, and works on it."""
    created_at = came.server_time_s if came.server_time_s is not None else at.wall
    there = AtService(remote_id=came.remote_id, submitted_at=at.now, created_at=created_at, simulated=came.simulated)
    return Reaction(
        view=replace(_taken(view, job), waiting={**view.waiting, job: there}),
        facts=(facts.Accepted(job=job, remote_id=came.remote_id, created_at=created_at, simulated=came.simulated),),
        events=(events.Submitted(job=job_name(job), remote_id=came.remote_id),),
    )


def answered(view: View, job: int, came: Answered, sent_at: float, at: Moment) -> Reaction:
    """The service measured at once. `sent_at`: when the request left, Unix seconds by the service's clock, which tells
    whole seconds only."""
    took_s = at.now - view.submitting[job].at if job in view.submitting else 0.0
    ended = Ended(created_at=sent_at, started_at=sent_at, ended_at=sent_at + took_s)
    return Reaction(
        view=replace(_taken(view, job), to_fetch={**view.to_fetch, job: ToFetch(ended=ended, here=True)}),
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


def _taken(view: View, job: int) -> View:
    return replace(
        view,
        submitting=_without(view.submitting, job),
        limit=limit_after_success(view.limit, view.most_in_flight),
        trouble=replace(view.trouble, submissions=0),
    )


def refused(view: View, rules: Rules, job: int, came: Refused, tries: int, at: Moment) -> Reaction:
    """The service surely did not take it. `tries`: how often it was sent, this time included."""
    was = view.submitting[job]
    view = replace(view, submitting=_without(view.submitting, job), committed_s=view.committed_s - was.billable_seconds)
    name, message = job_name(job), came.message
    again = (facts.Refused(job=job, message=message),)
    if came.stops_run:
        return Reaction(view=view, facts=again).then(stop(view, ServiceRefused(message, hint=came.hint), leave=True))
    if came.temporary:
        view = replace(
            _held_back(view, rules, job, tries, at, came.retry_after_s), limit=limit_after_complaint(view.limit)
        )
        told = Reaction(view=view, facts=again, events=(events.RefusedForNow(job=name, message=message),))
        return told.then(_in_vain(view, rules, tries, message))
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


def _in_vain(view: View, rules: Rules, tries: int, message: str) -> Reaction:
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
    view = replace(view, submitting=_without(view.submitting, job))
    return Reaction(
        view=lost(view, rules, job, slow=came.slow, cost=was.billable_seconds, here=True, at=at),
        facts=(facts.Lost(job=job, message=came.message, slow=came.slow, took_s=at.now - was.at),),
        events=(events.Lost(job=job_name(job), message=came.message),),
    )


def lost(view: View, rules: Rules, job: int, *, slow: bool, cost: float, here: bool, at: Moment) -> View:
    """A lost submission, by this run (`here`) or an earlier one, gets its whole wait from now on."""
    wait_s = rules.patience.settle_slow_s if slow else rules.patience.settle_s
    one = Lost(since=at.now, wait_s=wait_s, next_at=at.now, billable_seconds=cost, here=here)
    return replace(view, lost={**view.lost, job: one})


def misled(view: View, rules: Rules, job: int, message: str, at: Moment) -> Reaction:
    """The id that the service told is another job's: it took this one, and it is looked for by what it carries."""
    was = view.submitting.get(job, Sent(at=at.now))
    view = replace(view, submitting=_without(view.submitting, job), waiting=_without(view.waiting, job))
    return Reaction(
        view=lost(view, rules, job, slow=False, cost=was.billable_seconds, here=True, at=at),
        facts=(facts.Misled(job=job, message=message),),
        events=(events.Lost(job=job_name(job), message=message),),
    )


# -- waiting ---------------------------------------------------------------------------------------------------------


def polled(view: View, rules: Rules, progress: Mapping[str, Progress], at: Moment) -> Reaction:
    """How far the waiting jobs are, by remote id."""
    reaction = Reaction(view=replace(view, trouble=replace(view.trouble, polls=0)))
    for job, there in view.waiting.items():
        found = progress.get(there.remote_id)
        reaction = reaction.then(_progressed(reaction.view, rules, job, there, found, at))
        if job in reaction.view.waiting and at.now - there.submitted_at > rules.execution.job_timeout_s:
            reaction = reaction.then(_timed_out(reaction.view, rules, job))
    return reaction


def _progressed(view: View, rules: Rules, job: int, there: AtService, found: Progress | None, at: Moment) -> Reaction:
    match found:
        case Ended():
            took = (
                found.ended_at - found.created_at
                if found.created_at is not None and found.ended_at is not None
                else at.now - there.submitted_at
            )
            view = replace(
                view,
                waiting=_without(view.waiting, job),
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
            trouble = replace(view.trouble, unseen=_without(view.trouble.unseen, there.remote_id))
            return Reaction(view=replace(view, trouble=trouble))
        case _:
            assert_never(found)


def _broken(view: View, fact: facts.Broken) -> Reaction:
    return Reaction(
        view=replace(view, waiting=_without(view.waiting, fact.job)),
        facts=(fact,),
        events=(events.JobFailed(job=job_name(fact.job), message=fact.message),),
        failures=True,
    )


def _timed_out(view: View, rules: Rules, job: int) -> Reaction:
    limit = rules.execution.job_timeout_s
    message = f"not finished after {limit:g} s (execution.job_timeout); --retry-failed asks for it again, unpaid"
    return _broken(view, facts.Broken(job=job, reason="job_timeout", message=message))


def renamed(view: View, job: int, chosen: Candidate, at: Moment) -> Reaction:
    """What the service does not know under the name that it told, it has under another one."""
    there = replace(
        view.waiting[job], remote_id=chosen.remote_id, created_at=chosen.created_at or view.waiting[job].created_at
    )
    view = replace(view, waiting={**view.waiting, job: there})
    told = events.Found(job=job_name(job), remote_id=chosen.remote_id, duplicates=0)
    return Reaction(view=view, facts=(facts.Renamed(job=job, chosen=chosen),), events=(told,))


def nearly_given_up(view: View, rules: Rules, progress: Mapping[str, Progress]) -> tuple[int, ...]:
    """The jobs for whose sake the next reaction would stop the run, as the service does not know them."""
    return tuple(
        job
        for job, there in view.waiting.items()
        if isinstance(progress.get(there.remote_id), Unseen)
        and view.trouble.unseen.get(there.remote_id, 0) + 1 >= rules.patience.unseen
    )


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
    if _refuses(error):
        reaction = reaction.then(stop(view, ServiceRefused(str(error), hint=error.hint), leave=True))
    told = Reaction(view=reaction.view, events=(events.PollFailed(message=str(error)),))
    reaction = reaction.then(told)
    if polls < retry.attempts:
        return reaction
    given_up = ServiceUnavailable(
        f"the service does not tell how far the jobs are: {error}",
        hint="the jobs go on without us; run the same command again later",
    )
    return reaction.then(stop(reaction.view, given_up, leave=True))


def _refuses(error: ApiError) -> bool:
    """Whether no retry can mend it."""
    return isinstance(error, (AuthError, Discontinued))


# -- answers ---------------------------------------------------------------------------------------------------------


def fetched(
    view: View,
    job: int,
    answers: tuple[StoredAnswer, ...],
    outcomes: tuple[Outcome, ...],
    *,
    sources: int,
    simulated: bool,
) -> Reaction:
    """A job's answers are on disk, checked and hashed."""
    ended = _of(view, job).ended
    failed = sum(not outcome.ok for outcome in outcomes)
    times = {"created_at": ended.created_at, "started_at": ended.started_at, "ended_at": ended.ended_at}
    return Reaction(
        view=replace(_let_go(view, job), trouble=replace(view.trouble, fetches=0)),
        facts=(facts.Finished(job=job, answers=answers, outcomes=outcomes, times=times, simulated=simulated),),
        events=(events.JobFinished(job=job_name(job), sources=sources, failed=failed),),
        failures=failed > 0,
    )


def came_early(view: View, rules: Rules, job: int, message: str, at: Moment) -> Reaction:
    """COMPLETED, and some source is not in the answer yet. After a while, what is missing has failed."""
    was = _of(view, job)
    first = was.early_at if was.early_at is not None else at.now
    early = was.early + 1
    wait = backoff(early, most=10.0, asked=None, random=lambda: at.chance) / 2
    ended = was.ended
    if at.now - first >= rules.patience.late_s:
        ended, wait = replace(ended, announced={**ended.announced, "accept_missing": 1}), 0.0
    again = replace(was, ended=ended, next_at=at.now + wait, early=early, early_at=first)
    return Reaction(view=_fetch_again(view, job, again), events=(events.Early(job=job_name(job), message=message),))


def fetch_failed(view: View, rules: Rules, job: int, error: ApiError, at: Moment) -> Reaction:
    """An answer could not be fetched, or is damaged: again, as often as the manifest says."""
    was, name, retry = _of(view, job), job_name(job), rules.execution.retry
    tries = was.tries + 1
    wait = backoff(tries, most=retry.max_wait_s, asked=error.retry_after_s, random=lambda: at.chance)
    view = _fetch_again(view, job, replace(was, next_at=at.now + wait, tries=tries))
    reaction = Reaction(view=view)
    if _refuses(error):
        reaction = reaction.then(stop(view, ServiceRefused(str(error), hint=error.hint), leave=True))
    failed = events.FetchFailed(job=name, message=str(error))
    reaction = reaction.then(Reaction(view=reaction.view, events=(failed,)))
    if isinstance(error, AnswerUnreadable) and tries >= min(_ALIKE, retry.attempts):
        # Not harmed on the way: it is what the service says, and what cannot be read of it fails alone.
        ended = replace(was.ended, announced={**was.ended.announced, "accept_unreadable": 1})
        again = replace(was, ended=ended, next_at=at.now, tries=0)
        return reaction.then(Reaction(view=replace(reaction.view, to_fetch={**reaction.view.to_fetch, job: again})))
    if tries < retry.attempts:
        return reaction
    return reaction.then(_give_up(reaction.view, rules, job, error))


def _give_up(view: View, rules: Rules, job: int, error: ApiError) -> Reaction:
    """After all tries. A host may keep no artifacts at all: then the job is fetched once more without them."""
    if isinstance(error, NotFound) and rules.artifacts and job not in view.without_artifacts:
        view = replace(view, without_artifacts=view.without_artifacts | {job})
        return Reaction(view=view, events=(events.NoArtifacts(job=job_name(job)),))
    fetches = view.trouble.fetches + 1
    view = replace(view, to_fetch=_without(view.to_fetch, job), trouble=replace(view.trouble, fetches=fetches))
    what = "is damaged" if isinstance(error, UnexpectedResponse) else "cannot be fetched"
    given_up = ServiceUnavailable(
        f"{job_name(job)}: its answer {what}: {error}",
        hint="the job is done and paid; run the same command again later to fetch it",
    )
    if fetches >= _FETCHES_IN_VAIN:
        return stop(view, given_up, leave=isinstance(error, NotFound))
    # One job's answer may be bad for good; that is no reason to hold the others back.
    return Reaction(view=end_with(view, given_up))


def _of(view: View, job: int) -> ToFetch:
    return view.fetching[job] if job in view.fetching else view.filing[job]


def _let_go(view: View, job: int) -> View:
    return replace(view, fetching=_without(view.fetching, job), filing=_without(view.filing, job))


def dropped(view: View, job: int) -> View:
    """A fetch that broke in a way that ends the run: another run fetches it."""
    return _let_go(view, job)


def _fetch_again(view: View, job: int, again: ToFetch) -> View:
    return replace(_let_go(view, job), to_fetch={**view.to_fetch, job: again})


# -- lost submissions ------------------------------------------------------------------------------------------------


def looked(
    view: View, rules: Rules, job: int, settled: reconcile.Settled, tries: int, message: str | None, at: Moment
) -> Reaction:
    """What a look says about a lost submission, sent `tries` times, whose answer was lost with `message`."""
    one = view.lost[job]
    match settled:
        case reconcile.Wait():
            wait = reconcile.next_look_s(one.looks, waited_s=at.now - one.since, wait_s=one.wait_s)
            again = replace(one, next_at=at.now + wait, looks=one.looks + 1)
            return Reaction(view=replace(view, lost={**view.lost, job: again}))
        case reconcile.Found():
            return _found(view, job, settled, at)
        case reconcile.NotThere() if rules.pay_again and at.now - one.since < one.wait_s:
            why = "the list does not show it, which was not waited for"
            return nothing_proves(view, rules, job, reconcile.Ask(why=why), tries, message, at)
        case reconcile.NotThere():
            told = events.NotThere(job=job_name(job))
            return _once_more(view, rules, job, tries, message, (facts.Missed(job=job),), told, at)
        case reconcile.Gone(chosen=chosen):
            return _gone(view, rules, job, chosen, tries, at)
        case reconcile.Ask():
            return nothing_proves(view, rules, job, settled, tries, message, at)
        case _:
            assert_never(settled)


def _found(view: View, job: int, found: reconcile.Found, at: Moment) -> Reaction:
    chosen = found.chosen
    there = AtService(
        remote_id=chosen.remote_id,
        submitted_at=at.now,
        created_at=chosen.created_at or at.wall,
        simulated=chosen.simulated,
    )
    view = replace(
        view,
        lost=_without(view.lost, job),
        waiting={**view.waiting, job: there},
        trouble=replace(view.trouble, submissions=0),
    )
    told = events.Found(job=job_name(job), remote_id=chosen.remote_id, duplicates=len(found.others))
    return Reaction(view=view, facts=(facts.Found(job=job, chosen=chosen, others=found.others),), events=(told,))


def _once_more(
    view: View,
    rules: Rules,
    job: int,
    tries: int,
    message: str | None,
    known: tuple[facts.Fact, ...],
    told: events.Event,
    at: Moment,
) -> Reaction:
    """It is sent again. A list that does not show it is no bill: what it may have cost stays committed."""
    was = view.lost[job]
    view = replace(
        view,
        lost=_without(view.lost, job),
        held_back={**view.held_back, job: at.now},
        unproven_s=view.unproven_s + was.billable_seconds,
    )
    reaction = Reaction(view=view, facts=known, events=(told,))
    return reaction.then(_one_more_lost(view, rules, was, tries, message or "its answers are lost"))


def _one_more_lost(view: View, rules: Rules, was: Lost, tries: int, message: str) -> Reaction:
    """What an earlier run lost does not count as this one's trouble."""
    if not was.here:
        return Reaction(view=view)
    view = replace(view, trouble=replace(view.trouble, submissions=view.trouble.submissions + 1))
    return _in_vain(view, rules, tries, message)


def nothing_proves(
    view: View, rules: Rules, job: int, ask: reconcile.Ask, tries: int, message: str | None, at: Moment
) -> Reaction:
    """Nobody can tell whether the service took it: a person decides, and everything else goes on."""
    lost_and = f"{job_name(job)}: the answer to its submission was lost, and {ask.why}"
    if rules.pay_again:
        told = events.Agreed(
            job=job_name(job), message=f"{lost_and}; sent again as agreed, and paid twice if the service took it"
        )
        known: tuple[facts.Fact, ...] = (facts.Missed(job=job),)
        if ask.may_be and not rules.keeps_answers:
            known = (*known, facts.Agreed(job=job, remote_ids=ask.may_be))
        return _once_more(view, rules, job, tries, message, known, told, at)
    error = LostAnswerNeedsDecision(
        lost_and,
        hint="look for the job at the service, then `hume-runner adopt MANIFEST REMOTE_ID`; if it is not there, "
        "`--pay-again` sends it again"
        if rules.keeps_answers
        else "run the same command again later: the service may tell by then; `--pay-again` sends it again, which is "
        "paid twice if the service measured it",
    )
    view = end_with(replace(view, lost=_without(view.lost, job)), error)
    return Reaction(view=view, events=(events.Undecided(job=job_name(job), message=str(error)),))


def _gone(view: View, rules: Rules, job: int, chosen: Candidate, tries: int, at: Moment) -> Reaction:
    """Measured and billed, and the answer is lost for good: the manifest says what to do about it."""
    bill = f", {chosen.billed_seconds:g} s billed" if chosen.billed_seconds is not None else ""
    was = view.lost[job]
    view = replace(view, lost=_without(view.lost, job))
    if rules.execution.on_lost_answer == "stop" and not rules.pay_again:
        error = LostAnswerNeedsDecision(
            f"{job_name(job)}: measured as {chosen.remote_id}{bill}, and its answer is lost",
            hint="`--pay-again` pays for it again, or set execution.on_lost_answer: resubmit",
        )
        known = Reaction(view=view, facts=(facts.Billed(job=job, chosen=chosen),))
        return known.then(stop(view, error, leave=False))
    # Each try is paid for: no more of them than other failures get, and not at once.
    wait = backoff(tries, most=rules.execution.retry.max_wait_s, asked=None, random=lambda: at.chance)
    view = replace(
        view,
        held_back={**view.held_back, job: at.now + wait},
        committed_s=view.committed_s - was.billable_seconds + (chosen.billed_seconds or 0.0),
    )
    told = events.Gone(job=job_name(job), remote_id=chosen.remote_id, message=bill.lstrip(", "))
    reaction = Reaction(view=view, facts=(facts.Gone(job=job, chosen=chosen),), events=(told,))
    return reaction.then(_one_more_lost(view, rules, was, tries, "its answers are lost, and every try is billed"))


def look_failed(view: View, rules: Rules, jobs: Sequence[int], error: ApiError, at: Moment) -> Reaction:
    """The service could not be asked about these."""
    later = {job: replace(view.lost[job], next_at=at.now + 1.0) for job in jobs}
    return poll_failed(replace(view, lost={**view.lost, **later}), rules, error, at)


def _without(mapping: Mapping[K, V], key: K) -> Mapping[K, V]:
    return {one: value for one, value in mapping.items() if one != key}

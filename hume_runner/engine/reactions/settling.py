"""What a look at the service means to a lost submission."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from enum import Enum, auto
from functools import partial
from typing import assert_never

from hume_runner import events
from hume_runner.amounts import seconds_text
from hume_runner.engine import facts, reconcile
from hume_runner.engine.reactions.base import Moment, Reaction, Rules, without
from hume_runner.engine.reactions.sending import in_vain
from hume_runner.engine.reactions.stopping import end_with, stop
from hume_runner.engine.reactions.waiting import poll_failed
from hume_runner.engine.view import AtService, Lost, View
from hume_runner.errors import (
    ApiError,
    LostAnswerNeedsDecision,
)
from hume_runner.http.backoff import backoff
from hume_runner.services.jobs import Accepted, Answered, Refused, SubmitResult, Unknown, job_name
from hume_runner.services.lost import Candidate, Look

# So many submissions that were refused for now are looked for once more at the end of a run.
_MOST_REFUSED = 100


class Noted(Enum):
    """What a submission's answer is to the look that a run takes before it ends."""

    NOTHING = auto()
    LOST = auto()  # it may be there, and is sent again
    REFUSED = auto()  # for now: if another try is taken, this one may be there too
    SENT_AGAIN = auto()  # taken, after a try that was refused


def noted(result: SubmitResult, job: int, refused: Collection[int], *, told_before: bool, refused_too: bool) -> Noted:
    """`refused`: the jobs of which a try was refused before. `told_before`: its id is another job's; `refused_too`: the
    service may have what it refused for now."""
    match result:
        case Accepted() if not told_before:
            return Noted.SENT_AGAIN if job in refused else Noted.NOTHING
        case Accepted() | Unknown():
            return Noted.LOST
        case Refused(temporary=True) if refused_too and len(refused) < _MOST_REFUSED and job not in refused:
            return Noted.REFUSED
        case Answered() | Refused():
            return Noted.NOTHING
        case _:
            assert_never(result)


def in_order(jobs: Sequence[int], looks: Mapping[int, Look]) -> Sequence[int]:
    """First what is there: it shows the next look what the list shows of ours."""
    return sorted(jobs, key=lambda one: one in looks and not looks[one].candidates)


def judge(view: View, rules: Rules, job: int, look: Look, known: Collection[str], *, misled: bool) -> reconcile.Settled:
    """What a look shows of a lost submission. `known`: those of its candidates that another job of ours holds;
    `misled`: the service answered it, with another job's id."""
    lost = view.lost[job]
    # Who pays again on purpose does not wait for proof, and takes what is there all the same.
    agreed = _agreed(rules, lost)
    wait_s = 0.0 if agreed else lost.wait_s
    # What is about to be sent shows whether the list shows what it must.
    put_off_s = 0.0 if agreed else _put_off_s(view, rules, lost)
    # While this run sends others, one of them may be what is measured.
    running_s = 0.0 if agreed and not view.submitting else rules.patience.settle_slow_s
    waited_s = _waited_s(view, lost)
    settle = partial(reconcile.settle, look, known, wait_s=wait_s, running_s=running_s, put_off_s=put_off_s)
    settled = settle(waited_s=waited_s)
    if isinstance(settled, reconcile.Wait) and not agreed and lost.waited_before_s >= lost.wait_s:
        # An earlier run waited in vain and asked: a person need not wait as long once more to be asked. What is proven
        # not to be there is proven by this run's wait alone: the state may have been put back since.
        early = settle(waited_s=waited_s + lost.waited_before_s)
        settled = early if isinstance(early, reconcile.Ask) else settled
    if isinstance(settled, reconcile.NotThere) and misled and not agreed:
        # It answered, so it took it: that nothing is known again proves that it is told another way.
        return reconcile.Ask(why="the service, which answered with another job's id, shows none like it")
    return settled


def _agreed(rules: Rules, lost: Lost) -> bool:
    """Whether somebody said that it is sent again, and perhaps paid twice: of what was lost by then, once, and not of
    what this run loses, be it the same job."""
    return rules.pay_again and not lost.here


def _waited_s(view: View, lost: Lost) -> float:
    """How long after the end of a lost request the latest look began: what a list says is of that moment, however late
    its answer comes."""
    return view.looked_at - lost.since


def _put_off_s(view: View, rules: Rules, lost: Lost) -> float:
    """How much longer than its wait nobody is asked about a lost job: while others are on their way or looked for, and
    until the list had its time to show them."""
    settle_s = rules.patience.settle_s
    if view.submitting or view.preparing or view.taken_at >= view.looked_at:
        return math.inf  # this look could not know of what was taken meanwhile

    def may_show(other: Lost) -> bool:
        return _waited_s(view, other) < other.wait_s and other.waited_before_s < other.wait_s

    if any(map(may_show, view.lost.values())):
        return math.inf  # another lost one may be found yet, and shows what the list shows
    until = view.taken_at + settle_s
    if not view.no_more and (view.queue or view.unprepared):
        until = max(until, lost.since + lost.wait_s + settle_s)
    return until - lost.since - lost.wait_s


def looked(
    view: View, rules: Rules, job: int, settled: reconcile.Settled, tries: int, message: str | None, at: Moment
) -> Reaction:
    """What a look says about a lost submission, sent `tries` times, whose answer was lost with `message`."""
    one = view.lost[job]
    agreed = _agreed(rules, one)
    if agreed and not isinstance(settled, reconcile.Wait):
        view = replace(view, agreed=view.agreed | {job})
    match settled:
        case reconcile.Wait():
            slow_s = rules.patience.settle_slow_s
            wait = reconcile.next_look_s(one.looks, waited_s=_waited_s(view, one), wait_s=one.wait_s, running_s=slow_s)
            again = replace(one, next_at=at.now + wait, looks=one.looks + 1)
            return Reaction(view=replace(view, lost={**view.lost, job: again}))
        case reconcile.Found():
            return _found(view, job, settled, at)
        case reconcile.NotThere() if agreed and _waited_s(view, one) < one.wait_s:
            why = "the list does not show it, which was not waited for"
            return nothing_proves(view, rules, job, reconcile.Ask(why=why), tries, message, at)
        case reconcile.NotThere():
            told = events.NotThere(job=job_name(job))
            return _once_more(view, rules, job, tries, message, (facts.Missed(job=job),), told, at)
        case reconcile.Gone(chosen=chosen):
            return _gone(view, rules, job, chosen, tries, at)
        case reconcile.Ask():
            asked = nothing_proves(view, rules, job, settled, tries, message, at)
            if agreed:
                return asked
            # The next run need not wait as long once more to ask the same.
            waited = facts.Waited(job=job, seconds=max(one.waited_before_s, _waited_s(view, one)))
            return replace(asked, facts=(waited, *asked.facts))
        case _:
            assert_never(settled)


def _found(view: View, job: int, found: reconcile.Found, at: Moment) -> Reaction:
    chosen = found.chosen
    there = AtService(
        remote_id=chosen.remote_id,
        submitted_at=at.now,
        since=at.now,
        created_at=chosen.created_at or at.wall,
        simulated=chosen.simulated,
    )
    view = replace(
        view,
        lost=without(view.lost, job),
        waiting={**view.waiting, job: there},
        taken_at=at.now,
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
        lost=without(view.lost, job),
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
    return in_vain(view, rules, tries, message)


def not_listed(view: View, rules: Rules, job: int, tries: int, message: str | None, at: Moment) -> Reaction:
    """This host tells nobody what it has."""
    ask = reconcile.Ask(why="this host cannot list its jobs")
    return nothing_proves(view, rules, job, ask, tries, message, at)


def nothing_proves(
    view: View, rules: Rules, job: int, ask: reconcile.Ask, tries: int, message: str | None, at: Moment
) -> Reaction:
    """Nobody can tell whether the service took it: a person decides, and everything else goes on."""
    lost_and = f"{job_name(job)}: the answer to its submission was lost, and {ask.why}"
    if _agreed(rules, view.lost[job]):
        told = events.Agreed(
            job=job_name(job), message=f"{lost_and}; sent again as agreed, and paid twice if the service took it"
        )
        known: tuple[facts.Fact, ...] = (
            facts.Missed(job=job, doubt=f"the answer to its submission was lost, and {ask.why}"),
        )
        if ask.may_be and not rules.keeps_answers:
            known = (*known, facts.Agreed(job=job, remote_ids=ask.may_be))
        return _once_more(view, rules, job, tries, message, known, told, at)
    if view.lost[job].unlisted:
        return _told_once(view, job, lost_and)
    error = LostAnswerNeedsDecision(
        lost_and,
        hint=f"look for the job at the service, then {reconcile.adopt_command(ask.named)}; if it is not there, "
        "`--pay-again` sends it again"
        if rules.keeps_answers
        else "run the same command again later: the service may tell by then; `--pay-again` sends it again, which is "
        "paid twice if the service measured it",
    )
    view = end_with(replace(view, lost=without(view.lost, job)), error)
    return Reaction(view=view, events=(events.Undecided(job=job_name(job), message=str(error)),))


def _told_once(view: View, job: int, what: str) -> Reaction:
    """Nobody has to decide about what nothing waits for: it is told, and stays in the bill."""
    message = f"{what}; the manifest lists nothing that waits for it, so it stays as it is, and in the bill"
    return Reaction(
        view=replace(view, lost=without(view.lost, job)),
        facts=(facts.Unlisted(job=job),),
        events=(events.Undecided(job=job_name(job), message=message),),
    )


def _gone(view: View, rules: Rules, job: int, chosen: Candidate, tries: int, at: Moment) -> Reaction:
    """Measured and billed, and the answer is lost for good: the manifest says what to do about it."""
    bill = f", {seconds_text(chosen.billed_seconds)} s billed" if chosen.billed_seconds is not None else ""
    was = view.lost[job]
    view = replace(view, lost=without(view.lost, job))
    stops, agreed = rules.execution.on_lost_answer == "stop", _agreed(rules, was)
    if stops and not agreed and was.unlisted:
        billed = Reaction(view=view, facts=(facts.Billed(job=job, chosen=chosen),))
        return billed.then(_told_once(view, job, f"{job_name(job)}: measured as {chosen.remote_id}{bill}, answer lost"))
    if stops and not agreed:
        error = LostAnswerNeedsDecision(
            f"{job_name(job)}: measured as {chosen.remote_id}{bill}, and its answer is lost",
            hint="`--pay-again` pays for it again, or set execution.on_lost_answer: resubmit",
        )
        billed = Reaction(view=view, facts=(facts.Billed(job=job, chosen=chosen),))
        return billed.then(stop(view, error, leave=False))
    # Each try is paid for: no more of them than other failures get, and not at once.
    wait = backoff(tries, most=rules.execution.retry.max_wait_s, asked=None, random=lambda: at.chance)
    view = replace(
        view,
        held_back={**view.held_back, job: at.now + wait},
        committed_s=view.committed_s - was.billable_seconds + (chosen.billed_seconds or 0.0),
    )
    told = events.Gone(job=job_name(job), remote_id=chosen.remote_id, message=bill.lstrip(", "))
    known = (facts.Gone(job=job, chosen=chosen, agreed=stops),)
    reaction = Reaction(view=view, facts=known, events=(told,))
    return reaction.then(_one_more_lost(view, rules, was, tries, "its answers are lost, and every try is billed"))


def looked_once_more(view: View, job: int, look: Look, known: Collection[str]) -> tuple[Reaction, ...]:
    """What a look shows of a submission that was sent again: what the service took all the same was paid for. `known`:
    those of its candidates that a job of ours holds. One reaction for each that is new, to be done by itself."""
    found = [one for one in look.candidates if not (one.maybe or one.shut or one.remote_id in known)]
    if look.most is not None and len(found) > look.most:
        return ()  # nothing tells which of them it was
    each: dict[str, Candidate] = {}
    for one in found:
        each.setdefault(one.remote_id, one)
    return tuple(
        Reaction(
            view=view,
            facts=(facts.Duplicate(job=job, found=one),),
            events=(events.PaidTwice(job=job_name(job), remote_id=remote_id),),
        )
        for remote_id, one in each.items()
    )


def look_failed(view: View, rules: Rules, jobs: Sequence[int], error: ApiError, at: Moment) -> Reaction:
    """The service could not be asked about these."""
    later = {job: replace(view.lost[job], next_at=at.now + 1.0) for job in jobs}
    return poll_failed(replace(view, lost={**view.lost, **later}), rules, error, at)

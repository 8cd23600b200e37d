"""What happens to the answer of a job that has ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hume_runner import events
from hume_runner.engine import facts
from hume_runner.engine.download import Fetched
from hume_runner.engine.reactions.base import Moment, Reaction, Rules, refuses, without
from hume_runner.engine.reactions.stopping import end_with, stop
from hume_runner.engine.view import ToFetch, View
from hume_runner.errors import (
    ApiError,
    NotFound,
    ServiceRefused,
    ServiceUnavailable,
    UnexpectedResponse,
)
from hume_runner.http.backoff import backoff
from hume_runner.services.base import AnswerUnreadable
from hume_runner.services.jobs import job_name
from hume_runner.state.rows import JobRow

# So many answers in a row that cannot be had are the service's trouble, not one job's.
_FETCHES_IN_VAIN = 3
# An answer that cannot be read so many times over is not harmed on the way.
_ALIKE = 2


def fetched(view: View, job: int, came: Fetched, row: JobRow, names: Mapping[int, str]) -> Reaction:
    """A job's answers are on disk, checked and hashed. The state knows it as `row`, its items by these `names`."""
    ended = _of(view, job).ended
    failed = [outcome for outcome in came.outcomes if not outcome.ok]
    times = {"created_at": ended.created_at, "started_at": ended.started_at, "ended_at": ended.ended_at}
    return Reaction(
        view=replace(_let_go(view, job), trouble=replace(view.trouble, fetches=0)),
        facts=(
            facts.Finished(job=job, answers=came.answers, outcomes=came.outcomes, times=times, simulated=row.simulated),
        ),
        events=(
            *(
                events.NotMeasured(
                    job=job_name(job),
                    item=names.get(outcome.position, ""),
                    reason=outcome.reason or "",
                    message=outcome.message or "",
                )
                for outcome in failed
            ),
            *(
                events.MediumNoted(item=names.get(outcome.position, ""), message=note)
                for outcome in came.outcomes
                for note in outcome.notes
            ),
            events.JobFinished(job=job_name(job), sources=row.sources, failed=len(failed), items=_whole_items(came)),
        ),
        failures=bool(failed),
    )


def _whole_items(came: Fetched) -> int:
    """The items that are measured by this job alone: of others it carries a part."""
    parts = {member.position for member in came.job.members if member.detail}
    return sum(outcome.ok and outcome.position not in parts for outcome in came.outcomes)


def came_early(view: View, rules: Rules, job: int, message: str, at: Moment) -> Reaction:
    """COMPLETED, and some source is not in the answer yet. After a while, what is missing has failed."""
    was = _of(view, job)
    first = was.early_at if was.early_at is not None else at.now
    early = was.early + 1
    wait = backoff(early, most=10.0, asked=None, random=lambda: at.chance) / 2
    leniency = was.leniency
    if at.now - first >= rules.patience.late_s:
        leniency, wait = replace(leniency, missing=True), 0.0
    again = replace(was, leniency=leniency, next_at=at.now + wait, early=early, early_at=first)
    return Reaction(view=_fetch_again(view, job, again), events=(events.Early(job=job_name(job), message=message),))


def fetch_failed(view: View, rules: Rules, job: int, error: ApiError, at: Moment) -> Reaction:
    """An answer could not be fetched, or is damaged: again, as often as the manifest says."""
    was, name, retry = _of(view, job), job_name(job), rules.execution.retry
    tries = was.tries + 1
    wait = backoff(tries, most=retry.max_wait_s, asked=error.retry_after_s, random=lambda: at.chance)
    view = _fetch_again(view, job, replace(was, next_at=at.now + wait, tries=tries))
    reaction = Reaction(view=view)
    if refuses(error):
        reaction = reaction.then(stop(view, ServiceRefused(str(error), hint=error.hint), leave=True))
    failed = events.FetchFailed(job=name, message=str(error))
    reaction = reaction.then(Reaction(view=reaction.view, events=(failed,)))
    if isinstance(error, AnswerUnreadable) and tries >= min(_ALIKE, retry.attempts):
        # Not harmed on the way: it is what the service says, and what cannot be read of it fails alone.
        again = replace(was, leniency=replace(was.leniency, unreadable=True), next_at=at.now, tries=0)
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
    view = replace(view, to_fetch=without(view.to_fetch, job), trouble=replace(view.trouble, fetches=fetches))
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
    return replace(view, fetching=without(view.fetching, job), filing=without(view.filing, job))


def dropped(view: View, job: int) -> View:
    """A fetch that broke in a way that ends the run: another run fetches it."""
    return _let_go(view, job)


def _fetch_again(view: View, job: int, again: ToFetch) -> View:
    return replace(_let_go(view, job), to_fetch={**view.to_fetch, job: again})

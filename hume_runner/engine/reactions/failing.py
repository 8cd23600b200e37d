"""What it means that an action failed: one table of actions and errors, whose trouble each is. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from hume_runner.engine.reactions import fetching, settling, stopping, waiting
from hume_runner.engine.reactions.base import Moment, Reaction, Rules, without
from hume_runner.engine.view import Action, Fetch, Poll, Prepare, Settle, Submit, View
from hume_runner.errors import ApiError, HumeRunnerError, StateError, of_disk
from hume_runner.frozen import frozen
from hume_runner.processes import Stopped
from hume_runner.services.base import AnswerIncomplete, ListingUnsupported
from hume_runner.services.jobs import Accepted, Answered, SubmitResult, Unknown
from hume_runner.state.rows import JobRow


@frozen
class Heard:
    """It is as good as this answer to a submission."""

    job: int
    result: SubmitResult


@frozen
class Rescue:
    """The service took a job and named it, and the state cannot be told: the name is noted elsewhere, and then `error`
    breaks the run."""

    job: int
    remote_id: str
    error: StateError


@frozen
class Breaks:
    """Nothing is begun any more, and what is on its way is the last."""

    error: BaseException


Step = Reaction | Heard | Rescue | Breaks


def failed(
    view: View,
    rules: Rules,
    action: Action,
    error: BaseException,
    rows: Mapping[int, JobRow],
    at: Moment,
    outputs: Path,
) -> tuple[Step, ...]:
    """What follows from a failure, step by step. `rows`: the jobs that a look was about; `outputs`: below which answers
    and media are written."""
    match action, error:
        case Submit(job), _:
            # The service layer turns every expected failure into a value; anything else leaves the outcome open.
            unknown = Unknown(message=f"{type(error).__name__}: {error}")
            return (Heard(job=job, result=unknown), Breaks(error=error))
        case Poll(), ApiError():
            return (waiting.poll_failed(view, rules, error, at),)
        case Fetch(job), AnswerIncomplete():
            return (fetching.came_early(view, rules, job, str(error), at),)
        case Fetch(job), ApiError():
            return (fetching.fetch_failed(view, rules, job, error, at),)
        case Fetch(job), _:
            dropped = Reaction(view=fetching.dropped(view, job))
            if isinstance(error, OSError):
                return (dropped, Breaks(error=_disk_trouble(f"{outputs}: cannot write an answer", error)))
            return (dropped, Breaks(error=error))
        case Settle(jobs), ListingUnsupported():
            asked: list[Reaction] = []
            for job in jobs:
                row = rows[job]
                asked.append(settling.not_listed(view, rules, job, row.tries, row.error, at))
                view = asked[-1].view
            return tuple(asked)
        case Settle(jobs), ApiError():
            return (settling.look_failed(view, rules, jobs, error, at),)
        case Prepare(), Stopped():
            return ()  # by an interruption: it stays planned
        case Prepare(), HumeRunnerError():
            # Nothing can be prepared any more; what is sent already is finished.
            return (stopping.stop(view, error, leave=False),)
        case Prepare(), OSError():
            return (Breaks(error=_disk_trouble(f"{outputs}: cannot prepare a medium", error)),)
        case _:
            return (Breaks(error=error),)


def not_judged(view: View, job: int, result: SubmitResult, error: Exception) -> tuple[Step, ...]:
    """The state could not be asked what an answer to a submission means: nobody waits for it any more, and what may be
    paid for is not forgotten."""
    if job not in view.submitting:  # it was judged, and could not be recorded
        return (Breaks(error=error),)
    let_go = Reaction(view=replace(view, submitting=without(view.submitting, job)))
    if not isinstance(result, Accepted | Answered):
        return (let_go, Breaks(error=error))
    told = error if isinstance(error, StateError) else StateError(str(error))
    return (let_go, Rescue(job=job, remote_id=result.remote_id, error=told))


def _disk_trouble(what: str, error: OSError) -> StateError:
    place = f"{error.filename}: " if error.filename else ""
    return of_disk(f"{what}: {place}{error.strerror or error}", error)

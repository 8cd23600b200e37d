"""Why a run stops: an error, a signal, the budget for failures. The first reason is the one that it ends with."""

from __future__ import annotations

from dataclasses import replace

from hume_runner import events
from hume_runner.amounts import counted
from hume_runner.engine.reactions.base import Reaction, Rules
from hume_runner.engine.view import Ending, View
from hume_runner.errors import (
    FailureBudgetExceeded,
    HumeRunnerError,
)


def stop(view: View, error: HumeRunnerError, *, leave: bool) -> Reaction:
    """Submit nothing more; `leave`: do not wait for what the service works on either."""
    told = () if view.ending else (events.Stopping(message=str(error)),)
    ending = view.ending or Ending(error=error)
    return Reaction(view=replace(view, ending=ending, no_more=True, leaving=view.leaving or leave), events=told)


def not_ours(view: View, error: HumeRunnerError) -> Reaction:
    """The state cannot be kept any more where it has to be: whatever else went on, that is what the run ends with."""
    if view.ending.error is error:
        return Reaction(view=view)
    return stop(replace(view, ending=Ending()), error, leave=True)


def broken(view: View) -> View:
    """Something went wrong that no reaction is for: nothing is begun, what is on its way is waited for."""
    return replace(view, no_more=True, leaving=True)


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


def abandoned(view: View, signal: str) -> Reaction:
    """The second signal: nothing is waited for."""
    requests, seconds = view.on_the_way
    told = events.Abandoned(signal=signal, requests=requests, billable_seconds=seconds)
    return Reaction(view=view, events=(told,))


def over_budget(view: View, rules: Rules, failed: int, total: int) -> Reaction:
    """So many of all items have failed by now."""
    if rules.execution.max_failures.allows(failed, total):
        return Reaction(view=view)
    error = FailureBudgetExceeded(
        f"{failed:,} of {counted(total, 'item')} failed: more than execution.max_failures allows",
        hint="look at the reasons with `hume-runner status MANIFEST --jobs`; what was not submitted stays planned",
    )
    return stop(view, error, leave=False)

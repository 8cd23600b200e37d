"""What somebody asks of a run that goes on; `commanding` is what the run answers with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hume_runner.api.commanding import setting
from hume_runner.control.address import socket_of
from hume_runner.control.asking import NoRun, ask
from hume_runner.errors import UsageError

if TYPE_CHECKING:
    from hume_runner.api.project import Project

# What every answer of a run has; somebody else's socket may say anything.
_SAID: dict[str, type | tuple[type, ...]] = {
    "pid": int,
    "phase": str,
    "requests_per_second": (int, float),
    "max_jobs_in_flight": int,
    "transfer_workers": int,
}


def ask_run(project: Project, command: str, settings: Sequence[str] = ()) -> Mapping[str, Any]:
    """Ask the run that holds the manifest's state: `status`, `pause`, `resume`, `drain`, or `set` with settings, each
    as `requests_per_second=5`. Its answer has at least `pid`, `phase`, `requests_per_second`, `max_jobs_in_flight` and
    `transfer_workers`. Raises: UsageError, also where no run listens, or what was asked is refused."""
    request: dict[str, Any] = {"command": command}
    if settings:
        request["settings"] = dict(setting(text) for text in settings)
    state = project.paths.state
    told = ask(state, request)
    if not told.get("ok"):
        hint = told.get("hint")
        raise UsageError(f"{state}: {told['error']}", hint=str(hint or "hume-runner ctl --help"))
    if not all(isinstance(told.get(name), kind) for name, kind in _SAID.items()):
        raise NoRun(socket_of(state))
    return {name: value for name, value in told.items() if name != "ok"}

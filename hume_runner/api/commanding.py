"""What may be asked of a run that goes on, and what it answers: `status`, `pause`, `resume`, `drain`, `set`."""

from __future__ import annotations

import os
import queue
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hume_runner import events
from hume_runner.control.address import socket_of
from hume_runner.errors import UsageError
from hume_runner.manifest.published import foreign_to, schema

if TYPE_CHECKING:
    from hume_runner.control.listener import Listener
    from hume_runner.engine.pacer import Pacer
    from hume_runner.engine.workers import Workers

COMMANDS = ("status", "pause", "resume", "drain", "set")
# What can be changed while a run goes on. Everything else in `execution` is part of what was promised at its start.
SETTINGS = ("requests_per_second", "max_jobs_in_flight", "transfer_workers")
_PATIENCE_S = 20.0


def setting(text: str) -> tuple[str, int | float]:
    """`requests_per_second=5`, as somebody types it. Raises: UsageError."""
    name, sign, value = text.partition("=")
    if not sign or name not in SETTINGS:
        close = get_close_matches(name, SETTINGS, n=1)
        raise UsageError(
            f"ctl set {text}: {'write KEY=VALUE' if not sign else f'{name!r} is not changed while a run goes on'}",
            hint=f"did you mean {close[0]}?" if close and sign else "keys: " + ", ".join(SETTINGS),
        )
    try:
        number = float(value)
    except ValueError:
        number = float("nan")
    return name, _fitting(name, number, text)


def _fitting(name: str, number: float, shown: str) -> int | float:
    """The number, if a manifest could say it. Raises: UsageError."""
    rule = schema()["properties"]["execution"]["properties"][name]
    most, least = rule["maximum"], rule.get("minimum", 0)
    whole = rule["type"] == "integer"
    if not least <= number <= most or (not whole and number <= 0) or (whole and number != int(number)):
        kind = "a whole number" if whole else "a number"
        raise UsageError(f"ctl set {shown}: not {kind} from {least or 'above 0'} to {most}", hint="nothing was changed")
    return int(number) if whole else number


class Commands:
    """Answers what is asked of one run, from the threads of those who ask."""

    def __init__(self, api: str, workers: Workers, pacer: Pacer) -> None:
        self._api = api
        self._workers = workers
        self._pacer = pacer

    def __call__(self, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        """The answer, with `ok`; never raises for what somebody may send."""
        command = asked.get("command")
        if command not in COMMANDS:
            return {"ok": False, "error": f"not a command; there are {', '.join(COMMANDS)}"}
        try:
            settings = self._settings(asked.get("settings")) if command == "set" else {}
        except UsageError as error:
            return {"ok": False, "error": str(error), "hint": error.hint}
        from hume_runner.engine.workers import Order

        came: queue.SimpleQueue[Mapping[str, Any]] = queue.SimpleQueue()
        # The pace of requests is every worker's, and no affair of the loop.
        if "requests_per_second" in settings:
            rate = float(settings["requests_per_second"])
            # Slower is meant at once: nothing is saved up.
            self._pacer.change(rate, burst=rate)
        self._workers.post(Order(str(command), settings, came.put))
        try:
            told = came.get(timeout=_PATIENCE_S)
        except queue.Empty:
            busy = "the run is busy; what was asked comes into force when it is not"
            return {"ok": False, "error": busy, "hint": "ask `hume-runner ctl MANIFEST status` later"}
        return {"ok": True, "pid": os.getpid(), "requests_per_second": self._pacer.full_rate, **told}

    def _settings(self, given: object) -> dict[str, int | float]:
        """Raises: UsageError."""
        if not isinstance(given, dict) or not given:
            raise UsageError("set: nothing to set", hint="keys: " + ", ".join(SETTINGS))
        found: dict[str, int | float] = {}
        for name, value in given.items():
            if name not in SETTINGS or isinstance(value, bool) or not isinstance(value, int | float):
                raise UsageError(f"set: not to be set: {str(name)[:40]}", hint="keys: " + ", ".join(SETTINGS))
            fault = foreign_to(self._api, "execution", name)
            if fault is not None:
                raise UsageError(f"{name}: {fault[0]}", hint=fault[1])
            found[name] = _fitting(name, float(value), name)
        return found


def listening(state: Path, commands: Commands, report: events.Report) -> Listener | None:
    """The socket of a run whose state is locked; None where there can be none, which stops nobody."""
    from hume_runner.control.listener import Listener

    try:
        return Listener(socket_of(state), commands)
    except (OSError, AttributeError, RuntimeError) as error:
        place = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        report(events.Warned(message=f"`hume-runner ctl` cannot talk to this run: {place}{why}"))
        return None

"""A callback that is not told because the scores are made up: who would have been, and how to do it for a test. Pure.

A receiver takes a rehearsal's summary for a measurement's, since it cannot be asked to look at `simulated`. So only
addresses of this machine are told in one, by the runner as by the emulator.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hume_runner.hosts import is_loopback


def untold(url: str, run: Mapping[str, Any], at: Path, *, by_service: bool) -> str | None:
    """Why nobody is told of a rehearsal, and the command that tells; None of a measurement, and for this machine.

    Only the host is named: the path of a webhook is often its secret. `run`: what `run.json` says, and `at` its path.
    `by_service`: the service posts, once a job and its answer with it.
    """
    host = urlsplit(url).hostname or ""
    # Of failures alone no score says that it was made up.
    rehearsed = run["simulated"] or run["service"]["endpoint"] == "emulator"
    if not rehearsed or is_loopback(host):
        return None
    what = "for each job its answer" if by_service else "the summary"
    said = f"notify.callback_url: these scores are simulated, so {host} is not told; it would have got {what}"
    if by_service:
        return f"{said}. An address of this machine is told; docs/emulator.md shows how to send one to another"
    return (
        f"{said}. An address of this machine is told; for a test of another: curl -H 'Content-Type: application/json' "
        f'--data-binary @{shlex.quote(str(at))} "$URL"'
    )

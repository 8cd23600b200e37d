"""The other end: ask the run that holds a state."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hume_runner import small_json
from hume_runner.control.address import TooLong, is_socket, short_name, socket_of
from hume_runner.errors import UsageError

_PATIENCE_S = 30.0
_MOST_BYTES = 1 << 20


class NobodyListens(UsageError):
    """No run goes on that could be talked to. `left`: a run that was killed has left its socket."""

    def __init__(self, state: Path, *, left: bool = False) -> None:
        more = " (the last one was killed)" if left else ""
        super().__init__(
            f"{state}: no run is on that listens{more}",
            hint="a run listens once it has planned, and until it writes its outputs: `hume-runner status MANIFEST`",
        )


class NoRun(UsageError):
    """Something else listens in the place of a run's socket."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"{path}: what listens here is no run of hume-runner", hint="remove it: the next run that begins listens"
        )


def ask(state: Path, request: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the run says. Raises: NobodyListens, NoRun, UsageError."""
    path = socket_of(state)
    if not hasattr(socket, "AF_UNIX"):
        raise UsageError("ctl: this system has no Unix sockets", hint="end the run with Ctrl-C: it resumes")
    if not is_socket(path):
        if os.path.lexists(path):
            raise UsageError(f"{path}: this is no socket of a run", hint="remove it: the next run that begins listens")
        raise NobodyListens(state)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as run:
            run.settimeout(_PATIENCE_S)
            with short_name(path) as name:
                run.connect(name)
            with contextlib.suppress(BrokenPipeError):  # it has said why, and closed
                run.sendall(json.dumps(request).encode() + b"\n")
            with run.makefile("rb") as lines:
                answer = small_json.parsed(lines.readline(_MOST_BYTES))
    except (ConnectionRefusedError, FileNotFoundError):
        raise NobodyListens(state, left=True) from None
    except TooLong as error:
        raise UsageError(f"ctl: {error}", hint="keep the state in a folder with a shorter name: --state FILE") from None
    except PermissionError:
        raise UsageError(f"{path}: the run is another user's", hint="ask them, or run as that user") from None
    except TimeoutError:
        raise UsageError(f"{path}: the run does not answer", hint="it may be busy: try again") from None
    except (OSError, ValueError):
        # It ended between two words.
        raise NobodyListens(state) from None
    # Whoever may write in the folder can put a socket there.
    if not isinstance(answer, dict) or not (
        answer.get("ok") is True or (answer.get("ok") is False and isinstance(answer.get("error"), str))
    ):
        raise NoRun(path)
    return answer

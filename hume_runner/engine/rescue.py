"""When the state cannot be written any more, a remote id just received still goes somewhere: it was paid for."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
from pathlib import Path

from hume_runner.errors import StateError
from hume_runner.services.base import job_name


def rescue_answer(error: StateError, state: Path | None, number: int, remote_id: str, answer: bytes) -> StateError:
    """Write an answer that exists nowhere else beside the state or into the temporary folder; tell where it is."""
    name = f"{job_name(number)}-{hashlib.sha256(answer).hexdigest()[:16]}.rescued.json"
    folders = [state.parent] if state else []
    for folder in (*folders, Path(tempfile.gettempdir())):
        try:
            with (folder / name).open("wb") as file:
                file.write(answer)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            continue
        return StateError(
            f"{error}; the service measured {job_name(number)} as {remote_id}, and its answer is in {folder / name}",
            hint="keep that file: it was paid for and cannot be fetched again; free some space and run again",
        )
    return rescue_remote_id(error, state, number, remote_id)


def rescue_remote_id(error: StateError, state: Path | None, number: int, remote_id: str) -> StateError:
    """Write the id beside the state, else into the temporary folder, else to stderr; return the error that tells."""
    line = f"{job_name(number)} {remote_id}\n"
    hint = (
        f"free some space, then `hume-runner adopt MANIFEST {remote_id}` brings the job back; "
        "a plain re-run finds it as well, by asking the service"
    )
    places = [state.with_name(state.name + ".rescued")] if state else []
    places.append(Path(tempfile.gettempdir()) / f"hume-runner-rescued-{os.getpid()}.txt")
    for place in places:
        try:
            with place.open("a", encoding="utf-8") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            continue
        return StateError(
            f"{error}; the service accepted {job_name(number)} as {remote_id}, noted in {place}", hint=hint
        )
    with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or none at all
        sys.stderr.write(f"the service accepted {line}")
    return StateError(f"{error}; the service accepted {job_name(number)} as {remote_id}", hint=hint)

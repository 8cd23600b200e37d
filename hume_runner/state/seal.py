"""A state that was closed in good order is sealed: its hash lies beside it, so that one flipped bit does not pass.

SQLite checks a file's structure, not its content; a key that changed by a bit would be an item that was never seen, and
so be paid again. The seal is broken, durably, before anything is written; a run that dies leaves none, and then only
the structure can be checked.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

from hume_runner import aside, small_json
from hume_runner.errors import StateError, refuse_scarce
from hume_runner.hashes import sha256_of


def seal_path(state: Path) -> Path:
    return state.with_name(state.name + ".seal")


def write_seal(state: Path) -> None:
    """Seal a closed state. A full disk is no reason to fail here: without a seal the next run checks less."""
    path = seal_path(state)
    with contextlib.suppress(OSError):
        facts = {"size": state.stat().st_size, "sha256": sha256_of(state)}
        aside.write(path, json.dumps(facts).encode(), private=True)


def check_seal(state: Path) -> None:
    """Raises: StateError if the state is not what was sealed."""
    path = seal_path(state)
    try:
        sealed = small_json.read(path)
        size, digest = int(sealed["size"]), str(sealed["sha256"])
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError) as error:
        refuse_scarce(error)
        return  # the seal itself is damaged: that says nothing about the state
    if state.stat().st_size == size and sha256_of(state) == digest:
        return
    if not path.exists():
        return  # a run began meanwhile and broke it
    raise StateError(
        f"{state}: the state is damaged: it is not what the last run left",
        hint=f"restore it from a backup; if the change was made on purpose, remove {path.name}",
    )


def break_seal(state: Path) -> None:
    """Before the first write: from here on the hash does not hold."""
    path = seal_path(state)
    if path.exists():
        path.unlink()
        if os.name != "nt":
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

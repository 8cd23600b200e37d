"""Compare what is on disk with what the state recorded: every answer and output by size and SHA-256."""

from __future__ import annotations

import os
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from hume_runner.errors import refuse_scarce
from hume_runner.frozen import frozen
from hume_runner.hashes import sha256_of
from hume_runner.results.outputs import RUN
from hume_runner.sources.outputs import RECORD
from hume_runner.state.outputs_owner import record_at
from hume_runner.state.reader import StateReader
from hume_runner.state.rows import StoredAnswer


class Verdict(StrEnum):
    """How a file compares, by the sign that people see."""

    SAME = "="
    MISSING = "-"
    CHANGED = "*"
    UNREADABLE = "!"
    UNKNOWN = "+"  # not written by a run, as far as the state knows


@frozen
class Checked:
    """One file. `path` is relative to the output directory; `why` is empty where the sign says it all."""

    path: str
    verdict: Verdict
    why: str = ""


_NO_OWNER = "it does not tell whose the directory is; move it away, and it is written again"
# What the runner keeps for itself beside its outputs.
_OWN_PREFIXES = ("state.sqlite3", "emulator/", "shards/")


def verify(store: StateReader, directory: Path, state: Path, *, name: str) -> Iterator[Checked]:
    """Every recorded file in order of its path, the record of whose the directory is, then every file that nobody
    recorded. `name`: of the manifest."""
    for recorded in store.recorded_files():
        yield _check(directory, recorded)
    if store.is_recorded(RUN):  # written before anything else is; a run that was killed may have written neither
        yield _check_owner(directory, name, store.lineage)
    for path in _files(directory):
        own = path.startswith(_OWN_PREFIXES) or (directory / path).name.startswith(state.name)
        if not own and not store.is_recorded(path):
            yield Checked(path=path, verdict=Verdict.UNKNOWN)


def is_answer(path: str) -> bool:
    """Whether a file at this path below the output directory is what a service gave: what we wrote beside it is not."""
    return path.startswith("raw/") and not path.endswith("/request.json")


def _check(directory: Path, recorded: StoredAnswer) -> Checked:
    path = directory / recorded.path
    try:
        size = path.stat().st_size
        if size != recorded.size:
            return Checked(path=recorded.path, verdict=Verdict.CHANGED, why=f"{size} bytes instead of {recorded.size}")
        digest = sha256_of(path)
    except FileNotFoundError:
        return Checked(path=recorded.path, verdict=Verdict.MISSING)
    except OSError as error:
        refuse_scarce(error)
        return Checked(path=recorded.path, verdict=Verdict.UNREADABLE, why=error.strerror or str(error))
    if digest != recorded.sha256:
        return Checked(path=recorded.path, verdict=Verdict.CHANGED, why="same size, other content")
    return Checked(path=recorded.path, verdict=Verdict.SAME)


def _check_owner(directory: Path, name: str, lineage: str) -> Checked:
    path = directory / RECORD
    found = record_at(path)
    if (found.get("manifest"), found.get("lineage")) == (name, lineage):
        return Checked(path=RECORD, verdict=Verdict.SAME)
    if not os.path.lexists(path):
        return Checked(path=RECORD, verdict=Verdict.MISSING)
    if found:
        return Checked(path=RECORD, verdict=Verdict.CHANGED, why="it names another study as the owner")
    return Checked(path=RECORD, verdict=Verdict.CHANGED, why=_NO_OWNER)


def _files(directory: Path) -> Iterator[str]:
    """Relative POSIX paths of all files below, sorted within each folder, links not followed."""
    for folder, folders, files in os.walk(directory):
        folders.sort()
        for name in sorted(files):
            yield (Path(folder) / name).relative_to(directory).as_posix()

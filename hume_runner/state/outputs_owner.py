"""Whose an output directory is: of one manifest with one state. Two would overwrite each other's results.

The record lies in the directory and goes where it goes. It names the state by its path from there if it lies within, so
that a copied folder speaks of its own copy, and by its lineage, which a state keeps wherever it is moved. A state that
is at home in a store is a working copy here, and the record says of which place.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hume_runner import small_json
from hume_runner.errors import UsageError, refuse_scarce
from hume_runner.sources.outputs import RECORD
from hume_runner.state.disk import Disk
from hume_runner.state.pinned import resolved


class OutputsOwner:
    """The record of one output directory. To be used while its lock is held (`lock.OutputsLock`)."""

    def __init__(self, outputs: Path) -> None:
        self._outputs = resolved(outputs)
        self.path = self._outputs / RECORD

    @property
    def lineage(self) -> str | None:
        """That of the state that wrote there last."""
        lineage = record_at(self.path).get("lineage")
        return lineage if isinstance(lineage, str) else None

    def check(self, *, manifest: str, state: Path, lineage: str, home: str | None = None) -> None:
        """`home`: where the state is at home, if that is a store. Raises: UsageError if the directory is another
        manifest's, or another state's that is still there; or if the state is the working copy of one in a store, which
        would go on without it."""
        record = _read(self.path)
        if record and not is_record(record):
            raise UsageError(
                f"{self.path}: hume_runner did not write it, and writes nothing over it: it does not tell whose "
                "this output directory is",
                hint="move it away, or give the study another outputs.directory (or --output-dir); nothing is lost",
            )
        owner, place, known = (str(record.get(name, "")) for name in ("manifest", "state", "lineage"))
        at_home = str(record.get("home") or "")
        if at_home and home is None and owner == manifest and lineage in (known, ""):
            raise UsageError(
                f"{state}: this is the working copy of a state that is at home in {at_home}: a run that goes on with "
                "the copy alone would split its history",
                hint=f"name the place, with `state: {at_home}` in the manifest or --state {at_home}; or choose another "
                "--output-dir, for a study of its own",
            )
        if not record:
            # A version without this record wrote there. Where that one's state is, it does not say.
            name = _read(self._outputs / "run.json").get("name")
            owner = name if isinstance(name, str) else manifest
            theirs = self._outputs / "state.sqlite3"
            if owner == manifest:
                return
        else:
            named = _state_of(self._outputs, place)
            ours = (owner == manifest and known == lineage) or named == resolved(state)
            if named is None or ours or not named.exists():
                return
            theirs = named
        go_on = _keep(owner, manifest, at_home or theirs)
        whose = f"the manifest '{owner}'" if owner != manifest else f"another state, {theirs}"
        raise UsageError(
            f"{self._outputs}: this output directory belongs to {whose} (asked for: '{manifest}' with {state})",
            hint=f"give each an outputs.directory of its own (or --output-dir){go_on}; if "
            "this one is to change hands, move what is in it away",
        )

    def record(self, disk: Disk, *, manifest: str, state: Path, lineage: str, home: str | None = None) -> None:
        """Make the directory theirs. `home` as `check` has it. Raises: OSError."""
        state = resolved(state)
        inside = state.is_relative_to(self._outputs)
        place = state.relative_to(self._outputs).as_posix() if inside else str(state)
        at_home = {"home": home} if home is not None else {}
        wanted = {"schema": 1, "manifest": manifest, "state": place, "lineage": lineage, **at_home}
        if _read(self.path) != wanted:
            disk.write_new(self.path, json.dumps(wanted, ensure_ascii=False).encode() + b"\n")


def record_at(path: Path) -> dict[str, object]:
    """What a record says; nothing where none of ours is there that can be read."""
    found = _read(path)
    return found if is_record(found) else {}


def is_record(value: Any) -> bool:
    """Whether this is what a version of ours writes there."""
    if not isinstance(value, dict) or value.get("schema") != 1:
        return False
    members = ("manifest", "state", "lineage")
    return {*members} <= value.keys() <= {"schema", *members, "home"} and all(
        isinstance(one, str) for name, one in value.items() if name != "schema"
    )


def _state_of(outputs: Path, place: str) -> Path | None:
    """The state that a record names; None for what cannot be a path."""
    try:
        return resolved(outputs / place)
    except ValueError:
        return None


def _keep(owner: str, manifest: str, theirs: Path | str) -> str:
    return f"; or go on with --state {theirs}" if owner == manifest else ""


def _read(path: Path) -> dict[str, object]:
    """A small JSON object; an empty one where there is none that can be read."""
    try:
        found = small_json.read(path)
    except (OSError, ValueError) as error:
        refuse_scarce(error)
        return {}
    return found if isinstance(found, dict) else {}

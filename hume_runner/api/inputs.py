"""The files that a manifest reads, which nothing that is written may take the place of."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from hume_runner.errors import Problem, StateError, UsageError
from hume_runner.hosts import EMULATOR
from hume_runner.manifest.load import Examined
from hume_runner.manifest.model import Manifest, Place
from hume_runner.sources.globbing import begin, is_glob, parts_match
from hume_runner.sources.inputs import inputs
from hume_runner.state.paths import Paths
from hume_runner.stores.address import is_remote

_STATE = "state.sqlite3"
# What lies beside the state, and what is in the folders that a run makes, by examples.
_BESIDE = ("", "-wal", "-shm", ".lock", ".seal", ".outputs.lock")
_MADE = (
    *(f"raw/0/{name}" for name in ("request.json", "predictions.json", "response.json", "artifacts.zip")),
    *(f"prepared/0/{name}" for name in ("sound.wav", "still.jpg", "000000.jpg")),
    "emulator/emulator.sqlite3",
)


def overwritten(manifest: Manifest) -> Iterator[Problem]:
    """Those that a run of the manifest would write its own outputs over."""
    from hume_runner.results.due import due

    directory = manifest.outputs.directory
    written = {os.path.realpath(directory / name) for name in (_STATE, *due(manifest))}
    told = _told(manifest)
    for one in inputs(manifest):
        if os.path.realpath(one.path) in written:
            place = one.place or Place(file=str(manifest.path), line=1, column=1, path="")
            name = os.path.relpath(one.path, manifest.path.parent)
            yield place.problem(
                f"{name!r} is what a run writes its own outputs over ({told})",
                "give outputs.directory a folder of its own, or move the file out of it",
            )


def found_again(manifest: Manifest) -> Iterator[Problem]:
    """Patterns that a run's own outputs fit, in the folder that they look through: the next run would measure them.

    Where the output directory lies below that folder, it is not entered.
    """
    from hume_runner.results.due import due

    outputs = os.path.realpath(manifest.outputs.directory)
    names = [name.split("/") for name in (*_MADE, *(f"{_STATE}{end}" for end in _BESIDE), *due(manifest))]
    for entry in manifest.sources:
        if entry.kind != "file" or not entry.value or is_remote(entry.value) or not is_glob(entry.value):
            continue
        start, parts = begin(entry.value, str(manifest.path.parent))
        below = list(Path(os.path.relpath(os.path.realpath(start), outputs)).parts)
        if below[:1] == [os.pardir]:
            continue  # the walk begins outside
        inside = [name for name in names if name[: len(below)] == below and len(name) > len(below)]
        fitting = (name for name in inside if parts_match(name[len(below) :], parts))
        name = next(fitting, None)
        if name is not None:
            yield entry.place.problem(
                f"{entry.value!r} finds what a run writes, such as {'/'.join(name)} ({_told(manifest)}), and the next "
                "run would measure it",
                "give outputs.directory a folder of its own, such as results; a pattern does not look into it",
            )


def refuse_found(manifest: Manifest, path: Path, *, hint: str) -> None:
    """Nothing is written where a pattern of the manifest finds it: the next run would measure it, or send it. `hint`:
    where else to write. Raises: UsageError."""
    place = os.path.realpath(path)
    for entry in manifest.sources:
        if entry.kind != "file" or not entry.value or is_remote(entry.value) or not is_glob(entry.value):
            continue
        start, parts = begin(entry.value, str(manifest.path.parent))
        below = Path(os.path.relpath(place, os.path.realpath(start))).parts
        if below[0] != os.pardir and parts_match(below, parts) and not _is_in(place, manifest.outputs.directory):
            raise UsageError(
                f"{path}: {entry.value!r} ({entry.place.told}) finds it, and a run would measure it",
                hint=hint,
            )


def _is_in(place: str, folder: Path) -> bool:
    """Whether it lies in the output directory, which patterns do not look into, or which `found_again` judges."""
    return Path(place).is_relative_to(os.path.realpath(folder))


def _told(manifest: Manifest) -> str:
    """Where the output directory is named."""
    at = manifest.source_of.get("outputs.directory")
    if at is not None and at.line:
        return f"outputs.directory, {at.told}"
    return f"outputs.directory {manifest.outputs.directory}"


def refuse_obstacles(manifest: Manifest, paths: Paths) -> None:
    """What stands where a run makes its folders and its locks, and is no such thing. Raises: UsageError, StateError."""
    from hume_runner.results.derived import TABLES
    from hume_runner.state.in_the_way import refuse_in_the_way

    tables = (TABLES,) if manifest.outputs.tables else ()
    emulator = (EMULATOR,) if manifest.service.endpoint == EMULATOR else ()
    named = manifest.outputs.directory
    refuse_in_the_way(paths.state, paths.outputs, named=named, needed=("raw", *tables, *emulator))


def in_the_way(manifest: Manifest) -> str | None:
    """What stands where a run would write its outputs, and is not ours: a run here would be refused for it. None also
    where the state is elsewhere or cannot be read, which a run tells."""
    from hume_runner.results.due import refuse_others_due
    from hume_runner.state.connection import guarded
    from hume_runner.state.in_the_way import refuse_for_answers, refuse_links
    from hume_runner.state.reader import StateReader

    paths = Paths.of(manifest, None)
    try:
        refuse_obstacles(manifest, paths)
        with guarded(paths.outputs):
            refuse_links(paths.outputs)
        if paths.remote is not None:
            return None
        with contextlib.suppress(StateError, OSError):
            try:
                store = StateReader.peek(paths.state, name=manifest.name)
            except FileNotFoundError:
                store = StateReader.empty(manifest.name)
            with store:
                refuse_for_answers(paths.outputs, store.is_recorded)
                refuse_others_due(store, paths.outputs, manifest)
    except (UsageError, StateError) as error:
        return f"{error}: a run here would be refused"
    return None


def spared(examined: Examined) -> Examined:
    """The same, and no manifest where a run of it would write over what it reads, or measure what a run wrote."""
    manifest = examined.manifest
    problems = () if manifest is None else (*overwritten(manifest), *found_again(manifest))
    return replace(examined, problems=problems, manifest=None) if problems else examined

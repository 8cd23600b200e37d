"""The files that a manifest reads, which nothing that is written may take the place of."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from hume_runner.errors import Problem, StateError, UsageError
from hume_runner.frozen import frozen
from hume_runner.manifest.load import Examined
from hume_runner.manifest.model import Manifest, Place
from hume_runner.stores import is_remote

_STATE = "state.sqlite3"
_GLOB = frozenset("*?[")


@frozen
class Input:
    """A file that is read, and where the manifest names it; the manifest itself has no such place."""

    path: Path
    place: Place | None = None


def inputs(manifest: Manifest) -> Iterator[Input]:
    """The manifest, its lists, its keys, and its sources but for those that only a pattern finds."""
    folder, places, secret = manifest.path.parent, manifest.source_of, manifest.notify.callback_secret
    yield Input(path=manifest.path)
    for entry in manifest.sources:
        if entry.listing is not None:
            yield Input(path=entry.listing, place=entry.place)
        elif entry.kind == "file" and entry.value and not is_remote(entry.value) and not _GLOB & set(entry.value):
            yield Input(path=folder / entry.value, place=entry.place)
    for event in manifest.events:
        if event.listing is not None:
            yield Input(path=event.listing, place=event.place)
    for name, key in (("service.api_key", manifest.service.api_key), ("notify.callback_secret", secret)):
        if key is not None and key.file is not None:
            yield Input(path=key.file, place=places.get(f"{name}.file"))


def overwritten(manifest: Manifest) -> Iterator[Problem]:
    """Those that a run of the manifest would write its own outputs over."""
    from hume_runner.results.due import due

    directory = manifest.outputs.directory
    written = {os.path.realpath(directory / name) for name in (_STATE, *due(manifest))}
    at = manifest.source_of.get("outputs.directory")
    told = f"outputs.directory, {at.file}:{at.line}:{at.column}" if at is not None else f"outputs.directory {directory}"
    for one in inputs(manifest):
        if os.path.realpath(one.path) in written:
            place = one.place or Place(file=str(manifest.path), line=1, column=1, path="")
            name = os.path.relpath(one.path, manifest.path.parent)
            yield place.problem(
                f"{name!r} is what a run writes its own outputs over ({told})",
                "give outputs.directory a folder of its own, or move the file out of it",
            )


def in_the_way(manifest: Manifest) -> str | None:
    """What stands where a run would write its outputs, and is not ours: a run here would be refused for it. None also
    where the state is elsewhere or cannot be read, which a run tells."""
    from hume_runner.results.due import refuse_others_due
    from hume_runner.state.store import Store
    from hume_runner.wiring import Paths

    paths = Paths.of(manifest, None)
    if paths.remote is not None:
        return None
    with contextlib.suppress(StateError, OSError):
        try:
            store = Store.peek(paths.state, name=manifest.name)
        except FileNotFoundError:
            store = Store.empty(manifest.name)
        with store:
            try:
                refuse_others_due(store, paths.outputs, manifest)
            except UsageError as error:
                return f"{error}: a run here would be refused"
    return None


def spared(examined: Examined) -> Examined:
    """The same, and no manifest where a run of it would write over what it reads."""
    problems = () if examined.manifest is None else tuple(overwritten(examined.manifest))
    return replace(examined, problems=problems, manifest=None) if problems else examined

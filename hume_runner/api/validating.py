"""`validate`: all that is wrong with a manifest, and what a run of it would meet here."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from os import PathLike
from typing import TYPE_CHECKING

from hume_runner.api.inputs import in_the_way
from hume_runner.api.opening import examine, told_closed, told_twin
from hume_runner.api.unready import unready
from hume_runner.api.values import ManifestLike, Validated
from hume_runner.errors import ManifestError, SourceError
from hume_runner.manifest.document import ordered
from hume_runner.manifest.load import Examined
from hume_runner.sources import expand_entries, expand_in_blocks
from hume_runner.sources.blocks import one_by_one
from hume_runner.sources.globbing import is_glob, twin_folders
from hume_runner.sources.inputs import Input
from hume_runner.sources.left_out import LeftOut
from hume_runner.sources.unseen import is_unseen
from hume_runner.spelling import composed
from hume_runner.state.paths import Paths
from hume_runner.stores.address import is_remote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hume_runner.manifest.model import Manifest

_MOST_WARNINGS = 100


def validate(
    manifest: ManifestLike,
    *,
    output_dir: str | PathLike[str] | None = None,
    endpoint: str | None = None,
    no_files: bool = False,
) -> Validated:
    """All that is wrong with a manifest, and with the sources that could be understood.

    `warnings` tell of what a run would meet here. `no_files`: the media are elsewhere; names and patterns are not
    looked for, and lists are read where they are there. Raises: UsageError.
    """
    examined = examine(manifest, output_dir=output_dir, endpoint=endpoint)
    items: Counter[str] = Counter()
    problems = list(examined.problems)
    wrong = bool(problems)
    warnings: list[str] = []
    if examined.manifest is not None and (told := told_closed(examined.manifest)) is not None:
        warnings.append(told)
    try:
        _count(examined, items, warnings, look=not no_files)
    except ManifestError as error:
        wrong = True
        problems += error.problems
    except SourceError as error:
        problems += error.problems
    if examined.manifest is not None and not no_files and not problems:
        warnings += unready(examined.manifest)
        warnings += filter(None, [in_the_way(examined.manifest), told_twin(Paths.of(examined.manifest, None))])
        warnings += _told_twin_folders(examined.manifest)
    exit_code = 65 if wrong else 66 if problems else 0
    if examined.problems:
        problems = ordered(problems)
    shown = str(manifest) if isinstance(manifest, str | PathLike) else examined.path.name
    return Validated(
        path=shown,
        problems=tuple(problems),
        items=items,
        exit_code=exit_code,
        warnings=tuple(warnings),
        unseen=sum(map(is_unseen, examined.entries)) if no_files else 0,
    )


def _count(examined: Examined, items: Counter[str], warnings: list[str], *, look: bool) -> None:
    manifest, folder = examined.manifest, examined.path.parent
    seen, intervals, left_out = None, None, LeftOut()
    if manifest is not None and manifest.events:
        from hume_runner.results.event_sources import SeenIds
        from hume_runner.results.intervals import read_intervals

        intervals = read_intervals(manifest.events)
        seen = SeenIds(intervals) if look and intervals.by_item else None
    if manifest and look:
        pieces = expand_in_blocks(manifest, left_out=left_out)
    else:
        itself = Input(path=examined.path, kind="manifest")
        pieces = expand_entries(examined.entries, folder=folder, read=[itself], left_out=left_out, look=look)
    for item in one_by_one(pieces):
        items[item.kind] += 1
        if seen is not None:
            seen.add(item.id)
        if item.remote is not None and not item.remote.info.size_bytes and len(warnings) < _MOST_WARNINGS:
            place = item.place.told
            warnings.append(f"{place}: {item.value!r} is empty: it will fail by itself")
        if look and item.path is not None and len(warnings) < _MOST_WARNINGS:
            place = item.place.told
            with contextlib.suppress(OSError):
                if item.path.stat().st_size == 0:
                    warnings.append(f"{place}: {item.value!r} is empty: it will fail by itself")
            if not item.value.isascii() and _is_spelt_otherwise(item.value, str(item.path)):
                differ = "composed and decomposed letters"
                warnings.append(f"{place}: {item.value!r} is found, and written differently on disk ({differ})")
    if seen is not None and intervals is not None:
        warnings += seen.check(intervals)
    warnings += filter(None, [left_out.told()])


def _told_twin_folders(manifest: Manifest) -> Iterator[str]:
    """A pattern looks through all folders that read as it does, which nobody sees who reads it."""
    for entry in manifest.sources:
        if entry.kind != "file" or not entry.value or is_remote(entry.value) or not is_glob(entry.value):
            continue
        folders = twin_folders(entry.value, str(manifest.path.parent))
        if folders:
            shown = ", ".join(ascii(os.path.relpath(one, manifest.path.parent)) for one in folders)
            yield (
                f"{entry.place.told}: {entry.value!r} looks through "
                f"{len(folders)} folders that read the same (composed and decomposed letters): {shown}"
            )


def _is_spelt_otherwise(name: str, path: str) -> bool:
    return not path.endswith(name) and composed(path).endswith(composed(name))

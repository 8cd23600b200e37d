"""Entries of a manifest whose media are elsewhere, as in a checkout: what is written is judged, no medium looked at."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from hume_runner.manifest.checks import name_fault
from hume_runner.manifest.model import Place, SourceEntry
from hume_runner.sources.base import SourceItem
from hume_runner.sources.globbing import is_glob
from hume_runner.sources.ids import id_fault, readable
from hume_runner.sources.list_file import listed_as
from hume_runner.sources.listing import rows
from hume_runner.sources.problems import ProblemLog
from hume_runner.sources.remote import object_fault
from hume_runner.spelling import Spellings
from hume_runner.stores.address import is_remote


def is_unseen(entry: SourceEntry) -> bool:
    """Whether nobody can tell, without looking, how many items an entry has: a pattern, or a list that is not here."""
    if entry.listing is not None:
        return not os.path.lexists(Spellings().stored(os.path.normpath(entry.listing))[0])
    return entry.kind == "file" and entry.value is not None and is_glob(entry.value)


class UnseenFiles:
    """An entry under `sources.files`, as it is written: patterns find nothing, names are taken for files."""

    def __init__(self, entry: SourceEntry, folder: Path, log: ProblemLog) -> None:
        self._entry = entry
        self._folder = folder
        self._log = log

    def items(self) -> Iterator[SourceItem]:
        entry = self._entry
        if is_unseen(entry):
            return
        if entry.value is not None:
            yield self._named(entry.value, entry.place, entry.id)
            return
        name = listed_as(entry)
        for line, value, given, _ in rows(entry, self._log):
            place = Place(file=name, line=line, column=1, path=entry.place.path)
            fault = _object_fault(value) if is_remote(value) else name_fault(value)
            fault = fault or (id_fault(given) if given is not None else None)
            if fault:
                self._log.malformed(place, *fault)
            else:
                yield self._named(value, place, given)

    def _named(self, name: str, place: Place, given: str | None) -> SourceItem:
        shown = readable(name)
        return SourceItem(
            kind="file",
            id=shown if given is None else given,
            explicit_id=given is not None,
            value=shown,
            place=place,
            path=None if is_remote(name) else self._folder / name,
        )


def _object_fault(uri: str) -> tuple[str, str] | None:
    fault = object_fault(uri)
    return None if fault is None else (f"the URI {fault[0]}", fault[1])

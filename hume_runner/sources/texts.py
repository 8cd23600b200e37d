"""Texts, one by one or from a list."""

from __future__ import annotations

from collections.abc import Iterator

from hume_runner.manifest.model import Place, SourceEntry
from hume_runner.sources.base import SourceItem
from hume_runner.sources.ids import id_fault, text_id
from hume_runner.sources.list_file import listed_as
from hume_runner.sources.listing import rows
from hume_runner.sources.problems import ProblemLog
from hume_runner.spelling import is_whole


class TextSource:
    """An entry under `sources.text`."""

    def __init__(self, entry: SourceEntry, log: ProblemLog) -> None:
        self._entry = entry
        self._log = log

    def items(self) -> Iterator[SourceItem]:
        entry = self._entry
        if entry.value is None:
            yield from self._listed()
            return
        yield SourceItem(
            kind="text",
            id=entry.id if entry.id is not None else text_id(entry.value),
            explicit_id=entry.id is not None,
            value=entry.value,
            place=entry.place,
            labels=entry.labels,
        )

    def _listed(self) -> Iterator[SourceItem]:
        entry, log = self._entry, self._log
        name, path, own = listed_as(entry), entry.place.path, entry.labels
        for line, text, given, labels in rows(entry, log):
            place = Place(name, line, 1, path)  # a million rows may come by here, and names take time
            fault = id_fault(given) if given is not None else None
            if "\0" in text or not is_whole(text):
                fault = ("has a character that no service takes (NUL, or half of a pair)", "remove it")
            if fault:
                log.malformed(place, *fault)
                continue
            if own:
                labels = {**own, **labels}  # noqa: PLW2901
            item_id = text_id(text) if given is None else given
            yield SourceItem("text", item_id, given is not None, text, place, None, labels)

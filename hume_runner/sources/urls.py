"""URLs, one by one or from a list."""

from __future__ import annotations

from collections.abc import Iterator

from hume_runner.manifest.addresses import GOOD_URL, url_fault
from hume_runner.manifest.model import Place, SourceEntry
from hume_runner.settings import masked_url
from hume_runner.sources.base import SourceItem
from hume_runner.sources.ids import id_fault
from hume_runner.sources.listing import listed_as, rows
from hume_runner.sources.problems import ProblemLog


def url_id(url: str) -> str:
    """Host and path of a URL that `url_fault` finds nothing wrong with; no query, which may grant access."""
    match = GOOD_URL.fullmatch(url)
    if match is None:
        raise ValueError("not an http or https URL")
    host, port, path = match.groups("")
    return f"{host.lower()}{port}{path}"


class UrlSource:
    """An entry under `sources.urls`."""

    def __init__(self, entry: SourceEntry, log: ProblemLog) -> None:
        self._entry = entry
        self._log = log

    def items(self) -> Iterator[SourceItem]:
        entry = self._entry
        if entry.value is None:
            yield from self._listed()
            return
        explicit = entry.id is not None
        yield SourceItem(
            kind="url",
            id=entry.id if entry.id is not None else url_id(entry.value),
            explicit_id=explicit,
            value=entry.value,
            place=entry.place,
            labels=entry.labels,
        )

    def _listed(self) -> Iterator[SourceItem]:
        entry, log = self._entry, self._log
        name, path, own = listed_as(entry), entry.place.path, entry.labels
        for line, value, given, labels in rows(entry, log):
            # A million rows come by here: values in their order, as their names take time.
            place = Place(name, line, 1, path)
            url = value.strip()
            fault = url_fault(url)
            if fault:
                log.malformed(place, f"'{masked_url(url)[:200]}' {fault[0]}", fault[1])
                continue
            if own:
                labels = {**own, **labels}  # noqa: PLW2901
            if given is None:
                yield SourceItem("url", url_id(url), False, url, place, None, labels)
                continue
            fault = id_fault(given)
            if fault:
                log.malformed(place, *fault)
                continue
            yield SourceItem("url", given, True, url, place, None, labels)

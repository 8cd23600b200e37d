"""URLs, one by one or from a list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hume_runner.manifest.addresses import GOOD_URL, url_fault
from hume_runner.manifest.model import Place, SourceEntry
from hume_runner.settings import masked_url
from hume_runner.sources.base import SourceItem
from hume_runner.sources.blocks import Block, names_of, one_by_one, plain_ids, plain_urls
from hume_runner.sources.ids import id_fault
from hume_runner.sources.list_file import Row, RowBlock, listed_as
from hume_runner.sources.listing import blocks
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
        return one_by_one(self.pieces())

    def pieces(self) -> Iterator[SourceItem | Block]:
        """The same items, in blocks where many of a list are as they should be."""
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

    def _listed(self) -> Iterator[SourceItem | Block]:
        entry = self._entry
        name, path = listed_as(entry), entry.place.path
        for piece in blocks(entry, self._log):
            if not isinstance(piece, RowBlock):
                yield from self._looked_at((piece,), name, path)
                continue
            ids, values, labels = piece.ids, piece.values, piece.labels
            if not plain_urls(values) or not (ids is None or plain_ids(ids)):
                yield from self._looked_at(piece.rows(), name, path)
                continue
            yield Block(
                ids=names_of(values) if ids is None else ids,
                explicit_ids=ids is not None,
                values=values,
                file=name,
                lines=piece.lines,
                path=path,
                cells=piece.cells,
                labels={cells: {**entry.labels, **told} for cells, told in labels.items()} if entry.labels else labels,
            )

    def _looked_at(self, rows: Iterable[Row], name: str, path: str) -> Iterator[SourceItem]:
        """One by one; what is wrong with a URL or an id is told."""
        log, own = self._log, self._entry.labels
        for line, value, given, labels in rows:
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

"""An item as a row of the scratch file: its key, its place, its labels, and what a look told of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from json.encoder import encode_basestring as quoted
from typing import Any

from hume_runner import small_json
from hume_runner.frozen import frozen
from hume_runner.manifest.model import SourceKind
from hume_runner.planning.fingerprint import (
    canonical,
    item_key,
    item_keys,
    settings_digest,
    text_content,
    url_content,
    url_contents,
)
from hume_runner.planning.staged import PlainBlock, PlainRow, Row, Scan, format_place
from hume_runner.services.base import Relevant
from hume_runner.sources.base import SourceItem
from hume_runner.sources.blocks import Block
from hume_runner.spelling import is_whole

_MOST_ALIKE = 10_000


class SettingsDigests:
    """The digest of the settings that change an item's result, worked out once for all items that are alike."""

    def __init__(self, whole: Mapping[str, Any], service: Relevant, scan: Scan) -> None:
        self._whole = whole
        self._service = service
        self._scan = scan
        self._known: dict[tuple[str, str | None], bytes] = {}

    def digest(self, kind: SourceKind, facts: str | None) -> bytes:
        known = self._known.get((kind, facts))
        if known is not None:
            return known
        chosen = self._service.relevant(kind, small_json.kept(facts) if facts else {}, self._whole)
        digest = settings_digest(self._service.api, chosen)
        self._scan.add_settings(digest, canonical(chosen))
        if len(self._known) > _MOST_ALIKE:
            self._known.clear()
        self._known[kind, facts] = digest
        return digest


@frozen
class Content:
    """What was read of an item: `inside` is its path in an archive, `facts` what a look told, as JSON."""

    digest: bytes
    size: int
    facts: str | None = None
    inside: str | None = None
    md5: bytes | None = None


def plain_rows(kind: SourceKind, settings: SettingsDigests) -> Callable[[int, SourceItem], PlainRow]:
    """What makes the row of a link or a text, which nobody looks at. A million of them come by here."""
    digest = settings.digest(kind, None)
    key_of = item_keys(kind, digest)
    content_of = url_content if kind == "url" else text_content
    has_size = kind == "text"

    def row(ord_: int, item: SourceItem) -> PlainRow:
        _, name, explicit, value, (file, line, column, path), _, labels, _ = item
        content = content_of(value)
        return (
            ord_,
            name if name.isascii() else readable(name),
            1 if explicit else 0,
            kind,
            key_of(content),
            value,
            f"{file}:{line}:{column}\t{path}",  # as `format_place` writes it
            labels_text(labels) if labels else None,
            content,
            len(value.encode("utf-8", "surrogatepass")) if has_size else 0,
            digest,
        )

    return row


def block_rows(first: int, block: Block, settings: SettingsDigests) -> PlainBlock:
    """What `plain_rows` makes of each of these links, column by column."""
    digest = settings.digest("url", None)
    contents = url_contents(block.values)
    texts = {cells: labels_text(labels) if labels else None for cells, labels in block.labels.items()}
    return PlainBlock(
        first=first,
        ids=block.ids if all(map(str.isascii, block.ids)) else list(map(readable, block.ids)),
        explicit=1 if block.explicit_ids else 0,
        kind="url",
        keys=list(map(item_keys("url", digest), contents)),
        values=block.values,
        before=f"{block.file}:",
        lines=block.lines,
        behind=f":1\t{block.path}",
        labels=[texts[cells] for cells in block.cells],
        contents=contents,
        size=0,
        settings=digest,
    )


def row_of(ord_: int, item: SourceItem, settings: SettingsDigests, content: Content) -> Row:
    """The row of a file, or of what a file holds."""
    place = item.place
    digest = settings.digest(item.kind, content.facts)
    return (
        ord_,
        readable(item.id),
        int(item.explicit_id),
        item.kind,
        item_key(item.kind, content.digest, digest),
        readable(item.value),
        format_place(place.file, place.line, place.column, place.path),
        labels_text(item.labels) if item.labels else None,
        content.digest,
        content.size,
        digest,
        _place_of(item),
        content.inside,
        content.facts,
        content.md5,
    )


def labels_text(labels: Mapping[str, Any]) -> str:
    """What `json.dumps(labels, ensure_ascii=False)` gives, which builds an encoder anew each time."""
    return "{" + ", ".join([f"{quoted(name)}: {_scalar(value)}" for name, value in labels.items()]) + "}"


def _scalar(value: Any) -> str:
    if type(value) is str:
        return quoted(value)
    return str(value) if type(value) is int else json.dumps(value, ensure_ascii=False)


def _place_of(item: SourceItem) -> str | bytes | None:
    if item.remote is not None:
        return item.remote.uri
    return _storable(os.fspath(item.path)) if item.path is not None else None


def readable(name: str) -> str:
    """A name as text that can be stored and printed: bytes that are not UTF-8 become replacement characters."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _storable(path: str) -> str | bytes:
    """A path for the state: text, or its bytes where they are not UTF-8."""
    return path if is_whole(path) else os.fsencode(path)

"""From sources to rows of the scratch file: what has to be read is read once, and each item gets its key.

Nothing here sends a request, and nothing is written but the scratch file.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from io import BufferedReader
from json.encoder import encode_basestring as quoted
from pathlib import Path
from typing import Any, Protocol, TypeVar

from hume_runner import small_json
from hume_runner.errors import (
    ObjectMissing,
    ObjectPacked,
    PreconditionFailed,
    Problem,
    SourceError,
    StoreError,
    UnusableName,
    is_scarce,
)
from hume_runner.frozen import frozen
from hume_runner.manifest.model import Manifest, SourceKind
from hume_runner.planning.choosing import Chooser, unread
from hume_runner.planning.fingerprint import (
    canonical,
    item_key,
    item_keys,
    result_settings,
    settings_digest,
    text_content,
    url_content,
    url_contents,
)
from hume_runner.planning.objects import known_object, mark, read_ahead, recalled, time_ns
from hume_runner.planning.selection import EVERYTHING, Selection
from hume_runner.planning.staged import (
    FileDigest,
    PlainBlock,
    PlainRow,
    Row,
    Scan,
    format_place,
)
from hume_runner.services.base import Planning
from hume_runner.sources.base import SourceItem
from hume_runner.sources.blocks import Block, one_by_one
from hume_runner.sources.remote import RemoteObject

_MOST_PROBLEMS = 100
_MOST_ALIKE = 10_000
_NOT_LOOKED_AT: tuple[SourceKind, ...] = ("url", "text")


class Cached(Protocol):
    """What an earlier run found out about files."""

    def digest(self, path: str, size: int, mtime_ns: int, inode: int) -> FileDigest | None:
        """The digest of a file that looks unchanged."""
        ...

    def facts(self, content: bytes) -> Sequence[str]:
        """What looks at this content told, as JSON."""
        ...


class NothingCached:
    """Before the first run."""

    def digest(self, path: str, size: int, mtime_ns: int, inode: int) -> None:
        del path, size, mtime_ns, inode

    def facts(self, content: bytes) -> Sequence[str]:
        del content
        return ()


S = TypeVar("S", bound=Scan)


def scan_sources(
    manifest: Manifest,
    sources: Iterable[SourceItem | Block],
    service: Planning,
    known: Cached,
    scan: S,
    *,
    selection: Selection = EVERYTHING,
    held: Callable[[bytes], bool] | None = None,
) -> S:
    """Every selected item of the manifest with its key, in `scan`, which is closed if that fails.

    A file is read once for its digest unless `known` has it by path, size, mtime and inode, and an object unless it is
    known by URI, ETag, size and time; one that is surely not selected is not read at all. `held` tells of a key that
    another state holds it: no shard takes that.
    Raises: SourceError with all problems; ManifestError for ids that are claimed twice; UsageError for an expression
    that speaks of a label that nobody has; StoreError for a store that cannot be asked.
    """
    try:
        if selection.flags:
            scan.select(canonical(selection.document()), partial=selection.partial)
        settings = _Settings(result_settings(manifest), service, scan)
        chooser = Chooser(selection, held)
        problems: list[Problem] = []
        by_kind: dict[str, Callable[[int, SourceItem], PlainRow]] = {}
        everything = not selection.flags and held is None
        for item in _ahead(manifest, sources if everything else one_by_one(sources), known, service, chooser):
            if isinstance(item, Block):
                scan.add_block(_block(scan.count, item, settings))
                continue
            if not everything and not chooser.wants(item):
                scan.pass_over(unread(scan.count, item))
                continue
            if item.kind != "file":
                row_of = by_kind.get(item.kind) or by_kind.setdefault(item.kind, _plain_rows(item.kind, settings))
                plain = row_of(scan.count, item)
                if everything or chooser.takes(plain):
                    scan.add_plain(plain)
                else:
                    scan.pass_over((*plain, None, None, None, None))
                continue
            try:
                for row in _rows(item, settings, scan, known, service):
                    (scan.add if chooser.takes(row) else scan.pass_over)(row)
            except (OSError, ObjectMissing, ObjectPacked, PreconditionFailed, UnusableName) as error:
                if isinstance(error, OSError) and is_scarce(error):
                    raise
                problems.append(_unreadable(item, error))
                if len(problems) >= _MOST_PROBLEMS:
                    break
        if problems:
            raise SourceError(problems)
        chooser.check()
        scan.finish()
    except BaseException:
        scan.close()
        raise
    return scan


def _ahead(
    manifest: Manifest, sources: Iterable[SourceItem | Block], known: Cached, service: Planning, chooser: Chooser
) -> Iterator[SourceItem | Block]:
    # Links and texts, of which there may be millions, need not pass through this.
    if all(entry.kind != "file" for entry in manifest.sources):
        return iter(sources)
    return read_ahead(one_by_one(sources), known, service, chooser)


class _Settings:
    """The digest of the settings that change an item's result, worked out once for all items that are alike."""

    def __init__(self, whole: Mapping[str, Any], service: Planning, scan: Scan) -> None:
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


def key_of(manifest: Manifest, service: Planning) -> Callable[[SourceKind, bytes], bytes]:
    """What tells the key of a link or a text, which nobody looks at, by its content under this manifest."""
    whole = result_settings(manifest)
    digests = {kind: settings_digest(service.api, service.relevant(kind, {}, whole)) for kind in _NOT_LOOKED_AT}
    return lambda kind, content: item_key(kind, content, digests[kind])


def _plain_rows(kind: SourceKind, settings: _Settings) -> Callable[[int, SourceItem], PlainRow]:
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
            name if name.isascii() else _readable(name),
            1 if explicit else 0,
            kind,
            key_of(content),
            value,
            f"{file}:{line}:{column}\t{path}",  # as `format_place` writes it
            _labels(labels) if labels else None,
            content,
            len(value.encode("utf-8", "surrogatepass")) if has_size else 0,
            digest,
        )

    return row


def _block(first: int, block: Block, settings: _Settings) -> PlainBlock:
    """What `_plain_rows` makes of each of these links, column by column."""
    digest = settings.digest("url", None)
    contents = url_contents(block.values)
    texts = {cells: _labels(labels) if labels else None for cells, labels in block.labels.items()}
    return PlainBlock(
        first=first,
        ids=block.ids if all(map(str.isascii, block.ids)) else list(map(_readable, block.ids)),
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


def _rows(item: SourceItem, settings: _Settings, scan: Scan, known: Cached, service: Planning) -> Iterator[Row]:
    """The one row of a file, or one a member where the service wants an archive's members one by one."""
    if item.remote is not None:
        yield from _remote_rows(item, item.remote, settings, scan, known, service)
    else:
        assert item.path is not None
        found_digest, size = _file_digest(item.path, scan, known, md5=service.matches_by_md5)
        yield from _file_rows(item, item.path, found_digest, size, settings, scan, known, service)


def _file_rows(
    item: SourceItem,
    path: Path,
    found: FileDigest,
    size: int,
    settings: _Settings,
    scan: Scan,
    known: Cached,
    service: Planning,
) -> Iterator[Row]:
    inside = service.archives.inside(path) if service.archives else None
    if inside is None:
        facts = _look(path, found.sha256, known, service)
        content = _Content(digest=found.sha256, size=size, md5=found.md5)
        yield from _items(item, facts, content, settings, scan, service)
        return
    for member in inside:
        content = _Content(digest=member.digest, size=member.size_bytes, inside=member.name)
        yield from _items(_member_item(item, member.name), member.facts, content, settings, scan, service)


def _remote_rows(
    item: SourceItem, remote: RemoteObject, settings: _Settings, scan: Scan, known: Cached, service: Planning
) -> Iterator[Row]:
    """As for a file. What was read before and looked into is not read again, whatever the plan asks of it."""
    before, told = known_object(remote, known, service)
    if before is not None and told is not None:
        content = _Content(digest=before.sha256, size=remote.info.size_bytes, md5=before.md5)
        yield from _items(item, told, content, settings, scan, service)
        return
    assert service.objects is not None
    with service.objects.fetched(remote.uri, remote.info) as file:
        info = file.info
        md5 = bytes.fromhex(file.md5) if service.matches_by_md5 else None
        digest = FileDigest(sha256=bytes.fromhex(file.sha256), md5=md5)
        if info.etag is not None:
            scan.add_digest(remote.uri, info.size_bytes, time_ns(info), mark(info), digest)
        yield from _file_rows(item, file.path, digest, info.size_bytes, settings, scan, known, service)


def _items(
    item: SourceItem,
    facts: Mapping[str, Any],
    content: _Content,
    settings: _Settings,
    scan: Scan,
    service: Planning,
) -> Iterator[Row]:
    """The one row of a medium, or one for each item that the service makes of it."""
    for name, own in service.looker.apart(facts) if service.looker is not None else (("", facts),):
        named = item._replace(id=f"{item.id}/{name}", explicit_id=False) if name else item
        yield _row(scan.count, named, settings, replace(content, facts=_told(own)))


def _look(path: Path, content: bytes, known: Cached, service: Planning) -> Mapping[str, Any]:
    """What an earlier look told, if one is still good; else a new one."""
    if service.looker is None:
        return {}
    facts = recalled(content, known, service.looker)
    return service.looker.look(path, content) if facts is None else facts


def _told(facts: Mapping[str, Any]) -> str | None:
    # Escaped: a message may hold a name that is no UTF-8, and the state takes none.
    return json.dumps(facts, sort_keys=True) if facts else None


@frozen
class _Content:
    digest: bytes
    size: int
    facts: str | None = None
    inside: str | None = None
    md5: bytes | None = None


def _member_item(archive: SourceItem, name: str) -> SourceItem:
    return archive._replace(id=f"{archive.id}/{name}", explicit_id=False, value=f"{archive.value}/{name}")


def _row(ord_: int, item: SourceItem, settings: _Settings, content: _Content) -> Row:
    place = item.place
    digest = settings.digest(item.kind, content.facts)
    return (
        ord_,
        _readable(item.id),
        int(item.explicit_id),
        item.kind,
        item_key(item.kind, content.digest, digest),
        _readable(item.value),
        format_place(place.file, place.line, place.column, place.path),
        _labels(item.labels) if item.labels else None,
        content.digest,
        content.size,
        digest,
        _place_of(item),
        content.inside,
        content.facts,
        content.md5,
    )


def _labels(labels: Mapping[str, Any]) -> str:
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


_CHUNK = 1 << 18


def _file_digest(path: Path, scan: Scan, known: Cached, *, md5: bool) -> tuple[FileDigest, int]:
    """(digest, bytes) of a file that is read once, or not at all if it looks as it did. A digest of an earlier version
    without the MD5 stays good: nobody reads a terabyte again for it."""
    before = path.stat()
    name = os.fspath(path)
    digest = known.digest(_readable(name), before.st_size, before.st_mtime_ns, before.st_ino)
    if digest is not None:
        return digest, before.st_size
    with path.open("rb") as file:
        digest = digest_of(file, md5=md5)
        after = os.fstat(file.fileno())
    # A file that was written to meanwhile is read anew next time; its digest now is as good as any.
    if (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns):
        scan.add_digest(_readable(name), after.st_size, after.st_mtime_ns, after.st_ino, digest)
    return digest, after.st_size


def digest_of(file: BufferedReader, *, md5: bool) -> FileDigest:
    """What a plan knows a file by, from where it is read to its end."""
    if not md5:
        return FileDigest(sha256=hashlib.file_digest(file, "sha256").digest())
    one, other = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    while chunk := file.read(_CHUNK):
        one.update(chunk)
        other.update(chunk)
    return FileDigest(sha256=one.digest(), md5=other.digest())


def _readable(name: str) -> str:
    """A name as text that can be stored and printed: bytes that are not UTF-8 become replacement characters."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _storable(path: str) -> str | bytes:
    """A path for the state: text, or its bytes where they are not UTF-8."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return os.fsencode(path)
    return path


def _unreadable(item: SourceItem, error: OSError | StoreError) -> Problem:
    why = str(error) if isinstance(error, StoreError) else error.strerror or error
    return Problem(
        file=item.place.file,
        line=item.place.line,
        column=item.place.column,
        path=item.place.path,
        message=f"cannot read {_readable(item.value)!r}: {why}",
        hint=getattr(error, "hint", "") or "check that the file exists and may be read",
    )

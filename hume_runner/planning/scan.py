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
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

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
    result_settings,
    settings_digest,
)
from hume_runner.planning.objects import known_object, mark, read_ahead, recalled, time_ns
from hume_runner.planning.rows import Content, SettingsDigests, block_rows, plain_rows, readable, row_of
from hume_runner.planning.selection import EVERYTHING, Selection
from hume_runner.planning.staged import (
    FileDigest,
    PlainRow,
    Row,
    Scan,
)
from hume_runner.services.base import Archives, Looker, Relevant, Scanning
from hume_runner.sources.base import SourceItem
from hume_runner.sources.blocks import Block, one_by_one
from hume_runner.sources.remote import RemoteObject

if TYPE_CHECKING:
    from hume_runner.services.remote_files import RemoteFiles

_MOST_PROBLEMS = 100
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
    service: Scanning,
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
        settings = SettingsDigests(result_settings(manifest), service, scan)
        files = _Files.of(service, settings, scan, known)
        chooser = Chooser(selection, held)
        problems: list[Problem] = []
        by_kind: dict[str, Callable[[int, SourceItem], PlainRow]] = {}
        everything = not selection.flags and held is None
        for item in _ahead(manifest, sources if everything else one_by_one(sources), files, chooser):
            if isinstance(item, Block):
                scan.add_block(block_rows(scan.count, item, settings))
                continue
            if not everything and not chooser.wants(item):
                scan.pass_over(unread(scan.count, item))
                continue
            if item.kind != "file":
                to_row = by_kind.get(item.kind) or by_kind.setdefault(item.kind, plain_rows(item.kind, settings))
                plain = to_row(scan.count, item)
                if everything or chooser.takes(plain):
                    scan.add_plain(plain)
                else:
                    scan.pass_over((*plain, None, None, None, None))
                continue
            if (problem := files.take(item, chooser)) is not None:
                problems.append(problem)
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
    manifest: Manifest, sources: Iterable[SourceItem | Block], files: _Files, chooser: Chooser
) -> Iterator[SourceItem | Block]:
    # Links and texts, of which there may be millions, need not pass through this.
    if all(entry.kind != "file" for entry in manifest.sources):
        return iter(sources)
    return read_ahead(one_by_one(sources), files.known, files.objects, files.looker, chooser)


def key_of(manifest: Manifest, service: Relevant) -> Callable[[SourceKind, bytes], bytes]:
    """What tells the key of a link or a text, which nobody looks at, by its content under this manifest."""
    whole = result_settings(manifest)
    digests = {kind: settings_digest(service.api, service.relevant(kind, {}, whole)) for kind in _NOT_LOOKED_AT}
    return lambda kind, content: item_key(kind, content, digests[kind])


@frozen
class _Files:
    """Reads files into a scan. `known`: what an earlier run found out about them; `looker`, `archives` and `objects`:
    what the service has for that."""

    settings: SettingsDigests
    scan: Scan
    known: Cached
    md5: bool
    looker: Looker | None
    archives: Archives | None
    objects: RemoteFiles | None

    @classmethod
    def of(cls, service: Scanning, settings: SettingsDigests, scan: Scan, known: Cached) -> _Files:
        return cls(
            settings=settings,
            scan=scan,
            known=known,
            md5=service.matches_by_md5,
            looker=service.looker,
            archives=service.archives,
            objects=service.objects,
        )

    def take(self, item: SourceItem, chooser: Chooser) -> Problem | None:
        """Put a file's rows into the scan; what is wrong with one that cannot be read. Raises: StoreError, and OSError
        where the machine lacks something."""
        try:
            for row in self.rows(item):
                (self.scan.add if chooser.takes(row) else self.scan.pass_over)(row)
        except (OSError, ObjectMissing, ObjectPacked, PreconditionFailed, UnusableName) as error:
            if isinstance(error, OSError) and is_scarce(error):
                raise
            return _unreadable(item, error)
        return None

    def rows(self, item: SourceItem) -> Iterator[Row]:
        """The one row of a file, or one a member where the service wants an archive's members one by one."""
        if item.remote is not None:
            yield from self._remote_rows(item, item.remote)
        else:
            assert item.path is not None
            found, size = _file_digest(item.path, self.scan, self.known, md5=self.md5)
            yield from self._file_rows(item, item.path, found, size)

    def _file_rows(self, item: SourceItem, path: Path, found: FileDigest, size: int) -> Iterator[Row]:
        inside = self.archives.inside(path) if self.archives else None
        if inside is None:
            content = Content(digest=found.sha256, size=size, md5=found.md5)
            yield from self._items(item, self._look(path, found.sha256), content)
            return
        for member in inside:
            content = Content(digest=member.digest, size=member.size_bytes, inside=member.name)
            yield from self._items(_member_item(item, member.name), member.facts, content)

    def _remote_rows(self, item: SourceItem, remote: RemoteObject) -> Iterator[Row]:
        """As for a file. What was read before and looked into is not read again, whatever the plan asks of it."""
        before, told = known_object(remote, self.known, self.looker)
        if before is not None and told is not None:
            content = Content(digest=before.sha256, size=remote.info.size_bytes, md5=before.md5)
            yield from self._items(item, told, content)
            return
        assert self.objects is not None
        with self.objects.fetched(remote.uri, remote.info) as file:
            info = file.info
            md5 = bytes.fromhex(file.md5) if self.md5 else None
            digest = FileDigest(sha256=bytes.fromhex(file.sha256), md5=md5)
            if info.etag is not None:
                self.scan.add_digest(remote.uri, info.size_bytes, time_ns(info), mark(info), digest)
            yield from self._file_rows(item, file.path, digest, info.size_bytes)

    def _look(self, path: Path, content: bytes) -> Mapping[str, Any]:
        """What an earlier look told, if one is still good; else a new one."""
        if self.looker is None:
            return {}
        facts = recalled(content, self.known, self.looker)
        return self.looker.look(path, content) if facts is None else facts

    def _items(self, item: SourceItem, facts: Mapping[str, Any], content: Content) -> Iterator[Row]:
        """The one row of a medium, or one for each item that the service makes of it."""
        for name, own in self.looker.apart(facts) if self.looker is not None else (("", facts),):
            named = item._replace(id=f"{item.id}/{name}", explicit_id=False) if name else item
            yield row_of(self.scan.count, named, self.settings, replace(content, facts=_told(own)))


def _told(facts: Mapping[str, Any]) -> str | None:
    # Escaped: a message may hold a name that is no UTF-8, and the state takes none.
    return json.dumps(facts, sort_keys=True) if facts else None


def _member_item(archive: SourceItem, name: str) -> SourceItem:
    return archive._replace(id=f"{archive.id}/{name}", explicit_id=False, value=f"{archive.value}/{name}")


_CHUNK = 1 << 18


def _file_digest(path: Path, scan: Scan, known: Cached, *, md5: bool) -> tuple[FileDigest, int]:
    """(digest, bytes) of a file that is read once, or not at all if it looks as it did. A digest of an earlier version
    without the MD5 stays good: nobody reads a terabyte again for it."""
    before = path.stat()
    name = os.fspath(path)
    digest = known.digest(readable(name), before.st_size, before.st_mtime_ns, before.st_ino)
    if digest is not None:
        return digest, before.st_size
    with path.open("rb") as file:
        digest = digest_of(file, md5=md5)
        after = os.fstat(file.fileno())
    # A file that was written to meanwhile is read anew next time; its digest now is as good as any.
    if (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns):
        scan.add_digest(readable(name), after.st_size, after.st_mtime_ns, after.st_ino, digest)
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


def _unreadable(item: SourceItem, error: OSError | StoreError) -> Problem:
    why = str(error) if isinstance(error, StoreError) else error.strerror or error
    return item.place.problem(
        f"cannot read {readable(item.value)!r}: {why}",
        getattr(error, "hint", "") or "check that the file exists and may be read",
    )

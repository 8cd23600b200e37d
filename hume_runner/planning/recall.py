"""A scan that need not be made: the sources are, byte for byte, those that the state was planned from.

Only for links and texts, which stand in the manifest and its lists: of files it takes a look at each to know. Whatever
else a run checks, it checks all the same; and if there is anything to plan, the scan is made after all.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable
from io import BufferedReader
from pathlib import Path
from typing import Protocol, TypeVar, cast

from hume_runner._version import __version__
from hume_runner.frozen import frozen
from hume_runner.manifest.model import Manifest
from hume_runner.planning.fingerprint import VERSION, canonical, result_settings
from hume_runner.planning.scan import Cached, NothingCached, scan_sources
from hume_runner.planning.selection import EVERYTHING, Selection
from hume_runner.planning.staged import Scan, Scanned
from hume_runner.regular_files import open_regular
from hume_runner.services.base import Relevant, Scanning
from hume_runner.sources.base import SourceItem
from hume_runner.sources.blocks import Block

# Raised when the same manifest and lists give other items than before.
_REVISION = 1

S = TypeVar("S", bound=Scan)


class Remembers(Cached, Protocol):
    """A state, as far as it remembers what it was planned from."""

    def meta(self, name: str) -> object: ...


@frozen
class _Seen:
    """`mark`: over all that decides which items there are. `stamps`: how the lists looked while they were read."""

    mark: str
    stamps: tuple[tuple[int, int, int], ...]


def scan_or_recall(
    manifest: Manifest,
    expand: Callable[[Manifest], Iterable[SourceItem | Block]],
    service: Scanning,
    store: Remembers | None,
    new: Callable[[], S],
    *,
    selection: Selection = EVERYTHING,
    held: Callable[[bytes], bool] | None = None,
) -> Scanned:
    """Every selected item of the manifest with its key, as `scan_sources` gives it; or what that would give, if it is
    known.

    Raises: as `scan_sources`.
    """

    def make() -> S:
        return scan_sources(
            manifest, expand(manifest), service, store or NothingCached(), new(), selection=selection, held=held
        )

    # A part of a manifest is what other states leave of it.
    before = _look(manifest, service) if not selection.flags and held is None else None
    if store is not None and before is not None:
        known = str(store.meta("scan") or "")
        if known and store.meta("sources") == mark_of(before.mark, known):
            return RecalledScan(known, make)
    scan = make()
    # A list that was written to meanwhile was perhaps read otherwise than it was hashed.
    if before is not None and _look(manifest, service) == before:
        scan.sources = mark_of(before.mark, scan.digest)
    return scan


def mark_of(mark: str, scan: str) -> str:
    """What the state keeps: a version that knows no marks may plan anew, and then the mark is that of another scan."""
    return f"{mark} {scan}"


def _look(manifest: Manifest, service: Relevant) -> _Seen | None:
    """None where the manifest and its lists alone do not decide, or cannot be read: then the scan tells why."""
    if not manifest.sources or any(entry.kind == "file" for entry in manifest.sources):
        return None
    digest = hashlib.sha256()
    whole = result_settings(manifest)
    # As the keys have them: what measures may change while no byte of the manifest does.
    chosen = [canonical(service.relevant(kind, {}, whole)) for kind in sorted({one.kind for one in manifest.sources})]
    told = [__version__, _REVISION, VERSION.decode(), manifest.service.api, manifest.sha256]
    digest.update(json.dumps([*told, *chosen]).encode())
    stamps = []
    for listing in dict.fromkeys(entry.listing for entry in manifest.sources if entry.listing is not None):
        try:
            stamps.append(_read(listing, digest.update))
        except OSError:
            return None
    return _Seen(mark=digest.hexdigest(), stamps=tuple(stamps))


def _read(listing: Path, update: Callable[[bytes], None]) -> tuple[int, int, int]:
    with open_regular(listing) as file:
        stat = os.fstat(file.fileno())
        update(hashlib.file_digest(cast(BufferedReader, file), "sha256").digest())
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


class RecalledScan:
    """What a scan would give, without it; `make` makes it when its items are asked for after all."""

    sources: str | None = None
    partial = False

    def __init__(self, digest: str, make: Callable[[], Scan]) -> None:
        self._digest = digest
        self._make = make
        self._made: Scan | None = None

    @property
    def digest(self) -> str:
        return self._made.digest if self._made is not None else self._digest

    def hand_over(self) -> Path:
        if self._made is None:
            self._made = self._make()
        return self._made.hand_over()

    def close(self) -> None:
        if self._made is not None:
            self._made.close()

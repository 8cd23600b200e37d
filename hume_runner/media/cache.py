"""Prepared media on disk, found again by content: bounded, complete or absent, removed when done.

An entry is a folder named by its key. It is made aside and renamed when everything in it is synced, so an
entry that exists is whole. What it is it says itself, from the first moment on, in `entry.json`: of which key, and once
it is whole of which files. One process keeps a cache at a time (the state's lock sees to that); its threads share it,
and others may put entries into its folder for it (`write_entry`), even the same one twice.

The folder need not be the cache's alone: below an output directory it may be that of another study, or a person keeps
something there. What does not say that it is an entry stays, whatever it is called; so does one that somebody put files
into, and links are neither followed nor removed.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from hume_runner import aside, small_json
from hume_runner.frozen import frozen

PREPARATION_VERSION = 2  # raised whenever the same medium and options would give other bytes
_FACTS = "entry.json"
_SCHEMA = "hume_runner.entry.1"


@frozen
class CachedMedia:
    """An entry that is held: it stays on disk until the lease ends. `facts` is what the maker returned."""

    key: str
    folder: Path
    facts: Mapping[str, Any]


def cache_key(content_sha256: str, options: Mapping[str, Any]) -> str:
    """The name of what this content gives with these options (JSON values), by this version of the preparation."""
    facts = [content_sha256, PREPARATION_VERSION, options, _SCHEMA]
    return sha256(json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()).hexdigest()


def write_entry(
    cache: Path, key: str, make: Callable[[Path], Mapping[str, Any]], *, durable: bool = True
) -> Mapping[str, Any]:
    """Put an entry into the folder of a cache, by `make(folder)`; gives the facts that it tells. `durable`: it is to
    outlive the machine's next fall.

    May be done by several processes at a time: the first one that is whole stays, and is everybody's.
    """
    cache.mkdir(parents=True, exist_ok=True)
    entry = cache / key
    there = _facts_of(entry)
    if there is not None:
        return there
    part = aside.part_path(entry)
    part.mkdir(0o700)
    try:
        _say(part, key, None, {})
        facts = dict(make(part))
        _say(part, key, sorted(file.name for file in part.iterdir() if file.name != _FACTS), facts)
        for file in part.iterdir() if durable else ():
            _sync(file)
        try:
            part.replace(entry)
        except OSError:
            there = _facts_of(entry)  # somebody was quicker
            if there is None:
                raise
            facts = dict(there)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return facts


def _say(folder: Path, key: str, files: list[str] | None, facts: Mapping[str, Any]) -> None:
    """Write what a folder is. `files`: None while it is made."""
    told = {"schema": _SCHEMA, "key": key, "files": files, "facts": facts}
    aside.write(folder / _FACTS, json.dumps(told).encode(), durable=False)


@frozen
class _Said:
    """What a folder of the cache says that it is. `files`: None for one that is not whole."""

    key: str
    files: frozenset[str] | None
    facts: Mapping[str, Any]


def _said(folder: Path) -> _Said | None:
    """None for what is no entry of ours, nor one that is being made or removed."""
    if folder.is_symlink():
        return None
    try:
        told = small_json.read(folder / _FACTS)
    except (OSError, ValueError):
        return None
    if not isinstance(told, dict) or told.get("schema") != _SCHEMA:
        return None
    key, files, facts = told.get("key"), told.get("files"), told.get("facts")
    if not isinstance(key, str) or not isinstance(facts, dict) or not isinstance(files, list | None):
        return None
    if folder.name != key and not aside.is_part(folder.name, key):
        return None
    return _Said(key=key, files=None if files is None else frozenset(map(str, files)), facts=facts)


def _facts_of(entry: Path) -> Mapping[str, Any] | None:
    said = _said(entry)
    return None if said is None or said.files is None or entry.name != said.key else said.facts


def _is_ours(folder: Path) -> bool:
    """Whether it says that it is an entry, whole, half made or half removed, and holds nothing else."""
    said = _said(folder)
    if said is None:
        return False
    try:
        return said.files is None or {one.name for one in folder.iterdir()} <= {*said.files, _FACTS}
    except OSError:
        return False


class MediaCache:
    """At most `max_bytes` of entries that nobody holds; the least recently used go first.

    What an operation costs does not depend on how many entries there are.
    """

    def __init__(self, folder: Path, *, max_bytes: int, durable: bool = True) -> None:
        """`durable`: entries are to outlive the machine's next fall."""
        self._folder = folder
        self._max_bytes = max_bytes
        self._durable = durable
        self._lock = threading.Lock()
        self._making: dict[str, threading.Lock] = {}
        self._held: dict[str, int] = {}
        self._unwanted: set[str] = set()  # entries that go as soon as nobody holds them
        self._sizes: dict[str, int] = {}
        self._idle: OrderedDict[str, None] = OrderedDict()  # entries that nobody holds, least recently used first
        self._total = 0
        folder.mkdir(parents=True, exist_ok=True)
        self._find_entries()

    @property
    def size_bytes(self) -> int:
        with self._lock:
            return self._total

    @contextmanager
    def lease(self, key: str, make: Callable[[Path], Mapping[str, Any]]) -> Iterator[CachedMedia]:
        """The entry, made by `make(folder)` unless it is there; kept for as long as the block runs.

        `make` writes files into the folder and returns facts about them (JSON values). What it raises is raised here,
        and nothing of it stays. Two threads that ask for one key make it once.
        """
        with self.lease_put(key, lambda cache: write_entry(cache, key, make, durable=self._durable)) as entry:
            yield entry

    @contextmanager
    def lease_put(self, key: str, put: Callable[[Path], Mapping[str, Any]]) -> Iterator[CachedMedia]:
        """The same, where `put(cache)` sees to it that there is an entry, by `write_entry` here or elsewhere."""
        self._hold(key)
        try:
            with self._maker(key):
                entry = self._open(key) or self._put(key, put)
            yield entry
        finally:
            self._release(key)

    def remove(self, key: str) -> None:
        """Forget an entry: at once, or when the last one who holds it lets it go."""
        with self._lock:
            if key in self._held:
                self._unwanted.add(key)
                return
            gone = self._drop(key)
        _delete(gone)

    def clear(self) -> None:
        """Remove everything that nobody holds, and the folder if nothing is left."""
        with self._lock:
            gone = [path for key in list(self._idle) for path in self._drop(key)]
        _delete(gone)
        _delete(self._strangers())
        with self._lock, suppress(OSError):  # somebody holds an entry, or it is gone already
            self._folder.rmdir()

    def _strangers(self) -> list[Path]:
        """What others put here that nobody asked for any more, or were still making."""
        with self._lock, suppress(OSError):
            return [one for one in self._folder.iterdir() if one.name not in self._held and _is_ours(one)]
        return []

    def _find_entries(self) -> None:
        found: list[tuple[float, str, int]] = []
        gone: list[Path] = []
        for folder in self._folder.iterdir():
            if not _is_ours(folder):
                continue
            if _facts_of(folder) is None:
                gone.append(folder)  # a run that died was making or removing it
            else:
                found.append(((folder / _FACTS).stat().st_mtime, folder.name, _tree_bytes(folder)))
        _delete(gone)
        for _, name, size in sorted(found):
            self._sizes[name] = size
            self._idle[name] = None
            self._total += size
        _delete(self._make_room())

    def _hold(self, key: str) -> None:
        with self._lock:
            self._held[key] = self._held.get(key, 0) + 1
            self._idle.pop(key, None)

    def _release(self, key: str) -> None:
        gone: list[Path] = []
        with self._lock:
            self._held[key] -= 1
            if not self._held[key]:
                del self._held[key]
                self._making.pop(key, None)
                if key in self._sizes:
                    self._idle[key] = None
                if key in self._unwanted:
                    self._unwanted.discard(key)
                    gone = self._drop(key)
            gone += self._make_room()
        _delete(gone)

    def _maker(self, key: str) -> threading.Lock:
        with self._lock:
            return self._making.setdefault(key, threading.Lock())

    def _open(self, key: str) -> CachedMedia | None:
        folder = self._folder / key
        with self._lock:
            if key not in self._sizes:
                return None
        try:
            facts = _facts_of(folder)
            os.utime(folder / _FACTS)
        except OSError:
            facts = None
        if facts is None:
            with self._lock:
                gone = self._drop(key)  # somebody cleaned up by hand
            _delete(gone)
            return None
        return CachedMedia(key=key, folder=folder, facts=facts)

    def _put(self, key: str, put: Callable[[Path], Mapping[str, Any]]) -> CachedMedia:
        facts, folder = put(self._folder), self._folder / key
        size = _tree_bytes(folder)
        with self._lock:
            self._sizes[key] = size
            self._total += size
            gone = self._make_room()
        _delete(gone)
        return CachedMedia(key=key, folder=folder, facts=facts)

    def _make_room(self) -> list[Path]:
        """Drop what is too much. Gives the folders to delete, which takes long and needs no lock."""
        gone: list[Path] = []
        while self._total > self._max_bytes and self._idle:
            gone += self._drop(next(iter(self._idle)))
        return gone

    def _drop(self, key: str) -> list[Path]:
        self._total -= self._sizes.pop(key, 0)
        self._idle.pop(key, None)
        folder = self._folder / key
        # Renamed first: an entry that lost half of its files must not be found by the next run. To a name of its own,
        # because the entry may be made again, and dropped, before this one is deleted.
        with suppress(FileNotFoundError):
            return [folder.replace(aside.part_path(folder))]
        return []


def _delete(folders: list[Path]) -> None:
    """Remove them, last what says that they are ours: whoever is killed meanwhile leaves what the next run knows."""
    for folder in folders:
        with suppress(OSError):
            for one in folder.iterdir():
                if one.name != _FACTS:
                    one.unlink() if one.is_symlink() or not one.is_dir() else shutil.rmtree(one, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)


def _tree_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


def _sync(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

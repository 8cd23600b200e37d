"""Objects of stores as files on this machine: read once, hashed on the way, kept while there is room.

They lie in a temporary folder, so that a plan can look into them before anything else exists. Who needs one later
gets it from there, or again from the store: what is used is always what the plan knows by its SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from hume_runner.errors import (
    HumeRunnerError,
    ObjectMissing,
    ObjectPacked,
    PreconditionFailed,
    StoreDenied,
    StoreError,
    StoreUnavailable,
)
from hume_runner.frozen import frozen
from hume_runner.media.cache import MediaCache, cache_key
from hume_runner.scratch import Scratch
from hume_runner.services.cannot_prepare import CannotPrepare
from hume_runner.services.jobs import PlanItem, Refused
from hume_runner.services.members import plain_name
from hume_runner.stores.base import ObjectInfo
from hume_runner.stores.opening import Stores
from hume_runner.stores.reading import chunks

# What nobody holds is removed beyond this.
_KEEP_BYTES = 2_000_000_000
# So many objects are read ahead of a plan, side by side, as long as they are small.
_AHEAD, _AHEAD_BYTES = 16, 256_000_000
_TRIES = 3  # an object that is replaced while it is read is read anew

T = TypeVar("T")


@frozen
class FetchedFile:
    """An object as a file, for as long as it is held. `info` is what the store told of these very bytes."""

    path: Path
    info: ObjectInfo
    sha256: str
    md5: str


class RemoteFiles:
    """The objects of one run. Safe to share between threads; nothing is opened or made before it is needed."""

    def __init__(self, stores: Stores | None = None, *, keep_bytes: int = _KEEP_BYTES) -> None:
        self._stores = stores or Stores()
        self._keep_bytes = keep_bytes
        self._lock = threading.Lock()
        self._scratch: Scratch | None = None
        self._cache: MediaCache | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._held: dict[str, str] = {}  # URI -> key in the cache of what was fetched last

    @contextmanager
    def fetched(self, uri: str, info: ObjectInfo | None = None) -> Iterator[FetchedFile]:
        """The object as a file. `info`: what the store told of it before; None: it is asked.

        Raises: ObjectMissing, PreconditionFailed if it is replaced again and again, StoreError; OSError.
        """
        for left in reversed(range(_TRIES)):
            with ExitStack() as stack:
                try:
                    entry = stack.enter_context(self._media.lease(*self._making(uri, info or self._asked(uri))))
                except PreconditionFailed:
                    info = None
                    if not left:
                        raise
                    continue
                with self._lock:
                    self._held[uri] = entry.key
                facts = entry.facts
                yield FetchedFile(
                    path=entry.folder / facts["name"],
                    info=ObjectInfo(**facts["info"]),
                    sha256=facts["sha256"],
                    md5=facts["md5"],
                )
                return

    @contextmanager
    def planned(self, item: PlanItem, content_sha256: str | None = None) -> Iterator[Path]:
        """An item's object, whose bytes are those that the plan knows (of an archive's member: whatever it is now).

        Raises: CannotPrepare for what is gone or another now; StoreError where the store cannot be asked.
        """
        assert item.remote is not None
        name = item.remote.rpartition("/")[2]
        wanted = item.content_sha256 if content_sha256 is None else content_sha256
        try:
            with self._kept(item.remote, wanted) as kept:
                if kept is not None:
                    yield kept
                    return
            with self.fetched(item.remote) as found:
                if wanted and found.sha256 != wanted:
                    raise CannotPrepare(
                        "source_changed", f"{name}: its content changed since it was planned; run again"
                    )
                yield found.path
        except ObjectMissing:
            raise CannotPrepare("source_unreadable", f"{name}: it is not in its bucket any more") from None
        except ObjectPacked as error:
            raise CannotPrepare("source_unreadable", f"{name}: {error}") from None
        except PreconditionFailed:
            raise CannotPrepare("source_changed", f"{name}: it was replaced while it was read") from None

    @contextmanager
    def _kept(self, uri: str, sha256: str) -> Iterator[Path | None]:
        """What lies here already under this content needs no question to the store."""
        with self._lock:
            key = self._held.get(uri)
        if key is None or not sha256:
            yield None
            return
        try:
            with self._media.lease(key, _absent) as entry:
                yield entry.folder / entry.facts["name"] if entry.facts["sha256"] == sha256 else None
        except _Gone:
            yield None

    def _asked(self, uri: str) -> ObjectInfo:
        store, key = self._stores.of(uri)
        return store.head(key)

    def _making(self, uri: str, info: ObjectInfo) -> tuple[str, Callable[[Path], Mapping[str, Any]]]:
        told = asdict(info)
        # A listing tells no version and a question does: what is the same bytes is one entry.
        named = json.dumps([uri, info.etag or info.version, info.size_bytes, info.modified_at])
        file = plain_name(info.key)
        name = file + "_" if file.endswith(".json") else file  # as the cache's own file beside it does

        def make(folder: Path) -> Mapping[str, Any]:
            store, _ = self._stores.of(uri)
            sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
            with (folder / name).open("xb") as out:
                for chunk in chunks(store, info):
                    sha256.update(chunk)
                    md5.update(chunk)
                    out.write(chunk)
            return {"name": name, "info": told, "sha256": sha256.hexdigest(), "md5": md5.hexdigest()}

        return cache_key(hashlib.sha256(named.encode()).hexdigest(), {"what": "object"}), make

    @property
    def _media(self) -> MediaCache:
        with self._lock:
            if self._cache is None:
                self._scratch = Scratch()
                self._cache = MediaCache(self._scratch.path / "objects", max_bytes=self._keep_bytes, durable=False)
            return self._cache

    def ahead(self, items: Iterable[T], wanted: Callable[[T], tuple[str, ObjectInfo] | None]) -> Iterator[T]:
        """`items` as they come, while objects of the next ones are read already, where `wanted` names one."""
        coming: deque[tuple[T, Future[None] | None, int]] = deque()
        under_way = 0
        try:
            for item in items:
                ask = wanted(item)
                size = ask[1].size_bytes if ask else 0
                begun = None
                if ask and under_way + size <= _AHEAD_BYTES:
                    begun = self._workers().submit(self._begin, *ask)
                    under_way += size
                coming.append((item, begun, size))
                if len(coming) > _AHEAD:
                    first, future, its_size = coming.popleft()
                    under_way -= its_size if future else 0
                    yield first
            while coming:
                yield coming.popleft()[0]
        finally:
            for _, future, _ in coming:
                if future:
                    future.cancel()

    def _workers(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(8, thread_name_prefix="object")
            return self._pool

    def _begin(self, uri: str, info: ObjectInfo) -> None:
        # Whatever is wrong is told when its turn comes.
        with suppress(HumeRunnerError, OSError), self.fetched(uri, info):
            pass

    def drop(self, uri: str) -> None:
        """Nobody needs what was fetched of it any more."""
        with self._lock:
            key, cache = self._held.pop(uri, None), self._cache
        if key is not None and cache is not None:
            cache.remove(key)

    def close(self) -> None:
        """Remove everything."""
        with self._lock:
            pool, self._pool = self._pool, None
            scratch, self._scratch = self._scratch, None
            self._cache = None
            self._held.clear()
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)
        if scratch is not None:
            scratch.close()


class _Gone(Exception):
    """What was kept was removed meanwhile."""


def _absent(folder: Path) -> Mapping[str, Any]:
    raise _Gone


def refused_by_store(error: StoreError) -> Refused:
    """What it means to a submission that a store did not give its source: nothing was sent."""
    return Refused(
        reason="source_unreadable",
        message=str(error),
        temporary=isinstance(error, StoreUnavailable),
        stops_run=isinstance(error, StoreDenied),
        divisible=True,
        hint=error.hint,
    )

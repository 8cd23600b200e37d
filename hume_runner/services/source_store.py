"""Sources as files: a file as it lies, a member of an archive unpacked, what a link leads to downloaded; and what was
made of them, kept on disk until it is not needed any more."""

from __future__ import annotations

import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from hume_runner.computing.base import MOST_DEATHS, NoAnswer, Pool, Unseen
from hume_runner.computing.here import InThread
from hume_runner.http.addresses import AddressRule
from hume_runner.http.download import Downloaded, Downloader, DownloadProblem
from hume_runner.http.retry import RetryPolicy
from hume_runner.manifest.model import RetrySection
from hume_runner.media.cache import CachedMedia, MediaCache, cache_key, write_entry
from hume_runner.media.member_reader import MemberReader
from hume_runner.media.problems import MediaProblem, surprises_are_problems
from hume_runner.media.sniff import sniff
from hume_runner.processes import TookTooLong, WorkerDied
from hume_runner.services.cannot_prepare import CannotPrepare
from hume_runner.services.jobs import PlanItem
from hume_runner.services.making import Maker, Order, make, verify
from hume_runner.services.members import plain_name
from hume_runner.services.remote_files import RemoteFiles

# What nobody holds is removed beyond this. What was sent is removed anyway; this bounds what waits to be sent, and what
# an earlier run left.
_CACHE_BYTES = 8_000_000_000
_OPEN_ARCHIVES = 4


class Downloads:
    """Downloads of one run: whoever asks, one thread watches their deadlines."""

    def __init__(self, allow_hosts: tuple[str, ...], retry: RetrySection) -> None:
        self._allow_hosts = allow_hosts
        self._retry = retry
        self._lock = threading.Lock()
        self._downloader: Downloader | None = None

    def fetch(self, url: str, target: Path, refuse: Callable[[bytes], str | None]) -> Downloaded:
        """See `Downloader.fetch`."""
        with self._lock:
            if self._downloader is None:
                policy = RetryPolicy(attempts=self._retry.attempts, max_wait_s=self._retry.max_wait_s)
                self._downloader = Downloader(rule=AddressRule(self._allow_hosts), retry=policy)
            downloader = self._downloader
        return downloader.fetch(url, target, refuse=refuse)

    def close(self) -> None:
        """Let the watching thread go."""
        with self._lock:
            downloader, self._downloader = self._downloader, None
        if downloader is not None:
            downloader.watchdog.close()


class SourceStore:
    """Sources and what was made of them, by content, in `folder`. Safe to share between threads; what is asked for
    again is made once."""

    def __init__(
        self, folder: Path, allow_hosts: tuple[str, ...], retry: RetrySection, remote: RemoteFiles | None = None
    ) -> None:
        self._folder = folder
        self.pool: Pool = InThread()  # where media are made something of
        self.remote = remote or RemoteFiles()
        self._cache: MediaCache | None = None
        self._opening = threading.Lock()
        self._downloads = Downloads(allow_hosts, retry)
        self._archives: OrderedDict[Path, MemberReader] = OrderedDict()
        self._using = threading.Lock()
        self._uses: dict[str, int] = {}  # content -> jobs that are to carry something of it, of those made here
        self._entries: dict[str, set[str]] = {}  # content -> keys of what was made of it

    @property
    def _media(self) -> MediaCache:
        with self._opening:  # a second cache would take what the first one is making for leftovers
            if self._cache is None:
                self._cache = MediaCache(self._folder, max_bytes=_CACHE_BYTES)
            return self._cache

    def close(self) -> None:
        """Remove everything: it can be made again from the sources."""
        self._downloads.close()
        with self._opening:
            archives = list(self._archives.values())
            self._archives.clear()
        for archive in archives:
            archive.close()
        if self._cache is not None:
            self._cache.clear()

    def expect(self, items: Iterable[PlanItem]) -> None:
        """A job was made for each of these: what was made of their content is kept until it is `done` as often."""
        with self._using:
            for item in items:
                self._uses[item.content_sha256] = self._uses.get(item.content_sha256, 0) + 1

    def done(self, items: Iterable[PlanItem]) -> None:
        """Jobs that carried these are over. What was made of a content that no other job carries is removed.

        Jobs that an earlier run made are not counted: what they carry may be the same, and goes when the run ends.
        """
        for item in items:
            with self._using:
                left = self._uses.pop(item.content_sha256, 0) - 1
                if left > 0:
                    self._uses[item.content_sha256] = left
            if left == 0:
                self._remove(item)

    def drop(self, item: PlanItem) -> None:
        """Nothing will be sent of this item: what was made on the way is removed, unless a job carries its content."""
        with self._using:
            used = item.content_sha256 in self._uses
        if not used:
            self._remove(item)

    def _remove(self, item: PlanItem) -> None:
        with self._using:
            keys = self._entries.pop(item.content_sha256, set())
        for key in keys:
            self._media.remove(key)
        if item.remote is not None:
            self.remote.drop(item.remote)

    @contextmanager
    def source(self, item: PlanItem) -> Iterator[Path]:
        """The item as a file: itself, or a URL's content, downloaded once. Raises: CannotPrepare."""
        inside = item.inside
        if item.kind == "file" and inside is None:
            with self._whole(item) as path:
                yield path
            return
        if item.kind == "file":
            # What is wrong with it is told under the file's name, so it keeps that.
            named = plain_name(inside or "")
            if named.endswith(".json"):  # as the cache's own file beside it does
                named += "_"

            def unpack(folder: Path) -> Mapping[str, Any]:
                with self._whole(item) as archive:
                    return self._unpack(archive, inside or "", folder / named)

            with self.lease(item, {"what": "member", "named": named}, unpack) as entry:
                yield entry.folder / named
            return
        with self._downloaded(item) as entry:
            yield entry.folder / "download"

    @contextmanager
    def _whole(self, item: PlanItem) -> Iterator[Path]:
        """The file of an item, or the archive that it is in. Raises: CannotPrepare, StoreError."""
        if item.path is not None:
            yield item.path
            return
        # A member is checked by its own bytes.
        with self.remote.planned(item, None if item.inside is None else "") as path:
            if not self.pool.elsewhere or item.inside is not None:
                yield path
                return
            # Other machines see this folder, and not our temporary one.
            name = path.name

            def copy(folder: Path) -> Mapping[str, Any]:
                shutil.copyfile(path, folder / name)
                return {"size": path.stat().st_size}

            with self.lease(item, {"what": "object", "named": name}, copy) as entry:
                yield entry.folder / name

    def _downloaded(self, item: PlanItem) -> AbstractContextManager[CachedMedia]:
        return self.lease(item, {"what": "download"}, lambda folder: self._download(item.value, folder))

    def looked_at(self, item: PlanItem, look: Callable[[Path], Mapping[str, Any]]) -> Mapping[str, Any]:
        """What `look` tells of an item's medium, or told when it was planned. Raises: CannotPrepare if that is a
        problem; the item is fetched if it has to be."""
        facts = item.facts
        if not facts:
            with self.source(item) as path:
                facts = look(path)
        if "problem" in facts:
            raise CannotPrepare(str(facts["reason"]), str(facts["problem"]))
        return facts

    def _unpack(self, path: Path, name: str, target: Path) -> Mapping[str, Any]:
        closing: list[MemberReader] = []
        with self._opening:
            archive = self._archives.pop(path, None) or MemberReader(path)
            self._archives[path] = archive
            if len(self._archives) > _OPEN_ARCHIVES:
                closing.append(self._archives.popitem(last=False)[1])
        for other in closing:
            other.close()
        size = archive.copy(name, target)
        if size is None:
            raise CannotPrepare("source_changed", f"{path.name} does not hold {name} any more")
        return {"size": size}

    def _download(self, url: str, folder: Path) -> Mapping[str, Any]:
        def refuse(head: bytes) -> str | None:
            kind = sniff(head)
            if kind.family == "archive":
                return f"the URL gives {kind.words}: download it and list it under `files`, which opens it"
            return None if kind.family in ("image", "audio", "media") else f"the URL gives {kind.words}"

        try:
            got = self._downloads.fetch(url, folder / "download", refuse)
        except DownloadProblem as problem:
            raise CannotPrepare(problem.reason, problem.message) from None
        return {"sha256": got.sha256, "size": got.size_bytes}

    @contextmanager
    def made(self, item: PlanItem, options: Mapping[str, Any], maker: Maker, **arguments: Any) -> Iterator[CachedMedia]:
        """What `maker` makes of the item's file, on the pool: when that was done, the file's bytes were those that the
        plan knows them by. Raises: CannotPrepare; what `Pool.call` raises."""

        def put(cache: Path, key: str) -> Mapping[str, Any]:
            with self.source(item) as path:
                order = Order(
                    cache=str(cache.absolute()),
                    key=key,
                    source=str(path.absolute()),
                    name=item.value.rpartition("/")[2],
                    sha256=_known_by(item),
                    size_bytes=_size(path) if self.pool.elsewhere else None,
                    maker=maker,
                    options=arguments,
                )
                return self._made(order)

        with self._leased(item, options, put) as entry:
            yield entry

    def _made(self, order: Order) -> Mapping[str, Any]:
        try:
            return self.pool.call(make, order)
        except TookTooLong:
            raise CannotPrepare("timed_out", f"{order.name}: it took longer than execution.job_timeout") from None
        except WorkerDied as death:
            raise CannotPrepare(
                "worker_died", f"{order.name}: {MOST_DEATHS} workers died of it, the last one so: {death.how}"
            ) from None
        except NoAnswer as none:
            raise CannotPrepare(
                none.reason, f"{order.name}: the cluster gave no answer to this piece: {none.why}"
            ) from None
        except Unseen as unseen:  # by us neither, any more
            raise CannotPrepare("source_unreadable", f"{order.name}: {unseen.why}") from None

    def verify(self, item: PlanItem) -> None:
        """Read the item once more. Raises: CannotPrepare if its bytes are not those that the plan knows it by."""
        with self.source(item) as path:
            verify(path, _known_by(item))

    def origin(self, item: PlanItem) -> str | None:
        """The SHA-256 of what a link leads to, in hex; None for items that are known by their content."""
        if item.kind == "file":
            return None
        with self._downloaded(item) as entry:
            return str(entry.facts["sha256"])

    def require_origin(self, item: PlanItem, origin: object) -> None:
        """Raises: CannotPrepare if a link does not lead to what it led to when its parts were planned."""
        if origin is not None and self.origin(item) != origin:
            raise CannotPrepare("source_changed", "what the URL leads to changed since its parts were planned")

    @contextmanager
    def lease(
        self, item: PlanItem, options: Mapping[str, Any], make: Callable[[Path], Mapping[str, Any]]
    ) -> Iterator[CachedMedia]:
        def made(folder: Path) -> Mapping[str, Any]:
            try:
                found = make(folder)
            except CannotPrepare:
                raise
            except Exception:
                with surprises_are_problems(item.value.rpartition("/")[2]):
                    raise
            return found

        with self._leased(item, options, lambda cache, key: write_entry(cache, key, made)) as entry:
            yield entry

    @contextmanager
    def _leased(
        self, item: PlanItem, options: Mapping[str, Any], put: Callable[[Path, str], Mapping[str, Any]]
    ) -> Iterator[CachedMedia]:
        key = cache_key(item.content_sha256, options)
        with self._using:
            self._entries.setdefault(item.content_sha256, set()).add(key)
        try:
            with self._media.lease_put(key, lambda cache: put(cache, key)) as entry:
                yield entry
        except MediaProblem as problem:
            raise CannotPrepare(problem.reason, problem.message) from None


def _known_by(item: PlanItem) -> str | None:
    """What its bytes have to give; a link is known by its address, whatever it leads to, and an object of a store was
    hashed when it was fetched."""
    fetched = item.kind != "file" or (item.remote is not None and item.inside is None)
    return None if fetched else item.content_sha256


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:  # whoever reads it tells
        return None

"""Media on their way to expression-v1: looked at, fetched, prepared, and kept on disk until they are measured."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hume_runner.http.addresses import AddressRule
from hume_runner.http.download import Downloaded, Downloader, DownloadProblem
from hume_runner.http.retry import RetryPolicy
from hume_runner.manifest.model import RetrySection
from hume_runner.media.archives import MemberReader
from hume_runner.media.audio import prepare_audio
from hume_runner.media.cache import CachedMedia, MediaCache, cache_key
from hume_runner.media.clock import ClockMap
from hume_runner.media.cuts import split, wav_levels
from hume_runner.media.frames import write_frames
from hume_runner.media.problems import MediaProblem, surprises_are_problems
from hume_runner.media.sniff import sniff
from hume_runner.media.stills import prepare_still
from hume_runner.services.base import PlanItem
from hume_runner.services.expression_v1.cannot_prepare import CannotPrepare
from hume_runner.services.expression_v1.look import look
from hume_runner.services.expression_v1.settings import OWN_DEFAULTS, chosen_sound

FRAME_SAMPLES = 160  # of a level, see `media.cuts`
_FORM = 3  # of what the cache tells about what it holds
# What nobody holds is removed beyond this. What was sent is removed anyway; this bounds what waits to be sent, and what
# an earlier run left.
_CACHE_BYTES = 8_000_000_000
_OPEN_ARCHIVES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """A video's pictures on disk: sizes in bytes, SHA-256 in hex, and times in ms from the start of the video."""

    sizes: tuple[int, ...]
    digests: tuple[str, ...]
    times_ms: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Still:
    """A picture as it is sent."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """A prepared recording. `clock` says where its samples lie in the source; `cuts` are (first, samples).

    `in_place`: it is sent from the user's own file. `written_ns`: when a file of ours was made, which nobody changes.
    """

    samples: int
    clock: ClockMap
    cuts: tuple[tuple[int, int], ...]
    notes: tuple[str, ...]
    in_place: bool
    written_ns: int | None


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


class MediaStore:
    """Prepared media by content. Safe to share between threads; what is asked for again is made once."""

    def __init__(
        self, folder: Path, models: Mapping[str, Any], allow_hosts: tuple[str, ...], retry: RetrySection
    ) -> None:
        self._folder = folder
        self._models = models
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

    @contextmanager
    def source(self, item: PlanItem) -> Iterator[Path]:
        """The item as a file: itself, or a URL's content, downloaded once. Raises: CannotPrepare."""
        inside = item.inside
        if item.path is not None and inside is None:
            yield item.path
            return
        if item.path is not None:
            archive = item.path
            with self._lease(item, {"what": "member"}, lambda to: self._unpack(archive, inside or "", to)) as entry:
                yield entry.folder / "member"
            return
        with self._downloaded(item) as entry:
            yield entry.folder / "download"

    def _downloaded(self, item: PlanItem) -> AbstractContextManager[CachedMedia]:
        return self._lease(item, {"what": "download"}, lambda folder: self._download(item.value, folder))

    def _unpack(self, path: Path, name: str, folder: Path) -> Mapping[str, Any]:
        closing: list[MemberReader] = []
        with self._opening:
            archive = self._archives.pop(path, None) or MemberReader(path)
            self._archives[path] = archive
            if len(self._archives) > _OPEN_ARCHIVES:
                closing.append(self._archives.popitem(last=False)[1])
        for other in closing:
            other.close()
        size = archive.copy(name, folder / "member")
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
    def _planned(self, item: PlanItem) -> Iterator[Path]:
        """`source`, to make something of it: when that is done, its bytes were those that the plan knows them by.

        Raises: CannotPrepare.
        """
        with self.source(item) as path:
            yield path
            self._verify(item, path)

    def verify(self, item: PlanItem) -> None:
        """Read the item once more. Raises: CannotPrepare if its bytes are not those that the plan knows it by."""
        with self.source(item) as path:
            self._verify(item, path)

    def _verify(self, item: PlanItem, path: Path) -> None:
        if item.path is None:
            return  # a link is known by its address, whatever it leads to
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != item.content_sha256:
            raise CannotPrepare("source_changed", f"{path.name}: its content changed since it was planned; run again")

    def origin(self, item: PlanItem) -> str | None:
        """The SHA-256 of what a link leads to, in hex; None for items that are known by their content."""
        if item.path is not None:
            return None
        with self._downloaded(item) as entry:
            return str(entry.facts["sha256"])

    def require_origin(self, item: PlanItem, origin: object) -> None:
        """Raises: CannotPrepare if a link does not lead to what it led to when its parts were planned."""
        if origin is not None and self.origin(item) != origin:
            raise CannotPrepare("source_changed", "what the URL leads to changed since its parts were planned")

    def look(self, item: PlanItem) -> Mapping[str, Any]:
        """`look` at an item, fetched if it has to be. Raises: CannotPrepare."""
        facts = item.facts
        if not facts:
            with self.source(item) as path:
                facts = look(path, self._models)
        if "problem" in facts:
            raise CannotPrepare(str(facts["reason"]), str(facts["problem"]))
        return facts

    @contextmanager
    def still(self, item: PlanItem) -> Iterator[tuple[Path, Still]]:
        """The item as a JPEG that the service takes. Raises: CannotPrepare."""

        def make(folder: Path) -> Mapping[str, Any]:
            with self._planned(item) as path:
                size = prepare_still(path, folder, name="still.jpg").size_bytes
            return {"size": size, "sha256": _sha256(folder / "still.jpg")}

        with self._lease(item, {"what": "still", "form": _FORM}, make) as entry:
            facts = entry.facts
            yield entry.folder / "still.jpg", Still(size_bytes=int(facts["size"]), sha256=str(facts["sha256"]))

    @contextmanager
    def sound(self, item: PlanItem, max_body_bytes: int) -> Iterator[tuple[Path, Sound]]:
        """The item's sound as a plain WAV, and where to cut it. Raises: CannotPrepare."""
        track, channel = chosen_sound(self._models)

        def make(folder: Path) -> Mapping[str, Any]:
            with self._planned(item) as path:
                wav = prepare_audio(path, folder, name="sound.wav", track=track, channel=channel)
                parts = split(wav_levels(wav.path), wav.samples, max_body_bytes=max_body_bytes)
                own = wav.path.parent == folder
                return {
                    "own": own,
                    "written_ns": wav.path.stat().st_mtime_ns if own else None,
                    "samples": wav.samples,
                    "clock": wav.clock.to_json(),
                    "notes": list(wav.notes),
                    "cuts": [[part.first_sample, part.samples] for part in parts],
                }

        with ExitStack() as stack:
            entry = stack.enter_context(
                self._lease(
                    item,
                    {"what": "sound", "body": max_body_bytes, "form": _FORM, "track": track, "channel": channel},
                    make,
                )
            )
            facts = entry.facts
            # A WAV that already conforms is sent from where it lies; if that was a download, it is held as well.
            own = bool(facts["own"])
            path = entry.folder / "sound.wav" if own else stack.enter_context(self.source(item))
            yield (
                path,
                Sound(
                    samples=facts["samples"],
                    clock=ClockMap.of_json(facts["clock"], facts["samples"]),
                    cuts=tuple((first, samples) for first, samples in facts["cuts"]),
                    notes=tuple(facts["notes"]),
                    in_place=not own and item.path is not None and item.inside is None,
                    written_ns=facts["written_ns"],
                ),
            )

    def cut_between(
        self, path: Path, sound: Sound, taken: Sequence[tuple[int, int]], max_body_bytes: int
    ) -> list[tuple[int, int]]:
        """(first, samples) of what lies between passages that are `taken`, ascending and apart, cut to what a request
        carries."""
        levels = wav_levels(path)
        found: list[tuple[int, int]] = []
        begin = 0
        for first, samples in [*taken, (sound.samples, 0)]:
            left, start = min(first, sound.samples) - begin, begin
            if left > 0:
                frames = start // FRAME_SAMPLES
                parts = split(lambda at, n, by=frames: levels(at + by, n), left, max_body_bytes=max_body_bytes)  # type: ignore[misc]
                found += [(start + part.first_sample, part.samples) for part in parts]
            begin = max(begin, first + samples)
        return found

    @contextmanager
    def frames(self, item: PlanItem) -> Iterator[tuple[Path, Frames]]:
        """(folder, frames): `000000.jpg` and on. Raises: CannotPrepare."""
        options = self._models.get("video") or {}
        fps, width = (options.get(name, OWN_DEFAULTS[name]) for name in ("fps", "max_width"))

        def make(folder: Path) -> Mapping[str, Any]:
            with self._planned(item) as path:
                found = [(f.size_bytes, f.source_ms) for f in write_frames(path, folder, fps=fps, max_width=width)]
            return {
                "sizes": [size for size, _ in found],
                "digests": [_sha256(folder / f"{number:06}.jpg") for number in range(len(found))],
                "times_ms": [ms for _, ms in found],
            }

        with self._lease(item, {"what": "frames", "fps": fps, "width": width, "form": _FORM}, make) as entry:
            facts = entry.facts
            frames = Frames(
                sizes=tuple(facts["sizes"]), digests=tuple(facts["digests"]), times_ms=tuple(facts["times_ms"])
            )
            yield entry.folder, frames

    @contextmanager
    def _lease(
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

        key = cache_key(item.content_sha256, options)
        with self._using:
            self._entries.setdefault(item.content_sha256, set()).add(key)
        try:
            with self._media.lease(key, made) as entry:
                yield entry
        except MediaProblem as problem:
            raise CannotPrepare(problem.reason, problem.message) from None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""Media on their way to expression-v1: looked at, fetched, prepared, and kept on disk until they are measured."""

from __future__ import annotations

import hashlib
import re
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hume_runner.services.base import Inside, PlanItem
from hume_runner.services.settings_expression_v1 import OWN_DEFAULTS, fit

if TYPE_CHECKING:
    from hume_runner.client.upload import Readable
    from hume_runner.media.cache import CachedMedia, MediaCache

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
# What nobody holds is removed beyond this; a run needs what its workers send at one time.
_CACHE_BYTES = 20_000_000_000


class CannotPrepare(Exception):
    """One medium that cannot be sent, with the reason: it fails alone."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """A video's pictures on disk: sizes in bytes and times in ms from the start of the video, in order."""

    sizes: tuple[int, ...]
    times_ms: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """A prepared recording. `start_ms` is where its first sample lies in the source; `cuts` are (first, samples)."""

    samples: int
    start_ms: int
    cuts: tuple[tuple[int, int], ...]


def look(path: Path, models: Mapping[str, Any]) -> dict[str, Any]:
    """What headers tell: {"medium", "tracks", "duration_ms", "sound", "picture"}, or {"problem", "reason"}."""
    from hume_runner.media.audio import probe_audio
    from hume_runner.media.problems import MediaProblem
    from hume_runner.media.sniff import sniff_path
    from hume_runner.media.stills import picture_kind

    try:
        kind = sniff_path(path)
        if kind.family == "image":
            picture_kind(path)
            seen: dict[str, Any] = {"medium": "still"}
        else:
            found = probe_audio(path)
            held = (("sound", found.has_audio), ("picture", found.has_video))
            seen = {
                "medium": "recording",
                "duration_ms": found.duration_ms,
                "tracks": [name for name, there in held if there],
            }
    except MediaProblem as problem:
        return {"problem": problem.message, "reason": problem.reason}
    facts = fit(seen, models)
    assert facts is not None  # it was looked at just now
    return facts


def is_archive(path: Path) -> bool:
    """Whether the file's first bytes are those of an archive that can be opened."""
    from hume_runner.media.archives import is_archive as opens

    return opens(path)


def members(path: Path, models: Mapping[str, Any]) -> Iterator[Inside]:
    """Each member of an archive, looked at one by one; what is not offered is an item that fails with the reason.

    Members are unpacked one at a time, under names of ours. Hidden members are passed over, as people expect.
    """
    from hume_runner.media.archives import Skipped, iter_members
    from hume_runner.media.problems import MediaProblem

    with tempfile.TemporaryDirectory(prefix="hume-runner-") as folder:
        try:
            for member in iter_members(path):
                if isinstance(member, Skipped):
                    if member.reason != "hidden":
                        yield _left_out(path, member.name, member.reason)
                    continue
                # Its own ending and a name for messages; the folder is ours, and so is what is left of the name.
                target = Path(folder) / (_UNSAFE.sub("_", member.name.rpartition("/")[2])[-80:].lstrip(".") or "member")
                member.copy_to(target)
                with target.open("rb") as file:
                    digest = hashlib.file_digest(file, "sha256").digest()
                yield Inside(
                    name=member.name,
                    digest=digest,
                    size_bytes=member.size_bytes,
                    facts=look(target, models),
                )
                target.unlink()
        except MediaProblem as problem:
            yield _left_out(path, "(rest)", problem.reason, problem.message)


def _left_out(archive: Path, name: str, reason: str, message: str | None = None) -> Inside:
    mark = f"{archive.name}\0{name}\0{reason}".encode("utf-8", "surrogateescape")
    return Inside(
        name=name,
        digest=hashlib.sha256(mark).digest(),
        size_bytes=0,
        facts={"problem": message or f"left out of the archive: {reason.replace('_', ' ')}", "reason": reason},
    )


class MediaStore:
    """Prepared media by content. Safe to share between threads; what is asked for again is made once."""

    def __init__(self, folder: Path, models: Mapping[str, Any], allow_hosts: tuple[str, ...]) -> None:
        self._folder = folder
        self._models = models
        self._allow_hosts = allow_hosts
        self._cache: MediaCache | None = None
        self._opening = threading.Lock()

    @property
    def _media(self) -> MediaCache:
        with self._opening:  # a second cache would take what the first one is making for leftovers
            if self._cache is None:
                from hume_runner.media.cache import MediaCache

                self._cache = MediaCache(self._folder, max_bytes=_CACHE_BYTES)
            return self._cache

    def close(self) -> None:
        """Remove everything: it can be made again from the sources."""
        if self._cache is not None:
            self._cache.clear()

    @contextmanager
    def source(self, item: PlanItem) -> Iterator[Path]:
        """The item as a file: itself, or a URL's content, downloaded once. Raises: CannotPrepare."""
        inside = item.inside
        if item.path is not None and inside is None:
            yield item.path
            return
        if item.path is not None:
            archive = item.path
            with self._lease(item, {"what": "member"}, lambda folder: _unpack(archive, inside or "", folder)) as entry:
                yield entry.folder / "member"
            return
        with self._lease(item, {"what": "download"}, lambda folder: self._download(item.value, folder)) as entry:
            yield entry.folder / "download"

    def _download(self, url: str, folder: Path) -> Mapping[str, Any]:
        from hume_runner.client.addresses import AddressRule
        from hume_runner.client.download import Downloader, DownloadProblem
        from hume_runner.media.sniff import sniff

        def refuse(head: bytes) -> str | None:
            kind = sniff(head)
            return None if kind.family in ("image", "audio", "media") else f"the URL gives {kind.words}"

        try:
            got = Downloader(rule=AddressRule(self._allow_hosts)).fetch(url, folder / "download", refuse=refuse)
        except DownloadProblem as problem:
            raise CannotPrepare(problem.reason, problem.message) from None
        return {"sha256": got.sha256, "size": got.size_bytes}

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
    def still(self, item: PlanItem) -> Iterator[tuple[Path, int]]:
        """(path, bytes) of the item as a JPEG that the service takes. Raises: CannotPrepare."""
        from hume_runner.media.stills import prepare_still

        def make(folder: Path) -> Mapping[str, Any]:
            with self.source(item) as path:
                return {"size": prepare_still(path, folder, name="still.jpg").size_bytes}

        with self._lease(item, {"what": "still"}, make) as entry:
            yield entry.folder / "still.jpg", int(entry.facts["size"])

    @contextmanager
    def sound(self, item: PlanItem, max_body_bytes: int) -> Iterator[tuple[Path, Sound]]:
        """The item's sound as a plain WAV, and where to cut it. Raises: CannotPrepare."""
        from hume_runner.media.audio import prepare_audio
        from hume_runner.media.cuts import split, wav_levels

        def make(folder: Path) -> Mapping[str, Any]:
            with self.source(item) as path:
                wav = prepare_audio(path, folder, name="sound.wav")
                parts = split(wav_levels(wav.path), wav.samples, max_body_bytes=max_body_bytes)
                return {
                    "path": None if wav.path.parent == folder else str(wav.path),
                    "samples": wav.samples,
                    "start_ms": wav.start_ms,
                    "cuts": [[part.first_sample, part.samples] for part in parts],
                }

        with ExitStack() as stack:
            entry = stack.enter_context(self._lease(item, {"what": "sound", "body": max_body_bytes}, make))
            facts = entry.facts
            # A WAV that already conforms is sent from where it lies; if that was a download, it is held as well.
            own = facts["path"] is None
            path = entry.folder / "sound.wav" if own else stack.enter_context(self.source(item))
            yield (
                path,
                Sound(
                    samples=facts["samples"],
                    start_ms=facts["start_ms"],
                    cuts=tuple((first, samples) for first, samples in facts["cuts"]),
                ),
            )

    @contextmanager
    def frames(self, item: PlanItem) -> Iterator[tuple[Path, Frames]]:
        """(folder, frames): `000000.jpg` and on. Raises: CannotPrepare."""
        from hume_runner.media.frames import write_frames

        options = self._models.get("video") or {}
        fps, width = (options.get(name, OWN_DEFAULTS[name]) for name in ("fps", "max_width"))

        def make(folder: Path) -> Mapping[str, Any]:
            with self.source(item) as path:
                found = [(f.size_bytes, f.source_ms) for f in write_frames(path, folder, fps=fps, max_width=width)]
            return {"sizes": [size for size, _ in found], "times_ms": [ms for _, ms in found]}

        with self._lease(item, {"what": "frames", "fps": fps, "width": width}, make) as entry:
            facts = entry.facts
            yield entry.folder, Frames(sizes=tuple(facts["sizes"]), times_ms=tuple(facts["times_ms"]))

    @contextmanager
    def _lease(self, item: PlanItem, options: Mapping[str, Any], make: Any) -> Iterator[CachedMedia]:
        from hume_runner.media.cache import cache_key
        from hume_runner.media.problems import MediaProblem

        try:
            with self._media.lease(cache_key(item.content_sha256, options), make) as entry:
                yield entry
        except MediaProblem as problem:
            raise CannotPrepare(problem.reason, problem.message) from None


def _unpack(archive: Path, name: str, folder: Path) -> Mapping[str, Any]:
    from hume_runner.media.archives import Skipped, iter_members

    for member in iter_members(archive):
        if not isinstance(member, Skipped) and member.name == name:
            return {"size": member.copy_to(folder / "member")}
    raise CannotPrepare("source_changed", f"{archive.name} does not hold {name} any more")


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinedClips:
    """Short recordings as one, with silence between them: (path, samples) each, read from disk while they are sent."""

    clips: tuple[tuple[Path, int], ...]
    gap_samples: int
    filename: str
    content_type: str = "audio/wav"

    @property
    def samples(self) -> int:
        return sum(samples for _, samples in self.clips) + self.gap_samples * (len(self.clips) - 1)

    @property
    def size_bytes(self) -> int:
        return 44 + 2 * self.samples

    @contextmanager
    def open(self) -> Iterator[Readable]:
        yield _Pieces(self._bytes())

    def _bytes(self) -> Iterator[bytes]:
        from hume_runner.media.wav import WavSlice, plain_header

        yield plain_header(self.samples)
        for number, (path, samples) in enumerate(self.clips):
            if number:
                yield bytes(2 * self.gap_samples)
            with WavSlice(path, 0, samples) as clip:
                clip.seek(44)
                while chunk := clip.read(1 << 16):
                    yield chunk


class _Pieces:
    """Bytes that come in pieces, for somebody who reads."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def read(self, size: int, /) -> bytes:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return b""
            self._rest = piece
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


@dataclass(frozen=True, slots=True, kw_only=True)
class WavPart:
    """A run of samples of a prepared WAV as a part of an upload, read from disk while it is sent."""

    path: Path
    first_sample: int
    samples: int
    filename: str
    content_type: str = "audio/wav"

    @property
    def size_bytes(self) -> int:
        return 44 + 2 * self.samples

    def open(self) -> AbstractContextManager[Readable]:
        from hume_runner.media.wav import WavSlice

        return WavSlice(self.path, self.first_sample, self.samples)

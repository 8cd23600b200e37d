"""Media on their way to expression-v1: looked at, fetched, prepared, and kept on disk until they are measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from hume_runner.frozen import frozen
from hume_runner.hashes import sha256_of
from hume_runner.manifest.model import RetrySection
from hume_runner.media.audio import prepare_audio
from hume_runner.media.clock import ClockMap
from hume_runner.media.cuts import split, wav_levels
from hume_runner.media.frames import write_frames
from hume_runner.media.stills import prepare_still
from hume_runner.services.expression_v1.look import look
from hume_runner.services.expression_v1.settings import OWN_DEFAULTS, chosen_sound
from hume_runner.services.jobs import PlanItem
from hume_runner.services.remote_files import RemoteFiles
from hume_runner.services.source_store import SourceStore

FRAME_SAMPLES = 160  # of a level, see `media.cuts`
_FORM = 3  # of what the cache tells about what it holds


@frozen
class Frames:
    """A video's pictures on disk: sizes in bytes, SHA-256 in hex, and times in ms from the start of the video."""

    sizes: tuple[int, ...]
    digests: tuple[str, ...]
    times_ms: tuple[int, ...]


@frozen
class Still:
    """A picture as it is sent. `notes`: what people should know of it."""

    size_bytes: int
    sha256: str
    notes: tuple[str, ...] = ()


@frozen
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


def still_of(path: Path, folder: Path, /) -> Mapping[str, Any]:
    """The `Maker` of a picture: what the cache tells of it."""
    made = prepare_still(path, folder, name="still.jpg")
    return {"size": made.size_bytes, "sha256": sha256_of(folder / "still.jpg"), "notes": list(made.notes)}


def sound_of(
    path: Path, folder: Path, /, *, track: int | None, channel: int | None, max_body_bytes: int
) -> Mapping[str, Any]:
    """The `Maker` of a recording's sound: what the cache tells of it."""
    wav = prepare_audio(path, folder, name="sound.wav", track=track, channel=channel, chosen_by="models.audio.track")
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


def frames_of(path: Path, folder: Path, /, *, fps: float, max_width: int) -> Mapping[str, Any]:
    """The `Maker` of a video's pictures: what the cache tells of them."""
    found = [(f.size_bytes, f.source_ms) for f in write_frames(path, folder, fps=fps, max_width=max_width)]
    return {
        "sizes": [size for size, _ in found],
        "digests": [sha256_of(folder / f"{number:06}.jpg") for number in range(len(found))],
        "times_ms": [ms for _, ms in found],
    }


class MediaStore(SourceStore):
    """Prepared media by content."""

    def __init__(
        self,
        folder: Path,
        models: Mapping[str, Any],
        allow_hosts: tuple[str, ...],
        retry: RetrySection,
        remote: RemoteFiles | None = None,
    ) -> None:
        super().__init__(folder, allow_hosts, retry, remote)
        self._models = models

    def look(self, item: PlanItem) -> Mapping[str, Any]:
        """`look` at an item, fetched if it has to be. Raises: CannotPrepare."""
        return self.looked_at(item, lambda path: look(path, self._models))

    @contextmanager
    def still(self, item: PlanItem) -> Iterator[tuple[Path, Still]]:
        """The item as a JPEG that the service takes. Raises: CannotPrepare."""
        with self.made(item, {"what": "still", "form": _FORM}, still_of) as entry:
            facts = entry.facts
            notes = tuple(facts.get("notes", ()))  # an earlier version kept none
            still = Still(size_bytes=int(facts["size"]), sha256=str(facts["sha256"]), notes=notes)
            yield entry.folder / "still.jpg", still

    @contextmanager
    def sound(self, item: PlanItem, max_body_bytes: int) -> Iterator[tuple[Path, Sound]]:
        """The item's sound as a plain WAV, and where to cut it. Raises: CannotPrepare."""
        track, channel = chosen_sound(self._models, item.facts)
        with ExitStack() as stack:
            entry = stack.enter_context(
                self.made(
                    item,
                    {"what": "sound", "body": max_body_bytes, "form": _FORM, "track": track, "channel": channel},
                    sound_of,
                    track=track,
                    channel=channel,
                    max_body_bytes=max_body_bytes,
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
        what = {"what": "frames", "fps": fps, "width": width, "form": _FORM}
        with self.made(item, what, frames_of, fps=fps, max_width=width) as entry:
            facts = entry.facts
            frames = Frames(
                sizes=tuple(facts["sizes"]), digests=tuple(facts["digests"]), times_ms=tuple(facts["times_ms"])
            )
            yield entry.folder, frames

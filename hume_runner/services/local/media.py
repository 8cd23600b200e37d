"""Media on their way to the measurers: fetched, decoded to sound, cut in pauses, and kept until they are measured."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from hume_runner.frozen import frozen
from hume_runner.manifest.model import RetrySection
from hume_runner.media.audio import prepare_audio
from hume_runner.media.clock import ClockMap
from hume_runner.media.cuts import choose_cuts, wav_levels
from hume_runner.media.wav import RATE_HZ
from hume_runner.services.cannot_prepare import CannotPrepare
from hume_runner.services.jobs import PlanItem
from hume_runner.services.local.look import look
from hume_runner.services.local.parts import sound_pieces
from hume_runner.services.source_store import SourceStore

_FORM = 1  # of what the cache tells about what it holds


@frozen
class Sound:
    """A recording as 16 kHz sound. `clock` says where its samples lie in the source; `cuts` are (first, samples)."""

    samples: int
    clock: ClockMap
    cuts: tuple[tuple[int, int], ...]
    notes: tuple[str, ...]


def sound_of(path: Path, folder: Path, /) -> Mapping[str, Any]:
    """The `Maker` of a recording's sound: what the cache tells of it."""
    wav = prepare_audio(path, folder, name="sound.wav")
    pieces = sound_pieces(wav.samples / RATE_HZ)
    edges = (0, *choose_cuts(wav_levels(wav.path), wav.samples, pieces), wav.samples)
    return {
        "own": wav.path.parent == folder,
        "samples": wav.samples,
        "clock": wav.clock.to_json(),
        "notes": list(wav.notes),
        "cuts": [[begin, end - begin] for begin, end in pairwise(edges)],
    }


class LocalMedia(SourceStore):
    """Sources and their sound, by content."""

    def __init__(
        self, folder: Path, models: Mapping[str, Any], allow_hosts: tuple[str, ...], retry: RetrySection
    ) -> None:
        super().__init__(folder, allow_hosts, retry)
        self._models = models
        self._seen: dict[str, tuple[str, int, int, int]] = {}
        self._seeing = threading.Lock()

    def look(self, item: PlanItem) -> Mapping[str, Any]:
        """`look` at an item, fetched if it has to be. Raises: CannotPrepare."""
        return self.looked_at(item, lambda path: look(path, self._models))

    def unchanged(self, item: PlanItem) -> None:
        """The bytes are read once in a run, and again when the file's size, time or inode differ from what they were
        then. Raises: CannotPrepare for a file that does not hold any more what was planned."""
        if item.path is None:
            return  # a link is known by its address, and an object is hashed when it is fetched
        try:
            found = item.path.stat()
        except OSError as error:
            raise CannotPrepare("source_unreadable", f"{item.path.name}: {error.strerror}") from None
        now = (item.content_sha256, found.st_size, found.st_mtime_ns, found.st_ino)
        with self._seeing:
            if self._seen.get(str(item.path)) == now:
                return
        self.verify(item)
        with self._seeing:
            self._seen[str(item.path)] = now

    @contextmanager
    def sound(self, item: PlanItem) -> Iterator[tuple[Path, Sound]]:
        """The item's sound as a plain WAV, and where to cut it. Raises: CannotPrepare."""

        with self.made(item, {"what": "local sound", "form": _FORM}, sound_of) as entry:
            facts = entry.facts
            sound = Sound(
                samples=facts["samples"],
                clock=ClockMap.of_json(facts["clock"], facts["samples"]),
                cuts=tuple((first, samples) for first, samples in facts["cuts"]),
                notes=tuple(facts["notes"]),
            )
            if facts["own"]:
                yield entry.folder / "sound.wav", sound
            else:
                # A WAV that already is what is measured stays where it lies.
                with self.source(item) as path:
                    yield path, sound

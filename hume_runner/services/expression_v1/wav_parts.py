"""The sound of a request: a part of a recording, or short ones one after another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from hume_runner.frozen import frozen
from hume_runner.http.upload import Readable
from hume_runner.media.wav import WavSlice, plain_header
from hume_runner.services.cannot_prepare import CannotPrepare


def wav_digest(path: Path, first_sample: int, samples: int) -> str:
    """The SHA-256 of a passage as it is sent, header and all, in hex. Raises: CannotPrepare if it is not there."""
    digest = hashlib.sha256()
    try:
        with WavSlice(path, first_sample, samples) as passage:
            while chunk := passage.read(1 << 16):
                digest.update(chunk)
    except ValueError:
        raise CannotPrepare("source_changed", f"{path.name}: it became shorter since it was planned") from None
    return digest.hexdigest()


@frozen
class Clip:
    """A short recording; `sha256` as `wav_digest` tells it, where it is the user's own file."""

    path: Path
    samples: int
    sha256: str | None


@frozen
class JoinedClips:
    """Short recordings as one, with silence between them, read from disk while they are sent."""

    clips: tuple[Clip, ...]
    gap_samples: int
    filename: str
    content_type: str = "audio/wav"
    sha256: str | None = None  # each clip is checked by itself

    @property
    def samples(self) -> int:
        return sum(clip.samples for clip in self.clips) + self.gap_samples * (len(self.clips) - 1)

    @property
    def size_bytes(self) -> int:
        return 44 + 2 * self.samples

    @contextmanager
    def open(self) -> Iterator[Readable]:
        yield _Pieces(self._bytes())

    def _bytes(self) -> Iterator[bytes]:
        yield plain_header(self.samples)
        for number, clip in enumerate(self.clips):
            if number:
                yield bytes(2 * self.gap_samples)
            with WavSlice(clip.path, 0, clip.samples) as passage:
                digest = hashlib.sha256(passage.read(44) or b"")
                while chunk := passage.read(1 << 16):
                    digest.update(chunk)
                    yield chunk
            # A clip is followed by more, or by what the reader holds back: no whole request has left yet.
            if clip.sha256 is not None and digest.hexdigest() != clip.sha256:
                raise ValueError(f"{clip.path.name} changed")


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


@frozen
class WavPart:
    """A run of samples of a prepared WAV as a part of an upload, read from disk while it is sent."""

    path: Path
    first_sample: int
    samples: int
    filename: str
    sha256: str | None = None
    written_ns: int | None = None
    content_type: str = "audio/wav"

    @property
    def size_bytes(self) -> int:
        return 44 + 2 * self.samples

    def open(self) -> AbstractContextManager[Readable]:
        """Raises: ValueError for a prepared file that is not as it was made."""
        if self.written_ns is not None and self.path.stat().st_mtime_ns != self.written_ns:
            raise ValueError("it is not as it was prepared")
        return WavSlice(self.path, self.first_sample, self.samples)

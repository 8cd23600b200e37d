"""Any recording to what the service measures: 16 kHz mono signed 16-bit WAV with a plain 44-byte header."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hume_runner import aside
from hume_runner.media.libav import DECODER_THREADS, libav_problems, moving_picture, open_container
from hume_runner.media.problems import MediaProblem
from hume_runner.media.sniff import Kind, sniff_path, wrong_kind
from hume_runner.media.wav import BYTES_PER_SAMPLE, RATE_HZ, WavHeader, plain_header, plain_samples, read_header

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.resampler import AudioResampler
    from av.audio.stream import AudioStream
    from av.container import InputContainer

_NEEDED_FOR = "preparing recordings"
# Containers whose own duration can be trusted enough to tell a recording that was cut off.
_SAYS_ITS_LENGTH = frozenset({Kind.MP4, Kind.M4A, Kind.MOV, Kind.MATROSKA, Kind.WEBM, Kind.FLAC, Kind.AIFF})
_BAD_PACKETS_ALLOWED = 3  # a recorder's first and last packets are often damaged
_BAD_PACKET_SHARE = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedAudio:
    """A plain WAV on disk: the source itself where it already was one (`unchanged`).

    `start_ms` is where its first sample lies on the source's time line; above 0 only where a video's sound begins
    later than its picture. A time in an answer plus `start_ms` is a time in the source.
    """

    path: Path
    samples: int
    unchanged: bool
    start_ms: int = 0

    @property
    def duration_ms(self) -> int:
        """Rounded up, as a bill would be."""
        return -(-self.samples * 1000 // RATE_HZ)

    @property
    def size_bytes(self) -> int:
        return 44 + self.samples * BYTES_PER_SAMPLE


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioFacts:
    """What the headers say. `exact`: the duration is counted in samples, else it is the container's estimate."""

    kind: Kind
    has_audio: bool
    has_video: bool
    duration_ms: int | None
    exact: bool


def probe_audio(path: Path) -> AudioFacts:
    """A cheap look at a recording or video: headers only. Raises: MediaProblem for anything that is neither."""
    kind = _recording_kind(path)
    if kind is Kind.WAV:
        header = _complete_wav(path)
        duration = -(-header.samples * 1000 // header.rate_hz) if header.rate_hz else None
        return AudioFacts(
            kind=kind, has_audio=True, has_video=False, duration_ms=duration, exact=header.rate_hz == RATE_HZ
        )
    with open_container(path, kind, needed_for=_NEEDED_FOR) as container:
        sound = container.streams.audio[0] if container.streams.audio else None
        seconds = _declared_seconds(container, sound)
        return AudioFacts(
            kind=kind,
            has_audio=sound is not None,
            has_video=moving_picture(container) is not None,
            duration_ms=None if seconds is None else round(seconds * 1000),
            exact=False,
        )


def prepare_audio(path: Path, out_dir: Path, *, name: str = "audio.wav") -> PreparedAudio:
    """Write the first audio track as `out_dir/name`, or pass a file that already conforms as it is.

    Streams; deterministic: the same file gives the same bytes. A file that appears under `name` is complete.
    Raises: MediaProblem "no_audio", "empty", "truncated", "corrupt", "undecodable", "unsupported", "not_media", …
    """
    kind = _recording_kind(path)
    if kind is Kind.WAV:
        if (samples := plain_samples(path)) is not None:
            return PreparedAudio(path=path, samples=samples, unchanged=True)
        _complete_wav(path)
    with open_container(path, kind, needed_for=_NEEDED_FOR) as container:
        if not container.streams.audio:
            raise MediaProblem("no_audio", f"{path.name}: {kind.words} without a sound track")
        sound = container.streams.audio[0]
        declared_s = _declared_seconds(container, sound) if kind in _SAYS_ITS_LENGTH else None
        track = _Track(container, sound, path.name)
        samples = _write(track.pieces(), out_dir / name, path.name)
        if declared_s is not None and samples / RATE_HZ < declared_s * 0.98 - 0.5:
            (out_dir / name).unlink()
            raise MediaProblem(
                "truncated", f"{path.name} holds {samples / RATE_HZ:.1f} s of the {declared_s:.1f} s that it announces"
            )
        return PreparedAudio(path=out_dir / name, samples=samples, unchanged=False, start_ms=track.start_ms)


def _recording_kind(path: Path) -> Kind:
    kind = sniff_path(path)
    if kind.family not in {"audio", "media"}:
        raise wrong_kind(path.name, kind, "recording")
    return kind


def _complete_wav(path: Path) -> WavHeader:
    header = read_header(path)
    if header.truncated:
        raise MediaProblem(
            "truncated",
            f"{path.name} holds {header.data_bytes:,} bytes of the {header.declared_bytes or 0:,} that it announces",
        )
    if header.samples == 0:
        raise MediaProblem("empty", f"{path.name} holds no samples")
    return header


def _declared_seconds(container: InputContainer, stream: AudioStream | None) -> float | None:
    if stream is not None and stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return None if container.duration is None else container.duration / 1_000_000


class _Track:
    """One audio track, decoded and resampled piece by piece; `start_ms` is known once the first piece is out."""

    def __init__(self, container: InputContainer, stream: AudioStream, name: str) -> None:
        self._container = container
        self._stream = stream
        self._name = name
        self.start_ms = 0

    def pieces(self) -> Iterator[bytes]:
        """Little-endian 16-bit samples. A track that changes its rate or channels midway is followed."""
        from av.audio.resampler import AudioResampler

        resampler: AudioResampler | None = None
        shape: tuple[str, str, int] | None = None
        for frame in self._frames():
            if shape is None:
                self.start_ms = self._offset_ms(frame)
            if shape != (shape := (frame.format.name, frame.layout.name, frame.sample_rate)):
                yield from _drain(resampler)
                resampler = AudioResampler(format="s16", layout="mono", rate=RATE_HZ)
            assert resampler is not None
            frame.pts = None  # gaps in the clock are not filled: silence that nobody recorded would be billed
            for resampled in resampler.resample(frame):
                yield _bytes(resampled)
        yield from _drain(resampler)

    def _frames(self) -> Iterator[AudioFrame]:
        import av

        self._stream.codec_context.thread_count = DECODER_THREADS
        packets = bad = 0
        with libav_problems(self._name):
            for packet in self._container.demux(self._stream):
                packets += 1
                try:
                    frames = packet.decode()
                except av.error.InvalidDataError:
                    bad += 1
                    continue
                yield from frames
        if bad > max(_BAD_PACKETS_ALLOWED, packets * _BAD_PACKET_SHARE):
            raise MediaProblem("corrupt", f"{self._name}: {bad} of {packets} packets of sound cannot be decoded")

    def _offset_ms(self, first: AudioFrame) -> int:
        begin = self._container.start_time
        if first.pts is None or first.time_base is None or begin is None:
            return 0
        return max(0, round(first.pts * first.time_base * 1000 - begin / 1000))


def _drain(resampler: AudioResampler | None) -> Iterator[bytes]:
    if resampler is not None:
        for frame in resampler.resample(None):
            yield _bytes(frame)


def _bytes(frame: AudioFrame) -> bytes:
    # A plane is padded to an alignment; only the samples count.
    return bytes(memoryview(frame.planes[0])[: frame.samples * BYTES_PER_SAMPLE])


def _write(pieces: Iterator[bytes], target: Path, name: str) -> int:
    """Samples written. The header is filled in last, so a file that was not finished never looks like one."""
    size = 0
    with aside.written(target, durable=False) as file:
        file.write(bytes(44))
        for piece in pieces:
            file.write(piece)
            size += len(piece)
        if size == 0:
            raise MediaProblem("empty", f"{name} holds no sound")
        file.seek(0)
        file.write(plain_header(size // BYTES_PER_SAMPLE))
    return size // BYTES_PER_SAMPLE

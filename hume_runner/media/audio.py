"""Any recording to what the service measures: 16 kHz mono signed 16-bit WAV with a plain 44-byte header."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from hume_runner import aside
from hume_runner.frozen import frozen
from hume_runner.media.aiff import AiffHeader, read_aiff, whole_aiff
from hume_runner.media.clock import TICKS_MS, TICKS_S, ClockMap, ClockWriter, even
from hume_runner.media.libav import (
    DECODER_THREADS,
    declared_seconds,
    decoder_of,
    is_damage,
    libav_problems,
    open_container,
    sound_track,
)
from hume_runner.media.mixing import Comparison, Mixer, mixer
from hume_runner.media.ogg import ogg_links
from hume_runner.media.packets import TIMED, Packets
from hume_runner.media.problems import MediaProblem
from hume_runner.media.sniff import Kind, sniff_path, wrong_kind
from hume_runner.media.wav import (
    BYTES_PER_SAMPLE,
    RATE_HZ,
    Reheaded,
    WavHeader,
    plain_header,
    plain_samples,
    read_header,
    whole_wav,
)
from hume_runner.media.whole import check_length

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer

_NEEDED_FOR = "preparing recordings"
_BAD_PACKETS_ALLOWED = 3  # a recorder's first and last packets are often damaged
_BAD_PACKET_SHARE = 0.02


@frozen
class PreparedAudio:
    """A plain WAV on disk: the source itself where it already was one (`unchanged`).

    `clock` says where its samples lie in the source: later where a video's sound begins later than its picture, and
    farther apart than here where the sound has holes. `notes`: what of the source is measured, where that is not plain.
    """

    path: Path
    samples: int
    unchanged: bool
    clock: ClockMap
    notes: tuple[str, ...] = ()

    @property
    def start_ms(self) -> int:
        """Where the first sample lies in the source."""
        return max(0, round(self.clock.start / TICKS_MS))

    @property
    def duration_ms(self) -> int:
        """Rounded up, as a bill would be."""
        return -(-self.samples * 1000 // RATE_HZ)

    @property
    def size_bytes(self) -> int:
        return 44 + self.samples * BYTES_PER_SAMPLE


def prepare_audio(
    path: Path,
    out_dir: Path,
    *,
    name: str = "audio.wav",
    track: int | None = None,
    channel: int | None = None,
    chosen_by: str | None = None,
) -> PreparedAudio:
    """Write a sound track as `out_dir/name`, or pass a file that already conforms as it is.

    `track` counts from 1; without it, it is the one that players choose. `channel`, from 1, is taken alone; without it
    all are mixed, unless the mix is silent and they are not. `chosen_by`: which member of a manifest chooses a track,
    where one does.
    Streams; deterministic: the same file gives the same bytes. A file that appears under `name` is complete.
    Raises: MediaProblem "no_audio", "empty", "truncated", "corrupt", "undecodable", "unsupported", "not_media", …
    """
    kind = recording_kind(path)
    if kind is Kind.WAV and (samples := plain_samples(path)) is not None and (track or 1) == (channel or 1) == 1:
        return PreparedAudio(path=path, samples=samples, unchanged=True, clock=even(samples))
    links = list(open_links(path, kind))
    if len(links) > 1:
        return _prepare_chain(path, links, out_dir / name, track, channel)
    with links[0].open() as container:
        sound = sound_track(container, track)
        if sound is None:
            raise _no_sound(container, kind, path.name, track)
        declared_s = declared_seconds(container, sound)
        packets = Packets(container, kind, sound, track)
        decoded = _Track(packets, sound, path.name, timed=kind in TIMED, channel=channel)
        samples = _write(decoded.pieces(), out_dir / name, path.name)
        clock = decoded.clock.map()
        reached_s = max(clock.end / TICKS_S, packets.reached_us / 1_000_000 if kind in TIMED else 0)
        try:
            check_length(path, kind, declared_s=declared_s, reached_s=reached_s)
        except MediaProblem:
            (out_dir / name).unlink()
            raise
        told = _told_track(container, sound, chosen_by) if track is None else ()
        loudest = decoded.comparison.cancelled
    if loudest is None:
        return PreparedAudio(path=out_dir / name, samples=samples, unchanged=False, clock=clock, notes=told)
    alone = prepare_audio(path, out_dir, name=name, track=track, channel=loudest)
    cancelled = f"its channels cancel each other and their mix is silent; channel {loudest} is measured alone"
    return replace(alone, notes=(*told, cancelled))


def _told_track(container: InputContainer, sound: AudioStream, chosen_by: str | None) -> tuple[str, ...]:
    tracks = container.streams.audio
    if len(tracks) < 2:
        return ()
    number = 1 + [one.index for one in tracks].index(sound.index)
    another = f"; `{chosen_by}` chooses another" if chosen_by else ""
    return (f"sound track {number} of {len(tracks)} is measured{another}",)


def _no_sound(container: InputContainer, kind: Kind, name: str, track: int | None) -> MediaProblem:
    tracks = len(container.streams.audio)
    if tracks:
        return MediaProblem("no_audio", f"{name}: no sound track {track}; there are {tracks}")
    return MediaProblem("no_audio", f"{name}: {kind.words} without a sound track")


def _prepare_chain(
    path: Path, links: Sequence[Opened], target: Path, track: int | None, channel: int | None
) -> PreparedAudio:
    """Recordings one behind the other in one file: each may have its own rate and channels, and a clock from 0."""
    clock = ClockMap()

    def pieces() -> Iterator[bytes]:
        nonlocal clock
        for link in links:
            with link.open() as container:
                sound = sound_track(container, track)
                if sound is None:
                    continue
                packets = Packets(container, link.kind, sound, track)
                decoded = _Track(packets, sound, path.name, timed=link.kind in TIMED, channel=channel)
                yield from decoded.pieces()
                clock = clock.then(decoded.clock.map().shift(clock.end))

    samples = _write(pieces(), target, path.name)
    return PreparedAudio(path=target, samples=samples, unchanged=False, clock=clock)


def recording_kind(path: Path) -> Kind:
    kind = sniff_path(path)
    if kind.family not in {"audio", "media"}:
        raise wrong_kind(path.name, kind, "recording")
    return kind


@frozen
class Opened:
    """A recording, or one link of a chain of them, that `open` opens as often as it is asked.

    `seconds`: its length where bytes tell it, exactly; None where only packets do. `channels`: with that length.
    """

    kind: Kind
    open: Callable[[], AbstractContextManager[InputContainer]]
    seconds: Fraction | None = None
    channels: int | None = None


def open_links(path: Path, kind: Kind) -> Iterator[Opened]:
    """A recording in the parts that have to be read one after another: one, save for chained Ogg streams.

    What a header claims of its size is not passed on to a decoder unless the bytes hold it.
    Raises: MediaProblem "truncated", "corrupt", "empty"; and on opening "unsupported", "undecodable".
    """
    header = _honest_header(path, kind)
    if isinstance(header, WavHeader):
        yield _headed(path, Kind.WAV, lambda: whole_wav(path, header), header)
    elif isinstance(header, AiffHeader):
        yield _headed(path, kind, lambda: whole_aiff(path, header), header)
    else:
        parts = ogg_links(path) if kind is Kind.OGG else ()
        if len(parts) < 2:
            yield Opened(kind=kind, open=lambda: open_container(path, kind, needed_for=_NEEDED_FOR))
            return
        for begin, size in parts:
            yield Opened(
                kind=kind,
                open=lambda begin=begin, size=size: open_container(  # type: ignore[misc]
                    path, kind, needed_for=_NEEDED_FOR, content=Reheaded(path, b"", begin, size)
                ),
            )


def _headed(path: Path, kind: Kind, content: Callable[[], Reheaded], header: WavHeader | AiffHeader) -> Opened:
    return Opened(
        kind=kind,
        open=lambda: open_container(path, kind, needed_for=_NEEDED_FOR, content=content()),
        seconds=Fraction(header.samples, header.rate_hz) if header.samples and header.rate_hz else None,
        channels=header.channels,
    )


def _honest_header(path: Path, kind: Kind) -> WavHeader | AiffHeader | None:
    """The header of a WAV or AIFF file that holds what it announces; None for other kinds."""
    header: WavHeader | AiffHeader
    match kind:
        case Kind.WAV | Kind.W64:
            header = read_header(path)
        case Kind.AIFF:
            header = read_aiff(path)
        case _:
            return None
    if header.truncated:
        raise MediaProblem(
            "truncated",
            f"{path.name} holds {header.data_bytes:,} bytes of the {header.declared_bytes or 0:,} that it announces",
        )
    if header.unclaimed_bytes:
        raise MediaProblem(
            "corrupt",
            f"{path.name}: its header speaks of {header.data_bytes:,} bytes of samples, and {header.unclaimed_bytes:,} "
            "more follow that may be sound: the writer broke off, or wrote more than its header can say; write the "
            "header anew, for instance with `ffmpeg -ignore_length 1 -i IN.wav -c copy -rf64 auto OUT.wav`",
        )
    if not header.data_bytes or (header.frame_bytes and not header.samples):
        raise MediaProblem("empty", f"{path.name} holds no samples")
    return header


class _Track:
    """One audio track, decoded and resampled piece by piece; `clock` says where what came so far lies in the source."""

    def __init__(self, packets: Packets, stream: AudioStream, name: str, *, timed: bool, channel: int | None) -> None:
        self._packets = packets
        self._stream = stream
        self._name = name
        self._timed = timed
        self._channel = channel
        self._lost = Fraction(0)  # seconds of packets that could not be decoded, in formats without times
        self.clock = ClockWriter()
        self.comparison = Comparison()

    def pieces(self) -> Iterator[bytes]:
        """Little-endian 16-bit samples. A track that changes its rate or channels midway is followed.

        A hole is some silence here, however long it is: silence that nobody recorded would be billed.
        """
        resampler: Mixer | None = None
        shape: tuple[str, str, int] | None = None
        clock = self.clock
        written = begun = heard = 0  # samples given out; those before this resampler; what it was given, at its rate
        rate, ticks, compare = RATE_HZ, self._packets.ticks() if self._timed else None, self._channel is None
        for frame in self._frames():
            pts = frame.pts if ticks is not None else None
            at = self._behind() if pts is None or ticks is None else ticks(pts)
            silence = clock.silence_before(at)
            found = (frame.format.name, frame.layout.name, frame.sample_rate)
            if shape != found or silence:
                for piece in _drain(resampler):
                    written += len(piece) // BYTES_PER_SAMPLE
                    yield piece
                if silence:
                    yield bytes(BYTES_PER_SAMPLE * silence)
                    written += silence
                clock.reach(written)
                resampler, shape = mixer(frame, self._name, self._channel), found
                begun, heard, rate = written, 0, frame.sample_rate
            clock.place(at)
            assert resampler is not None
            count = frame.samples
            if compare and self.comparison.is_time(count / rate):
                self.comparison.hear(frame)
            frame.pts = None  # the resampler would fill holes and stretch what is late
            for resampled in resampler.resample(frame):
                piece = _bytes(resampled)
                written += len(piece) // BYTES_PER_SAMPLE
                yield piece
            heard += count
            clock.reach(begun + heard * RATE_HZ // rate)
        for piece in _drain(resampler):
            written += len(piece) // BYTES_PER_SAMPLE
            yield piece
        clock.reach(written)

    def _behind(self) -> int:
        """Where a frame lies that does not say so: behind the one before it, and behind what was lost between."""
        if not self._lost:
            return self.clock.end
        lost, self._lost = self._lost, Fraction(0)
        return self.clock.end + round(lost * TICKS_S)

    def _frames(self) -> Iterator[AudioFrame]:
        import av

        decoder = decoder_of(self._stream, self._name)
        decoder.thread_count = DECODER_THREADS
        packets = bad = heard = 0
        with libav_problems(self._name):
            for packet in self._packets:
                packets += 1
                try:
                    frames = decoder.decode(packet)
                except av.error.FFmpegError as error:  # garbage makes decoders say anything
                    if not is_damage(error):
                        raise
                    bad += 1
                    if not self._timed and packet.duration and packet.time_base:
                        self._lost += packet.duration * packet.time_base
                    continue
                heard += len(frames)
                yield from frames
        if bad and (not heard or bad > max(_BAD_PACKETS_ALLOWED, packets * _BAD_PACKET_SHARE)):
            raise MediaProblem("corrupt", f"{self._name}: {bad} of {packets} packets of sound cannot be decoded")


def _drain(resampler: Mixer | None) -> Iterator[bytes]:
    for frame in resampler.resample(None) if resampler is not None else ():
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

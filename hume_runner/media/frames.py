"""A video's pictures at a steady rate, each with its own time, one in memory at a time."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hume_runner import aside
from hume_runner.frozen import frozen
from hume_runner.media.jpeg import MAX_IMAGE_BYTES, Jpeg, encode_within, picture_budget, render, widest
from hume_runner.media.libav import (
    DECODER_THREADS,
    declared_seconds,
    decoder_of,
    is_damage,
    libav_problems,
    moving_picture,
    open_container,
)
from hume_runner.media.packets import Packets
from hume_runner.media.problems import MediaProblem
from hume_runner.media.sniff import Kind, sniff_path, wrong_kind
from hume_runner.media.whole import check_length

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

FRAME_QUALITY = 5  # what the service's own SDK extracts with
# What a display matrix means as an EXIF orientation: (whether rows become columns, whether left and right are swapped,
# whether top and bottom are), as seen.
_ORIENTATION_OF = {
    (False, False, False): 1,
    (False, True, False): 2,
    (False, True, True): 3,
    (False, False, True): 4,
    (True, False, False): 5,
    (True, True, False): 6,
    (True, True, True): 7,
    (True, False, True): 8,
}
_CLOCK_ROUNDING_S = Fraction(1, 500)
_BAD_PACKET_SHARE = 0.05
_REORDERED_S = 2  # a picture may be decoded so long before it is shown


@frozen
class Frame:
    """One picture. `source_ms` is when the video shows it, counted from the start of the file."""

    index: int
    source_ms: int
    jpeg: Jpeg


@frozen
class FrameFile:
    """A frame on disk, complete."""

    index: int
    source_ms: int
    path: Path
    size_bytes: int
    width: int
    height: int


def iter_frames(
    path: Path, *, fps: Fraction | float = 3, max_width: int = 1280, max_bytes: int = MAX_IMAGE_BYTES
) -> Iterator[Frame]:
    """The first picture at or after each tick of `fps`, upright, at most `max_width` wide.

    A picture that stays longer than a tick comes once: the same pixels need not be paid twice. So a video with few or
    irregular pictures gives fewer than duration x fps, and `source_ms` is what tells the time, never the index.
    Raises: MediaProblem "no_video", "undecodable", "truncated", "corrupt", "empty", …
    """
    for index, (at_s, frame, aspect) in enumerate(_taken(path, Fraction(fps))):
        size = widest(max(1, round(frame.width * aspect)), frame.height, max_width=max_width)
        with libav_problems(path.name):
            jpeg = encode_within(
                frame,
                pixel_aspect=aspect,
                orientation=_orientation(frame),
                max_width=max_width,
                best_quality=FRAME_QUALITY,
                max_bytes=min(max_bytes, picture_budget(*size)),
            )
        yield Frame(index=index, source_ms=round(at_s * 1000), jpeg=jpeg)


def iter_pixels(
    path: Path,
    *,
    fps: Fraction | float,
    max_width: int = 1280,
    begin_s: int = 0,
    end_s: int | None = None,
) -> Iterator[tuple[Fraction, VideoFrame]]:
    """(when the video shows it, the pixels) of the same pictures from `begin_s` to before `end_s`; what lies before is
    passed over without decoding it, as far as the format allows.

    The passages of a video give together what the whole does. A passage may be empty. Raises: as `iter_frames`.
    """
    for at_s, frame, aspect in _taken(path, Fraction(fps), begin_s, end_s):
        with libav_problems(path.name):
            pixels = render(frame, pixel_aspect=aspect, orientation=_orientation(frame), max_width=max_width)
        yield at_s, pixels


def _taken(
    path: Path, fps: Fraction, begin_s: int = 0, end_s: int | None = None
) -> Iterator[tuple[Fraction, VideoFrame, Fraction]]:
    """(seconds from the start of what a player shows, picture, width of a pixel in its heights)."""
    kind = sniff_path(path)
    if kind.family not in {"audio", "media"}:
        raise wrong_kind(path.name, kind, "video")
    with open_container(path, kind, needed_for="taking pictures from a video") as container:
        stream = moving_picture(container)
        if stream is None:
            raise MediaProblem("no_video", f"{path.name}: {kind.words} without moving pictures")
        taken = 0
        packets, declared_s = Packets(container, kind, stream), declared_seconds(container, stream)
        wanted = _from_key(packets, begin_s) if begin_s and kind is not Kind.AVI else iter(packets)
        for at_s, frame in _ticks(_shown(packets, wanted, kind, stream, path.name), fps, begin_s, end_s):
            taken += 1
            yield at_s, frame, stream.sample_aspect_ratio or Fraction(1)
        if end_s is None:
            check_length(path, kind, declared_s=declared_s, reached_s=packets.reached_us / 1_000_000)
        if not taken and not begin_s:
            raise MediaProblem("empty", f"{path.name}: the video holds no picture that can be decoded")


def write_frames(
    path: Path, out_dir: Path, *, fps: Fraction | float = 3, max_width: int = 1280, max_bytes: int = MAX_IMAGE_BYTES
) -> Iterator[FrameFile]:
    """`iter_frames`, each written as `out_dir/000000.jpg` and on, before the next is decoded."""
    for frame in iter_frames(path, fps=fps, max_width=max_width, max_bytes=max_bytes):
        target = out_dir / f"{frame.index:06}.jpg"
        aside.write(target, frame.jpeg.data, durable=False)
        yield FrameFile(
            index=frame.index,
            source_ms=frame.source_ms,
            path=target,
            size_bytes=len(frame.jpeg.data),
            width=frame.jpeg.width,
            height=frame.jpeg.height,
        )


def _orientation(frame: VideoFrame) -> int:
    """How to turn or mirror a picture, as EXIF numbers it; 1 where nothing says so."""
    from av.sidedata.sidedata import SideData

    matrix = frame.side_data.get("DISPLAYMATRIX")
    return orientation_of(bytes(matrix)) if isinstance(matrix, SideData) else 1


def orientation_of(display_matrix: bytes) -> int:
    """The EXIF orientation of a display matrix, nine numbers of 32 bits in this machine's order; the nearest one of
    the eight where it turns by another angle."""
    across, down, _, across_of_row, down_of_row, *_ = struct.unpack("=9i", display_matrix)
    if abs(across) + abs(down_of_row) >= abs(down) + abs(across_of_row):
        return _ORIENTATION_OF[False, across < 0, down_of_row < 0]
    return _ORIENTATION_OF[True, across_of_row < 0, down < 0]


def _ticks(
    shown: Iterator[tuple[Fraction, VideoFrame]], fps: Fraction, begin_s: int = 0, end_s: int | None = None
) -> Iterator[tuple[Fraction, VideoFrame]]:
    """Thin out to `fps`. A little tolerance: containers round times to a millisecond."""
    if fps <= 0:
        raise ValueError("fps must be above 0")
    tick, tolerance = -int(-begin_s * fps // 1), _CLOCK_ROUNDING_S * fps
    for at_s, frame in shown:
        if end_s is not None and int(at_s * fps + tolerance) >= end_s * fps:
            return
        if at_s * fps >= tick - tolerance:
            yield at_s, frame
            tick = int(at_s * fps + tolerance) + 1


def _from_key(packets: Packets, begin_s: int) -> Iterator[Packet[Any]]:
    """The packets from the last picture on that stands by itself and is shown before `begin_s`."""
    held: list[Packet[Any]] = []
    waiting = True
    for packet in packets:
        if not waiting:
            yield packet
            continue
        if packet.is_keyframe:
            held.clear()
        held.append(packet)
        times = [time for time in (packet.pts, packet.dts) if time is not None]
        at_s = packets.since_start(min(times), packet.time_base) if times and packet.time_base else None
        if at_s is None or at_s >= begin_s - _REORDERED_S:
            waiting = False
            yield from held
    yield from held if waiting else ()


def _shown(
    packets: Packets, wanted: Iterator[Packet[Any]], kind: Kind, stream: VideoStream, name: str
) -> Iterator[tuple[Fraction, VideoFrame]]:
    """Every picture with its time in seconds from the start of what a player shows, in that order."""
    import av

    decoder = decoder_of(stream, name)
    decoder.thread_count = DECODER_THREADS
    count = bad = 0
    latest = Fraction(-1)
    step = 1 / (stream.average_rate or Fraction(25))
    with libav_problems(name):
        for packet in wanted:
            count += 1
            if kind is Kind.AVI:
                packet.pts = None  # the format has none, and what libav makes up goes back where pictures are reordered
            try:
                frames = decoder.decode(packet)
            except av.error.FFmpegError as error:  # garbage makes decoders say anything
                if not is_damage(error):
                    raise
                bad += 1
                continue
            for frame in frames:
                pts = frame.dts if frame.pts is None else frame.pts
                if pts is not None and frame.time_base is not None:
                    at_s = max(Fraction(0), packets.since_start(pts, frame.time_base))
                else:  # the first of all, or one that the decoder held back to the end
                    at_s = latest + step if latest >= 0 else Fraction(0)
                if at_s > latest:  # a picture that comes too late is one that a player does not show
                    latest = at_s
                    yield at_s, frame
    if bad > max(3, count * _BAD_PACKET_SHARE):
        raise MediaProblem("corrupt", f"{name}: {bad} of {count} packets of video cannot be decoded")

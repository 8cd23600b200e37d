"""Decoded pictures to JPEG within the service's limits, through libav's scaler and MJPEG encoder."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import isqrt
from typing import TYPE_CHECKING

from hume_runner.frozen import frozen
from hume_runner.media.problems import MediaProblem

if TYPE_CHECKING:
    from av.filter.context import FilterContext
    from av.video.frame import VideoFrame

MAX_IMAGE_BYTES = 1_999_999  # the service takes less than 2,000,000
MAX_IMAGE_PIXELS = 8_294_400  # 3840 x 2160, in any shape
PICTURE_BYTES = 414_000  # sixty, with what a form puts around each, in a request of 24.9 MB

# libav's quality scale, 2 (best) to 31. A picture that is still too large at the last one is made smaller.
_QUALITIES = (2, 3, 5, 8, 12, 18)
_SHRINK = Fraction(3, 4)
_WITH_ALPHA = frozenset({"pal8", "rgba", "bgra", "argb", "abgr", "ya8", "ya16be", "ya16le", "gbrap"})

# As ITU-T H.273 numbers them. The scaler refuses others ("Function not implemented").
_BT709, _UNSPECIFIED, _BT601 = 1, 2, 6
_KNOWN_MATRICES = frozenset({_BT709, _UNSPECIFIED, 4, 5, _BT601, 7, 9})
_KNOWN_PRIMARIES = frozenset({1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 22})
_KNOWN_TRANSFERS = frozenset(range(1, 19)) - {3}
_HD_WIDTH, _HD_HEIGHT = 1280, 720

# EXIF orientation -> the libav filters that turn stored pixels into what people see.
ORIENTATION_FILTERS: dict[int, tuple[tuple[str, str], ...]] = {
    1: (),
    2: (("hflip", ""),),
    3: (("hflip", ""), ("vflip", "")),
    4: (("vflip", ""),),
    5: (("transpose", "cclock_flip"),),
    6: (("transpose", "clock"),),
    7: (("transpose", "clock_flip"),),
    8: (("transpose", "cclock"),),
}


@frozen
class Jpeg:
    """One complete baseline JPEG in memory. Width and height are those of the file."""

    data: bytes
    width: int
    height: int


def fit(
    width: int, height: int, *, max_width: int | None = None, max_pixels: int = MAX_IMAGE_PIXELS
) -> tuple[int, int]:
    """The largest size of the same shape within both limits; never larger than the picture itself."""
    if max_width is not None and width > max_width:
        width, height = max_width, max(1, round(height * max_width / width))
    if width * height > max_pixels:
        # Both sides round down, so that the product cannot exceed the limit by one row.
        scaled_width = max(1, isqrt(max_pixels * width // height))
        width, height = scaled_width, max(1, min(height * scaled_width // width, max_pixels // scaled_width))
    return width, height


def widest(width: int, height: int, *, max_width: int) -> tuple[int, int]:
    """`fit` of a picture that may be turned: the larger of the two."""
    return max(
        fit(width, height, max_width=max_width), fit(height, width, max_width=max_width), key=lambda s: s[0] * s[1]
    )


def picture_budget(width: int, height: int) -> int:
    """The most bytes of one picture of a video in this size: so many that sixty go into one request, which keeps the
    bill one that is known beforehand; larger pictures may have a fifth of a byte a pixel."""
    return min(MAX_IMAGE_BYTES, max(PICTURE_BYTES, width * height // 5))


def has_alpha(format_name: str) -> bool:
    return format_name in _WITH_ALPHA or format_name.startswith(("yuva", "rgba64", "bgra64"))


def encode_within(
    frame: VideoFrame,
    *,
    orientation: int = 1,
    pixel_aspect: Fraction = Fraction(1),
    max_width: int | None = None,
    best_quality: int = 2,
    max_bytes: int = MAX_IMAGE_BYTES,
    max_pixels: int = MAX_IMAGE_PIXELS,
    flatten: bool = False,
) -> Jpeg:
    """The frame upright, on white where it is transparent (`flatten`), and as good as the limits allow.

    `max_width` is meant after turning. Deterministic: the same pixels give the same bytes.
    Raises: MediaProblem "too_large" when no quality and no size fits (limits far below the service's).
    """
    width, height = _size(frame, orientation, pixel_aspect, max_width, max_pixels)
    while True:
        pixels = _render(frame, _stored(width, height, orientation), orientation, flatten)
        for quality in (best_quality, *(q for q in _QUALITIES if q > best_quality)):
            data = _encode(pixels, quality)
            if len(data) <= max_bytes:
                return Jpeg(data=data, width=pixels.width, height=pixels.height)
        if width * height <= 1:
            raise MediaProblem("too_large", f"no JPEG of this picture fits {max_bytes} bytes")
        width, height = max(1, int(width * _SHRINK)), max(1, int(height * _SHRINK))


def render(
    frame: VideoFrame,
    *,
    orientation: int = 1,
    pixel_aspect: Fraction = Fraction(1),
    max_width: int | None = None,
    max_pixels: int = MAX_IMAGE_PIXELS,
    flatten: bool = False,
) -> VideoFrame:
    """The pixels that `encode_within` encodes, in the largest size that it tries."""
    width, height = _size(frame, orientation, pixel_aspect, max_width, max_pixels)
    return _render(frame, _stored(width, height, orientation), orientation, flatten)


def _size(
    frame: VideoFrame, orientation: int, pixel_aspect: Fraction, max_width: int | None, max_pixels: int
) -> tuple[int, int]:
    """The size as people see it, within the limits."""
    # Anamorphic video is widened to the shape that people see; a face detector was trained on that.
    square_width = max(1, round(frame.width * pixel_aspect))
    shown = (frame.height, square_width) if orientation >= 5 else (square_width, frame.height)
    return fit(*shown, max_width=max_width, max_pixels=max_pixels)


def _stored(width: int, height: int, orientation: int) -> tuple[int, int]:
    return (height, width) if orientation >= 5 else (width, height)


def _render(frame: VideoFrame, stored: tuple[int, int], orientation: int, flatten: bool) -> VideoFrame:
    """Scale, composite, turn; full-range BT.601 as JFIF wants it, whatever the video was made in."""
    from av.filter import Graph

    width, height = stored
    graph = Graph()
    last: FilterContext = graph.add("buffer", _buffer_arguments(frame))
    if frame.interlaced_frame:
        # Two fields, taken at two moments, would comb whatever moves: the first one is shown, and its gaps are filled
        # from itself, since the pictures before and behind are not at hand.
        last = _chain(last, graph.add("estdif", "mode=frame:deint=all"))
    scale = f"{width}:{height}:flags=bicubic+accurate_rnd+bitexact"
    if flatten:
        last = _chain(last, graph.add("scale", scale), graph.add("format", "rgba"))
        last = _on_white(graph, last, width, height)
        scale = "iw:ih:flags=accurate_rnd+bitexact"
    for name, arguments in (
        ("scale", f"{scale}:out_range=full:out_color_matrix=bt601"),
        ("format", "yuvj420p"),
        *ORIENTATION_FILTERS[orientation],
    ):
        last = _chain(last, graph.add(name, arguments))
    _chain(last, graph.add("buffersink"))
    graph.configure()
    graph.vpush(frame)
    graph.vpush(None)
    return graph.vpull()


def _buffer_arguments(frame: VideoFrame) -> str:
    _with_a_usual_matrix(frame)
    arguments = f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:time_base=1/1000:pixel_aspect=1/1"
    if not frame.format.is_rgb:
        arguments += f":colorspace={int(frame.colorspace)}:range={int(frame.color_range)}"
    return arguments


def _with_a_usual_matrix(frame: VideoFrame) -> None:
    """A matrix that the scaler does not know, or that is no matrix of such pixels, becomes the usual one of that size.

    Tags are what a muxer was told: BT.2020 with constant luminance, YCgCo or RGB stand on ordinary pixels.
    """
    if not frame.format.is_rgb and int(frame.colorspace) not in _KNOWN_MATRICES:
        frame.colorspace = _BT709 if frame.width >= _HD_WIDTH or frame.height >= _HD_HEIGHT else _BT601
    if int(frame.color_primaries) not in _KNOWN_PRIMARIES:
        frame.color_primaries = _UNSPECIFIED
    if int(frame.color_trc) not in _KNOWN_TRANSFERS:
        frame.color_trc = _UNSPECIFIED


def _on_white(graph: object, picture: FilterContext, width: int, height: int) -> FilterContext:
    add = graph.add  # type: ignore[attr-defined]
    paper = _chain(add("color", f"color=white:size={width}x{height}:rate=1:duration=1"), add("format", "rgba"))
    overlay: FilterContext = add("overlay", "format=gbrp:eof_action=repeat")
    paper.link_to(overlay, 0, 0)
    picture.link_to(overlay, 0, 1)
    return overlay


def _chain(*filters: FilterContext) -> FilterContext:
    for before, after in pairwise(filters):
        before.link_to(after)
    return filters[-1]


def _encode(frame: VideoFrame, quality: int) -> bytes:
    from av.codec.context import Flags
    from av.video.codeccontext import VideoCodecContext

    encoder = VideoCodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, "yuvj420p"
    encoder.time_base = Fraction(1, 1000)
    encoder.sample_aspect_ratio = Fraction(1, 1)  # makes libav write the JFIF header
    encoder.qmin = encoder.qmax = quality
    encoder.flags |= Flags.bitexact  # no comment with the library's version: same pixels, same bytes
    encoder.thread_count = 1
    return b"".join(bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode(None)))

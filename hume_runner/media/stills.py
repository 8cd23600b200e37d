"""Pictures to the JPEGs that the service takes: upright, 8-bit, within its limits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from hume_runner import aside
from hume_runner.frozen import frozen
from hume_runner.media.jpeg import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS, Jpeg, encode_within, has_alpha, render
from hume_runner.media.libav import libav_problems, load_av
from hume_runner.media.pictures import MAX_DECODED_PIXELS, JpegFacts, check_picture, is_animation, read_jpeg
from hume_runner.media.problems import MediaProblem
from hume_runner.media.sniff import Kind, sniff_path, wrong_kind

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

# A decoder needs the picture in memory as a whole; this and MAX_DECODED_PIXELS bound how much that is.
MAX_FILE_BYTES = 64_000_000
_DECODERS = {Kind.JPEG: "mjpeg", Kind.PNG: "png", Kind.WEBP: "webp", Kind.GIF: "gif", Kind.BMP: "bmp"}


@frozen
class PreparedStill:
    """A JPEG on disk. `unchanged`: the source's own bytes (without what followed the picture) were good as they are.

    `notes`: what of the source is measured, where that is not plain.
    """

    path: Path
    size_bytes: int
    width: int
    height: int
    unchanged: bool
    notes: tuple[str, ...] = ()


def prepare_still(
    path: Path,
    out_dir: Path,
    *,
    name: str = "still.jpg",
    max_bytes: int = MAX_IMAGE_BYTES,
    max_pixels: int = MAX_IMAGE_PIXELS,
) -> PreparedStill:
    """Write the picture as `out_dir/name`.

    A JPEG that already fits and stands upright keeps its bytes; anything else is decoded, composited on white, turned,
    scaled and encoded. Deterministic.
    Raises: MediaProblem.
    """
    jpeg, unchanged, notes = _prepared(path, max_bytes, max_pixels)
    target = out_dir / name
    aside.write(target, jpeg.data, durable=False)
    return PreparedStill(
        path=target,
        size_bytes=len(jpeg.data),
        width=jpeg.width,
        height=jpeg.height,
        unchanged=unchanged,
        notes=notes,
    )


def _prepared(path: Path, max_bytes: int, max_pixels: int) -> tuple[Jpeg, bool, tuple[str, ...]]:
    """(the picture as it is sent, whether it keeps its bytes, notes)."""
    kind, data = _read(path)
    orientation = check_picture(data, kind, path.name)
    # One bad picture fails a whole request, so even one that passes unchanged is decoded once.
    frame = _decode(data, kind, path.name)
    if kind is Kind.JPEG and _fits(facts := read_jpeg(data, path.name), max_bytes, max_pixels):
        return Jpeg(data=data[: facts.end], width=facts.width, height=facts.height), True, ()
    flatten = _is_transparent(kind, frame)
    with libav_problems(path.name):
        jpeg = encode_within(
            frame, orientation=orientation, max_bytes=max_bytes, max_pixels=max_pixels, flatten=flatten
        )
    moves = is_animation(data, kind)
    return jpeg, False, ("it moves, and its first picture is measured; save it as a video for all of them",) * moves


def still_pixels(path: Path) -> VideoFrame:
    """The picture decoded, upright, on white where it is transparent, within the pixels that are sent at the most.
    Raises: MediaProblem.
    """
    kind, data = _read(path)
    orientation = check_picture(data, kind, path.name)
    frame = _decode(data, kind, path.name)
    with libav_problems(path.name):
        return render(frame, orientation=orientation, flatten=_is_transparent(kind, frame))


def _read(path: Path) -> tuple[Kind, bytes]:
    kind = picture_kind(path)
    if (size := path.stat().st_size) > MAX_FILE_BYTES:
        raise MediaProblem("too_large", f"{path.name}: {size:,} bytes; pictures up to {MAX_FILE_BYTES:,} are read")
    return kind, path.read_bytes()


def _is_transparent(kind: Kind, frame: VideoFrame) -> bool:
    # A four-component JPEG arrives as gbrap; its fourth plane is no transparency.
    return kind is not Kind.JPEG and has_alpha(frame.format.name)


def weigh_still(path: Path) -> int:
    """The most bytes that the prepared picture has: its own where they pass unchanged, else what it comes to when it is
    encoded.
    A picture that cannot be prepared weighs as much as one may.

    Raises: MediaProblem for what is no picture that can be prepared, by its first bytes.
    """
    kind = picture_kind(path)
    try:
        if kind is Kind.JPEG and path.stat().st_size <= MAX_FILE_BYTES:
            facts = read_jpeg(path.read_bytes(), path.name)
            if _fits(facts, MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS):
                return facts.end
        return len(_prepared(path, MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS)[0].data)
    except MediaProblem:
        return MAX_IMAGE_BYTES


def picture_kind(path: Path) -> Kind:
    """The kind of a picture that can be prepared; cheap. Raises: MediaProblem for anything else."""
    kind = sniff_path(path)
    if kind.family != "image":
        raise wrong_kind(path.name, kind, "picture")
    if kind not in _DECODERS:
        raise MediaProblem(
            "unsupported", f"{path.name} is {kind.words}, which cannot be decoded here; save it as JPEG or PNG"
        )
    return kind


def _fits(facts: JpegFacts, max_bytes: int, max_pixels: int) -> bool:
    return (
        facts.orientation == 1
        and facts.bits == 8
        and facts.components in {1, 3}
        and facts.process in {0xC0, 0xC1, 0xC2}
        and facts.end <= max_bytes
        and facts.width * facts.height <= max_pixels
    )


def _decode(data: bytes, kind: Kind, name: str) -> VideoFrame:
    """The first frame, through the one decoder of that kind, strict about damage."""
    av = load_av("preparing pictures")
    decoder = av.CodecContext.create(_DECODERS[kind], "r")
    decoder.thread_count = 1  # a second thread delays errors past the frame that they belong to
    decoder.options = {"err_detect": "explode", "max_pixels": str(MAX_DECODED_PIXELS)}
    with libav_problems(name):
        frames = [*decoder.decode(av.Packet(data)), *decoder.decode(None)]
    if not frames:
        raise MediaProblem("undecodable", f"{name}: {kind.words} without a picture")
    frame: VideoFrame = frames[0]
    if frame.is_corrupt:
        raise MediaProblem("corrupt", f"{name}: {kind.words} with damaged data")
    return frame

"""Pictures as players show them: upright and not mirrored, one moment in each, in colours that are near."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from hume_runner.media.frames import iter_frames, orientation_of
from hume_runner.media.pictures import exif_orientation
from hume_runner.media.stills import prepare_still
from tests.media.ffmpeg_files import ffmpeg
from tests.media_files import picture_bytes
from tests.tiers import sampled

CORNERS = {"R": (255, 0, 0), "G": (0, 255, 0), "B": (0, 0, 255), "W": (255, 255, 255)}
# What becomes of the corners R G over B W.
SHOWN = {
    1: "RGBW", 2: "GRWB", 3: "WBGR", 4: "BWRG", 5: "RBGW", 6: "BRWG", 7: "WGBR", 8: "GWRB",
}  # fmt: skip
# a, b, c, d of a display matrix: across = a x + c y, down = b x + d y
MATRICES = {
    1: (1, 0, 0, 1), 2: (-1, 0, 0, 1), 3: (-1, 0, 0, -1), 4: (1, 0, 0, -1),
    5: (0, 1, 1, 0), 6: (0, 1, -1, 0), 7: (0, -1, -1, 0), 8: (0, -1, 1, 0),
}  # fmt: skip


def corners(width: int = 64, height: int = 48) -> Image.Image:
    image = Image.new("RGB", (width, height))
    for number, colour in enumerate(CORNERS.values()):
        image.paste(colour, (width // 2 * (number % 2), height // 2 * (number // 2), width, height))
        if number % 2 == 0:
            image.paste(colour, (0, height // 2 * (number // 2), width // 2, height))
    return image


def named(data: bytes) -> str:
    """The corners of a picture by their colours, rows from the top."""
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)
    height, width, _ = pixels.shape
    spots = [pixels[height // 4 * y, width // 4 * x] for y in (1, 3) for x in (1, 3)]
    return "".join(min(CORNERS, key=lambda one: np.abs(np.array(CORNERS[one]) - spot).sum()) for spot in spots)


def matrix(a: float, b: float, c: float, d: float) -> tuple[int, ...]:
    return (
        *(round(65536 * value) for value in (a, b)),
        0,
        *(round(65536 * value) for value in (c, d)),
        0,
        0,
        0,
        1 << 30,
    )


def with_matrix(path: Path, numbers: tuple[int, ...]) -> Path:
    """The picture track's own matrix in an MP4 file becomes this one."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 4 + 20 + 16  # version 0: five numbers, then reserved, layer, volume
    data[at : at + 36] = struct.pack(">9i", *numbers)
    path.write_bytes(data)
    return path


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("corners")
    corners().save(folder / "corners.png")
    ffmpeg("-i", folder / "corners.png", "-c:v", "libx264", "-pix_fmt", "yuv420p", folder / "a.mp4")
    return (folder / "a.mp4").read_bytes()


@sampled(3)
@pytest.mark.parametrize("orientation", MATRICES)
def test_a_display_matrix_turns_and_mirrors(orientation: int, video: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(video)
    with_matrix(path, matrix(*MATRICES[orientation]))
    [frame] = iter_frames(path)
    assert named(frame.jpeg.data) == SHOWN[orientation]
    assert (frame.jpeg.width > frame.jpeg.height) == (orientation < 5)
    its = ffmpeg("-i", path, "-frames:v", 1, "-f", "image2pipe", "-c:v", "png", "-")
    assert named(its) == SHOWN[orientation]


@pytest.mark.parametrize("orientation", MATRICES)
def test_a_matrix_that_is_a_little_off_is_the_nearest_one(orientation: int) -> None:
    a, b, c, d = MATRICES[orientation]
    turned = np.array([[a, b], [c, d]]) @ np.array([[0.94, 0.34], [-0.34, 0.94]])
    assert orientation_of(struct.pack("=9i", *matrix(*turned.reshape(-1).tolist()))) == orientation
    assert orientation_of(struct.pack("=9i", *matrix(a * 3, b * 3, c * 3, d * 3))) == orientation
    assert orientation_of(bytes(36)) == 1


# -- EXIF -------------------------------------------------------------------------------------------------------------


def exif(orientation: int, kind: int, form: str, *, order: str = "<") -> bytes:
    mark = b"II*\0" if order == "<" else b"MM\0*"
    value = struct.pack(f"{order}{form}", orientation).ljust(4, b"\0")
    return mark + struct.pack(f"{order}IHHHI", 8, 1, 0x0112, kind, 1) + value + bytes(4)


@sampled(24)
@pytest.mark.parametrize("orientation", SHOWN)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("kind", "form"), [(1, "B"), (3, "H"), (4, "I"), (6, "b"), (8, "h"), (9, "i")])
def test_an_orientation_of_any_whole_type_is_obeyed(
    kind: int, form: str, order: str, orientation: int, tmp_path: Path
) -> None:
    block = exif(orientation, kind, form, order=order)
    assert exif_orientation(block) == orientation
    plain = picture_bytes(corners(), quality=95)
    segment = b"Exif\0\0" + block
    path = tmp_path / "a.jpg"
    path.write_bytes(plain[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + plain[2:])
    assert named(prepare_still(path, tmp_path).path.read_bytes()) == SHOWN[orientation]


@pytest.mark.parametrize(
    ("kind", "form", "value"), [(4, "I", 0), (9, "i", -1), (4, "I", 65_542), (5, "I", 6), (2, "B", 6)]
)
def test_an_orientation_that_makes_no_sense_is_none(kind: int, form: str, value: int) -> None:
    assert exif_orientation(exif(value, kind, form)) == 1


# -- interlaced pictures ----------------------------------------------------------------------------------------------


def combing(pixels: NDArray[np.uint8]) -> float:
    """How much more neighbouring rows differ than rows of one field."""
    rows = pixels.astype(int)
    near = np.abs(rows[1:-1] - rows[2:]).mean()
    field = np.abs(rows[:-2] - rows[2:]).mean()
    return float(near - field)


@pytest.mark.sweep
@sampled(2)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mpg", ("-c:v", "mpeg2video", "-flags", "+ildct+ilme", "-q:v", "2")),
        ("a.ts", ("-c:v", "mpeg2video", "-flags", "+ildct+ilme", "-q:v", "2")),
        ("a.mp4", ("-c:v", "libx264", "-flags", "+ildct+ilme", "-x264-params", "tff=1")),
        ("bff.mp4", ("-c:v", "libx264", "-flags", "+ildct+ilme", "-x264-params", "bff=1")),
        ("a.mkv", ("-c:v", "mpeg4", "-flags", "+ildct+ilme", "-q:v", "2")),
    ],
)
def test_interlaced_pictures_do_not_comb(name: str, options: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / name
    bar = "color=black:s=160x96:r=50:d=0.3,format=gray,geq=lum='if(between(X-400*T,10,40),235,16)',format=yuv420p"
    order = "interleave_bottom" if name.startswith("bff") else "interleave_top"
    ffmpeg("-f", "lavfi", "-i", f"{bar},tinterlace={order}", *options, path)
    its = np.frombuffer(ffmpeg("-i", path, "-f", "rawvideo", "-pix_fmt", "gray", "-"), np.uint8).reshape(-1, 96, 160)
    assert max(map(combing, its)) > 5, "the file combs, so that this proves something"
    for frame in iter_frames(path, fps=25):
        pixels = np.asarray(Image.open(io.BytesIO(frame.jpeg.data)).convert("L"))
        assert pixels.shape == (96, 160)
        assert combing(pixels) < 1
        assert pixels.max() > 200, "what moves is still there"


# -- colours ----------------------------------------------------------------------------------------------------------


@sampled(3)
@pytest.mark.parametrize("matrix_number", [0, 3, 8, 10, 11, 12, 13, 14, 15, 200])
@pytest.mark.parametrize("others", [2, 3, 12, 99])
def test_an_odd_colour_tag_costs_no_picture(matrix_number: int, others: int, video: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(video)
    tags = f"matrix_coefficients={matrix_number}:colour_primaries={others}:transfer_characteristics={others}"
    ffmpeg("-i", tmp_path / "a.mp4", "-c", "copy", "-bsf:v", f"h264_metadata={tags}", tmp_path / "tagged.mp4")
    [frame] = iter_frames(tmp_path / "tagged.mp4")
    assert named(frame.jpeg.data) == SHOWN[1]

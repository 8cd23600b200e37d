"""Pixels for the face models: a picture made smaller once, and squares cut out of that, upright or turned.

Blocks of pixels are averaged first, so that a large picture is not sampled at a few scattered points. Beside the
picture itself that needs a few megabytes, however large it is. numpy alone; no picture library.
"""

from __future__ import annotations

from math import ceil, cos, floor, sin
from typing import TYPE_CHECKING, Any

import numpy as np

from hume_runner.frozen import frozen

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WHITE = 255


@frozen
class Square:
    """A square of a picture: centre and side in pixels, turned by `angle` (radians, clockwise as one sees it)."""

    x: float
    y: float
    side: float
    angle: float = 0.0

    def to_picture(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Points of the square, (…, 2) from 0 to 1, as pixels of the picture."""
        # Written out: a product of matrices this long would wake the threads of a BLAS.
        right = (points[..., 0] - np.float32(0.5)) * np.float32(self.side)
        down = (points[..., 1] - np.float32(0.5)) * np.float32(self.side)
        cosine, sine = np.float32(cos(self.angle)), np.float32(sin(self.angle))
        return np.stack(
            [
                right * cosine - down * sine + np.float32(self.x),
                right * sine + down * cosine + np.float32(self.y),
            ],
            axis=-1,
        )


@frozen
class Shrunk:
    """A part of a picture as means of blocks of `block` by `block` pixels, from 0 to 255: (height, width, 3).

    `left`, `top`: the first pixel of that part. `picture`: width and height of the whole.
    """

    means: NDArray[np.float32]
    block: int
    left: int
    top: int
    picture: tuple[int, int]

    def cut(self, square: Square, size: int, *, black_outside: bool) -> NDArray[np.float32]:
        """The square as (size, size, 3), from 0 to 1, by bilinear interpolation.

        Beyond the picture it is black, or goes on as the nearest pixel is.
        """
        steps = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size) - np.float32(0.5)
        steps *= np.float32(square.side)
        if square.angle == 0.0:  # rows and columns by themselves, which is several times as fast
            x, y = steps + np.float32(square.x), steps + np.float32(square.y)
            pixels = _along(_along(self.means, self._row(y), 0), self._column(x), 1)
            y = y[:, None]
        else:
            cosine, sine = np.float32(cos(square.angle)), np.float32(sin(square.angle))
            x = (steps * cosine + np.float32(square.x)) - (steps * sine)[:, None]
            y = (steps * sine + np.float32(square.y)) + (steps * cosine)[:, None]
            pixels = _at(self.means, self._row(y), self._column(x))
        if black_outside:
            pixels[~(self._within(x, 0) & self._within(y, 1))] = 0
        pixels *= np.float32(1 / _WHITE)
        return pixels

    def _column(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """A pixel of the picture as a column of `means`, whose centres lie at whole numbers."""
        column = (x - np.float32(self.left)) / np.float32(self.block) - np.float32(0.5)
        return np.asarray(np.clip(column, 0, self.means.shape[1] - 1), np.float32)

    def _row(self, y: NDArray[np.float32]) -> NDArray[np.float32]:
        row = (y - np.float32(self.top)) / np.float32(self.block) - np.float32(0.5)
        return np.asarray(np.clip(row, 0, self.means.shape[0] - 1), np.float32)

    def _within(self, places: NDArray[np.float32], axis: int) -> NDArray[np.bool_]:
        return np.asarray((places >= 0) & (places <= self.picture[axis]), np.bool_)


def whole(width: int, height: int) -> Square:
    """The smallest square that holds a whole picture."""
    return Square(x=width / 2, y=height / 2, side=max(width, height))


def tiles(width: int, height: int, least: int) -> list[Square]:
    """Squares of two thirds of a picture's shorter side that cover it, each overlapping the next by a third or more, so
    that what is smaller than that lies in one of them whole. None where they would be less than `least` pixels wide."""
    side = min(width, height) * 2 // 3
    if side < least:
        return []
    return [
        Square(x=left + side / 2, y=top + side / 2, side=side)
        for top in _steps(height - side, side * 2 // 3)
        for left in _steps(width - side, side * 2 // 3)
    ]


def _steps(last: int, most: int) -> list[float]:
    """From 0 to `last` in equal steps of at most `most`."""
    count = ceil(last / most)
    return [last * number / count for number in range(count + 1)] if count else [0.0]


def shrink(rgb: NDArray[np.uint8], square: Square, size: int) -> Shrunk:
    """What a square of a picture needs to be cut out at `size` by `size`, and no finer."""
    height, width = rgb.shape[:2]
    block = max(1, int(square.side // size))
    half = square.side / 2 * (abs(cos(square.angle)) + abs(sin(square.angle))) + 2 * block
    left, right = _span(square.x, half, width)
    top, bottom = _span(square.y, half, height)
    block = min(block, right - left, bottom - top)  # a strip that is narrower than a block has no block
    return Shrunk(
        means=_means(rgb[top:bottom, left:right], block), block=block, left=left, top=top, picture=(width, height)
    )


def _span(centre: float, half: float, length: int) -> tuple[int, int]:
    """Where `centre` ± `half` lies in 0 … `length`: never empty."""
    begin = min(max(0, floor(centre - half)), length - 1)
    return begin, max(begin + 1, min(length, ceil(centre + half)))


def _means(rgb: NDArray[np.uint8], block: int) -> NDArray[np.float32]:
    """Means of blocks; what is over at the right and the bottom is left out."""
    if block == 1:
        return rgb.astype(np.float32)
    height, width = rgb.shape[0] // block * block, rgb.shape[1] // block * block
    # Row by row of all blocks, then column by column: four times as fast as one sum over two axes, and no copy.
    # 16 bits hold the sum of 257 whites, which is enough for pictures of 49,000 pixels.
    rows: NDArray[Any] = rgb[0:height:block, :width].astype(np.uint16 if block <= 257 else np.uint32)
    for row in range(1, block):
        rows += rgb[row:height:block, :width]
    sums = rows[:, ::block].astype(np.uint32)
    for column in range(1, block):
        sums += rows[:, column::block]
    return np.asarray(sums / np.float32(block * block), np.float32)


def _along(values: NDArray[np.float32], places: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Linear interpolation along one axis."""
    before = places.astype(np.intp)
    after = np.minimum(before + 1, values.shape[axis] - 1)
    share = np.expand_dims(places - before.astype(np.float32), (1, 2) if axis == 0 else (0, 2))
    low = np.take(values, before, axis=axis)
    return np.asarray(low + (np.take(values, after, axis=axis) - low) * share, np.float32)


def _at(values: NDArray[np.float32], rows: NDArray[np.float32], columns: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bilinear interpolation at scattered places."""
    height, width = values.shape[:2]
    top, left = rows.astype(np.int32), columns.astype(np.int32)
    first = (top * width + left).astype(np.intp)
    below = first + (np.minimum(top + 1, height - 1) - top) * width
    right = np.minimum(left + 1, width - 1) - left
    down, across = rows - top.astype(np.float32), columns - left.astype(np.float32)
    pixels = np.empty((*rows.shape, 3), np.float32)
    for colour in range(3):  # one after the other: short rows of three are slow to work on
        plane = values[:, :, colour].reshape(-1)
        upper, lower = plane[first], plane[below]
        upper += (plane[first + right] - upper) * across
        lower += (plane[below + right] - lower) * across
        lower -= upper
        lower *= down
        pixels[..., colour] = upper + lower
    return pixels

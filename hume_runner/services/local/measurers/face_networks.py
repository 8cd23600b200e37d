"""The three networks behind `face`, each from a picture to numbers of that picture.

Files and published graphs are MediaPipe's (Apache-2.0): BlazeFace for near faces (128 by 128) and for far ones
(192 by 192), and Face Mesh (Kartynnik et al. 2019, arXiv 1907.06724). LiteRT runs them, on one thread.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from math import atan2
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hume_runner.frozen import frozen
from hume_runner.services.local.measurers import face_anchors, face_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

NEAR_SIZE, FAR_SIZE, MESH_SIZE = 128, 192, 192
MESH_POINTS = 468
_RIGHT_EYE, _LEFT_EYE = 2, 3  # among a face's points: two corners of the box come first
_RIGHT_CORNER, _LEFT_CORNER = 33, 263  # of the eyes, in the mesh
_MARGIN = 1.5  # of a box, as in face_detection_front_detection_to_roi.pbtxt and face_landmark_landmarks_to_roi.pbtxt
SURE = 0.5
"""A mesh that is less likely than this to lie on a face says nothing; MediaPipe's graphs draw the line there, too."""


@frozen
class Face:
    """One face that was found: `points` in pixels of the picture, (8, 2): upper left and lower right corner of its box,
    then right eye, left eye, tip of the nose, mouth, right ear and left ear, right and left of the person."""

    points: NDArray[np.float32]
    score: float

    @property
    def sides(self) -> NDArray[np.float32]:
        return np.asarray(self.points[1] - self.points[0], np.float32)


@frozen
class Mesh:
    """468 points in pixels of the picture, (468, 3): x to the right, y down, z away from the camera at the scale of x,
    from about the middle of the head. `score`: how likely a face lies well in what the network saw, 0 to 1."""

    points: NDArray[np.float32]
    score: float

    @property
    def box(self) -> NDArray[np.float32]:
        """Upper left and lower right corner, (2, 2)."""
        return np.stack([self.points[:, :2].min(axis=0), self.points[:, :2].max(axis=0)])


@contextmanager
def _hushed() -> Iterator[None]:
    """LiteRT tells on file descriptor 2 which delegate it made, for each network, and has no switch for that."""
    try:
        kept = os.dup(2)
    except OSError:  # nobody listens
        yield
        return
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


class Network:
    """One file, ready to run: a picture of `size` pixels square in, its outputs out, which are of so many numbers.

    Raises: ValueError for a file that is no network, or one of another form.
    """

    def __init__(self, path: Path, size: int, *outputs: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        try:
            with _hushed():
                self._interpreter: Any = Interpreter(model_path=str(path), num_threads=1)
                self._interpreter.allocate_tensors()
        except RuntimeError as error:
            raise ValueError(f"{path}: {error}") from error
        self._input: int = self._interpreter.get_input_details()[0]["index"]
        told = self._interpreter.get_output_details()
        self._outputs: list[int] = [one["index"] for one in told]
        takes = self._interpreter.get_input_details()[0]["shape"].tolist()
        gives = sorted(int(one["shape"].prod()) for one in told)
        if takes != [1, size, size, 3] or gives != sorted(outputs):
            raise ValueError(
                f"{path}: a network of another form: it takes {takes} and gives {gives} numbers, where [1, {size}, "
                f"{size}, 3] and {sorted(outputs)} are needed"
            )

    def __call__(self, pixels: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        self._interpreter.set_tensor(self._input, np.ascontiguousarray(pixels[None], np.float32))
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(one) for one in self._outputs]


class Detector:
    """Finds faces: near and far ones by a network each, and one box where both see the same.

    With `small_faces` the network for far ones also looks at squares of the picture, one after the other.
    """

    def __init__(self, near: Path, far: Path, *, min_score: float, small_faces: bool = False) -> None:
        self._min_score = min_score
        self._small_faces = small_faces
        fine = face_anchors.centres(NEAR_SIZE, 8)
        coarse = face_anchors.centres(NEAR_SIZE, 16)
        # Two boxes a cell on the fine grid and six on the coarse one: 896.
        self._near = (
            Network(near, NEAR_SIZE, 896 * 16, 896),
            NEAR_SIZE,
            np.concatenate([np.repeat(fine, 2, 0), np.repeat(coarse, 6, 0)]),
        )
        self._far = (Network(far, FAR_SIZE, 2304 * 16, 2304), FAR_SIZE, face_anchors.centres(FAR_SIZE, 4))

    def __call__(self, rgb: NDArray[np.uint8]) -> list[Face]:
        """The surest first."""
        height, width = rgb.shape[:2]
        whole = face_pixels.whole(width, height)
        small = face_pixels.shrink(rgb, whole, FAR_SIZE)
        found = [self._look(small, whole, self._near), self._look(small, whole, self._far)]
        if self._small_faces:
            for tile in face_pixels.tiles(width, height, FAR_SIZE):
                found.append(self._look(face_pixels.shrink(rgb, tile, FAR_SIZE), tile, self._far))
        points, scores = face_anchors.merged(
            np.concatenate([points for points, _ in found]), np.concatenate([scores for _, scores in found])
        )
        return [Face(points=one, score=float(score)) for one, score in zip(points, scores, strict=True)]

    def _look(
        self,
        small: face_pixels.Shrunk,
        square: face_pixels.Square,
        by: tuple[Network, int, NDArray[np.float32]],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        network, size, anchors = by
        outputs = network(small.cut(square, size, black_outside=True) * 2 - 1)
        raw, logits = sorted((one[0] for one in outputs), key=lambda one: -one.shape[-1])
        scores = face_anchors.scores(logits)
        sure = scores >= self._min_score
        return square.to_picture(face_anchors.points(raw[sure], anchors[sure], size)), scores[sure]


class Mesher:
    """Lays the mesh over a face that was found.

    Twice: where the detector saw the face, then where the first mesh lies. That halves by how much the distances change
    when the same face stands elsewhere in a picture, or larger.
    """

    def __init__(self, path: Path) -> None:
        self._network = Network(path, MESH_SIZE, MESH_POINTS * 3, 1)

    def __call__(self, rgb: NDArray[np.uint8], face: Face) -> Mesh:
        right_eye, left_eye = face.points[[_RIGHT_EYE, _LEFT_EYE]]
        first = self._lay(rgb, _around(face.points[:2], right_eye, left_eye))
        if first.score < SURE:
            return first
        return self._lay(rgb, _around(first.points[:, :2], first.points[_RIGHT_CORNER], first.points[_LEFT_CORNER]))

    def _lay(self, rgb: NDArray[np.uint8], square: face_pixels.Square) -> Mesh:
        small = face_pixels.shrink(rgb, square, MESH_SIZE)
        outputs = self._network(small.cut(square, MESH_SIZE, black_outside=False))
        flat, logit = sorted((one.reshape(-1) for one in outputs), key=lambda one: -len(one))
        points = flat.reshape(MESH_POINTS, 3) / np.float32(MESH_SIZE)
        placed = np.empty_like(points)
        placed[:, :2] = square.to_picture(points[:, :2])
        placed[:, 2] = points[:, 2] * np.float32(square.side)
        return Mesh(points=placed, score=float(face_anchors.scores(logit)[0]))


def _around(
    points: NDArray[np.float32], right_eye: NDArray[np.float32], left_eye: NDArray[np.float32]
) -> face_pixels.Square:
    """The square that the mesh wants: around points (n, 2) with a margin, turned so that the eyes lie level."""
    low, high = points.min(axis=0), points.max(axis=0)
    middle, across = (low + high) / 2, left_eye - right_eye
    return face_pixels.Square(
        x=float(middle[0]),
        y=float(middle[1]),
        side=max(1.0, float((high - low).max()) * _MARGIN),
        angle=atan2(float(across[1]), float(across[0])),
    )

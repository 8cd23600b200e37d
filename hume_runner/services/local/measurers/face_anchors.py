"""What the face detector's numbers mean: anchors, boxes, and one box where several overlap.

The detector is MediaPipe's BlazeFace (Bazarevsky et al. 2019, arXiv 1907.05047). Its published graph says how the
numbers are read: mediapipe/modules/face_detection/face_detection.pbtxt and face_detection_full_range.pbtxt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

KEYPOINTS = 6
"""Right eye, left eye, tip of the nose, mouth, right ear, left ear: of the person, not of the picture."""

_OVERLAP = 0.3
_SURE = 100.0  # beyond that a logistic function is 0 or 1, and its exponential overflows


def centres(size: int, stride: int) -> NDArray[np.float32]:
    """Centres of the cells of a square grid, row by row: (n, 2), x and y from 0 to 1."""
    cells = size // stride
    steps = (np.arange(cells, dtype=np.float32) + np.float32(0.5)) / np.float32(cells)
    return np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2).astype(np.float32)


def scores(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, 1) as the network gives them -> (n,), from 0 to 1."""
    clipped = np.clip(logits.reshape(-1), -_SURE, _SURE).astype(np.float64)
    return np.asarray(1 / (1 + np.exp(-clipped)), np.float32)


def points(raw: NDArray[np.float32], anchors: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """(n, 16) as the network gives them -> (n, 8, 2) from 0 to 1: upper left, lower right, and the six keypoints."""
    pairs = raw.reshape(len(raw), 2 + KEYPOINTS, 2) / np.float32(size)
    centre = pairs[:, 0] + anchors
    half = pairs[:, 1] / np.float32(2)
    return np.concatenate([(centre - half)[:, None], (centre + half)[:, None], pairs[:, 2:] + anchors[:, None]], axis=1)


def overlaps(one: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Intersection over union of a box with each of others. Boxes: upper left, lower right, (2, 2) and (n, 2, 2)."""
    sides = np.clip(np.minimum(one[1], others[:, 1]) - np.maximum(one[0], others[:, 0]), 0, None)
    common = sides[:, 0] * sides[:, 1]
    areas = np.prod(np.clip(others[:, 1] - others[:, 0], 0, None), axis=1)
    union = areas + np.prod(np.clip(one[1] - one[0], 0, None)) - common
    return np.asarray(np.where(union > 0, common / np.where(union > 0, union, 1), 0), np.float32)


def merged(
    faces: NDArray[np.float32], certainty: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """One face of each group that overlaps by 0.3 or more: the mean of the group, weighted by score, under its highest
    score (BlazeFace, section 3.4). (n, 8, 2), (n,) -> (m, 8, 2), (m,), the surest first."""
    order = np.argsort(-certainty, kind="stable")
    faces, certainty = faces[order], certainty[order]
    chosen: list[NDArray[np.float32]] = []
    best: list[np.float32] = []
    while len(faces):
        same = overlaps(faces[0, :2], faces[:, :2]) >= _OVERLAP
        same[0] = True  # a box without any area overlaps nothing
        weights = certainty[same].astype(np.float64)
        chosen.append(np.asarray(np.tensordot(weights / weights.sum(), faces[same], axes=1), np.float32))
        best.append(certainty[0])
        faces, certainty = faces[~same], certainty[~same]
    if not chosen:
        return np.empty((0, 2 + KEYPOINTS, 2), np.float32), np.empty(0, np.float32)
    return np.stack(chosen), np.array(best, np.float32)

"""Which way a head is turned, from its mesh.

The mesh is laid over a standard face by the rotation, scale and shift that fit best, weighted least squares (Umeyama
1991, "Least-squares estimation of transformation parameters between two point patterns", IEEE PAMI 13(4)), as
MediaPipe's Face Geometry does ("Procrustes analysis"). Points and weights of the standard face are those of MediaPipe's
canonical face model (geometry_pipeline_metadata_landmarks.pbtxt, The MediaPipe Authors, Apache-2.0), to a tenth of a
millimetre. Unlike Face Geometry no lens is assumed: the angles are relative to the line from the camera to the face.
"""

from __future__ import annotations

from math import asin, atan2, degrees
from typing import TYPE_CHECKING

import numpy as np

from hume_runner.frozen import frozen

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The person's right half: point of the mesh, its mirror on the left (itself: on the middle line), x, y, z in
# centimetres (right as one sees it, up, towards the camera), weight.
_STANDARD = (
    (4, 4, 0.0, -0.46, 7.59, 0.0709),
    (6, 6, 0.0, 2.47, 5.79, 0.0321),
    (10, 10, 0.0, 8.26, 4.48, 0.0084),
    (33, 263, -4.45, 2.66, 3.17, 0.0587),
    (54, 284, -6.28, 6.62, 1.43, 0.0077),
    (67, 297, -3.52, 8.01, 3.73, 0.0091),
    (117, 346, -5.26, 0.95, 2.97, 0.0098),
    (119, 348, -3.30, 0.86, 3.87, 0.0146),
    (121, 350, -1.82, 1.47, 4.22, 0.0186),
    (127, 356, -7.74, 2.36, -2.01, 0.0052),
    (129, 358, -1.79, -0.98, 4.85, 0.1206),
    (132, 361, -7.27, -2.89, -2.25, 0.0056),
    (133, 362, -1.86, 2.59, 3.76, 0.0533),
    (136, 365, -5.09, -7.18, 0.71, 0.0669),
    (143, 372, -6.41, 2.24, 1.56, 0.0148),
    (147, 376, -6.23, -1.94, 1.66, 0.0143),
    (198, 420, -1.25, 0.23, 5.68, 0.0255),
    (205, 425, -3.83, -1.54, 4.14, 0.0473),
)

_NO_EXTENT = 1e-6  # of how far from the corner of the picture a face is: what rounding leaves of a point


@frozen
class Pose:
    """Degrees; all 0 for a face that looks straight into the camera and is upright.

    `yaw`: positive looks to the right side of the picture. `pitch`: positive looks up. `roll`: positive is tilted
    clockwise as one sees it. Turned in this order: roll, pitch, yaw.
    """

    yaw: float
    pitch: float
    roll: float


def pose(mesh: NDArray[np.float32]) -> Pose | None:
    """From 468 points, (468, 3): x to the right, y down, z away from the camera, one scale. None if they have no
    extent."""
    numbers, standard, weights = _standard_face()
    # The standard face's axes: y up, z towards the camera.
    seen = mesh[numbers].astype(np.float64) * np.array([1.0, -1.0, -1.0])
    middle = weights @ seen
    seen = seen - middle
    if not np.isfinite(seen).all() or np.abs(seen).max() <= _NO_EXTENT * np.abs(middle).max():
        return None
    turned, _, back = np.linalg.svd((seen * weights[:, None]).T @ standard)
    turned[:, 2] *= np.sign(np.linalg.det(turned) * np.linalg.det(back))  # a rotation, not a mirror image
    rotation = turned @ back
    right, up, near = rotation[:, 2]  # where the face looks
    return Pose(
        yaw=degrees(atan2(right, near)),
        pitch=degrees(asin(min(1.0, max(-1.0, up)))),
        roll=degrees(atan2(-rotation[1, 0], rotation[1, 1])),
    )


def _standard_face() -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    """Numbers in the mesh, places about their weighted mean (n, 3), weights that add up to 1."""
    rows = [(right, x, y, z, weight) for right, _, x, y, z, weight in _STANDARD]
    rows += [(left, -x, y, z, weight) for right, left, x, y, z, weight in _STANDARD if left != right]
    table = np.array(rows, np.float64)
    weights = table[:, 4] / table[:, 4].sum()
    return table[:, 0].astype(np.intp), table[:, 1:4] - weights @ table[:, 1:4], weights

"""Named distances in a face's mesh, in units of that face's own size.

The unit is the distance between the outer corners of the eyes, by which published landmark errors are normalised, too
(Sagonas et al. 2016, "300 Faces In-The-Wild Challenge", Image and Vision Computing 47). All are measured in the mesh's
three dimensions, so that a turned head changes them less than a flat picture would. Numbers of points are those of
MediaPipe's mesh (canonical_face_model_uv_visualization.png, and face_mesh_connections.py for lips, eyes and brows).
Left and right are the person's. What each is in words, stands with the table's columns in face.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_UNIT = (33, 263)

# Each: the points whose mean is the one end, those whose mean is the other.
_ENDS: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "mouth_opening": ((13,), (14,)),
    "mouth_width": ((61,), (291,)),
    "eye_opening_left": ((386,), (374,)),
    "eye_opening_right": ((159,), (145,)),
    "brow_height_left": ((334, 282), (263, 362)),
    "brow_height_right": ((105, 52), (33, 133)),
}


def distances(mesh: NDArray[np.float32]) -> Mapping[str, float] | None:
    """By name, from 468 points (468, 3) of one scale. None if the mesh has no size."""
    points = mesh.astype(np.float64)
    unit = float(np.linalg.norm(points[_UNIT[0]] - points[_UNIT[1]]))
    if not np.isfinite(unit) or unit == 0.0:
        return None
    return {
        name: float(np.linalg.norm(points[list(one)].mean(axis=0) - points[list(other)].mean(axis=0))) / unit
        for name, (one, other) in _ENDS.items()
    }

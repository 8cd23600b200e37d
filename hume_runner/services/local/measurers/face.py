"""`face`: faces in pictures: boxes, head pose, named distances, a mesh, and which are the same from picture to picture.

Nothing about what a person feels: no model of this module was made to tell, and a mouth's width does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hume_runner.frozen import frozen
from hume_runner.services.local.measurers.base import Card, Picture, PictureSession, Reads, Row, WeightFile
from hume_runner.services.local.measurers.catalogued import catalogued
from hume_runner.services.local.measurers.own_weights import LICENCE, TRAINED_ON, own_schema, own_weight
from hume_runner.services.signals import Curve, Signals
from hume_runner.services.table_shapes import Column, Layout

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hume_runner.services.local.measurers.face_networks import Face, Mesh

VERSION = "1"

[NEAR] = catalogued("face-short-range")
[FAR] = catalogued("face-full-range")
[MESH] = catalogued("face-landmarks")

_PARTS = {
    "short_range": "finds faces that are near: 128 pixels square, 896 boxes with 16 numbers each",
    "full_range": "finds faces that are further away: 192 pixels square, 2,304 boxes with 16 numbers each",
    "landmarks": "lays the mesh: 192 pixels square, 468 points with 3 numbers each",
}

DEFAULT_FPS = 3
_MIN_SCORE, _MIN_SIZE_PX, _GAP = 0.4, 20, 3
_SAME_FACE = 0.5  # overlap of two meshes

# name -> what it is. face_distances.py measures them; it imports numpy, which a table's columns must not.
_UNIT = "in distances between that face's outer eye corners (points 33 and 263 of the mesh)"
DISTANCES: Mapping[str, str] = {
    "mouth_opening": "between the inner edges of the lips, at their middle (points 13 and 14)",
    "mouth_width": "between the corners of the mouth (points 61 and 291)",
    "eye_opening_left": "between the lids of the person's left eye, at their middle (points 386 and 374)",
    "eye_opening_right": "between the lids of the person's right eye, at their middle (points 159 and 145)",
    "brow_height_left": (
        "from the middle of the person's left brow (points 334 and 282) to the middle between that eye's corners"
    ),
    "brow_height_right": (
        "from the middle of the person's right brow (points 105 and 52) to the middle between that eye's corners"
    ),
}

_SHORT_UNIT = "eye distances"


def _both_sides(column: str, name: str) -> tuple[Curve, Curve]:
    """The left one is drawn in full, the right one dashed."""
    left, right = (
        Curve(column=f"{column}_{side}", name=f"{name} {side}", unit=_SHORT_UNIT, graph=name, span=0.1)
        for side in ("left", "right")
    )
    return left, right


LAYOUT = Layout(
    name="face",
    row="one face in one picture",
    confidence=("score",),
    columns=(
        Column(name="time_s", type="number", meaning="seconds from the start; null for a still"),
        Column(name="picture", type="integer", meaning="number of the picture among those that were looked at, from 0"),
        Column(
            name="track",
            type="integer",
            meaning=(
                "the same number from picture to picture where boxes overlap by 0.3 or more, from 0; nobody is "
                "recognised: who comes back has a new one, and so has everybody where a long recording was cut; null "
                "for a still"
            ),
        ),
        Column(name="box_x", type="number", meaning="left edge of the face, pixels of the picture"),
        Column(name="box_y", type="number", meaning="upper edge of the face, pixels of the picture"),
        Column(name="box_w", type="number", meaning="width of the face, pixels of the picture"),
        Column(name="box_h", type="number", meaning="height of the face, pixels of the picture"),
        Column(name="picture_width", type="integer", meaning="width of the picture that was looked at, in pixels"),
        Column(name="picture_height", type="integer", meaning="height of the picture that was looked at, in pixels"),
        Column(name="score", type="number", meaning="the detector's own score that this is a face, 0 to 1"),
        Column(
            name="mesh_score",
            type="number",
            meaning="the mesh's own score that it lies on a face, 0.5 to 1; a box in which it sees none is left out",
        ),
        Column(
            name="yaw",
            type="number",
            meaning="degrees the head is turned; positive: it looks to the right side of the picture",
        ),
        Column(name="pitch", type="number", meaning="degrees the head is raised; positive: it looks up"),
        Column(
            name="roll",
            type="number",
            meaning="degrees the head is tilted; positive: clockwise, as one sees it in the picture",
        ),
        *(Column(name=name, type="number", meaning=f"{meaning}, {_UNIT}") for name, meaning in DISTANCES.items()),
        Column(
            name="landmarks",
            type="json",
            meaning=(
                "the 468 points of the mesh as [x, y, z]: x in widths and y in heights of the picture from its upper "
                "left corner, z in widths, smaller is nearer; null unless `landmarks` was asked for"
            ),
        ),
    ),
    time=("time_s", "time_s"),
    signals=Signals(
        title="face",
        place=5,
        lane="track",
        box=("box_x", "box_y", "box_w", "box_h"),
        frame=("picture_width", "picture_height"),
        step="picture",
        curves=(
            Curve(column="mouth_opening", name="mouth opening", unit=_SHORT_UNIT, span=0.1),
            Curve(column="mouth_width", name="mouth width", unit=_SHORT_UNIT, span=0.1),
            *_both_sides("eye_opening", "eye opening"),
            *_both_sides("brow_height", "brow height"),
            Curve(column="yaw", name="yaw", unit="degrees", graph="head yaw", span=10),
            Curve(column="pitch", name="pitch", unit="degrees", graph="head pitch", span=10),
            Curve(column="roll", name="roll", unit="degrees", graph="head roll", span=10),
        ),
        told=("score",),
    ),
)

_LIMITS = (
    "Measures where a face is and how it is held, not what a person feels, and recognises nobody. It misses faces that "
    "are small (below about a fifteenth of a picture's longer side), in profile, covered, blurred or upside down, and "
    "sees some where there are none. Other face detectors were found to fail more often for people who are older, have "
    "darker skin or stand in dim light (Dooley et al. 2022, arXiv 2211.15937): check on your own material. Pose and "
    "distances rest on a network's guess at depth, without knowing the lens: compare within a recording rather than "
    "between people. Not for identifying people. To infer emotion at work or in schools is prohibited in the "
    "EU, save for medical or safety reasons, from such numbers, too (AI Act, Article 5(1)(f)); who is exposed to a "
    "system for emotion recognition or biometric categorisation has to be told (Article 50(3))."
)


@frozen
class _Options:
    landmarks: bool
    small_faces: bool
    min_score: float
    min_size: int
    track_gap: int


def _read(options: Mapping[str, Any]) -> _Options:
    return _Options(
        landmarks=bool(options.get("landmarks", False)),
        small_faces=bool(options.get("small_faces", False)),
        min_score=float(options.get("min_score", _MIN_SCORE)),
        min_size=int(options.get("min_size", _MIN_SIZE_PX)),
        track_gap=int(options.get("track_gap", _GAP)),
    )


class FaceMeasurer:
    """The measurer `face`."""

    @property
    def model(self) -> str:
        return "face"

    @property
    def reads(self) -> Reads:
        return "pictures"

    @property
    def layouts(self) -> tuple[Layout, ...]:
        return (LAYOUT,)

    @property
    def schema(self) -> Mapping[str, Any]:
        return {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "fps": {
                    "description": "Pictures of a video that are looked at, a second.",
                    "type": "number",
                    "exclusiveMinimum": 0,
                    "maximum": 60,
                    "default": DEFAULT_FPS,
                },
                "landmarks": {
                    "description": "Keep all 468 points of each face, too: about 12 kB a row.",
                    "type": "boolean",
                    "default": False,
                },
                "small_faces": {
                    "description": "Look for small faces, too: takes five to ten times as long.",
                    "type": "boolean",
                    "default": False,
                },
                "min_score": {
                    "description": "Faces whose score is lower are left out.",
                    "type": "number",
                    "minimum": 0.1,
                    "maximum": 1,
                    "default": _MIN_SCORE,
                },
                "min_size": {
                    "description": "Faces whose box is narrower or lower, in pixels, are left out.",
                    "type": "integer",
                    "minimum": 1,
                    "default": _MIN_SIZE_PX,
                },
                "networks": {
                    "type": "object",
                    "additionalProperties": False,
                    "minProperties": 1,
                    "description": "Networks of your own of the same form (TFLite), instead of MediaPipe's.",
                    "properties": {part: own_schema(f"{what[0].upper()}{what[1:]}.") for part, what in _PARTS.items()},
                },
                "track_gap": {
                    "description": "Pictures on end in which a face may be missing and still be the same track.",
                    "type": "integer",
                    "minimum": 0,
                    "maximum": 1000,
                    "default": _GAP,
                },
            },
        }

    @property
    def modules(self) -> tuple[str, ...]:
        return ("numpy", "ai_edge_litert")

    def card(self, options: Mapping[str, Any]) -> Card:
        own = bool(options.get("networks"))
        return Card(
            name="own-face" if own else "mediapipe-face",
            version=VERSION,
            licence=f"{LICENCE}; Apache-2.0 (MediaPipe)" if own else "Apache-2.0",
            trained_on=TRAINED_ON
            if own
            else "Google's own photographs of faces, and drawn ones for depth; not published",
            scale=(
                "scores from 0 to 1, not calibrated; pixels; degrees; distances in units of the distance between the "
                "face's outer eye corners"
            ),
            limits=_LIMITS,
            source=(
                "BlazeFace (arXiv 1907.05047) and Face Mesh (arXiv 1907.06724); model cards by "
                "https://github.com/google-ai-edge/mediapipe/blob/master/docs/solutions/models.md; head pose: Umeyama "
                "1991 on MediaPipe's canonical face"
            ),
            files=_weights(options),
        )

    def open(self, options: Mapping[str, Any], files: Mapping[str, Path]) -> PictureSession:
        near, far, mesh = (files[one.name] for one in _weights(options))
        return FaceSession(_read(options), near, far, mesh)


def _weights(options: Mapping[str, Any]) -> tuple[WeightFile, ...]:
    own = options.get("networks") or {}
    ours = zip(_PARTS, (NEAR, FAR, MESH), strict=True)
    return tuple(own_weight(own[part]) if part in own else weight for part, weight in ours)


class FaceSession:
    """The measurer `face` with its three networks loaded."""

    def __init__(self, options: _Options, near: Path, far: Path, mesh: Path) -> None:
        from hume_runner.services.local.measurers import face_networks

        self._options = options
        self._detect = face_networks.Detector(near, far, min_score=options.min_score, small_faces=options.small_faces)
        self._lay_mesh = face_networks.Mesher(mesh)

    def measure(self, pictures: Iterable[Picture]) -> Iterator[Row]:
        """Faces of a picture from left to right. Tracks begin anew with each call."""
        from hume_runner.services.local.measurers.face_tracks import Tracks

        tracks = Tracks(self._options.track_gap)
        for number, picture in enumerate(pictures):
            height, width = picture.rgb.shape[:2]
            faces = sorted(self._found(picture.rgb), key=lambda found: tuple(found[0].points[0].tolist()))
            followed: list[int | None] = [None] * len(faces)
            if picture.time_s is not None:
                followed = list(tracks.follow(number, [face.points[:2] for face, _ in faces]))
            for (face, mesh), track in zip(faces, followed, strict=True):
                yield Row(
                    layout=LAYOUT.name,
                    values={
                        "time_s": picture.time_s,
                        "picture": number,
                        "track": track,
                        **_box(face, width, height),
                        "picture_width": width,
                        "picture_height": height,
                        "score": round(face.score, 4),
                        "mesh_score": round(mesh.score, 4),
                        **self._of_mesh(mesh, width, height),
                    },
                )

    def _found(self, rgb: NDArray[np.uint8]) -> list[tuple[Face, Mesh]]:
        """Faces that are large enough, have their middle in the picture, and are seen by the detector and by the mesh:
        each by itself sees faces in a tenth of all pictures without one."""
        from hume_runner.services.local.measurers.face_anchors import overlaps
        from hume_runner.services.local.measurers.face_networks import SURE

        height, width = rgb.shape[:2]
        found: list[tuple[Face, Mesh]] = []
        for face in self._detect(rgb):
            x, y = ((face.points[0] + face.points[1]) / 2).tolist()
            if float(face.sides.min()) < self._options.min_size or not (0 <= x <= width and 0 <= y <= height):
                continue
            mesh = self._lay_mesh(rgb, face)
            # A second box on a face that was found already: the mesh slides to where the face is.
            again = any(overlaps(mesh.box, other.box[None])[0] >= _SAME_FACE for _, other in found)
            if mesh.score >= SURE and not again:
                found.append((face, mesh))
        return found

    def _of_mesh(self, mesh: Mesh, width: int, height: int) -> dict[str, object]:
        from hume_runner.services.local.measurers.face_distances import distances
        from hume_runner.services.local.measurers.head_pose import pose

        values: dict[str, object] = dict.fromkeys(("yaw", "pitch", "roll", *DISTANCES, "landmarks"))
        if (turned := pose(mesh.points)) is not None:
            values |= {name: round(getattr(turned, name), 2) for name in ("yaw", "pitch", "roll")}
        if (measured := distances(mesh.points)) is not None:
            values |= {name: round(measured[name], 4) for name in DISTANCES}
        if self._options.landmarks:
            scale = (width, height, width)
            points = [
                [round(value / side, 5) for value, side in zip(point, scale, strict=True)]
                for point in mesh.points.tolist()
            ]
            values["landmarks"] = points
        return values


def _box(face: Face, width: int, height: int) -> dict[str, float]:
    """The part of the box that lies in the picture, to a tenth of a pixel."""
    (left, top), (right, bottom) = face.points[:2].tolist()
    left, right = max(0.0, left), min(float(width), right)
    top, bottom = max(0.0, top), min(float(height), bottom)
    return {
        "box_x": round(left, 1),
        "box_y": round(top, 1),
        "box_w": round(right - left, 1),
        "box_h": round(bottom - top, 1),
    }


FACE = FaceMeasurer()

"""`face` on a real face, with its real networks."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from hume_runner.services.local.measurers.base import Picture, PictureSession, WeightFile
from hume_runner.services.local.measurers.face import DISTANCES, FACE, MESH
from tests.needed import lacking
from tests.tiers import sampled

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Read off the astronaut's enlarged picture by hand and eye, in its pixels.
CHEEKS, BROW, CHIN = (181, 273), 90, 177
RIGHT_EYE, LEFT_EYE = (202, 101), (247, 103)
RIGHT_CORNER, LEFT_CORNER = (193.5, 100.5), (258, 103.5)  # outer, of the eyes
MOUTH_RIGHT, MOUTH_LEFT, MOUTH = (199, 139.5), (248.5, 142), (222.5, 145)
ROLL = 3.0  # of the line between the eyes, down to the right

# What MediaPipe 0.10.21 itself finds in that picture (FaceDetection of near faces, FaceMesh), in its pixels.
THEIR_BOX = (177.6, 82.9, 95.3, 95.3)
THEIR_MESH = {1: (224.1, 131.2), 33: (194.6, 100.9), 263: (256.7, 104.1), 152: (221.3, 175.5), 10: (227.5, 72.4)}
THEIR_POSE = {"yaw": -0.1, "pitch": -9.1, "roll": 3.2}  # of that mesh, by our reckoning


@pytest.fixture(scope="module")
def files(weights: Callable[[Sequence[WeightFile]], Mapping[str, Path]]) -> Mapping[str, Path]:
    for module in ("ai_edge_litert", "skimage"):
        try:
            __import__(module)
        except ImportError:
            lacking(f"{module} is not installed")
    return weights(FACE.card({}).files)


@pytest.fixture(scope="module")
def session(files: Mapping[str, Path]) -> PictureSession:
    return FACE.open({}, files)


@pytest.fixture(scope="module")
def astronaut(files: Mapping[str, Path]) -> NDArray[np.uint8]:
    from skimage.data import astronaut

    return np.asarray(astronaut(), np.uint8)


def faces(session: PictureSession, *pictures: NDArray[Any], moving: bool = False) -> list[Mapping[str, Any]]:
    seen = (
        Picture(time_s=number / 3 if moving else None, rgb=np.ascontiguousarray(rgb))
        for number, rgb in enumerate(pictures)
    )
    return [row.values for row in session.measure(seen)]


def only(session: PictureSession, picture: NDArray[Any]) -> Mapping[str, Any]:
    (face,) = faces(session, picture)
    return face


def scaled(picture: NDArray[Any], by: float) -> NDArray[np.uint8]:
    from skimage.transform import rescale

    return np.asarray((rescale(picture, by, channel_axis=-1, anti_aliasing=by < 1) * 255).round(), np.uint8)


def placed(picture: NDArray[Any], *, width: int, height: int, x: int, y: int) -> NDArray[np.uint8]:
    large = np.full((height, width, 3), 90, np.uint8)
    large[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
    return large


def middle(face: Mapping[str, Any]) -> tuple[float, float]:
    return face["box_x"] + face["box_w"] / 2, face["box_y"] + face["box_h"] / 2


# -- one face ---------------------------------------------------------------------------------------------------------


def test_the_box_lies_on_the_face(session: PictureSession, astronaut: NDArray[np.uint8]) -> None:
    face = only(session, astronaut)
    left, top = face["box_x"], face["box_y"]
    right, bottom = left + face["box_w"], top + face["box_h"]
    assert (left, right) == pytest.approx(CHEEKS, abs=12)
    assert bottom == pytest.approx(CHIN, abs=12)
    assert BROW - 25 < top < BROW
    assert face["score"] > 0.9
    assert face["mesh_score"] > 0.9
    assert (face["picture_width"], face["picture_height"]) == (512, 512)


def test_the_mesh_lies_on_eyes_and_mouth(files: Mapping[str, Path], astronaut: NDArray[np.uint8]) -> None:
    face = only(FACE.open({"landmarks": True}, files), astronaut)
    points = np.array(face["landmarks"])
    assert points.shape == (468, 3)
    placed = points[:, :2] * 512
    by_hand = {33: RIGHT_CORNER, 263: LEFT_CORNER, 61: MOUTH_RIGHT, 291: MOUTH_LEFT}
    for point, place in by_hand.items():
        assert placed[point] == pytest.approx(place, abs=3)
    assert placed[[159, 145]].mean(axis=0) == pytest.approx(RIGHT_EYE, abs=3)
    assert placed[[386, 374]].mean(axis=0) == pytest.approx(LEFT_EYE, abs=3)
    assert placed[[13, 14]].mean(axis=0) == pytest.approx(MOUTH, abs=3)
    assert points[4, 2] < points[[127, 356], 2].min()  # the nose is nearer than the ears


def test_mediapipe_itself_sees_the_same(files: Mapping[str, Path], astronaut: NDArray[np.uint8]) -> None:
    face = only(FACE.open({"landmarks": True}, files), astronaut)
    assert [face[name] for name in ("box_x", "box_y", "box_w", "box_h")] == pytest.approx(THEIR_BOX, abs=6)
    points = np.array(face["landmarks"])[:, :2] * 512
    for point, place in THEIR_MESH.items():
        assert points[point] == pytest.approx(place, abs=5), point
    for angle, degrees in THEIR_POSE.items():
        assert face[angle] == pytest.approx(degrees, abs=3), angle


def test_points_are_kept_only_where_asked_for(session: PictureSession, astronaut: NDArray[np.uint8]) -> None:
    assert only(session, astronaut)["landmarks"] is None


def test_rows_have_the_columns_of_the_table(session: PictureSession, astronaut: NDArray[np.uint8]) -> None:
    assert list(only(session, astronaut)) == [column.name for column in FACE.layouts[0].columns]


def test_a_still_has_no_time_and_no_track(session: PictureSession, astronaut: NDArray[np.uint8]) -> None:
    face = only(session, astronaut)
    assert (face["time_s"], face["picture"], face["track"]) == (None, 0, None)


def test_distances_are_those_of_the_picture(session: PictureSession, astronaut: NDArray[np.uint8]) -> None:
    # By hand, in the flat picture; the mesh has depth, too.
    unit = np.hypot(*np.subtract(LEFT_CORNER, RIGHT_CORNER))
    width = np.hypot(*np.subtract(MOUTH_LEFT, MOUTH_RIGHT)) / unit
    face = only(session, astronaut)
    assert face["mouth_width"] == pytest.approx(width, abs=0.08)
    assert 0.05 < face["mouth_opening"] < 0.2  # teeth show
    assert 0.05 < face["eye_opening_left"] < 0.15


def test_a_mirrored_face_is_turned_and_tilted_the_other_way(
    session: PictureSession, astronaut: NDArray[np.uint8]
) -> None:
    face, mirrored = only(session, astronaut), only(session, astronaut[:, ::-1])
    assert middle(mirrored)[0] == pytest.approx(512 - middle(face)[0], abs=5)
    assert face["roll"] == pytest.approx(ROLL, abs=2)
    assert mirrored["roll"] == pytest.approx(-ROLL, abs=2)
    assert mirrored["yaw"] == pytest.approx(-face["yaw"], abs=4)
    assert mirrored["pitch"] == pytest.approx(face["pitch"], abs=4)
    for side, other in (("left", "right"), ("right", "left")):
        for what in ("eye_opening", "brow_height"):
            assert mirrored[f"{what}_{side}"] == pytest.approx(face[f"{what}_{other}"], abs=0.02)


@pytest.mark.parametrize("degrees", [-40, -20, 20, 40])
def test_a_turned_picture_tilts_the_head_by_as_much(
    session: PictureSession, astronaut: NDArray[np.uint8], degrees: float
) -> None:
    from skimage.transform import rotate

    turned = np.asarray((rotate(astronaut, degrees, mode="edge") * 255).round(), np.uint8)  # against the clock
    face, straight = only(session, turned), only(session, astronaut)
    assert face["roll"] == pytest.approx(straight["roll"] - degrees, abs=4)
    assert face["mouth_width"] == pytest.approx(straight["mouth_width"], abs=0.08)


@sampled(1)
@pytest.mark.parametrize("by", [0.4, 0.7, 1.5, 3])
def test_size_does_not_change_pose_and_distances(
    session: PictureSession, astronaut: NDArray[np.uint8], by: float
) -> None:
    face, resized = only(session, astronaut), only(session, scaled(astronaut, by))
    assert resized["box_w"] == pytest.approx(face["box_w"] * by, rel=0.1)
    for name in DISTANCES:
        assert resized[name] == pytest.approx(face[name], abs=0.04), name
    for angle in ("yaw", "pitch", "roll"):
        assert resized[angle] == pytest.approx(face[angle], abs=3), angle


def test_a_grey_face_is_a_face(session: PictureSession, astronaut: NDArray[np.uint8]) -> None:
    grey = np.repeat(astronaut.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    assert middle(only(session, grey)) == pytest.approx(middle(only(session, astronaut)), abs=8)


def test_a_profile_looks_to_its_side(session: PictureSession) -> None:
    from skimage.data import camera

    man = np.repeat(np.asarray(camera(), np.uint8)[..., None], 3, axis=2)  # he looks to the right, into his camera
    face, mirrored = only(session, man), only(session, man[:, ::-1])
    assert face["yaw"] > 15
    assert mirrored["yaw"] < -15


def test_a_file_that_is_no_network_is_refused(files: Mapping[str, Path], tmp_path: Path) -> None:
    (tmp_path / "wrong").write_bytes(b"TFL3" * 100)
    with pytest.raises(ValueError) as refused:
        FACE.open({}, {**files, MESH.name: tmp_path / "wrong"})
    assert str(refused.value)


def test_opening_says_nothing(files: Mapping[str, Path], capfd: pytest.CaptureFixture[str]) -> None:
    FACE.open({}, files)
    assert capfd.readouterr() == ("", "")


# -- several, small, none ---------------------------------------------------------------------------------------------


def test_two_faces_are_two_rows_from_left_to_right(session: PictureSession, astronaut: NDArray[np.uint8]) -> None:
    found = faces(session, np.concatenate([astronaut, astronaut[:, ::-1]], axis=1))
    assert [middle(face)[0] for face in found] == pytest.approx([225, 1024 - 225], abs=12)


@pytest.mark.sweep
def test_small_faces_are_found_where_they_are_looked_for(
    session: PictureSession, files: Mapping[str, Path], astronaut: NDArray[np.uint8]
) -> None:
    small = placed(scaled(astronaut, 0.35), width=1280, height=720, x=700, y=400)  # the face is 34 pixels wide
    assert faces(session, small) == []
    face = only(FACE.open({"small_faces": True}, files), small)
    assert middle(face) == pytest.approx((700 + 225 * 0.35, 400 + 127 * 0.35), abs=9)


@pytest.mark.sweep
def test_looking_for_small_faces_counts_a_large_one_once(
    files: Mapping[str, Path], astronaut: NDArray[np.uint8]
) -> None:
    assert len(faces(FACE.open({"small_faces": True}, files), scaled(astronaut, 2))) == 1


def test_faces_below_the_size_or_score_asked_for_are_left_out(
    files: Mapping[str, Path], astronaut: NDArray[np.uint8]
) -> None:
    assert faces(FACE.open({"min_size": 120}, files), astronaut) == []
    assert len(faces(FACE.open({"min_size": 80}, files), astronaut)) == 1
    assert faces(FACE.open({"min_score": 0.99}, files), astronaut) == []


@pytest.mark.parametrize(("width", "height"), [(1, 1), (8, 8), (1, 300), (300, 1), (640, 480)])
def test_a_picture_without_a_face_has_no_rows(session: PictureSession, width: int, height: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    for picture in (noise, np.zeros_like(noise), np.full_like(noise, 255)):
        assert faces(session, picture) == []


def test_pictures_of_things_have_no_rows(session: PictureSession) -> None:
    from skimage.data import chelsea, coffee, rocket

    assert faces(session, chelsea(), coffee(), rocket()) == []


@pytest.mark.sweep
def test_faces_of_many_people_are_found_and_hardly_anything_else(session: PictureSession) -> None:
    """A hundred faces and a hundred other patches of photographs of the set Labeled Faces in the Wild, 25 pixels."""
    from skimage.data import lfw_subset
    from skimage.transform import resize

    found = []
    for patch in lfw_subset()[::2]:
        picture = np.full((300, 300), 0.5)
        picture[75:225, 75:225] = resize(patch / patch.max(), (150, 150), order=3)
        grey = np.asarray(picture.clip(0, 1) * 255, np.uint8)
        found.append(bool(faces(session, np.repeat(grey[..., None], 3, axis=2))))
    assert sum(found[:50]) >= 48
    assert sum(found[50:]) <= 2


@pytest.mark.sweep
def test_a_very_large_picture_needs_little_more_than_itself(files: Mapping[str, Path]) -> None:
    """48 million pixels are 137 MB: the face fills half of it, so all of it has to be read."""
    code = """
import resource, sys
from pathlib import Path
import numpy as np
from skimage.data import astronaut
from hume_runner.services.local.measurers.base import Picture
from hume_runner.services.local.measurers.face import FACE
session = FACE.open({}, {file.name: Path(sys.argv[1], file.name) for file in FACE.card({}).files})
large = np.zeros((6000, 8000, 3), np.uint8)
large[:4096, :4096] = np.repeat(np.repeat(astronaut(), 8, axis=0), 8, axis=1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
(row,) = session.measure([Picture(time_s=None, rgb=large)])
print(row.values["box_x"], (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""
    root = next(iter(files.values())).parent.parent
    done = subprocess.run([sys.executable, "-c", code, root], check=True, capture_output=True, text=True)
    x, more_mb = map(float, done.stdout.split())
    assert x == pytest.approx(177 * 8, abs=80)
    assert more_mb < 60


# -- pictures one after the other -------------------------------------------------------------------------------------


@pytest.mark.sweep
def test_a_pan_over_two_faces_has_two_tracks(session: PictureSession, astronaut: NDArray[np.uint8]) -> None:
    two = np.concatenate([astronaut[:300], astronaut[:300, ::-1]], axis=1)
    found = faces(session, *(two[:, x : x + 900] for x in range(0, 120, 12)), moving=True)
    assert [face["picture"] for face in found] == [number for number in range(10) for _ in range(2)]
    assert [face["track"] for face in found] == [0, 1] * 10
    assert found[-1]["time_s"] == pytest.approx(3)
    left = [face["box_x"] for face in found if face["track"] == 0]
    assert left[0] - left[-1] == pytest.approx(108, abs=12)


def test_pictures_are_read_one_by_one(session: PictureSession, astronaut: NDArray[np.uint8]) -> None:
    read = []

    def pictures() -> Any:
        for number in range(3):
            read.append(number)
            yield Picture(time_s=number / 3, rgb=astronaut)

    rows = iter(session.measure(pictures()))
    next(rows)
    assert read == [0]


def test_tracks_begin_anew_with_each_piece(session: PictureSession, astronaut: NDArray[np.uint8]) -> None:
    assert [face["track"] for _ in range(2) for face in faces(session, astronaut, moving=True)] == [0, 0]


@pytest.mark.sweep
def test_two_processes_measure_the_same_on_one_thread(files: Mapping[str, Path]) -> None:
    code = """
import os, sys
from pathlib import Path
from skimage.data import astronaut
from hume_runner.services.local.measurers.base import Picture
from hume_runner.services.local.measurers.face import FACE
session = FACE.open({"landmarks": True}, {file.name: Path(sys.argv[1], file.name) for file in FACE.card({}).files})
pictures = [Picture(time_s=n / 3, rgb=astronaut()[n:, :].copy()) for n in range(3)]
for row in session.measure(pictures):
    print(dict(row.values))
print(len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1)
"""
    root = next(iter(files.values())).parent.parent
    runs = [
        subprocess.run(
            [sys.executable, "-c", code, root],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "OPENBLAS_NUM_THREADS": "1"},  # numpy's own, which is not used
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
    assert runs[0].count("box_x") == 3
    assert runs[0].splitlines()[-1] == "1"

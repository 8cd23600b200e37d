"""What `face` tells and works out without its networks: options, card, pixels, boxes, pose, distances, tracks."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import jsonschema
import numpy as np
import pytest
from numpy.typing import NDArray

from hume_runner.services.local.measurers import face_anchors, face_pixels, head_pose
from hume_runner.services.local.measurers.face import DISTANCES, FACE
from hume_runner.services.local.measurers.face_distances import distances
from hume_runner.services.local.measurers.face_tracks import Tracks
from hume_runner.services.local.measurers.head_pose import pose


def box(x: float, y: float, side: float) -> NDArray[np.float32]:
    return np.array([[x, y], [x + side, y + side]], np.float32)


def noise(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


# -- what is asked without measuring ----------------------------------------------------------------------------------


def test_asking_for_card_options_and_tables_imports_nothing_heavy() -> None:
    code = (
        "import sys; from hume_runner.services.local.measurers.face import FACE as one\n"
        "one.card({}), one.schema, one.layouts, one.modules, one.model, one.reads\n"
        "sys.exit(any(name in sys.modules for name in ('numpy', 'ai_edge_litert')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_options_are_known_and_bounded() -> None:
    jsonschema.Draft202012Validator.check_schema(FACE.schema)
    options = {"fps": 1.5, "landmarks": True, "small_faces": True, "min_score": 0.7, "min_size": 40, "track_gap": 0}
    jsonschema.validate(options, FACE.schema)
    assert {*options, "networks"} == set(FACE.schema["properties"])  # of one's own, see test_own_weights
    for wrong in ({"fps": 0}, {"emotions": True}, {"min_score": 2}, {"min_size": 0}, {"landmarks": "yes"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, FACE.schema)


def test_the_card_says_the_law_and_what_it_is_not_for() -> None:
    card = FACE.card({})
    assert card.labels == ()
    for words in ("5(1)(f)", "50(3)", "darker skin", "not what a person feels", "Not for identifying"):
        assert words in card.limits


# -- pixels -----------------------------------------------------------------------------------------------------------


def test_a_picture_at_its_own_size_is_itself() -> None:
    rgb = noise(40, 40)
    square = face_pixels.whole(40, 40)
    cut = face_pixels.shrink(rgb, square, 40).cut(square, 40, black_outside=True)
    assert np.allclose(cut * 255, rgb, atol=1e-3)


def test_a_smaller_picture_has_the_means_of_its_blocks() -> None:
    rgb = noise(60, 60)
    square = face_pixels.whole(60, 60)
    cut = face_pixels.shrink(rgb, square, 20).cut(square, 20, black_outside=True)
    assert np.allclose(cut * 255, rgb.reshape(20, 3, 20, 3, 3).mean(axis=(1, 3)), atol=1e-2)


def test_a_wide_picture_stands_between_two_black_strips() -> None:
    rgb = np.full((20, 40, 3), 255, np.uint8)
    square = face_pixels.whole(40, 20)
    cut = face_pixels.shrink(rgb, square, 40).cut(square, 40, black_outside=True)
    assert (cut[:10] == 0).all()
    assert np.allclose(cut[10:30], 1)
    assert (cut[30:] == 0).all()


def test_beyond_its_edge_a_picture_goes_on_as_it_ends_where_that_is_wanted() -> None:
    rgb = np.full((20, 20, 3), 255, np.uint8)
    square = face_pixels.Square(x=20, y=20, side=20, angle=0.3)
    cut = face_pixels.shrink(rgb, square, 10).cut(square, 10, black_outside=False)
    assert np.allclose(cut, 1)


def test_a_square_turned_by_a_quarter_is_the_picture_turned() -> None:
    rgb = noise(32, 32)
    square = face_pixels.Square(x=16, y=16, side=32, angle=np.pi / 2)
    cut = face_pixels.shrink(rgb, square, 32).cut(square, 32, black_outside=False)
    assert np.allclose(cut * 255, np.rot90(rgb), atol=0.05)


def test_points_of_a_square_lie_where_its_pixels_came_from() -> None:
    rgb = np.zeros((200, 300, 3), np.uint8)
    rgb[119:122, 79:82] = 255
    square = face_pixels.Square(x=100, y=100, side=96, angle=0.5)
    cut = face_pixels.shrink(rgb, square, 96).cut(square, 96, black_outside=True)
    row, column = np.unravel_index(cut[..., 0].argmax(), (96, 96))
    place = np.array([(column + 0.5) / 96, (row + 0.5) / 96], np.float32)
    assert np.allclose(square.to_picture(place), (80.5, 120.5), atol=1.5)


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (720, 1280), (300, 290), (2000, 300)])
def test_tiles_cover_a_picture_and_overlap_by_a_third(width: int, height: int) -> None:
    tiles = face_pixels.tiles(width, height, 192)
    side = tiles[0].side
    for centres, length in (({one.x for one in tiles}, width), ({one.y for one in tiles}, height)):
        places = sorted(centres)
        assert places[0] == side / 2
        assert places[-1] == length - side / 2
        assert all(after - before <= side * 2 / 3 for before, after in pairwise(places))


def test_a_small_picture_has_no_tiles() -> None:
    assert face_pixels.tiles(280, 1000, 192) == []


# -- boxes ------------------------------------------------------------------------------------------------------------


def test_overlap_is_intersection_over_union() -> None:
    others = np.stack([box(0, 0, 10), box(5, 0, 10), box(20, 20, 10), box(0, 0, 0)])
    assert np.allclose(face_anchors.overlaps(box(0, 0, 10), others), [1, 50 / 150, 0, 0])


def test_boxes_that_overlap_are_one_under_the_highest_score() -> None:
    faces = np.zeros((3, 8, 2), np.float32)
    faces[:, :2] = [box(2, 0, 10), box(0, 0, 10), box(50, 50, 10)]
    merged, scores = face_anchors.merged(faces, np.array([0.3, 0.9, 0.5], np.float32))
    assert np.allclose(scores, [0.9, 0.5])
    assert np.allclose(merged[0, 0], [2 * 0.3 / 1.2, 0])
    assert np.allclose(merged[1, :2], box(50, 50, 10))


def test_no_boxes_are_none() -> None:
    merged, scores = face_anchors.merged(np.empty((0, 8, 2), np.float32), np.empty(0, np.float32))
    assert (merged.shape, scores.shape) == ((0, 8, 2), (0,))


# -- pose -------------------------------------------------------------------------------------------------------------


def standard_mesh(
    *, turned: NDArray[np.float64], scale: float = 30, at: tuple[float, float] = (200, 100)
) -> NDArray[np.float32]:
    """A mesh that has the standard face's points where they are known, turned: up is up there, and down here."""
    numbers, points, _ = head_pose._standard_face()
    mesh = np.zeros((468, 3), np.float32)
    mesh[numbers] = (points @ turned.T * scale * [1, -1, -1]) + [*at, 5]
    return mesh


def turn(axis: str, degrees: float) -> NDArray[np.float64]:
    """A rotation about one axis by the right-hand rule; x right, y up, z towards the camera."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array(
        {
            "x": [[1, 0, 0], [0, c, -s], [0, s, c]],
            "y": [[c, 0, s], [0, 1, 0], [-s, 0, c]],
            "z": [[c, -s, 0], [s, c, 0], [0, 0, 1]],
        }[axis]
    )


@pytest.mark.parametrize(
    ("yaw", "pitch", "roll"), [(0, 0, 0), (30, 0, 0), (0, 20, 0), (0, 0, 15), (-40, 25, -70), (10, -35, 170)]
)
def test_a_face_turned_by_known_angles_has_these(yaw: float, pitch: float, roll: float) -> None:
    # Towards the right of the picture about y; up against x; clockwise against z.
    found = pose(standard_mesh(turned=turn("y", yaw) @ turn("x", -pitch) @ turn("z", -roll)))
    assert found is not None
    assert (found.yaw, found.pitch, found.roll) == pytest.approx((yaw, pitch, roll), abs=0.01)


def test_where_a_face_is_and_how_large_does_not_change_its_pose() -> None:
    turned = turn("y", 25) @ turn("x", 10)
    near = pose(standard_mesh(turned=turned, scale=100, at=(900, 20)))
    far = pose(standard_mesh(turned=turned, scale=2, at=(10, 400)))
    assert near is not None
    assert far is not None
    assert (near.yaw, near.pitch, near.roll) == pytest.approx((far.yaw, far.pitch, far.roll), abs=0.01)


def test_a_mesh_in_one_point_has_no_pose_and_no_distances() -> None:
    assert pose(np.ones((468, 3), np.float32)) is None
    assert distances(np.ones((468, 3), np.float32)) is None


# -- distances --------------------------------------------------------------------------------------------------------


def test_distances_are_in_units_of_the_outer_eye_corners() -> None:
    mesh = np.zeros((468, 3), np.float32)
    mesh[33], mesh[263] = (0, 0, 0), (50, 0, 0)
    mesh[13], mesh[14] = (25, 40, 0), (25, 50, 0)
    mesh[61], mesh[291] = (10, 45, 3), (40, 45, 3)
    found = distances(mesh)
    assert found is not None
    assert set(found) == set(DISTANCES)
    assert found["mouth_opening"] == pytest.approx(0.2)
    assert found["mouth_width"] == pytest.approx(0.6)


# -- tracks -----------------------------------------------------------------------------------------------------------


def test_a_pan_keeps_its_tracks() -> None:
    tracks = Tracks(gap=0)
    for picture in range(20):
        boxes = [box(100 + 30 * picture, 100, 90), box(500 + 30 * picture, 120, 60)]
        # The order within a picture tells nothing.
        numbers = tracks.follow(picture, boxes if picture % 2 else boxes[::-1])
        assert numbers == ([1, 0] if picture % 2 else [0, 1])


def test_a_jump_begins_a_track() -> None:
    tracks = Tracks(gap=3)
    assert tracks.follow(0, [box(0, 0, 90)]) == [0]
    assert tracks.follow(1, [box(80, 0, 90)]) == [1]


@pytest.mark.parametrize(("missing", "track"), [(0, 0), (2, 0), (3, 1)])
def test_a_face_that_is_missed_for_a_while_is_the_same(missing: int, track: int) -> None:
    tracks = Tracks(gap=2)
    tracks.follow(0, [box(0, 0, 90)])
    for picture in range(1, missing + 1):
        tracks.follow(picture, [])
    assert tracks.follow(missing + 1, [box(5, 0, 90)]) == [track]


def test_of_two_faces_on_one_track_the_one_that_overlaps_more_goes_on() -> None:
    tracks = Tracks(gap=0)
    tracks.follow(0, [box(0, 0, 90)])
    assert tracks.follow(1, [box(30, 0, 90), box(5, 0, 90)]) == [1, 0]

"""Images: what is taken, which refusal the others get; boxes, tracking and the state that carries it on."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image

from hume_runner.emulator.expression_v1.faces import Tracker, detect_faces
from hume_runner.emulator.expression_v1.images import Size, check_image
from hume_runner.emulator.server import Emulator
from tests.emulator.api import Api, png
from tests.emulator.expression_api import VIDEO, code, jpeg, measured, send, speech, wav

EVERYTHING = {"threshold": 0, "min_size": 1}


@pytest.mark.parametrize(
    "image",
    [jpeg(), jpeg(mode="L"), jpeg(mode="CMYK"), jpeg(progressive=True), jpeg() + b"\xff\xd9trailer", jpeg(0, 1, 1)],
    ids=["plain", "grey", "four colours", "progressive", "with more behind", "one pixel"],
)
def test_a_complete_jpeg_is_measured(api: Api, image: bytes) -> None:
    answer = measured(api, VIDEO, [image])
    assert set(answer) == {"request_id", "run_id", "received", "measurements"}
    assert answer["received"] == {"frames": 1}
    assert [one["frame_id"] for one in answer["measurements"]] == [0]


def test_the_orientation_is_not_applied() -> None:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (300, 100), "red").save(buffer, "JPEG", exif=exif)
    assert check_image(buffer.getvalue(), 0) == Size(300, 100)


WHOLE = jpeg(3, progressive=True)
SOF = WHOLE.index(b"\xff\xc2")
SCAN = WHOLE.index(b"\xff\xda")
SCAN += 2 + int.from_bytes(WHOLE[SCAN + 2 : SCAN + 4], "big")


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (png(), (415, "unsupported_media_type")),
        (wav(speech(50)), (415, "unsupported_media_type")),
        (b"GIF89a" + bytes(50), (415, "unsupported_media_type")),
        (b"", (400, "image_decode_failed")),
        (b"\xff\xd8\xff", (400, "image_decode_failed")),
        (b"\xff\xd8\xff\xd9", (400, "image_decode_failed")),
        (WHOLE[:-2], (400, "image_decode_failed")),
        (WHOLE[: len(WHOLE) // 2], (400, "image_decode_failed")),
        (WHOLE[:SCAN] + b"\xff\xd9", (400, "image_decode_failed")),
        (WHOLE[: SOF + 8], (400, "image_decode_failed")),
        (WHOLE[: SOF + 5] + b"\0\0" + WHOLE[SOF + 7 :], (400, "image_decode_failed")),
        (WHOLE[: SOF + 1] + b"\xc3" + WHOLE[SOF + 2 :], (400, "image_decode_failed")),
        (jpeg() + bytes(2_000_001 - len(jpeg())), (413, "image_too_large")),
        (jpeg(0, 3841, 2160), (413, "image_too_large")),
    ],
    ids=lambda value: f"{len(value)} bytes" if isinstance(value, bytes) else None,
)
def test_a_bad_image_fails_the_whole_request(api: Api, image: bytes, expected: tuple[int, str]) -> None:
    answer = send(api, VIDEO, [jpeg(), image, jpeg(1)])
    assert code(answer) == expected
    assert "image 1" in answer.json()["message"]


@pytest.mark.sweep
def test_the_limits_themselves_are_allowed(api: Api) -> None:
    largest = jpeg(0, 3840, 2160)
    measured(api, VIDEO, [largest, jpeg() + bytes(2_000_000 - len(jpeg()))])


@pytest.mark.parametrize("end", range(3, len(WHOLE), 997))
def test_no_beginning_of_a_jpeg_passes_for_the_whole(api: Api, end: int) -> None:
    assert code(send(api, VIDEO, [WHOLE[:end]])) == (400, "image_decode_failed")


@pytest.mark.sweep
def test_faces_lie_in_the_picture_and_keep_the_documented_order(api: Api) -> None:
    sizes = [(640, 360), (90, 400), (33, 20)]
    images = [jpeg(seed, *sizes[seed % 3]) for seed in range(150)]
    answer = measured(api, VIDEO, images, {"face": EVERYTHING})
    counts = set()
    for place, one in enumerate(answer["measurements"]):
        width, height = sizes[place % 3]
        faces = one["faces"]
        counts.add(len(faces))
        areas = []
        for number, face in enumerate(faces):
            x0, y0, x1, y1 = face["bbox"]
            assert 0 <= x0 < x1 <= width
            assert 0 <= y0 < y1 <= height
            areas.append((x1 - x0) * (y1 - y0))
            is_measured = number < 2
            assert (face["face_id"] is not None) == is_measured
            for scores in (face["expressions"], face["descriptions"]):
                assert (scores is not None) == is_measured
                assert scores is None or scores == sorted(scores, key=lambda one: (-one["probability"], one["name"]))
                assert all(0.1 < score["probability"] <= 1 for score in scores or [])
        assert areas[:2] == sorted(areas[:2], reverse=True)
        assert max(areas[2:], default=0) <= min(areas[:2], default=0)
        confidences = [face["confidence"] for face in faces[2:]]
        assert confidences == sorted(confidences, reverse=True)
    assert {0, 1, 2, 3} <= counts
    assert max(counts) <= 32


@pytest.mark.sweep
def test_threshold_and_size_leave_faces_out(api: Api) -> None:
    images = [jpeg(seed) for seed in range(60)]
    everything = _boxes(measured(api, VIDEO, images, {"face": EVERYTHING}))
    default = _boxes(measured(api, VIDEO, images))
    assert default == [
        face for face in everything if face[2] >= 0.9 and min(face[1][2] - face[1][0], face[1][3] - face[1][1]) >= 60
    ]
    assert 0 < len(default) < len(everything)
    assert _boxes(measured(api, VIDEO, images, {"face": {"threshold": 1.0, "min_size": 4_000_000_000}})) == []


def _boxes(answer: Any) -> list[tuple[int, list[float], float]]:
    """Frame, box and confidence of every face, by frame and box."""
    return sorted(
        (one["frame_id"], face["bbox"], face["confidence"]) for one in answer["measurements"] for face in one["faces"]
    )


def test_a_picture_scores_the_same_wherever_it_stands(api: Api) -> None:
    picture = next(jpeg(seed) for seed in range(50) if len(detect_faces(jpeg(seed), Size(320, 240), 0)) == 1)
    answer = measured(api, VIDEO, [picture, jpeg(51), picture])["measurements"]
    assert answer[0]["faces"] == answer[2]["faces"] != []


def test_numbers_go_from_0_in_order_and_come_back_until_32_others_were_seen() -> None:
    tracker = Tracker()
    assert [tracker.number_of(person) for person in (7, 3, 7, 9)] == [0, 1, 0, 2]
    assert [tracker.number_of(person) for person in range(100, 132)] == list(range(3, 35))
    assert tracker.number_of(7) == 35
    assert len(tracker.known) == 32


class TestFaceState:
    def send(self, api: Api, images: list[bytes], state: str | None = None) -> tuple[str, list[list[int]]]:
        face = {**EVERYTHING, "return_face_state": True}
        answer = measured(api, VIDEO, images, {"face": face} | ({} if state is None else {"face_state": state}))
        ids = [[face["face_id"] for face in one["faces"][:2]] for one in answer["measurements"]]
        return answer["face_state"], ids

    def images(self) -> list[bytes]:
        return [jpeg(seed) for seed in range(20)]

    def test_two_requests_with_the_state_number_like_one(self, api: Api) -> None:
        _, together = self.send(api, self.images())
        state, first = self.send(api, self.images()[:9])
        _, second = self.send(api, self.images()[9:], state)
        assert first + second == together
        _, restarted = self.send(api, self.images()[9:])
        assert restarted != second

    def test_the_state_may_be_used_twice(self, api: Api) -> None:
        state, _ = self.send(api, self.images()[:9])
        assert self.send(api, self.images()[9:], state)[1] == self.send(api, self.images()[9:], state)[1]

    def test_an_altered_a_foreign_and_an_expired_state_are_ignored_without_a_word(self) -> None:
        keys = ["one", "other"]
        with Emulator(processing_time_s=0, api_keys=keys) as emulator, Api(emulator.url, "one") as api:
            state, _ = self.send(api, self.images()[:9])
            _, restarted = self.send(api, self.images()[9:])
            _, continued = self.send(api, self.images()[9:], state)
            assert continued != restarted
            for altered in (state[:-2], state.replace(state[50], "_", 1), "x" + state, state + "\n", "\N{SNOWMAN}", ""):
                assert self.send(api, self.images()[9:], altered)[1] == restarted
            with Api(emulator.url, "other") as other:
                assert self.send(other, self.images()[9:], state)[1] == restarted
            api.call("POST", "/_emulator/expression", json={"face_state_lifetime_s": 0})
            assert self.send(api, self.images()[9:], state)[1] == restarted

    def test_it_comes_only_where_it_is_asked_for(self, api: Api) -> None:
        assert "face_state" not in measured(api, VIDEO, [jpeg()], {"face": {"return_face_state": False}})

    def test_it_outlives_a_restart(self, tmp_path: Any) -> None:
        seen: list[tuple[str, list[list[int]]]] = []
        for _ in range(2):
            with Emulator(processing_time_s=0, data=tmp_path) as emulator, Api(emulator.url, emulator.api_key) as api:
                seen.append(self.send(api, self.images()[:9], seen[0][0] if seen else None))
                if len(seen) == 2:
                    seen.append(self.send(api, self.images()[9:], seen[0][0]))
                    seen.append(self.send(api, self.images()[9:]))
        assert seen[2][1] != seen[3][1]

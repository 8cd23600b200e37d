from __future__ import annotations

import email.parser
import email.policy
import hashlib
import io
import json
import math
import struct
import subprocess
import sys
import textwrap
import threading
import time
import uuid
import wave
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hume_runner.emulator.server import Emulator
from hume_runner.errors import (
    ApiError,
    AuthError,
    Discontinued,
    NotFound,
    RateLimited,
    RequestRejected,
    ServerError,
    TransportError,
    UnexpectedResponse,
)
from hume_runner.http.messages import ApiRequest
from hume_runner.http.retry import NO_RETRY, RetryPolicy
from hume_runner.http.transport import RequestsTransport
from hume_runner.http.upload import SourceChanged, Upload
from hume_runner.services.expression_v1.client import (
    AUDIO_PATH,
    AUTH_HEADER,
    RUNS_PATH,
    VIDEO_PATH,
    AnswerNotUnderstood,
    ExpressionV1Api,
)
from hume_runner.services.expression_v1.errors import api_error, measurement_outcome
from hume_runner.services.expression_v1.reading import (
    instant,
    parse_instant,
    read_audio_answer,
    read_run,
    read_video_answer,
)
from tests.tiers import sampled
from tests.wire import Swallows, answering, silent

AUDIO_POST = f"POST {AUDIO_PATH}"
VIDEO_POST = f"POST {VIDEO_PATH}"
QUICK = RetryPolicy(attempts=3, sleep=lambda seconds: None)


class Slice:
    """A part that is cut from a file without a copy."""

    content_type = "audio/wav"
    sha256 = None

    def __init__(self, path: Path, begin: int, end: int, filename: str = "part.wav") -> None:
        self.filename = filename
        self.size_bytes = end - begin
        self._path = path
        self._begin = begin
        self._end = end

    def open(self) -> closing[BinaryIO]:
        with self._path.open("rb") as file:
            file.seek(self._begin)
            return closing(io.BytesIO(file.read(self._end - self._begin)))


@pytest.fixture
def api(shared_emulator: Emulator) -> Iterator[ExpressionV1Api]:
    with RequestsTransport(shared_emulator.url, "key-one", AUTH_HEADER) as transport:
        yield ExpressionV1Api(transport, QUICK)


def recording(path: Path, seconds: float = 12.0) -> Path:
    """A voice-like sound with pauses: 16 kHz mono 16-bit."""
    samples = bytearray()
    for index in range(int(seconds * 16_000)):
        at = index / 16_000
        loud = 0.0 if at % 6 > 4.5 else 0.5 + 0.4 * math.sin(2 * math.pi * 4 * at)
        voice = sum(math.sin(2 * math.pi * 140 * harmonic * at) / harmonic for harmonic in (1, 2, 3, 4))
        samples += struct.pack("<h", int(9000 * loud * voice / 2))
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(samples))
    return path


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recording(tmp_path_factory.mktemp("speech") / "speech.wav")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pictures")
    paths = [folder / f"{number}.jpg" for number in range(5)]
    for number, path in enumerate(paths):
        Image.radial_gradient("L").resize((640, 480)).rotate(40 * number).convert("RGB").save(path)
    return paths


def runs_of(api: ExpressionV1Api) -> list[str]:
    return [run.run_id for run in api.list_runs()]


# -- against the emulator ----------------------------------------------------------------------------------------------


def test_a_recording_is_measured_and_the_answer_is_kept_as_it_came(api: ExpressionV1Api, speech: Path) -> None:
    digest = hashlib.sha256(speech.read_bytes()).hexdigest()
    measured = api.measure_audio(Upload.of(speech, sha256=digest), {"measurement_timer_ms": 3000}, deadline_s=30)
    assert measured.simulated
    assert measured.server_date_s is not None
    assert measured.face_state is None
    raw = json.loads(measured.body)
    assert (raw["run_id"], raw["request_id"]) == (measured.run_id, measured.request_id)
    answer = read_audio_answer(measured.body)
    assert answer.audio_duration_ms == 12_000
    assert len(answer.utterances) == len(raw["utterances"]) >= 1
    assert [each.measurement_id for each in answer.measurements] == list(range(len(raw["measurements"])))
    for read, sent in zip(answer.measurements, raw["measurements"], strict=True):
        assert [{"name": name, "probability": value} for name, value in read.expressions] == sent["expressions"]
        assert [{"name": name, "probability": value} for name, value in read.voice_attributes] == sent[
            "voice_attributes"
        ]


def test_a_passage_measures_like_a_file_of_its_own(api: ExpressionV1Api, speech: Path, tmp_path: Path) -> None:
    holder = tmp_path / "holder.bin"
    holder.write_bytes(b"before" + speech.read_bytes() + b"after")
    part = Slice(holder, 6, 6 + speech.stat().st_size)
    whole = read_audio_answer(api.measure_audio(Upload.of(speech), None, deadline_s=30).body)
    passage = read_audio_answer(api.measure_audio(part, None, deadline_s=30).body)
    assert passage.measurements == whole.measurements
    assert passage.utterances == whole.utterances


def test_images_come_back_in_their_order_and_faces_go_on_with_the_state(
    api: ExpressionV1Api, pictures: list[Path]
) -> None:
    config = {"face": {"threshold": 0.5, "min_size": 10, "return_face_state": True}}
    first = api.measure_images([Upload.of(path) for path in pictures], config, deadline_s=30)
    answer = read_video_answer(first.body)
    assert [image.frame_id for image in answer.measurements] == [0, 1, 2, 3, 4]
    assert answer.frames == 5
    assert first.face_state
    assert answer.face_state == first.face_state
    known = {face.face_id for image in answer.measurements for face in image.faces if face.face_id is not None}
    assert known

    onwards = api.measure_images(
        [Upload.of(pictures[0])], {"face": config["face"], "face_state": first.face_state}, deadline_s=30
    )
    seen = read_video_answer(onwards.body).measurements[0].faces
    assert {face.face_id for face in seen} <= known | {None}
    assert api.measure_images([Upload.of(pictures[0])], {"face": {"threshold": 0.5}}, deadline_s=30).face_state is None


def test_faces_that_were_only_found_have_no_scores() -> None:
    face = {"bbox": [1, 2.5, 3, 4], "confidence": 0.93, "face_id": None, "expressions": None, "new": 1}
    body = {
        "request_id": "q",
        "run_id": "r",
        "received": {"frames": 1},
        "measurements": [{"frame_id": 0, "faces": [face]}],
    }
    (found,) = read_video_answer(body).measurements[0].faces
    assert (found.bbox, found.face_id, found.expressions, found.descriptions) == ((1, 2.5, 3, 4), None, None, None)


def test_runs_are_listed_through_all_pages(api: ExpressionV1Api, speech: Path, shared_emulator: Emulator) -> None:
    made = [api.measure_audio(Upload.of(speech), None, deadline_s=30).run_id for _ in range(5)]
    asked = shared_emulator.requests()["by_route"].get(f"GET {RUNS_PATH}", 0)
    listed = list(api.list_runs(page_size=2, mode="file", endpoint="audio", status="ended"))
    assert [run.run_id for run in listed[:5]] == made[::-1]
    assert shared_emulator.requests()["by_route"][f"GET {RUNS_PATH}"] - asked == math.ceil(len(listed) / 2)
    newest = listed[0]
    assert (newest.endpoint, newest.mode, newest.status) == ("audio", "file", "ended")
    assert newest.metered_seconds == 12.0
    assert newest.started_at is not None
    assert newest.ended_at is not None
    assert 0 <= newest.ended_at - newest.started_at < 60
    assert newest.bytes_received
    assert set(newest.raw) >= {"run_id", "user_id"}
    assert {run.user_id for run in api.list_runs(user_id=newest.user_id)} == {newest.user_id}
    assert list(api.list_runs(endpoint="video", user_id="nobody")) == []


def test_the_window_of_time_is_inclusive_below_and_exclusive_above(api: ExpressionV1Api, speech: Path) -> None:
    run = api.get_run(api.measure_audio(Upload.of(speech), None, deadline_s=30).run_id)
    assert run.started_at is not None
    assert run.run_id in [each.run_id for each in api.list_runs(started_after=run.started_at)]
    assert run.run_id not in [each.run_id for each in api.list_runs(started_after=run.started_at + 0.001)]
    assert run.run_id not in [each.run_id for each in api.list_runs(started_before=run.started_at)]
    assert run.run_id in [each.run_id for each in api.list_runs(started_before=run.started_at + 0.001)]


def test_pages_are_asked_for_only_as_far_as_they_are_read(
    api: ExpressionV1Api, speech: Path, shared_emulator: Emulator
) -> None:
    for _ in range(3):
        api.measure_audio(Upload.of(speech), None, deadline_s=30)
    before = shared_emulator.requests()["by_route"].get(f"GET {RUNS_PATH}", 0)
    next(api.list_runs(page_size=1))
    assert shared_emulator.requests()["by_route"][f"GET {RUNS_PATH}"] == before + 1


def test_one_run_tells_its_configuration(api: ExpressionV1Api, speech: Path) -> None:
    run_id = api.measure_audio(Upload.of(speech), {"measurement_timer_ms": 5000}, deadline_s=30).run_id
    assert api.get_run(run_id).raw["config"]["measurement_timer_ms"] == 5000


def test_runs_of_others_and_unknown_ones_are_not_found(
    api: ExpressionV1Api, speech: Path, shared_emulator: Emulator
) -> None:
    run_id = api.measure_audio(Upload.of(speech), None, deadline_s=30).run_id
    with pytest.raises(NotFound) as caught:
        api.get_run(str(uuid.uuid4()))
    assert caught.value.code == "not_found"
    with RequestsTransport(shared_emulator.url, "key-two", AUTH_HEADER) as transport:
        other = ExpressionV1Api(transport, QUICK)
        with pytest.raises(NotFound):
            other.get_run(run_id)


@pytest.mark.parametrize("run_id", ["../run", "..", ".", "", " ", "a/b", "a?b=c", "a#b", "ä\n", "%2e%2e", "\ud800"])
def test_no_run_id_leads_to_another_path(api: ExpressionV1Api, shared_emulator: Emulator, run_id: str) -> None:
    before = shared_emulator.requests()["by_route"].get(f"GET {RUNS_PATH}", 0)
    with pytest.raises(NotFound):
        api.get_run(run_id)
    assert shared_emulator.requests()["by_route"].get(f"GET {RUNS_PATH}", 0) == before


def test_a_wrong_key_is_an_auth_error_of_the_gateway(shared_emulator: Emulator, speech: Path) -> None:
    with RequestsTransport(shared_emulator.url, "no-such-key", AUTH_HEADER) as transport:
        api = ExpressionV1Api(transport, QUICK)
        with pytest.raises(AuthError) as caught:
            api.measure_audio(Upload.of(speech), None, deadline_s=30)
        with pytest.raises(AuthError):
            next(api.list_runs())
    assert caught.value.code is None
    assert caught.value.request_id
    assert measurement_outcome(caught.value) == "refused"
    assert "no-such-key" not in str(caught.value) + caught.value.body


def test_refusals_carry_the_services_code_and_bill_nothing(
    api: ExpressionV1Api, speech: Path, pictures: list[Path], tmp_path: Path
) -> None:
    mp3 = tmp_path / "a.mp3"
    mp3.write_bytes(b"ID3\x04\x00\x00\x00\x00\x00\x00" + bytes(64))
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(pictures[0].read_bytes()[:200])
    billed = sum(run.metered_seconds or 0 for run in api.list_runs())
    attempts: list[tuple[str, Any]] = [
        ("config_invalid", lambda: api.measure_audio(Upload.of(speech), {"timer": 1}, deadline_s=30)),
        ("config_invalid", lambda: api.measure_audio(Upload.of(speech), {"measurement_timer_ms": 1}, deadline_s=30)),
        ("unsupported_media_type", lambda: api.measure_audio(Upload.of(mp3), None, deadline_s=30)),
        ("unsupported_media_type", lambda: api.measure_images([Upload.of(speech)], None, deadline_s=30)),
        (
            "image_decode_failed",
            lambda: api.measure_images([Upload.of(pictures[0]), Upload.of(bad)], {}, deadline_s=30),
        ),
    ]
    for code, attempt in attempts:
        with pytest.raises(RequestRejected, match=code) as caught:
            attempt()
        assert caught.value.code == code
        assert caught.value.request_id
        assert caught.value.hint
        assert measurement_outcome(caught.value) == "refused"
    assert sum(run.metered_seconds or 0 for run in api.list_runs()) == billed


def test_a_failed_measurement_is_a_refusal_although_its_status_is_500(
    api: ExpressionV1Api, speech: Path, shared_emulator: Emulator
) -> None:
    answer = requests.post(f"{shared_emulator.url}/_emulator/expression", json={"failing_measurements": 1}, timeout=10)
    assert answer.ok
    with pytest.raises(ServerError) as caught:
        api.measure_audio(Upload.of(speech), None, deadline_s=30)
    assert (caught.value.status, caught.value.code) == (500, "internal_error")
    assert measurement_outcome(caught.value) == "refused"


BUSY = {"type": "error", "code": "server_busy", "message": "later", "request_id": "q-1"}
INTERNAL = {"type": "error", "code": "internal_error", "message": "oops", "request_id": "q-2"}
FAULTS: list[tuple[str, dict[str, Any], type[ApiError], str]] = [
    ("dropped before", {"drop": "before"}, TransportError, "unknown"),
    ("dropped after", {"drop": "after"}, TransportError, "unknown"),
    ("408 gateway", {"status": 408, "body": {"message": "timeout"}}, RequestRejected, "unknown"),
    ("408 own", {"status": 408, "body": INTERNAL}, RequestRejected, "refused"),
    ("413 gateway", {"status": 413, "body": {"message": "large"}}, RequestRejected, "refused"),
    ("429", {"status": 429, "headers": {"Retry-After": "3"}, "body": {"message": "rate"}}, RateLimited, "refused"),
    ("500 gateway", {"status": 500, "body": {"message": "oops"}}, ServerError, "unknown"),
    ("500 own", {"status": 500, "body": INTERNAL}, ServerError, "refused"),
    ("502", {"status": 502, "body": {}}, ServerError, "unknown"),
    ("503 own", {"status": 503, "headers": {"Retry-After": "2"}, "body": BUSY}, ServerError, "refused"),
    ("503 gateway", {"status": 503, "body": {}}, ServerError, "refused"),
    ("504", {"status": 504, "body": {}}, ServerError, "unknown"),
    ("web page", {"html": True}, AnswerNotUnderstood, "unknown"),
    ("truncated", {"truncate": 0.5}, ApiError, "unknown"),
    ("redirect", {"redirect": "http://127.0.0.1:9/x"}, UnexpectedResponse, "unknown"),
]


@pytest.mark.parametrize(("name", "action", "kind", "outcome"), FAULTS, ids=[fault[0] for fault in FAULTS])
def test_media_are_posted_once_whatever_goes_wrong(
    api: ExpressionV1Api,
    shared_emulator: Emulator,
    pictures: list[Path],
    name: str,
    action: dict[str, Any],
    kind: type[ApiError],
    outcome: str,
) -> None:
    before = shared_emulator.requests()["by_route"].get(VIDEO_POST, 0)
    shared_emulator.inject([{"route": VIDEO_POST, "times": 1, "action": action}])
    with pytest.raises(kind) as caught:
        api.measure_images([Upload.of(pictures[0])], None, deadline_s=30)
    assert measurement_outcome(caught.value) == outcome
    assert shared_emulator.requests()["by_route"].get(VIDEO_POST, 0) - before <= 1
    assert api.measure_images([Upload.of(pictures[0])], None, deadline_s=30).run_id  # the next is not disturbed


@sampled(2)
@pytest.mark.parametrize(
    "action",
    [
        {"drop": "before"},
        {"status": 503, "headers": {"Retry-After": "1"}, "body": BUSY},
        {"status": 502},
        {"html": True},
    ],
    ids=["dropped", "503", "502", "web page"],
)
def test_each_page_and_each_run_is_asked_for_again_until_it_works(
    api: ExpressionV1Api, shared_emulator: Emulator, speech: Path, action: dict[str, Any]
) -> None:
    made = [api.measure_audio(Upload.of(speech), None, deadline_s=30).run_id for _ in range(3)]
    shared_emulator.inject([{"route": f"GET {RUNS_PATH}", "nth": [2, 3], "action": action}])
    runs = api.list_runs(page_size=1)
    assert [next(runs).run_id for _ in range(3)] == made[::-1]
    shared_emulator.inject([{"route": f"GET {RUNS_PATH}/{{run_id}}", "times": 2, "action": action}])
    assert api.get_run(made[0]).run_id == made[0]


def test_a_read_gives_up_after_its_attempts(api: ExpressionV1Api, shared_emulator: Emulator) -> None:
    action = {"status": 503, "headers": {"Retry-After": "9"}, "body": BUSY}
    shared_emulator.inject([{"route": f"GET {RUNS_PATH}", "action": action}])
    with pytest.raises(ServerError) as caught:
        next(api.list_runs())
    assert (caught.value.retry_after_s, caught.value.code) == (9.0, "server_busy")


# -- what goes out -----------------------------------------------------------------------------------------------------


def _answering(bodies: list[bytes], answer: bytes = b'{"run_id": "r", "request_id": "q"}') -> Any:
    def script(talk: Any) -> None:
        bodies.append(talk.read_request())
        talk.answer(answer, "Connection: close")

    return script


def _parts(request: bytes) -> list[tuple[str, str | None, str | None, bytes]]:
    head, body = request.split(b"\r\n\r\n", 1)
    kind = next(line for line in head.decode().split("\r\n") if line.lower().startswith("content-type"))
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(kind.encode() + b"\r\n\r\n" + body)
    return [
        (
            part.get_param("name", header="content-disposition"),
            part.get_filename(),
            part.get("Content-Type"),
            part.get_payload(decode=True),
        )
        for part in message.iter_parts()  # type: ignore[attr-defined]
    ]


def test_the_configuration_goes_first_as_json_without_a_file_name(serve, connect, pictures: list[Path]) -> None:
    seen: list[bytes] = []
    api = ExpressionV1Api(connect(serve(_answering(seen)).url), NO_RETRY)
    api.measure_images([Upload.of(path) for path in pictures[:2]], {"face": {"min_size": 60}}, deadline_s=20)
    assert seen[0].startswith(b"POST /v1/expression/video/file HTTP/1.1\r\n")
    assert _parts(seen[0]) == [
        ("config", None, "application/json", b'{"face": {"min_size": 60}}'),
        ("file", "0.jpg", "image/jpeg", pictures[0].read_bytes()),
        ("file", "1.jpg", "image/jpeg", pictures[1].read_bytes()),
    ]


def test_without_configuration_no_part_for_it_is_sent(serve, connect, speech: Path) -> None:
    seen: list[bytes] = []
    api = ExpressionV1Api(connect(serve(_answering(seen)).url), NO_RETRY)
    api.measure_audio(Upload.of(speech, filename="x.wav"), None, deadline_s=20)
    api.measure_audio(Upload.of(speech, filename="x.wav"), {}, deadline_s=20)
    assert _parts(seen[0]) == [("file", "x.wav", "audio/wav", speech.read_bytes())]
    assert _parts(seen[1])[0] == ("config", None, "application/json", b"{}")


def test_no_image_is_not_a_request(connect, unused_port: int) -> None:
    api = ExpressionV1Api(connect(f"http://127.0.0.1:{unused_port}"), NO_RETRY)
    with pytest.raises(ValueError, match="no image"):
        api.measure_images([], None, deadline_s=20)


def test_filters_travel_as_the_api_spells_them(serve, connect) -> None:
    seen: list[bytes] = []
    api = ExpressionV1Api(connect(serve(_answering(seen, b'{"runs": []}')).url), NO_RETRY)
    asked = api.list_runs(
        mode="file", endpoint="audio", status="ended", user_id="u", started_after=0.0019, started_before=1e9 + 0.0001
    )
    assert list(asked) == []
    query = seen[0].split(b" ")[1].decode()
    assert query == (
        "/v1/expression/run?mode=file&endpoint=audio&status=ended&user_id=u"
        "&started_after=1970-01-01T00%3A00%3A00.001Z&started_before=2001-09-09T01%3A46%3A40.001Z&page_size=200"
    )


def test_a_cursor_is_passed_back_unchanged_with_the_same_filters(serve, connect) -> None:
    seen: list[bytes] = []
    pages = iter([b'{"runs": [{"run_id": "a"}], "next_cursor": "x&y=/+ \xc3\xa4"}', b'{"runs": [{"run_id": "b"}]}'])

    def script(talk: Any) -> None:
        seen.append(talk.read_request())
        talk.answer(next(pages), "Connection: close")

    api = ExpressionV1Api(connect(serve(script).url), NO_RETRY)
    assert [run.run_id for run in api.list_runs(mode="file", page_size=1)] == ["a", "b"]
    assert b"?mode=file&page_size=1&cursor=x%26y%3D%2F%2B+%C3%A4 HTTP" in seen[1]


def test_pages_that_go_round_in_a_circle_end(serve, connect) -> None:
    api = ExpressionV1Api(connect(serve(_answering([], b'{"runs": [], "next_cursor": "x"}')).url), NO_RETRY)
    with pytest.raises(UnexpectedResponse, match="circle"):
        list(api.list_runs())


@pytest.mark.parametrize("change", ["shorter", "longer", "unreadable"])
def test_a_part_that_is_not_as_announced_is_never_sent_whole(serve, connect, tmp_path: Path, change: str) -> None:
    path = tmp_path / "long.wav"
    path.write_bytes(bytes(400_000))
    part = Slice(path, 0, 400_000, "part.wav")
    if change == "shorter":
        path.write_bytes(bytes(300_000))
    elif change == "longer":
        part.size_bytes -= 1
    else:
        path.unlink()
    announced: list[int] = []
    received: list[int] = []

    def script(talk: Any) -> None:
        head = talk.read_head()
        announced.append(int(head.lower().split("content-length:")[1].split("\r\n")[0]))
        count = len(talk.received) - len(head) - 4
        while data := talk.sock.recv(65536):
            count += len(data)
        received.append(count)
        ended.set()

    ended = threading.Event()
    api = ExpressionV1Api(connect(serve(script).url), NO_RETRY)
    with pytest.raises(SourceChanged, match=f"part.wav: the file became {change}") as caught:
        api.measure_audio(part, None, deadline_s=20)
    assert measurement_outcome(caught.value) == "refused"
    assert ended.wait(10)
    assert received[0] < announced[0]


# -- odd answers -------------------------------------------------------------------------------------------------------


@sampled(3)
@pytest.mark.parametrize(
    "body",
    [
        *(
            b"{}",
            b"[]",
            b"null",
            b'{"run_id": null}',
            b'{"run_id": ""}',
            b'{"run_id": 7}',
            b"",
            b"{",
            b"<html>x</html>",
        ),
        *(b'{"run_id": "r", "measurements": [NaN]}', b'{"message": "no type"}', b"[" * 60_000),
    ],
)
def test_an_answer_that_makes_no_sense_is_handed_over_whole(serve, connect, speech: Path, body: bytes) -> None:
    api = ExpressionV1Api(connect(serve(_answering([], body)).url), QUICK)
    with pytest.raises(AnswerNotUnderstood) as caught:
        api.measure_audio(Upload.of(speech), None, deadline_s=20)
    assert caught.value.answer == body
    assert len(caught.value.body) <= 2000
    assert measurement_outcome(caught.value) == "unknown"


def test_every_byte_of_an_answer_is_kept_as_it_came(serve, connect, speech: Path) -> None:
    body = b'\xef\xbb\xbf { "run_id" : "r",\r\n "new": 1.10, "run_id": "last one counts", "face_state": 7 }\n\n'
    measured = ExpressionV1Api(connect(serve(_answering([], body)).url), NO_RETRY).measure_audio(
        Upload.of(speech), None, deadline_s=20
    )
    assert measured.body == body
    assert (measured.run_id, measured.request_id, measured.face_state) == ("last one counts", "", None)
    assert not measured.simulated
    assert measured.server_date_s is None


def test_an_error_with_status_200_is_a_refusal(serve, connect, speech: Path) -> None:
    api = ExpressionV1Api(connect(serve(_answering([], json.dumps(INTERNAL).encode())).url), NO_RETRY)
    with pytest.raises(RequestRejected, match="oops") as caught:
        api.measure_audio(Upload.of(speech), None, deadline_s=20)
    assert (caught.value.code, caught.value.request_id) == ("internal_error", "q-2")
    assert measurement_outcome(caught.value) == "refused"


@pytest.mark.parametrize("reads_on", [True, False])
def test_a_refusal_in_the_middle_of_the_upload_is_heard_or_the_outcome_is_open(
    serve, connect, tmp_path: Path, reads_on: bool
) -> None:
    path = tmp_path / "long.wav"
    path.write_bytes(bytes(24_000_000))
    body = json.dumps({"type": "error", "code": "audio_too_long", "message": "split it", "request_id": "q"}).encode()

    def script(talk: Any) -> None:
        talk.read_head()
        talk.answer(body, "Connection: close", status="413 Content Too Large")
        if not reads_on:
            talk.reset()
        while reads_on and talk.sock.recv(1 << 20):
            pass

    api = ExpressionV1Api(connect(serve(script).url), NO_RETRY)
    with pytest.raises(ApiError) as caught:
        api.measure_audio(Upload.of(path), None, deadline_s=20)
    heard = caught.value.code == "audio_too_long"
    assert heard or not reads_on
    assert measurement_outcome(caught.value) == ("refused" if heard else "unknown")


def test_the_time_that_the_service_measures_in_silence_has_a_limit_of_its_own(serve, connect, speech: Path) -> None:
    api = ExpressionV1Api(connect(serve(silent).url, timeout_s=600), NO_RETRY, upload_timeout_s=0.3)
    began = time.monotonic()
    with pytest.raises(TransportError) as caught:
        api.measure_audio(Upload.of(speech), None, deadline_s=60)
    assert time.monotonic() - began < 15
    assert measurement_outcome(caught.value) == "unknown"


OWN = {"type": "error", "message": "said so", "request_id": "q-77"}
SHAPES: list[tuple[str, bytes, type[ApiError], str | None, str]] = [
    ("400 X", json.dumps(OWN | {"code": "invalid_request"}).encode(), RequestRejected, "invalid_request", "said so"),
    ("403 X", json.dumps(OWN | {"code": "forbidden"}).encode(), AuthError, "forbidden", "not allowed"),
    ("404 X", json.dumps(OWN | {"code": "not_found"}).encode(), NotFound, "not_found", "not found"),
    ("405 X", json.dumps(OWN | {"code": "method_not_allowed"}).encode(), RequestRejected, "method_not_allowed", "405"),
    ("415 X", json.dumps(OWN | {"code": "brand_new"}).encode(), RequestRejected, "brand_new", "brand_new: said so"),
    ("500 X", json.dumps(OWN | {"code": "internal_error"}).encode(), ServerError, "internal_error", "failed"),
    ("503 X", json.dumps(OWN | {"code": "server_busy"}).encode(), ServerError, "server_busy", "busy"),
    ("401 X", b'{"message": "Unauthorized", "request_id": "q-77"}', AuthError, None, "not accepted"),
    ("403 X", b'{"code": 403, "message": "This API has been discontinued."}', Discontinued, None, "closed"),
    ("403 X", b'{"message": "no"}', AuthError, None, "no"),
    ("404 X", b'{"message": "no Route matched"}', NotFound, None, "no Route"),
    ("429 X", b'{"message": "API rate limit exceeded"}', RateLimited, None, "rate limit"),
    ("502 X", b"<html>bad gateway</html>", ServerError, None, "502"),
    ("500 X", b'{"code": "internal_error", "message": "no type"}', ServerError, None, "no type"),
    ("500 X", b'{"type": "error", "code": 7, "message": ["x"]}', ServerError, None, "500"),
    ("500 X", b"[" * 60_000, ServerError, None, "failed"),
    ("599 X", b"", ServerError, None, "599"),
    ("199 X", b"", ApiError, None, "199"),
]


@pytest.mark.parametrize(
    ("status", "body", "kind", "code", "words"), SHAPES, ids=[f"{s[0][:3]}-{s[1][:24]!r}" for s in SHAPES]
)
def test_errors_of_the_service_and_of_a_gateway_are_told_apart(
    serve, connect, status: str, body: bytes, kind: type[ApiError], code: str | None, words: str
) -> None:
    script = answering(body, "X-Request-Id: from-header", status=status)
    with pytest.raises(kind, match=words) as caught:
        ExpressionV1Api(connect(serve(script).url), NO_RETRY).get_run("some-id")
    assert type(caught.value) is kind or kind is ApiError
    assert caught.value.code == code
    assert caught.value.request_id == ("q-77" if b"q-77" in body else "from-header")
    assert len(caught.value.body) <= 2000


def test_any_answer_can_be_judged(serve, connect) -> None:
    script = answering(b'{"type": "error", "code": "x"}', status="418 X")
    with connect(serve(script).url).send(ApiRequest(method="GET", path="/x")) as response:
        error = api_error(response)
    assert (type(error), error.status, error.code) == (RequestRejected, 418, "x")


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"runs": null}', b'{"runs": {}}', b'"x"'])
def test_a_page_without_its_list_is_unexpected(serve, connect, body: bytes) -> None:
    api = ExpressionV1Api(connect(serve(_answering([], body)).url), NO_RETRY)
    with pytest.raises(UnexpectedResponse, match="without a list of runs"):
        next(api.list_runs())


# -- reading -----------------------------------------------------------------------------------------------------------

AUDIO: dict[str, Any] = {
    "request_id": "q",
    "run_id": "r",
    "received": {"audio_duration_ms": 5000},
    "utterances": [{"utterance_id": 0, "audio_start_ms": 10, "audio_end_ms": 4000}],
    "measurements": [
        {
            "measurement_id": 0,
            "utterance_id": 0,
            "audio_start_ms": 10,
            "audio_end_ms": 3010,
            "trigger": "something new",
            "expressions": [{"name": "joy", "probability": 0.5}],
            "voice_attributes": [],
        }
    ],
}
IMAGES: dict[str, Any] = {
    "request_id": "q",
    "run_id": "r",
    "received": {"frames": 1},
    "measurements": [
        {
            "frame_id": 0,
            "faces": [
                {
                    "face_id": 0,
                    "bbox": [0, 0, 10, 10],
                    "confidence": 1,
                    "expressions": [{"name": "joy", "probability": 0.5}],
                    "descriptions": [{"name": "smile", "probability": 0.25}],
                }
            ],
        }
    ],
}
OPTIONAL = {"face_state", "face_id", "expressions", "descriptions"}


def _members(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    for key, member in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        if isinstance(value, dict):
            yield (*path, key)
        yield from _members(member, (*path, key))


def _named(path: tuple[str | int, ...]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


CASES = [
    *((read_audio_answer, AUDIO, path) for path in _members(AUDIO)),
    *((read_video_answer, IMAGES, path) for path in _members(IMAGES)),
]


@pytest.mark.parametrize(("read", "whole", "path"), CASES, ids=[f"{c[0].__name__}-{_named(c[2])}" for c in CASES])
def test_a_member_that_is_missing_or_of_another_kind_is_named(
    read: Any, whole: dict[str, Any], path: tuple[str | int, ...]
) -> None:
    read(json.dumps(whole).encode())
    for broken in ("missing", {"not": "that"} if path[-1] != "received" else []):
        body = json.loads(json.dumps(whole))
        holder = body
        for step in path[:-1]:
            holder = holder[step]
        if broken == "missing":
            del holder[path[-1]]
            if read is read_video_answer and path[-1] in OPTIONAL:
                assert read(body)
                continue
        else:
            holder[path[-1]] = broken
        with pytest.raises(UnexpectedResponse) as caught:
            read(json.dumps(body).encode())
        assert f"'s {_named(path)} " in str(caught.value)


@given(
    extra=st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    )
)
def test_unknown_members_change_nothing(extra: Any) -> None:
    def grown(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: grown(member) for name, member in value.items()} | {"not_known_yet": extra}
        return [grown(member) for member in value] if isinstance(value, list) else value

    assert read_audio_answer(grown(AUDIO)) == read_audio_answer(AUDIO)
    assert read_video_answer(grown(IMAGES)) == read_video_answer(IMAGES)


@pytest.mark.parametrize("body", [b"[]", b"7", b"null", b"", b"{", b"<html>"])
def test_what_is_no_object_is_no_measurement(body: bytes) -> None:
    for read in (read_audio_answer, read_video_answer):
        with pytest.raises(UnexpectedResponse, match="measurement"):
            read(body)


def test_a_run_needs_no_more_than_its_id() -> None:
    raw = {"run_id": "r", "started_at": 7, "metered_seconds": "x", "bytes_received": True, "status": None, "new": [1]}
    run = read_run(raw)
    assert (run.status, run.started_at, run.metered_seconds, run.bytes_received) == ("", None, None, None)
    assert run.raw == raw
    for none in ({}, {"run_id": ""}, {"run_id": 7}, None, []):
        with pytest.raises(UnexpectedResponse, match="run_id"):
            read_run(none)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:01Z", 1.0),
        ("1970-01-01t00:00:01.25z", 1.25),
        ("1970-01-01T01:00:01.123456789+01:00", 1.123456),
        ("1970-01-01T00:00:02", 2.0),
        ("yesterday", None),
        ("", None),
        (None, None),
        (17, None),
    ],
)
def test_times_are_read_in_any_spelling_of_rfc_3339(text: Any, seconds: float | None) -> None:
    assert parse_instant(text) == seconds


@given(st.floats(min_value=0, max_value=4e9))
def test_a_window_of_time_is_widened_never_narrowed(seconds: float) -> None:
    early, late = parse_instant(instant(seconds)), parse_instant(instant(seconds, round_up=True))
    assert early is not None
    assert late is not None
    assert early - 1e-6 <= seconds <= late + 1e-6
    assert late - early <= 0.0011


# -- memory ------------------------------------------------------------------------------------------------------------

UPLOADER = """
    import json, sys
    from pathlib import Path
    from hume_runner.services.expression_v1.client import ExpressionV1Api
    from hume_runner.http.retry import NO_RETRY
    from hume_runner.http.transport import RequestsTransport
    from hume_runner.http.upload import Upload

    def peak_kib():
        # Not ru_maxrss, which a new process inherits from the one that started it.
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])

    url, path = sys.argv[1:]
    with RequestsTransport(url, "k", "X-Hume-Api-Key") as transport:
        api = ExpressionV1Api(transport, NO_RETRY)
        before = peak_kib()
        images = [Upload.of(Path(path), filename=f"{number}.jpg") for number in range(600)]
        measured = api.measure_images(images, {}, deadline_s=99)
    print(json.dumps([measured.run_id, peak_kib() - before]))
"""


@pytest.mark.sweep
def test_hundreds_of_images_are_sent_without_holding_them(serve, tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(bytes(200_000))
    script = Swallows(b'{"run_id": "r"}')
    command = [sys.executable, "-c", textwrap.dedent(UPLOADER), serve(script).url, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    run_id, grown_kib = json.loads(done.stdout)
    assert run_id == "r"
    assert script.received_bytes > 600 * 200_000
    assert grown_kib < 12 * 1024

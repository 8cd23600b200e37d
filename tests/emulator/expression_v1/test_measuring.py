"""The uploads over HTTP: bodies, configuration, runs and the bill, capacity, clients that leave, restarts."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from hume_runner.emulator.server import Emulator
from tests.emulator.api import Api
from tests.emulator.expression_api import (
    AUDIO,
    RATE,
    RUNS,
    SHORT,
    VIDEO,
    code,
    configure,
    jpeg,
    measured,
    oracle,
    send,
    uploads_measured,
)


class TestBody:
    def test_order_file_names_and_part_types_do_not_matter(self, api: Api) -> None:
        config = ("config", ("c.json", b'{"measurement_timer_ms": 4000}', "text/plain"))
        for parts in ([config, ("file", (None, SHORT))], [("file", ("x.mp3", SHORT, "audio/mpeg")), config]):
            answer = api.call("POST", AUDIO, files=parts)
            assert answer.status_code == 200
            run = api.call("GET", f"{RUNS}/{answer.json()['run_id']}").json()
            assert run["config"]["measurement_timer_ms"] == 4000

    @pytest.mark.parametrize(
        ("path", "body", "content_type"),
        [
            (AUDIO, SHORT, "audio/wav"),
            (AUDIO, SHORT, "multipart/form-data"),
            (AUDIO, b"", "multipart/form-data; boundary=x"),
            (AUDIO, b"--x\r\nContent-Disposition: form-data; name=file\r\n\r\nabcd", "multipart/form-data; boundary=x"),
            (AUDIO, b"--y\r\nno multipart", "multipart/form-data; boundary=x"),
            (VIDEO, b'{"file": "x"}', "application/json"),
        ],
    )
    def test_what_is_no_multipart_body_is_refused(self, api: Api, path: str, body: bytes, content_type: str) -> None:
        answer = api.call("POST", path, data=body, headers={"Content-Type": content_type})
        assert code(answer) == (400, "message_invalid")

    @pytest.mark.parametrize(
        ("path", "parts"),
        [
            (AUDIO, [("file", (None, SHORT)), ("file", (None, SHORT))]),
            (AUDIO, [("config", (None, b"{}"))]),
            (VIDEO, [("config", (None, b"{}"))]),
            (AUDIO, [("file", (None, SHORT)), ("config", (None, b"{}")), ("config", (None, b"{}"))]),
            (VIDEO, [("file", (None, jpeg())), ("image", (None, jpeg()))]),
        ],
        ids=["two recordings", "no recording", "no image", "two configs", "another part"],
    )
    def test_the_parts_must_be_the_documented_ones(self, api: Api, path: str, parts: list[Any]) -> None:
        assert code(api.call("POST", path, files=parts)) == (400, "message_invalid")

    @pytest.mark.sweep
    def test_the_limit_counts_the_whole_body(self, api: Api) -> None:
        boundary = "x" * 40
        # The file's name has the length that makes the rest of the body a whole number of samples.
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="long"\r\n\r\n'.encode()
        tail = f"\r\n--{boundary}--\r\n".encode()
        fitting = bytes(25_000_000 - len(head) - len(tail))
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        answer = api.call("POST", AUDIO, data=head + fitting + tail, headers=headers)
        assert answer.status_code == 200
        for path, expected in ((AUDIO, "audio_too_long"), (VIDEO, "image_too_large")):
            answer = api.call("POST", path, data=head + fitting + b"\0\0" + tail, headers=headers)
            assert code(answer) == (413, expected)


class TestConfig:
    @pytest.mark.parametrize(
        "config",
        [
            b"",
            b"{",
            b"[]",
            b"null",
            b'"x"',
            b"\xff",
            b'{"measurement_timer_ms": 3000, "measurement_timer_ms": 3000}',
            *(
                json.dumps(given).encode()
                for given in (
                    {"timer_ms": 3000},
                    {"measurement_timer_ms": 2999},
                    {"measurement_timer_ms": 10_001},
                    {"measurement_timer_ms": 3000.5},
                    {"measurement_timer_ms": "3000"},
                    {"measurement_timer_ms": True},
                    {"measurement_timer_ms": None},
                    {"face": {}},
                )
            ),
        ],
    )
    def test_an_audio_config_outside_the_definition_is_refused(self, api: Api, config: bytes) -> None:
        answer = api.call("POST", AUDIO, files=[("config", (None, config)), ("file", (None, SHORT))])
        assert code(answer) == (400, "config_invalid")

    @pytest.mark.parametrize(
        "config",
        [
            {"fps": 3},
            {"measurement_timer_ms": 3000},
            {"return_face_state": True},
            {"face": []},
            {"face": None},
            {"face": {"face_state": "x"}},
            {"face": {"threshold": -0.01}},
            {"face": {"threshold": 1.01}},
            {"face": {"threshold": "0.9"}},
            {"face": {"threshold": False}},
            {"face": {"min_size": 0}},
            {"face": {"min_size": 60.0}},
            {"face": {"return_face_state": 1}},
            {"face_state": 5},
            {"face_state": None},
        ],
    )
    def test_a_video_config_outside_the_definition_is_refused(self, api: Api, config: Any) -> None:
        answer = send(api, VIDEO, [jpeg()], config)
        assert code(answer) == (400, "config_invalid")

    def test_the_configuration_is_looked_at_before_the_media(self, api: Api) -> None:
        assert code(send(api, AUDIO, [b"fLaC"], {"x": 1})) == (400, "config_invalid")


class TestRuns:
    def test_a_recording_is_billed_its_duration_and_ten_seconds_at_least(self, own_api: Api) -> None:
        for samples, seconds in ((RATE, 10), (10 * RATE, 10), (10 * RATE + 1, 10.001), (12 * RATE + 8000, 12.5)):
            answer = measured(own_api, AUDIO, [bytes(2 * samples)])
            run = own_api.call("GET", f"{RUNS}/{answer['run_id']}").json()
            assert run["metered_seconds"] == seconds
            assert run["bytes_received"] == 2 * samples

    def test_an_image_is_billed_a_third_of_a_second(self, own_api: Api) -> None:
        for count, seconds in ((1, 10), (30, 10), (31, 10.333), (45, 15)):
            measured(own_api, VIDEO, [jpeg()] * count)
            assert oracle(own_api)[-1]["metered_seconds"] == seconds

    def test_what_is_refused_before_it_is_taken_in_leaves_no_run(self, own_api: Api) -> None:
        send(own_api, AUDIO, [b""])
        send(own_api, AUDIO, [b"fLaC"])
        send(own_api, AUDIO, [SHORT], {"x": 1})
        send(own_api, VIDEO, [jpeg()], {"x": 1})
        own_api.call("POST", VIDEO, data=b"x")
        assert oracle(own_api) == []
        assert uploads_measured(own_api) == 0

    def test_images_that_fail_their_checks_leave_an_errored_run_that_costs_nothing(self, own_api: Api) -> None:
        for image, error in ((b"x", "unsupported_media_type"), (jpeg()[:-9], "image_decode_failed")):
            answer = send(own_api, VIDEO, [jpeg(), image])
            run = oracle(own_api)[-1]
            assert code(answer)[1] == run["error"] == error
            assert (run["status"], run["metered_seconds"]) == ("errored", 0)
            assert answer.json()["request_id"] == run["request_id"]
        listed = own_api.call("GET", RUNS, params={"status": "errored"}).json()["runs"]
        assert [run["run_id"] for run in listed] == [run["run_id"] for run in oracle(own_api)[::-1]]

    def test_a_run_is_live_until_it_is_answered(self) -> None:
        with Emulator(processing_time_s=0.4) as emulator, Api(emulator.url, emulator.api_key) as api:
            sending = threading.Thread(target=lambda: measured(Api(emulator.url, emulator.api_key), AUDIO, [SHORT]))
            sending.start()
            while not (runs := api.call("GET", RUNS, params={"status": "live"}).json()["runs"]):
                assert sending.is_alive()
            assert (runs[0]["ended_at"], runs[0]["bytes_received"], runs[0]["metered_seconds"]) == (None, None, 0)
            sending.join()
            assert api.call("GET", f"{RUNS}/{runs[0]['run_id']}").json()["status"] == "ended"

    def test_runs_outlive_a_killed_server_and_live_ones_end_unbilled(self, tmp_path: Path) -> None:
        with Emulator(processing_time_s=0, data=tmp_path) as emulator, Api(emulator.url, emulator.api_key) as api:
            kept = measured(api, AUDIO, [SHORT])
        with Emulator(processing_time_s=60, data=tmp_path) as emulator, Api(emulator.url, emulator.api_key) as api:
            caught: list[BaseException] = []

            def upload() -> None:
                try:
                    send(Api(emulator.url, emulator.api_key), AUDIO, [SHORT])
                except requests.ConnectionError as error:
                    caught.append(error)

            sending = threading.Thread(target=upload)
            sending.start()
            while len(oracle(api)) < 2:
                time.sleep(0.01)
        sending.join(20)
        assert caught
        with Emulator(processing_time_s=0, data=tmp_path) as emulator, Api(emulator.url, emulator.api_key) as api:
            lost, old = api.call("GET", RUNS).json()["runs"]
            assert (old["run_id"], old["status"]) == (kept["run_id"], "ended")
            assert (lost["status"], lost["metered_seconds"], lost["bytes_received"]) == ("errored", 0, None)


class TestOptions:
    def test_a_run_may_never_be_recorded(self, own_api: Api) -> None:
        configure(own_api, unrecorded_runs=1)
        lost, shown = (measured(own_api, AUDIO, [SHORT])["run_id"] for _ in range(2))
        assert [run["run_id"] for run in own_api.call("GET", RUNS).json()["runs"]] == [shown]
        assert [(run["run_id"], run["metered_seconds"]) for run in oracle(own_api)] == [(lost, 10), (shown, 10)]

    def test_a_measurement_may_fail_unbilled(self, own_api: Api) -> None:
        configure(own_api, failing_measurements=1)
        assert code(send(own_api, AUDIO, [SHORT])) == (500, "internal_error")
        assert measured(own_api, AUDIO, [SHORT])["measurements"]
        assert [(run["status"], run["metered_seconds"]) for run in oracle(own_api)] == [("errored", 0), ("ended", 10)]

    def test_over_capacity_the_server_is_busy_and_nothing_is_taken_in(self) -> None:
        with Emulator(processing_time_s=0.3) as emulator, Api(emulator.url, emulator.api_key) as api:
            configure(api, concurrent_uploads=2)

            def upload(_: int) -> requests.Response:
                with Api(emulator.url, emulator.api_key) as own:
                    return send(own, AUDIO, [SHORT])

            with ThreadPoolExecutor(6) as pool:
                answers = list(pool.map(upload, range(6)))
            refused = [answer for answer in answers if answer.status_code != 200]
            assert refused
            assert {code(answer) for answer in refused} == {(503, "server_busy")}
            assert len(oracle(api)) == uploads_measured(api) == 6 - len(refused) >= 2
            assert upload(0).status_code == 200

    def test_a_smaller_body_limit(self, own_api: Api) -> None:
        configure(own_api, body_bytes=10_000)
        assert code(send(own_api, AUDIO, [SHORT])) == (413, "audio_too_long")
        assert oracle(own_api) == []


def test_a_client_that_leaves_in_the_middle_of_a_body_leaves_nothing_behind(own_api: Api) -> None:
    def body() -> Any:
        yield b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + SHORT
        raise RuntimeError("gone")

    with pytest.raises(RuntimeError, match="gone"):
        own_api.call("POST", AUDIO, data=body(), headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert measured(own_api, AUDIO, [SHORT])
    assert len(oracle(own_api)) == 1


def test_a_client_that_leaves_before_the_answer_has_paid_for_it() -> None:
    with Emulator(processing_time_s=0.2) as emulator, Api(emulator.url, emulator.api_key) as api:
        with pytest.raises(requests.ReadTimeout):
            requests.post(
                emulator.url + AUDIO,
                files=[("file", (None, SHORT))],
                headers={"X-Hume-Api-Key": emulator.api_key},
                timeout=(10, 0.05),
            )
        while not (runs := oracle(api)) or runs[0]["status"] == "live":
            time.sleep(0.01)
        assert [(run["status"], run["metered_seconds"]) for run in runs] == [("ended", 10)]

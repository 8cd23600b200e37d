"""The upload and run operations over HTTP: credentials, bodies, configuration, runs and the bill, faults, restarts."""

from __future__ import annotations

import json
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from hume_runner.emulator.server import Emulator
from tests.emulator.api import Api
from tests.emulator.expression_api import AUDIO, RATE, RUNS, VIDEO, code, jpeg, measured, send, speech, wav

SHORT = wav(speech(1500))

# Spelled out: pytest names tests after it, and two workers must agree on the names.
NOBODYS_RUN = "0192a4b1-7c3d-4e5f-8a6b-1c2d3e4f5a6b"


def configure(api: Api, **options: Any) -> None:
    assert api.call("POST", "/_emulator/expression", json=options).status_code == 200


def inject(api: Api, *faults: dict[str, Any]) -> None:
    assert api.call("POST", "/_emulator/faults", json=list(faults)).status_code == 200


def oracle(api: Api) -> Any:
    return api.call("GET", "/_emulator/runs").json()


def uploads_measured(api: Api) -> int:
    return int(api.call("GET", "/_emulator/requests").json()["uploads_measured"])


class TestCredential:
    def ask(self, emulator: Emulator, **headers: str) -> requests.Response:
        return requests.get(emulator.url + RUNS, headers=headers, timeout=10)

    def test_a_key_or_a_bearer_token_is_accepted(self, shared_emulator: Emulator) -> None:
        key = shared_emulator.api_key
        for headers in (
            {"X-Hume-Api-Key": key},
            {"Authorization": f"Bearer {key}"},
            {"Authorization": f"bearer {key}"},
        ):
            assert self.ask(shared_emulator, **headers).status_code == 200

    @pytest.mark.parametrize(
        ("headers", "key_was_sent"),
        [
            ({}, False),
            ({"X-Hume-Api-Key": "wrong"}, True),
            ({"X-Hume-Api-Key": ""}, True),
            ({"Authorization": "Bearer wrong"}, False),
            ({"Authorization": "Basic KEY"}, False),
            ({"Authorization": "KEY"}, False),
            ({"Authorization": "Bearer KEY", "X-Hume-Api-Key": "KEY"}, True),
        ],
    )
    def test_any_other_is_answered_by_the_gateway(
        self, shared_emulator: Emulator, headers: dict[str, str], key_was_sent: bool
    ) -> None:
        filled = {name: value.replace("KEY", shared_emulator.api_key) for name, value in headers.items()}
        answer = self.ask(shared_emulator, **filled)
        assert answer.status_code == 401
        assert set(answer.json()) == {"message"} | ({"request_id"} if key_was_sent else set())

    @pytest.mark.parametrize(
        ("method", "path"), [("POST", AUDIO), ("POST", VIDEO), ("GET", f"{RUNS}/x"), ("PUT", RUNS)]
    )
    def test_the_credential_is_looked_at_first(self, shared_emulator: Emulator, method: str, path: str) -> None:
        answer = requests.request(method, shared_emulator.url + path, data=b"x", timeout=10)
        assert answer.status_code == 401

    def test_each_key_has_runs_and_a_user_of_its_own(self) -> None:
        with (
            Emulator(processing_time_s=0, api_keys=["one", "other"]) as emulator,
            Api(emulator.url, "one") as one,
            Api(emulator.url, "other") as other,
        ):
            mine, theirs = measured(one, AUDIO, [SHORT]), measured(other, AUDIO, [SHORT])
            assert code(other.call("GET", f"{RUNS}/{mine['run_id']}")) == (404, "not_found")
            users = []
            for api, answer in ((one, mine), (other, theirs)):
                [run] = api.call("GET", RUNS).json()["runs"]
                assert run["run_id"] == answer["run_id"]
                users.append(run["user_id"])
            assert users[0] != users[1]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", AUDIO, "POST"),
        ("PUT", VIDEO, "POST"),
        ("POST", RUNS, "GET"),
        ("DELETE", f"{RUNS}/{NOBODYS_RUN}", "GET"),
    ],
)
def test_a_wrong_method_is_a_coded_error(api: Api, method: str, path: str, allowed: str) -> None:
    answer = api.call(method, path)
    assert code(answer) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == allowed


def test_an_unknown_path_is_the_gateways_own_404(api: Api) -> None:
    answer = api.call("GET", "/v1/expression/jobs")
    assert (answer.status_code, set(answer.json())) == (404, {"message"})


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

    def test_a_run_shows_its_effective_configuration_and_no_measurements(self, own_api: Api) -> None:
        audio = measured(own_api, AUDIO, [SHORT])
        video = measured(own_api, VIDEO, [jpeg()], {"face": {"threshold": 0.123456}})
        run = own_api.call("GET", f"{RUNS}/{audio['run_id']}").json()
        assert run["config"] == {
            "schema": "v4",
            "audio": {"type": "audio/pcm", "encoding": "s16le", "sample_rate": 16_000, "channels": 1},
            "measurement_timer_ms": 3000,
        }
        expected = {"schema": "v4", "image": {"type": "image/jpeg"}, "face": {"threshold": 0.1235, "min_size": 60}}
        assert own_api.call("GET", f"{RUNS}/{video['run_id']}").json()["config"] == expected
        assert set(run) == {
            *("run_id", "user_id", "status", "endpoint", "mode", "started_at", "ended_at", "close_code"),
            *("close_reason", "bytes_received", "bytes_recorded", "metered_seconds", "config"),
        }
        assert (run["status"], run["endpoint"], run["mode"]) == ("ended", "audio", "file")
        assert uuid.UUID(run["run_id"]).version == 7
        assert datetime.fromisoformat(run["started_at"]) <= datetime.fromisoformat(run["ended_at"])

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

    def test_events_are_an_empty_page(self, api: Api) -> None:
        run_id = measured(api, AUDIO, [SHORT])["run_id"]
        page = api.call("GET", f"{RUNS}/{run_id}/events", params={"page_size": 5}).json()
        assert page == {"events": [], "at_cap": False, "capped_kinds": [], "gaps": False}
        assert code(api.call("GET", f"{RUNS}/{run_id}/events?page_size=0")) == (400, "invalid_request")
        assert code(api.call("GET", f"{RUNS}/{run_id}/events?cursor=x")) == (400, "invalid_request")

    @pytest.mark.parametrize("run_id", [NOBODYS_RUN, "none", "%2e%2e"])
    def test_an_unknown_run_is_not_found(self, api: Api, run_id: str) -> None:
        for path in (f"{RUNS}/{run_id}", f"{RUNS}/{run_id}/events"):
            assert code(api.call("GET", path)) == (404, "not_found")


class TestList:
    @pytest.fixture
    def answers(self, own_api: Api) -> list[Any]:
        """Five runs, two of them of images, at least 2 ms apart."""
        answers = []
        for number in range(5):
            path, medium = (VIDEO, jpeg()) if number % 2 else (AUDIO, SHORT)
            answers.append(measured(own_api, path, [medium]))
            time.sleep(0.002)
        return answers

    def listed(self, api: Api, **query: Any) -> list[str]:
        return [run["run_id"] for run in api.call("GET", RUNS, params=query).json()["runs"]]

    def test_newest_first_by_every_filter(self, own_api: Api, answers: list[Any]) -> None:
        ids = [answer["run_id"] for answer in answers]
        user = own_api.call("GET", RUNS).json()["runs"][0]["user_id"]
        assert self.listed(own_api) == ids[::-1]
        assert self.listed(own_api, endpoint="video") == [ids[3], ids[1]]
        assert self.listed(own_api, endpoint="video", status="errored") == []
        assert self.listed(own_api, mode="file", status="ended", user_id=user, endpoint="audio") == ids[::-2]
        assert self.listed(own_api, mode="realtime") == []
        assert self.listed(own_api, user_id="nobody") == []
        assert self.listed(own_api, unknown="x") == ids[::-1]

    def test_the_lower_bound_is_inclusive_and_the_upper_exclusive(self, own_api: Api, answers: list[Any]) -> None:
        ids = [answer["run_id"] for answer in answers]
        text = own_api.call("GET", f"{RUNS}/{ids[2]}").json()["started_at"]
        at = datetime.fromisoformat(text)
        shifted = at.astimezone(tz=None).isoformat()
        for instant in (text, at.isoformat(), shifted):
            assert self.listed(own_api, started_after=instant) == ids[:1:-1]
            assert self.listed(own_api, started_before=instant) == ids[1::-1]
        for extreme in ("0001-01-01T00:00:00+14:00", "9999-12-31t23:59:59.123456789-14:00"):
            after, before = (self.listed(own_api, **{name: extreme}) for name in ("started_after", "started_before"))
            assert sorted(after + before) == sorted(ids)
        step = timedelta(microseconds=1)
        assert self.listed(own_api, started_after=(at + step).isoformat()) == ids[:2:-1]
        assert self.listed(own_api, started_before=(at + step).isoformat()) == ids[2::-1]

    def test_pages_join_to_the_list_while_runs_are_added(self, own_api: Api, answers: list[Any]) -> None:
        ids = [answer["run_id"] for answer in answers]
        for size, lengths in ((1, [1, 1, 1, 1, 1]), (2, [2, 2, 1]), (5, [5]), (200, [5])):
            pages: list[list[str]] = []
            query: dict[str, Any] = {"page_size": size, "started_before": datetime.now(UTC).isoformat()}
            while True:
                page = own_api.call("GET", RUNS, params=query).json()
                pages.append([run["run_id"] for run in page["runs"]])
                if "next_cursor" not in page:
                    break
                query["cursor"] = page["next_cursor"]
                measured(own_api, AUDIO, [SHORT])
            assert [one for page_ids in pages for one in page_ids if one in ids] == ids[::-1]
            if size == 1:
                assert [len(page_ids) for page_ids in pages] == lengths

    @pytest.mark.parametrize(
        "query",
        [
            "page_size=0",
            "page_size=201",
            "page_size=x",
            "page_size=-1",
            "page_size=",
            "page_size=1&page_size=1",
            "status=done",
            "mode=upload",
            "endpoint=image",
            "started_after=yesterday",
            "started_after=2026-10-06",
            "started_after=2026-10-06T10:00:00",
            "started_after=2026-10-06T10:00:00+02:00",  # the plus reads as a space
            "started_before=2026-13-06T10:00:00Z",
            "started_before=1764000000",
            "started_before=2026-10-06T10:00:60Z",
            "started_before=2026-10-06T10:00:00%2B25:00",
            "cursor=",
            "cursor=bm9uZQ==",
            "cursor=%E2%98%83",
        ],
    )
    def test_a_query_outside_the_definition_is_refused(self, api: Api, query: str) -> None:
        assert code(api.call("GET", f"{RUNS}?{query}")) == (400, "invalid_request")

    def test_a_cursor_holds_for_its_own_filters(self, own_api: Api, answers: list[Any]) -> None:
        cursor = own_api.call("GET", RUNS, params={"page_size": 1, "mode": "file"}).json()["next_cursor"]
        assert self.listed(own_api, mode="file", cursor=cursor, page_size=3) != []
        answer = own_api.call("GET", RUNS, params={"cursor": cursor, "endpoint": "audio"})
        assert code(answer) == (400, "invalid_request")


class TestOptions:
    def test_a_run_may_take_a_moment_to_appear(self, own_api: Api) -> None:
        configure(own_api, run_visible_after_s="150ms")
        run_id = measured(own_api, AUDIO, [SHORT])["run_id"]
        assert oracle(own_api)[0]["run_id"] == run_id
        seen = [own_api.call("GET", f"{RUNS}/{run_id}").status_code]
        while seen[-1] != 200:
            seen.append(own_api.call("GET", f"{RUNS}/{run_id}").status_code)
        assert set(seen[:-1]) <= {404}
        assert [run["run_id"] for run in own_api.call("GET", RUNS).json()["runs"]] == [run_id]

    def test_a_run_that_is_not_visible_yet_is_in_no_list(self, own_api: Api) -> None:
        configure(own_api, run_visible_after_s="1h")
        run_id = measured(own_api, AUDIO, [SHORT])["run_id"]
        assert own_api.call("GET", RUNS).json()["runs"] == []
        assert code(own_api.call("GET", f"{RUNS}/{run_id}")) == (404, "not_found")
        assert not oracle(own_api)[0]["visible"]

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

    @pytest.mark.parametrize(
        "options", [{"x": 1}, {"body_bytes": -1}, {"body_bytes": "1"}, {"run_visible_after_s": "x"}]
    )
    def test_an_option_that_makes_no_sense_changes_nothing(self, own_api: Api, options: Any) -> None:
        answer = own_api.call("POST", "/_emulator/expression", json={"unrecorded_runs": 9, **options})
        assert answer.status_code == 400
        assert next(iter(options)) in answer.json()["message"]
        assert own_api.call("POST", "/_emulator/expression", json={}).json()["unrecorded_runs"] == 0


class TestOracle:
    def test_it_knows_which_uploads_were_the_same_work(self, own_api: Api) -> None:
        for config in (None, {}, {"measurement_timer_ms": 3000}, {"measurement_timer_ms": 4000}):
            measured(own_api, AUDIO, [SHORT], config)
        measured(own_api, VIDEO, [jpeg(0), jpeg(1)])
        measured(own_api, VIDEO, [jpeg(1), jpeg(0)])
        digests = [run["content_sha256"] for run in oracle(own_api)]
        assert digests[0] == digests[1] == digests[2]
        assert len(set(digests)) == 4
        assert [len(run["files"]) for run in oracle(own_api)] == [1, 1, 1, 1, 2, 2]

    def test_it_needs_no_key_and_is_not_counted(self, emulator: Emulator, own_api: Api) -> None:
        measured(own_api, AUDIO, [SHORT])
        assert requests.get(f"{emulator.url}/_emulator/runs", timeout=10).status_code == 200
        assert emulator.requests()["by_route"] == {f"POST {AUDIO}": 1}
        assert emulator.requests()["uploads_measured"] == 1
        assert emulator.requests()["bytes_received"] > len(SHORT)


class TestFaults:
    @pytest.mark.parametrize(("when", "runs"), [("before", 0), ("after", 1)])
    def test_a_lost_answer_is_billed_only_if_the_upload_was_processed(self, own_api: Api, when: str, runs: int) -> None:
        inject(own_api, {"route": f"POST {AUDIO}", "times": 1, "action": {"drop": when}})
        with pytest.raises(requests.ConnectionError):
            send(own_api, AUDIO, [SHORT])
        assert uploads_measured(own_api) == len(oracle(own_api)) == runs
        assert len(own_api.call("GET", RUNS).json()["runs"]) == runs

    @pytest.mark.parametrize(
        ("action", "processed"),
        [
            ({"status": 429, "body": {"message": "API rate limit exceeded"}, "headers": {"Retry-After": "1"}}, 0),
            ({"status": 429}, 0),
            ({"status": 503, "body": {"type": "error", "code": "server_busy", "message": "", "request_id": ""}}, 0),
            ({"html": True}, 0),
            ({"redirect": "https://example.org/"}, 0),
            ({"truncate": 0.5}, 1),
            ({"corrupt": True}, 1),
            ({"slow": "100KB/s"}, 1),
            ({"delay": "10ms"}, 1),
        ],
    )
    def test_every_fault_reaches_the_uploads(self, own_api: Api, action: dict[str, Any], processed: int) -> None:
        inject(own_api, {"route": f"POST {VIDEO}", "times": 1, "action": action})
        try:
            answer = send(own_api, VIDEO, [jpeg()], allow_redirects=False)
        except requests.exceptions.ChunkedEncodingError:
            assert "truncate" in action
        else:
            assert answer.status_code == action.get("status", 307 if "redirect" in action else 200)
        assert uploads_measured(own_api) == len(oracle(own_api)) == processed
        assert measured(own_api, VIDEO, [jpeg()])["received"] == {"frames": 1}

    def test_run_routes_are_known_by_their_templates(self, own_api: Api) -> None:
        run_id = measured(own_api, AUDIO, [SHORT])["run_id"]
        for template in (f"{RUNS}/{{run_id}}", f"{RUNS}/{{run_id}}/events", RUNS):
            inject(own_api, {"route": f"GET {template}", "action": {"status": 500}})
            for path in (RUNS, f"{RUNS}/{run_id}", f"{RUNS}/{run_id}/events"):
                expected = 500 if path == template.replace("{run_id}", run_id) else 200
                assert own_api.call("GET", path).status_code == expected


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

"""What is told of runs over HTTP: one, its events, the list and its filters, all of them for tests."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from hume_runner.emulator.server import Emulator
from tests.emulator.api import Api
from tests.emulator.expression_api import (
    AUDIO,
    NOBODYS_RUN,
    RUNS,
    SHORT,
    VIDEO,
    code,
    configure,
    jpeg,
    measured,
    oracle,
)


class TestRuns:
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

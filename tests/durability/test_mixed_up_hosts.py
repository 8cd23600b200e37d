"""Hosts and proxies that mix up whose job is whose: never wrong scores, never paid twice, and nothing stays stuck."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hume_runner.emulator.server import Emulator
from tests.cli.project import JOBS, Project
from tests.durability.between import Between
from tests.emulator.api import Api
from tests.tiers import sampled


class Mixed(Project):
    """A project whose runs reach the emulator through a proxy."""

    def __init__(self, folder: Path, emulator: Emulator, between: Between) -> None:
        super().__init__(folder, emulator)
        self.between = between
        self.manifest["service"]["endpoint"] = between.url
        self.manifest["models"] = {"language": {}}
        self.manifest["batching"] = {"max_sources": 2}
        self.manifest["outputs"] = {"directory": "out", "tables": ["jsonl"]}

    def texts(self, count: int) -> None:
        self.manifest["sources"] = {
            "text": [{"text": f"Sentence number {n} says {n * n}.", "id": f"t{n}"} for n in range(count)]
        }

    def accepted(self) -> int:
        return int(self.emulator.requests()["jobs_accepted"])

    def words(self) -> dict[str, str]:
        """Item -> the words that its rows are about, in order."""
        path = self.out / "tables" / "language.jsonl"
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
        said: dict[str, str] = {}
        for row in rows:
            said[row["item_id"]] = f"{said.get(row['item_id'], '')} {row['text']}".strip()
        return said

    def statuses(self) -> set[str]:
        return {line["status"] for line in self.results()}

    def must_have_its_own(self, count: int) -> None:
        assert self.statuses() == {"done"}
        assert self.words() == {f"t{n}": f"Sentence number {n} says {n * n}." for n in range(count)}

    def start_another(self, body: dict[str, Any]) -> str:
        """A job that somebody with this key started."""
        with Api(self.emulator.url, self.emulator.api_key) as api:
            answer = api.call("POST", "/v0/batch/jobs", json=body)
            return str(answer.json()["job_id"])


@pytest.fixture
def mixed(tmp_path: Path) -> Iterator[Mixed]:
    with (
        Emulator(data=tmp_path / "service", processing_time_s=0.02) as emulator,
        Between(emulator.url) as between,
    ):
        yield Mixed(tmp_path / "project", emulator, between)


def backwards(entry: dict[str, Any]) -> dict[str, Any]:
    request = entry["request"]
    return {**entry, "request": {**request, "text": request["text"][::-1]}}


@pytest.mark.sweep
def test_texts_that_are_echoed_in_another_order_get_their_own_scores_back(mixed: Mixed) -> None:
    mixed.texts(4)
    assert mixed.run().code == 0
    shutil.rmtree(mixed.out)
    mixed.between.entry = backwards
    ran = mixed.run()
    assert ran.code == 0, ran.err
    mixed.must_have_its_own(4)
    assert mixed.accepted() == 2


@pytest.mark.sweep
def test_texts_whose_order_nothing_will_tell_are_asked_about(mixed: Mixed) -> None:
    mixed.texts(4)
    mixed.manifest["models"] = {"ner": {}}
    assert mixed.run().code == 0
    shutil.rmtree(mixed.out)
    ran = mixed.run()
    assert ran.code == 9, ran.err
    assert "nothing tells in which order" in ran.err
    assert mixed.accepted() == 2


@pytest.mark.sweep
def test_an_answer_about_other_bytes_fails_that_file_alone_and_is_kept(mixed: Mixed) -> None:
    mixed.add_file("two.wav", b"RIFF" + bytes(400))
    mixed.manifest["sources"] = {"files": ["media/*"]}
    mixed.manifest["models"] = {"language": {}}

    def of_other_bytes(answer: list[Any]) -> list[Any]:
        for one in answer:
            if one["source"]["filename"].endswith("two.wav"):
                one["source"]["md5sum"] = "0" * 32
        return answer

    mixed.between.predictions = of_other_bytes
    ran = mixed.run()
    assert ran.code == 3, ran.err
    found = {Path(line["source"]).name: line for line in mixed.results()}
    assert {name: line["status"] for name, line in found.items()} == {"one.wav": "done", "two.wav": "failed"}
    assert "MD5" in found["two.wav"]["error"]
    (kept,) = (mixed.out / "raw").glob("*/predictions.json")
    assert "0" * 32 in kept.read_text()
    assert mixed.call("verify").code == 0


@pytest.mark.sweep
def test_two_answers_that_are_swapped_on_their_way_leave_each_job_its_own(mixed: Mixed) -> None:
    mixed.texts(4)
    ids: list[str] = []
    both = threading.Barrier(2)

    def swapped(remote_id: str) -> str:
        ids.append(remote_id)
        both.wait(20)
        return next(one for one in ids if one != remote_id)

    mixed.between.started = swapped
    ran = mixed.run()
    assert ran.code == 0, ran.err
    mixed.must_have_its_own(4)
    assert mixed.accepted() == 2


OLD: dict[str, dict[str, Any]] = {
    "other texts": {"models": {"language": {}}, "text": ["Nobody asked for this.", "Nor for that."]},
    "one other text": {"models": {"language": {}}, "text": ["Nobody asked for this."]},
    "the same texts, measured otherwise": {
        "models": {"ner": {}},
        "text": ["Sentence number 0 says 0.", "Sentence number 1 says 1."],
    },
    "a link": {"models": {"language": {}}, "urls": ["https://example.org/other.mp4"]},
}


@pytest.mark.sweep
@pytest.mark.parametrize("old", OLD)
def test_the_id_of_an_older_job_is_not_believed(mixed: Mixed, old: str) -> None:
    mixed.texts(2)
    older = mixed.start_another(OLD[old])
    mixed.between.started = lambda _: older
    ran = mixed.run()
    assert ran.code == 0, ran.err
    mixed.must_have_its_own(2)
    assert mixed.accepted() == 2
    assert mixed.run().code == 0


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("spelt", [str.lower, str.upper])
def test_an_id_that_another_job_of_ours_has_is_not_believed(mixed: Mixed, spelt: Callable[[str], str]) -> None:
    mixed.texts(2)
    assert mixed.run().code == 0
    with Api(mixed.emulator.url, mixed.emulator.api_key) as api:
        (first,) = api.call("GET", "/v0/batch/jobs").json()
    mixed.texts(4)
    mixed.between.started = lambda _: spelt(first["job_id"])
    mixed.between.asked = lambda path: path.replace(first["job_id"].upper(), first["job_id"])
    ran = mixed.run()
    assert ran.code == 0, ran.err
    mixed.must_have_its_own(4)
    assert mixed.accepted() == 2


@pytest.mark.sweep
def test_an_ordinary_run_costs_no_request_more_for_it(mixed: Mixed) -> None:
    mixed.texts(4)
    assert mixed.run().code == 0
    assert [path for path in mixed.between.gets if "/jobs/" in path and not path.endswith("/predictions")] == []


@pytest.mark.sweep
def test_what_answered_with_a_wrong_id_and_shows_nothing_like_it_is_never_sent_again_unasked(mixed: Mixed) -> None:
    mixed.texts(2)
    mixed.start_another(OLD["a link"])
    assert mixed.run().code == 0
    mixed.texts(4)
    before = mixed.accepted()
    older = mixed.start_another(OLD["other texts"])
    mine: list[str] = []

    def started(remote_id: str) -> str:
        mine.append(remote_id)
        return older

    mixed.between.started = started
    mixed.between.listed = lambda entries: [one for one in entries if one["job_id"] not in mine]
    ran = mixed.run()
    assert ran.code == 9, ran.err
    assert mixed.accepted() == before + 2
    assert mixed.run().code == 9
    assert mixed.accepted() == before + 2


def with_strangers(entries: list[Any]) -> list[Any]:
    """The same jobs once more, under ids that nobody with this key can open, and before the true ones."""
    strange = [{**one, "job_id": f"stranger-{one['job_id']}", "user_id": "somebody"} for one in entries]
    return [both for pair in zip(strange, entries, strict=True) for both in pair]


@pytest.mark.sweep
def test_jobs_that_this_key_cannot_open_are_passed_over_for_those_that_it_can(mixed: Mixed) -> None:
    mixed.texts(4)
    assert mixed.run().code == 0
    shutil.rmtree(mixed.out)
    mixed.between.listed = with_strangers
    ran = mixed.run()
    assert ran.code == 0, ran.err
    mixed.must_have_its_own(4)
    assert mixed.accepted() == 2


@pytest.mark.sweep
def test_a_lost_job_is_not_taken_for_one_that_this_key_cannot_open(mixed: Mixed) -> None:
    mixed.texts(2)
    assert mixed.run().code == 0
    mixed.texts(6)
    mixed.emulator.inject([{"route": JOBS, "action": {"drop": "after"}}])
    mixed.between.listed = with_strangers
    ran = mixed.run()
    assert ran.code == 0, ran.err
    assert "twice" not in ran.err
    mixed.must_have_its_own(6)
    assert mixed.accepted() == 3


@pytest.mark.sweep
def test_a_job_that_nobody_can_open_and_that_carries_what_is_planned_is_asked_about(mixed: Mixed) -> None:
    mixed.texts(4)
    assert mixed.run().code == 0
    shutil.rmtree(mixed.out)

    def the_first_is_another_s(entries: list[Any]) -> list[Any]:
        return [
            {**one, "job_id": f"stranger-{one['job_id']}"} if "number 0" in str(one["request"]["text"]) else one
            for one in entries
        ]

    mixed.between.listed = the_first_is_another_s
    ran = mixed.run()
    assert ran.code == 9, ran.err
    assert "cannot open it" in ran.err
    assert mixed.accepted() == 2


def torn(entries: list[Any]) -> list[Any]:
    """Every id twice, first with other texts."""
    other = [{**one, "request": {**one["request"], "text": ["No", "such thing"]}} for one in entries]
    return [both for pair in zip(other, entries, strict=True) for both in pair]


@pytest.mark.sweep
@pytest.mark.parametrize("order", [1, -1])
def test_an_id_that_is_listed_twice_with_different_contents_is_told_by_its_details(mixed: Mixed, order: int) -> None:
    mixed.texts(4)
    assert mixed.run().code == 0
    mixed.between.listed = lambda entries: [
        one for n in range(0, 2 * len(entries), 2) for one in torn(entries)[n:][:2][::order]
    ]
    shutil.rmtree(mixed.out)
    ran = mixed.run()
    assert ran.code == 0, ran.err
    mixed.must_have_its_own(4)
    mixed.texts(8)
    mixed.emulator.inject([{"route": JOBS, "action": {"drop": "after"}}])
    ran = mixed.run()
    assert ran.code == 0, ran.err
    mixed.must_have_its_own(8)
    assert mixed.accepted() == 4


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("models", [{"ner": {}}, {"face": {}, "ner": {}}])
def test_a_lost_job_is_not_one_that_carries_its_texts_in_another_order(
    mixed: Mixed, models: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUME_API_KEY", mixed.emulator.api_key)
    mixed.texts(3)
    mixed.manifest["models"] = models
    mixed.manifest["batching"] = {"max_sources": 3}
    mixed.manifest["execution"] = {"look_back": 0}  # or it was started a moment after this run had asked
    texts = [one["text"] for one in mixed.manifest["sources"]["text"]]
    other = mixed.start_another({"text": [texts[2], texts[0], texts[1]], "models": models})
    mixed.emulator.inject([{"route": "POST /v0/batch/jobs", "nth": 1, "action": {"drop": "before"}}])
    ran = mixed.run()
    assert ran.code == 9, ran.err
    assert f"{other} carries these texts, and nothing tells in which order" in ran.err
    assert "done" not in mixed.statuses()
    adopted = mixed.call("adopt", other)
    assert adopted.code == 64, adopted.err
    assert "nothing in its answer tells whose scores are whose" in adopted.err
    ran = mixed.run("--pay-again")
    assert ran.code == 0, ran.err
    assert mixed.accepted() == 2
    assert all(other not in path for line in mixed.results() for path in line["raw"])

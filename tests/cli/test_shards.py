"""`--shard I/N`: parts of a manifest, each with a state and outputs of its own."""

from __future__ import annotations

import json
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from hume_runner.planning.fingerprint import text_content
from hume_runner.planning.selection import Shard
from hume_runner.state.lock import StateLock
from tests.cli.project import JOBS, Project

TEXTS = [f"Number {n}." for n in range(12)]


@pytest.fixture
def texts(project: Project) -> Project:
    project.manifest["models"] = {"language": {}}
    project.manifest["sources"] = {
        "text": [*({"text": text, "id": text[:-1].replace(" ", "-").lower()} for text in TEXTS), {"text": TEXTS[3]}]
    }
    project.manifest["batching"] = {"max_sources": 1}
    return project


def folder(project: Project, shard: str) -> Path:
    return project.out / "shards" / shard.replace("/", "-of-")


def results(project: Project, shard: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder(project, shard) / "results.jsonl").read_text().splitlines()]


def owner(text: str, of: int) -> int:
    return next(index for index in range(1, of + 1) if Shard(index, of).takes("text", text_content(text)))


def test_each_shard_measures_its_own_part_and_together_they_measure_all_once(texts: Project) -> None:
    for index in (2, 1, 3):
        ran = texts.run("--shard", f"{index}/3")
        assert ran.code == 0, ran.err
    assert texts.sent_texts() == sorted(TEXTS)
    found = [line for index in (1, 2, 3) for line in results(texts, f"{index}/3")]
    assert len(found) == 13
    assert {line["status"] for line in found} == {"done"}
    for index in (1, 2, 3):
        expected = [name for name in TEXTS if owner(name, 3) == index]
        assert {line["id"] for line in results(texts, f"{index}/3")} >= {
            t[:-1].replace(" ", "-").lower() for t in expected
        }
    assert not (texts.out / "state.sqlite3").exists()
    assert sorted(path.name for path in (folder(texts, "1/3") / "raw").iterdir())


@pytest.mark.sweep
def test_a_finished_shard_sends_nothing(texts: Project) -> None:
    texts.run("--shard", "1/3")
    before = texts.requests()
    ran = texts.run("--shard", "1/3")
    assert (ran.code, texts.requests()) == (0, before), ran.err


@pytest.mark.sweep
def test_the_same_content_twice_is_in_one_shard(texts: Project) -> None:
    home = owner(TEXTS[3], 3)
    texts.run("--shard", f"{home}/3")
    named = [line["id"] for line in results(texts, f"{home}/3")]
    assert "number-3" in named
    assert any(name.startswith("text-") for name in named)
    assert texts.sent_texts().count(TEXTS[3]) == 1


@pytest.mark.sweep
def test_an_item_stays_in_its_shard_when_a_setting_changes(texts: Project) -> None:
    texts.run("--shard", "1/3")
    texts.manifest["models"] = {"language": {"granularity": "sentence"}}
    summary = texts.plan("--shard", "1/3")["summary"]
    assert summary["changed"] == len(results(texts, "1/3")) > 0
    assert (summary["new"], summary["removed"], summary["done"]) == (0, 0, 0)


@pytest.mark.sweep
def test_an_item_that_belongs_to_another_shard_now_is_not_removed(texts: Project) -> None:
    texts.run("--shard", "1/3")
    place = next(n for n, text in enumerate(TEXTS) if owner(text, 3) == 1)
    other = next(f"Other {n}." for n in range(99) if owner(f"Other {n}.", 3) == 2)
    texts.manifest["sources"]["text"][place]["text"] = other
    assert texts.plan("--shard", "1/3")["summary"]["removed"] == 0
    del texts.manifest["sources"]["text"][place]
    assert texts.plan("--shard", "1/3")["summary"]["removed"] == 1


@pytest.mark.sweep
def test_commands_look_at_a_shard(texts: Project) -> None:
    texts.manifest["outputs"]["tables"] = ["jsonl"]
    texts.run("--shard", "1/3")
    status = texts.call("status", "--json", "--shard", "1/3").json
    assert status["state"] == str(folder(texts, "1/3") / "state.sqlite3")
    assert status["items"]["done"] == status["items"]["total"] > 0
    assert texts.call("verify", "--shard", "1/3").code == 0
    shutil.rmtree(folder(texts, "1/3") / "tables")
    assert texts.call("tables", "--format", "jsonl", "--shard", "1/3").code == 0
    assert (folder(texts, "1/3") / "tables" / "items.jsonl").exists()
    assert texts.call("status", "--json").json["items"]["total"] == 0


@pytest.mark.sweep
def test_a_state_is_of_one_shard_alone(texts: Project) -> None:
    texts.run("--shard", "1/3")
    state = str(folder(texts, "1/3") / "state.sqlite3")
    for words in (["--shard", "2/3"], ["--shard", "1/4"], []):
        ran = texts.run(*words, "--state", state, "--output-dir", str(texts.folder / "elsewhere"))
        assert ran.code == 64
        assert "this state is about shard 1/3" in ran.err, ran.err


@pytest.mark.sweep
def test_a_run_of_everything_beside_shards_that_are_not_merged_is_refused(texts: Project) -> None:
    texts.run("--shard", "1/3")
    before = texts.requests()
    for words in ([], ["--shard", "1/2"], ["--limit", "1"]):
        ran = texts.run(*words)
        assert ran.code == 64
        assert "state merge" in ran.err, ran.err
        for form in ([], ["--format", "json"], ["--format", "markdown"]):
            planned = texts.call("plan", *words, *form)
            assert (planned.code, planned.out) == (64, ""), planned.out
            assert "state merge" in planned.err
    assert texts.requests() == before
    assert texts.call("verify", "--shard", "1/3").code == 0


@pytest.mark.sweep
def test_a_shard_does_not_pay_for_what_the_whole_has(texts: Project) -> None:
    texts.run("--limit", "5")
    assert texts.requests()[JOBS] == 5
    for index in (1, 2, 3):
        assert texts.run("--shard", f"{index}/3").code == 0
    assert texts.sent_texts() == sorted(TEXTS)


@pytest.mark.sweep
def test_a_limit_beside_a_shard_counts_within_it(texts: Project) -> None:
    texts.run("--shard", "2/3", "--limit", "1")
    assert texts.requests()[JOBS] == 1
    assert texts.run("--shard", "2/3").code == 0
    assert texts.requests()[JOBS] == sum(owner(text, 3) == 2 for text in TEXTS)


@pytest.mark.sweep
def test_a_shard_and_the_whole_do_not_run_at_once(texts: Project) -> None:
    texts.emulator.inject([{"route": JOBS, "action": {"delay": "20s"}}])
    process = texts.start("run", "manifest.yaml", "--shard", "1/3", "--no-progress")
    try:
        until = time.monotonic() + 30
        while time.monotonic() < until and not (folder(texts, "1/3") / "state.sqlite3.owner.json").exists():
            time.sleep(0.05)
        ran = texts.run()
        assert ran.code == 6, ran.err
        assert "shard 1/3 is on" in ran.err
        assert texts.run("--shard", "1/2").code == 6
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)


@pytest.mark.parametrize("text", ["4/3", "0/3", "x"])
def test_what_is_no_shard_is_refused(texts: Project, text: str) -> None:
    ran = texts.run("--shard", text)
    assert (ran.code, "write I/N" in ran.err) == (64, True)


@pytest.mark.sweep
def test_of_two_that_begin_together_one_sees_the_other_although_neither_has_a_state_yet(texts: Project) -> None:
    beginning = texts.out / "shards" / "1-of-3" / "state.sqlite3"
    beginning.parent.mkdir(parents=True)
    with StateLock(beginning):
        for words in ((), ("--shard", "1/2")):
            ran = texts.run(*words)
            assert (ran.code, "a run of shard 1/3 is on" in ran.err) == (6, True), ran.err
        assert texts.run("--shard", "2/3").code == 0  # these never measure the same
    with StateLock(texts.out / "state.sqlite3"):
        ran = texts.run("--shard", "1/3")
        assert (ran.code, "a run of everything is on" in ran.err) == (6, True), ran.err

"""`results.jsonl` and the result set, from a state that runs with the fake service left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hume_runner.engine.run import RunOptions
from hume_runner.results.from_state import StateResults
from hume_runner.results.outputs import write_results, write_run
from hume_runner.state.disk import Disk
from hume_runner.state.reader import StateReader
from hume_runner.state.store import Store
from tests.fakes import START, World, source_item


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path, ["a", "b", source_item("a", id="twin")])
    world.service.fails = {"b"}
    world.run()
    return world


def out(world: World) -> Path:
    return world.folder / "out"


def lines(world: World) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out(world) / "results.jsonl").read_text(encoding="utf-8").splitlines()]


def results(world: World, store: Store) -> StateResults:
    return StateResults(store, out(world), api="fake-v0", name="fake", settings={})


def test_one_line_an_item_in_manifest_order(world: World, store: Store) -> None:
    stored = write_results(store, out(world), Disk(), now=START)
    assert stored is not None
    assert stored.size == (out(world) / "results.jsonl").stat().st_size
    assert [(line["id"], line["status"], line["error"]) for line in lines(world)] == [
        ("a", "done", None),
        ("b", "failed", "b is bad"),
        ("twin", "done", None),
    ]
    assert [answer.path for answer in store.outputs()] == ["results.jsonl"]


def test_nothing_is_written_again_while_nothing_changed(world: World, store: Store) -> None:
    write_results(store, out(world), Disk(), now=START)
    assert write_results(store, out(world), Disk(), now=START) is None
    (out(world) / "results.jsonl").unlink()
    assert write_results(store, out(world), Disk(), now=START) is not None


def test_a_new_outcome_is_written(world: World, store: Store) -> None:
    write_results(store, out(world), Disk(), now=START)
    store.close()
    world.service.fails = set()
    world.run(options=RunOptions(retry_failed=True))
    with Store.create_or_open(world.state, disk=Disk(), name="fake", lineage="unused") as again:
        assert write_results(again, out(world), Disk(), now=START) is not None
    assert [line["status"] for line in lines(world)] == ["done"] * 3
    assert [line["job"] for line in lines(world)] == ["job-000001", "job-000002", "job-000001"]


def test_an_answer_names_every_item_of_its_members(world: World, store: Store) -> None:
    (answer,) = results(world, store).answers()
    assert answer.path.is_file()
    assert [[item.id for item in member.items] for member in answer.members] == [["a", "twin"], ["b"]]


def test_an_item_that_was_measured_later_has_its_rows_there_alone(world: World, store: Store) -> None:
    store.close()
    world.service.fails = set()
    world.run(options=RunOptions(retry_failed=True))
    with StateReader.peek(world.state) as again:
        answers = list(results(world, again).answers())
        assert [[i.id for m in answer.members for i in m.items] for answer in answers] == [["a", "twin"], ["b"]]


def test_an_answer_that_no_listed_item_needs_is_left_out(world: World, store: Store) -> None:
    store.close()
    world.sources = ["c"]
    world.run()
    with StateReader.peek(world.state) as again:
        assert [answer.job for answer in results(world, again).answers()] == ["job-000002"]
        assert [job.job for job in results(world, again).jobs()] == ["job-000001", "job-000002"]


def test_run_json_is_whole_or_not_there(tmp_path: Path) -> None:
    stored = write_run(tmp_path, Disk(), {"name": "trial"})
    written = json.loads((tmp_path / "run.json").read_bytes())
    assert written.pop("mark").startswith("hume_runner run ")
    assert written == {"schema": 1, "name": "trial"}
    assert stored.size == (tmp_path / "run.json").stat().st_size
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_links_in_a_service_s_words_are_masked(tmp_path: Path) -> None:
    name = "https://example.org/a?sig=canary"
    world = World(tmp_path, [source_item("a", id=name)])
    world.service.fails = {name}
    world.run()
    with Store.create_or_open(world.state, disk=Disk(), name="fake", lineage="unused") as store:
        write_results(store, out(world), Disk(), now=START)
    assert [line["error"] for line in lines(world)] == ["https://example.org/a?… is bad"]

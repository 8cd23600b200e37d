"""`state merge` of shards that were merged before: gone on since, put back, or needed once more."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests

from hume_runner.emulator.server import Emulator
from hume_runner.sources.outputs import RECORD
from hume_runner.state.reader import StateReader
from tests.cli.merging import change, merge, rows, run_all, shard
from tests.cli.project import JOBS, Project
from tests.tiers import Tier, only_swept, sampled


def list_texts(project: Project, texts: Iterable[str]) -> None:
    """The manifest: these alone, each with an id that says which it is."""
    project.manifest["sources"] = {"text": [{"text": text, "id": text.replace(" ", "-").strip(".")} for text in texts]}


def some(word: str) -> list[str]:
    return [f"{word} {number}." for number in range(4)]


def statuses(folder: Path) -> dict[str, int]:
    with closing(sqlite3.connect(folder / "state.sqlite3")) as db:
        return dict(db.execute("SELECT status, count(*) FROM jobs GROUP BY 1").fetchall())


def check_whole(project: Project) -> None:
    """Everything that is listed is measured, with rows of its own words, and nothing is left to do."""
    before = project.requests().get(JOBS, 0)
    ran = project.run()
    assert (ran.code, project.requests().get(JOBS, 0)) == (0, before), ran.err
    said: dict[str, set[str]] = {}
    for row in rows(project.out, "language"):
        said.setdefault(row["item_id"], set()).add(row["text"])
    listed = {one["id"]: one["text"] for one in project.manifest["sources"]["text"]}
    assert {line["id"]: line["status"] for line in project.results()} == dict.fromkeys(listed, "done")
    assert {name: " ".join(words) for name, words in said.items()} == listed
    verified = project.call("verify")
    assert verified.code == 0, verified.out


def sent(project: Project) -> list[str]:
    return [text for request in project.job_requests() for text in request.get("text", ())]


@pytest.fixture
def study(project: Project) -> Project:
    project.manifest["models"] = {"language": {"granularity": "utterance"}}
    project.manifest["batching"] = {"max_sources": 1}
    project.manifest["outputs"]["tables"] = ["jsonl"]
    return project


@sampled(1)
@pytest.mark.parametrize("look_back", ["7d", 0])
@pytest.mark.parametrize("listed", ["instead", "before", "after"])
def test_a_shard_that_was_put_back_gives_its_numbers_to_other_jobs_and_none_is_taken_for_another(
    study: Project, listed: str, look_back: object
) -> None:
    """Its state is that of a backup; what it measures from there on has the numbers of what was merged before."""
    base, first, then = some("Base"), some("Alpha"), some("Gamma")
    study.manifest["execution"]["look_back"] = look_back
    list_texts(study, base)
    run_all(study, 2)
    shutil.copytree(study.out / "shards", study.folder / "backup")
    list_texts(study, [*base, *first])
    assert merge(study, *run_all(study, 2)).code == 0
    check_whole(study)
    shutil.rmtree(study.out / "shards")
    shutil.copytree(study.folder / "backup", study.out / "shards")
    list_texts(
        study, {"instead": [*base, *then], "before": [*base, *then, *first], "after": [*base, *first, *then]}[listed]
    )
    ran = merge(study, *run_all(study, 2))
    assert ran.code == 0, ran.err
    check_whole(study)
    assert sorted(sent(study)) == sorted({*base, *first, *then})


def test_a_run_of_everything_waits_for_what_a_shard_sent_under_numbers_that_the_whole_knows(study: Project) -> None:
    list_texts(study, some("Base"))
    run_all(study, 2)
    shutil.copytree(study.out / "shards", study.folder / "backup")
    list_texts(study, [*some("Base"), *some("Alpha")])
    assert merge(study, *run_all(study, 2)).code == 0
    shutil.rmtree(study.out / "shards")
    shutil.copytree(study.folder / "backup", study.out / "shards")
    list_texts(study, [*some("Base"), *some("Gamma")])
    run_all(study, 2)
    ran = study.run()
    assert (ran.code, "knows nothing of" in ran.err) == (64, True)


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Project]:
    """Its service takes twelve seconds for a job, and jobs are given up after one."""
    with Emulator(processing_time_s=12.0) as emulator:
        project = Project(tmp_path / "slow", emulator)
        list_texts(project, some("Base"))
        project.manifest["models"] = {"language": {"granularity": "utterance"}}
        project.manifest["outputs"]["tables"] = ["jsonl"]
        project.manifest["execution"]["job_timeout"] = "1s"
        yield project


@pytest.mark.sweep  # a job is given up, and then waited for
@pytest.mark.parametrize("merged_while_open", [False, True])
def test_a_job_that_was_merged_as_given_up_is_merged_as_answered(slow: Project, merged_while_open: bool) -> None:
    for index in (1, 2):
        slow.run("--shard", f"{index}/2")
    states = [str(shard(slow, index, 2)) for index in (1, 2)]
    assert merge(slow, *states).code == 0
    assert set(statuses(slow.out)) == {"failed"}
    slow.manifest["execution"]["job_timeout"] = "1m"
    if merged_while_open:
        for index in (1, 2):
            slow.run("--shard", f"{index}/2", "--retry-failed", "--detach")
        refused = merge(slow, *states)
        assert (refused.code, "that nobody has the answer of yet" in refused.err) == (64, True)
        refused = slow.run("--retry-failed")
        assert (refused.code, "went on with" in refused.err) == (64, True)
    for index in (1, 2):
        assert slow.run("--shard", f"{index}/2", "--retry-failed").code == 0
    assert merge(slow, *states).code == 0
    assert set(statuses(slow.out)) == {"done"}
    check_whole(slow)
    assert sorted(sent(slow)) == some("Base")
    shutil.rmtree(slow.out / "shards")
    check_whole(slow)


@pytest.mark.sweep
def test_a_job_that_is_asked_for_once_more_may_be_taken_over(slow: Project) -> None:
    for index in (1, 2):
        slow.run("--shard", f"{index}/2")
    states = [str(shard(slow, index, 2)) for index in (1, 2)]
    assert merge(slow, *states).code == 0
    slow.manifest["execution"]["job_timeout"] = "1m"
    for index in (1, 2):
        slow.run("--shard", f"{index}/2", "--retry-failed", "--detach")
    assert merge(slow, *states, "--take-over").code == 0
    assert set(statuses(slow.out)) == {"submitted"}
    assert slow.run().code == 0
    check_whole(slow)
    assert sorted(sent(slow)) == some("Base")


def adopted(study: Project, texts: list[str]) -> str:
    """A job of these, started by somebody else."""
    told = requests.post(
        f"{study.emulator.url}{JOBS.split()[1]}",
        headers={"X-Hume-Api-Key": study.emulator.api_key},
        json={"text": texts, "models": {"language": {"granularity": "utterance"}}},
        timeout=10,
    ).json()
    return str(told["job_id"])


@pytest.mark.sweep
@pytest.mark.usefixtures("keyed_environment")
@pytest.mark.parametrize("then", ["run", "take over"])
@pytest.mark.parametrize("look_back", ["7d", 0])
def test_a_job_that_carries_more_than_when_it_was_merged_is_merged_with_that(
    study: Project, look_back: object, then: str
) -> None:
    study.manifest["execution"]["look_back"] = look_back
    texts = [*some("Base"), *some("Alpha")]
    list_texts(study, texts)
    job = adopted(study, texts)
    list_texts(study, some("Base"))
    states = [str(shard(study, index, 2)) for index in (1, 2)]
    for index in (1, 2):
        study.plain_call("adopt", str(study.write()), job, "--shard", f"{index}/2")
    run_all(study, 2)
    assert merge(study, *states).code == 0
    check_whole(study)
    list_texts(study, texts)
    for index in (1, 2):
        study.plain_call("adopt", str(study.write()), job, "--shard", f"{index}/2")
    refused = merge(study, *states)
    assert (refused.code, "that nobody has the answer of yet" in refused.err) == (64, True)
    refused = study.run()
    assert refused.code == 64, refused.err
    if then == "run":
        run_all(study, 2)
        assert merge(study, *states).code == 0
    else:
        assert merge(study, *states, "--take-over").code == 0
        assert study.run().code == 0
    check_whole(study)
    assert sorted(sent(study)) == sorted(texts)


@pytest.mark.sweep
def test_an_answer_that_the_whole_lost_comes_back_from_its_shard(study: Project) -> None:
    """The whole's own is gone, and somebody agreed to pay again; before anything is paid the shard is merged again."""
    list_texts(study, some("Base"))
    states = run_all(study, 2)
    assert merge(study, *states).code == 0
    shutil.rmtree(study.out / "raw")
    gone = {"route": "GET /v0/batch/jobs/{id}/predictions", "action": {"status": 404}}
    study.emulator.inject([gone, {"route": JOBS, "action": {"status": 402}}])
    assert study.run("--pay-again").code != 0
    study.emulator.inject([])
    ran = merge(study, *states)
    assert ran.code == 0, ran.err
    check_whole(study)
    assert sorted(sent(study)) == some("Base")


@only_swept
@pytest.mark.parametrize("seed", range(6))
def test_whatever_comes_between_two_merges_each_item_has_its_own_answer(study: Project, tier: Tier, seed: int) -> None:
    """Random histories: lists change, shards run, are merged, saved and put back."""
    chance = random.Random(seed)
    pool = [f"{word} {number}." for word in ("Base", "Alpha", "Gamma", "Delta") for number in range(3)]
    shards = [shard(study, index, 2) for index in (1, 2)]
    saved: list[Path] = []
    for step in tier.of(range(6), 1):
        list_texts(study, chance.sample(pool, chance.randint(2, 8)))
        for index in chance.sample([1, 2], chance.randint(1, 2)):
            study.run("--shard", f"{index}/2")
        there = [str(one) for one in shards if (one / "state.sqlite3").exists()]
        if chance.random() < 0.6:
            assert merge(study, *there).code == 0
        if saved and chance.random() < 0.6:
            shutil.rmtree(study.out / "shards")
            shutil.copytree(chance.choice(saved), study.out / "shards")
        elif chance.random() < 0.6:
            saved.append(study.folder / f"saved-{step}")
            shutil.copytree(study.out / "shards", saved[-1])
    assert merge(study, *run_all(study, 2)).code == 0
    check_whole(study)
    everything = sent(study)
    assert len(everything) == len(set(everything))


# -- the whole went on -------------------------------------------------------------------------------------------------


@pytest.mark.sweep
@pytest.mark.parametrize("most", [1, 3])
def test_what_the_whole_has_at_the_service_is_waited_for_and_keeps_its_items(study: Project, most: int) -> None:
    """It lost its answers and paid again; the shard, which has the old ones, is merged before the new ones are here."""
    study.manifest["batching"]["max_sources"] = most
    list_texts(study, some("Base"))
    states = run_all(study, 2)
    assert merge(study, *states).code == 0
    assert study.run().code == 0
    shutil.rmtree(study.out / "raw")
    study.emulator.inject([{"route": "GET /v0/batch/jobs/{id}/predictions", "action": {"status": 404}}])
    assert study.run("--pay-again").code != 0
    study.emulator.inject([])
    assert statuses(study.out)["submitted"] > 0
    assert merge(study, *states).code == 0
    ran = study.run()
    assert ran.code == 0, ran.err
    check_whole(study)
    assert sorted(sent(study)) == sorted(some("Base") * 2)


@pytest.mark.sweep
@pytest.mark.parametrize("most", [1, 3])
@pytest.mark.parametrize("then", ["refused", "another list", "a shorter list"])
def test_a_shard_that_has_nothing_new_changes_nothing_of_what_the_whole_planned_anew(
    study: Project, then: str, most: int
) -> None:
    """Its submissions were lost, and are the whole's since a take-over: it looked for them, and they are not there."""
    study.manifest["batching"]["max_sources"] = most
    list_texts(study, some("Base"))
    study.emulator.inject([{"route": JOBS, "action": {"drop": "before"}}])
    for index in (1, 2):
        study.run("--shard", f"{index}/2")
    study.emulator.inject([])
    states = [str(one) for one in shards_of(study) if (one / "state.sqlite3").exists()]
    assert merge(study, *states, "--take-over").code == 0
    study.emulator.inject([{"route": JOBS, "action": {"status": 402}}])
    assert study.run("--pay-again").code == 7
    study.emulator.inject([])
    if then == "another list":
        list_texts(study, [*some("Base"), *some("Alpha")])
    elif then == "a shorter list":
        list_texts(study, some("Base")[1:])
    study.run()
    for _ in range(2):
        ran = merge(study, *states)
        assert ran.code == 0, ran.err
    study.run("--pay-again")
    check_whole(study)
    assert merge(study, *states, "--take-over").code == 0
    check_whole(study)


@pytest.mark.sweep
def test_what_failed_long_ago_in_a_shard_is_not_told_again_of_what_the_whole_had_since(slow: Project) -> None:
    for index in (1, 2):
        slow.run("--shard", f"{index}/2")
    states = [str(shard(slow, index, 2)) for index in (1, 2)]
    assert merge(slow, *states).code == 0
    slow.manifest["execution"]["job_timeout"] = "1m"
    assert slow.run("--retry-failed").code == 0
    shutil.rmtree(slow.out / "raw")
    gone = {"route": "GET /v0/batch/jobs/{id}/predictions", "action": {"status": 404}}
    slow.emulator.inject([gone, {"route": JOBS, "action": {"status": 402}}])
    assert slow.run("--pay-again").code != 0
    slow.emulator.inject([])
    before = slow.call("status", "--json").json["items"]
    assert merge(slow, *states).code == 0
    assert slow.call("status", "--json").json["items"] == before


# -- taken over --------------------------------------------------------------------------------------------------------


def closed(folder: Path) -> str | None:
    with closing(sqlite3.connect(folder / "state.sqlite3")) as db:
        row = db.execute("SELECT value FROM meta WHERE name = 'closed'").fetchone()
    return row[0] if row else None


@pytest.fixture
def half(tmp_path: Path) -> Iterator[Project]:
    """Two shards with answers, and jobs at the service that take long."""
    with Emulator(processing_time_s=0.005) as emulator:
        project = Project(tmp_path / "half", emulator)
        project.manifest["models"] = {"language": {"granularity": "utterance"}}
        project.manifest["batching"] = {"max_sources": 1}
        project.manifest["outputs"]["tables"] = ["jsonl"]
        list_texts(project, some("Base"))
        run_all(project, 2)
        list_texts(project, [*some("Base"), *some("Alpha")])
        emulator.inject([{"route": "GET /v0/batch/jobs/{id}", "action": {"status": 503}}])
        for index in (1, 2):
            project.run("--shard", f"{index}/2", "--detach")
        emulator.inject([])
        yield project


def shards_of(project: Project) -> list[Path]:
    return [shard(project, index, 2) for index in (1, 2)]


@pytest.mark.parametrize("missing", ["answer", "record"])
def test_a_take_over_that_is_refused_has_closed_no_shard(half: Project, missing: str) -> None:
    """What is missing is found before any shard is closed for good, so that its own run can have it again."""
    places = shards_of(half)
    if missing == "answer":
        shutil.rmtree(next((places[1] / "raw").iterdir()))
    else:
        (places[1] / RECORD).unlink()
    refused = merge(half, *map(str, places), "--take-over")
    assert refused.code == (10 if missing == "answer" else 64), refused.err
    assert [closed(place) for place in places] == [None, None]
    assert not (half.out / "state.sqlite3").exists()
    for index in (1, 2):
        assert half.run("--shard", f"{index}/2").code == 0
    assert merge(half, *map(str, places)).code == 0
    check_whole(half)
    assert sorted(sent(half)) == sorted([*some("Base"), *some("Alpha")])


@pytest.mark.sweep
@pytest.mark.parametrize("missing", ["answer", "all"])
def test_what_a_closed_shard_has_lost_is_missed_by_the_whole_as_its_own(half: Project, missing: str) -> None:
    """An earlier version closed shards before it looked at their answers, and then merged nothing."""
    places = shards_of(half)
    assert merge(half, str(places[0]), "--take-over").code == 0
    whole = StateReader.peek(half.out / "state.sqlite3")
    with whole:
        lineage = whole.lineage
    change(places[1] / "state.sqlite3", f"INSERT INTO meta VALUES ('closed', '{lineage}')")
    if missing == "answer":
        shutil.rmtree(next((places[1] / "raw").iterdir()))
    else:
        shutil.rmtree(places[1] / "raw")
        (places[1] / RECORD).unlink()
    ran = merge(half, *map(str, places), "--take-over")
    assert ran.code == 0, ran.err
    assert half.run().code == 0  # what is missing is fetched once more
    check_whole(half)
    assert sorted(sent(half)) == sorted([*some("Base"), *some("Alpha")])


@pytest.mark.sweep
@pytest.mark.parametrize("answered", [False, True])
def test_a_state_that_took_shards_over_and_is_lost_is_made_anew_from_them(half: Project, answered: bool) -> None:
    places = shards_of(half)
    assert merge(half, *map(str, places), "--take-over").code == 0
    if answered:
        assert half.run().code == 0
    for path in half.out.glob("state.sqlite3*"):
        if path.name != RECORD:
            path.unlink()
    refused = half.run()
    assert (refused.code, "state merge" in refused.err) == (64, True)
    refused = merge(half, *map(str, places))
    assert (refused.code, "add --take-over" in refused.err) == (64, True)
    elsewhere = merge(half, *map(str, places), "--take-over", "--output-dir", str(half.folder / "elsewhere"))
    assert (elsewhere.code, "another state has taken over" in elsewhere.err) == (64, True)
    assert merge(half, *map(str, places), "--take-over").code == 0
    assert half.run().code == 0
    assert merge(half, *map(str, places)).code == 0
    check_whole(half)
    assert sorted(sent(half)) == sorted([*some("Base"), *some("Alpha")])

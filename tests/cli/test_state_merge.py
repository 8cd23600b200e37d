"""`state merge`: the shards' states and answers become one, and nothing is measured twice or lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hume_runner import api, events
from hume_runner.api.merging import merge_shards
from hume_runner.emulator.server import Emulator
from hume_runner.planning.fingerprint import text_content
from hume_runner.planning.selection import part_of
from hume_runner.state.lock import StateLock
from tests import warm
from tests.cli.merging import change, merge, rows, run_all, shard, status_of, tree
from tests.cli.project import JOBS, Project
from tests.tiers import Tier, only_swept, sampled

ROOT = Path(__file__).parents[2]
TEXTS = [f"Number {n}." for n in range(10)]


@pytest.fixture
def texts(project: Project) -> Project:
    """Ten texts, one of them twice, and a recording."""
    project.manifest["models"] = {"language": {}, "prosody": {}}
    project.manifest["sources"] = {
        "files": ["media/*"],
        "text": [*({"text": text, "id": f"n{n}", "labels": {"nth": n}} for n, text in enumerate(TEXTS)), TEXTS[3]],
    }
    project.manifest["batching"] = {"max_sources": 2}
    project.manifest["outputs"]["tables"] = ["jsonl"]
    return project


# -- the usual course ------------------------------------------------------------------------------------------------


@pytest.mark.sweep
def test_a_merged_state_has_nothing_left_to_do_and_the_tables_of_one_run(texts: Project) -> None:
    states = run_all(texts)
    ran = merge(texts, *states)
    assert ran.code == 0, ran.err
    assert "12 of 12 items measured" in ran.out
    assert ran.err == ""
    assert texts.call("verify").code == 0
    before = texts.requests()
    again = texts.run()
    assert (again.code, texts.requests()) == (0, before)
    assert "nothing to do, 12 items are measured" in again.err
    assert texts.call("status", "--json").json["items"]["done"] == 12
    assert texts.plan()["summary"]["jobs"] == 0
    # Another output directory knows nothing of what was measured here, and asks nobody.
    texts.manifest["execution"]["look_back"] = 0
    texts.manifest["outputs"]["directory"] = "whole"
    assert texts.run().code == 0
    whole = texts.folder / "whole"
    assert rows(texts.out, "items") == rows(whole, "items")
    for table in ("language", "prosody"):
        ours, theirs = rows(texts.out, table), rows(whole, table)
        assert ours or table == "prosody"  # nobody speaks in a tone
        assert sorted(ours, key=json.dumps) == sorted(theirs, key=json.dumps)


@pytest.mark.sweep
def test_rows_come_in_the_manifests_order_whatever_shard_measured_them(texts: Project) -> None:
    texts.manifest["batching"] = {"max_sources": 1}
    merge(texts, *run_all(texts))
    assert texts.run().code == 0
    texts.manifest["execution"]["look_back"] = 0
    texts.manifest["outputs"]["directory"] = "whole"
    assert texts.run().code == 0
    for table in ("items", "language", "prosody"):
        assert rows(texts.out, table) == rows(texts.folder / "whole", table)


@pytest.mark.sweep
def test_the_place_of_a_shard_that_never_began_is_passed_over_and_told_as_missing(texts: Project) -> None:
    for index in (1, 2):
        assert texts.run("--shard", f"{index}/3").code == 0
    assert texts.run("--shard", "1/2").code == 64  # beside shards of another N: it leaves its locks alone
    assert not (shard(texts, 1, 2) / "state.sqlite3").exists()
    shard(texts, 3).mkdir()  # killed before it did anything
    states = sorted((texts.out / "shards").iterdir())
    assert len(states) == 4
    ran = merge(texts, *map(str, states))
    assert ran.code == 0, ran.err
    assert "shard 3/3 is missing" in ran.err
    # One that begins just now is waited for, and one whose state was lost is no such place.
    with StateLock(shard(texts, 3) / "state.sqlite3"):
        assert merge(texts, *map(str, states)).code == 6
    (shard(texts, 1) / "state.sqlite3").unlink()
    ran = merge(texts, *map(str, states))
    assert (ran.code, "1-of-3: no state there" in ran.err) == (64, True)
    # Nothing but such places is nothing to merge.
    assert merge(texts, str(shard(texts, 3)), str(shard(texts, 1, 2))).code == 64


@pytest.mark.sweep
def test_answers_are_one_file_under_two_names_and_outlive_the_shards(texts: Project) -> None:
    merge(texts, *run_all(texts))
    answers = sorted((texts.out / "raw").rglob("predictions.json"))
    assert len(answers) >= 6
    assert all(answer.stat().st_nlink == 2 for answer in answers)
    shutil.rmtree(texts.out / "shards")
    assert texts.call("verify").code == 0
    before = texts.requests()
    assert texts.run().code == 0
    assert texts.requests() == before


@pytest.mark.sweep
def test_answers_are_copied_where_no_second_name_can_be(texts: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*args: Any, **named: Any) -> None:
        raise OSError("another disk")

    states = run_all(texts)
    monkeypatch.setattr(os, "link", refused)
    assert merge(texts, *states).code == 0
    assert all(answer.stat().st_nlink == 1 for answer in (texts.out / "raw").rglob("*.json"))
    assert texts.call("verify").code == 0


@pytest.mark.sweep
def test_merging_again_changes_nothing(texts: Project) -> None:
    states = run_all(texts)
    merge(texts, *states)
    texts.run()
    status, results = status_of(texts), texts.results()
    ran = merge(texts, *states)
    assert ran.code == 0
    assert ran.out.count("nothing new") == 3
    assert (status_of(texts), texts.results()) == (status, results)


@pytest.mark.sweep
def test_shards_may_be_merged_as_they_come_and_go_on_afterwards(texts: Project) -> None:
    states = run_all(texts)
    assert merge(texts, states[1]).code == 0
    ran = merge(texts, states[0])
    assert "shard 3/3 is missing: " in ran.err
    assert merge(texts, states[2]).err == ""
    texts.manifest["sources"]["text"] += [f"One more, {n}." for n in range(5)]
    before = texts.requests()[JOBS]
    states = run_all(texts)
    assert merge(texts, *states).code == 0
    sent = texts.requests()[JOBS] - before
    assert texts.run().code == 0
    assert texts.requests()[JOBS] - before == sent
    assert len(texts.results()) == 17
    texts_sent = [text for request in texts.job_requests() for text in request["text"]]
    assert len(texts_sent) == len(set(texts_sent)) == 15


@pytest.mark.sweep
def test_what_is_missing_is_told_with_its_items_and_measured_by_the_next_run(texts: Project) -> None:
    states = run_all(texts)[:2]
    shutil.rmtree(shard(texts, 3))
    missing = [f"n{n}" for n, text in enumerate(TEXTS) if part_of("text", text_content(text), 3) == 3]
    ran = merge(texts, *states)
    assert ran.code == 0
    assert "shard 3/3 is missing: " in ran.err
    assert any(f" {name}" in ran.err for name in missing)
    told = merge(texts, *states, "--json").lines[1]
    assert [part["shard"] for part in told["unmeasured"]] == ["3/3"]
    assert told["unmeasured"][0]["given"] is False
    assert told["items"]["done"] + told["unmeasured"][0]["items"] == 12
    assert texts.run().code == 0
    assert {line["status"] for line in texts.results()} == {"done"}


@pytest.mark.sweep
def test_a_shard_that_did_not_finish_is_told_and_only_its_rest_is_sent(texts: Project) -> None:
    run_all(texts)
    shutil.rmtree(texts.out)
    texts.manifest["execution"]["look_back"] = 0
    for index in (1, 2, 3):
        assert texts.run("--shard", f"{index}/3", "--limit", "1").code == 0
    before = texts.requests()[JOBS]
    ran = merge(texts, *(str(shard(texts, index)) for index in (1, 2, 3)))
    assert ran.code == 0
    assert "is not finished: " in ran.err
    assert texts.run().code == 0
    assert len(texts.results()) == 12
    assert {line["status"] for line in texts.results()} == {"done"}
    assert texts.requests()[JOBS] - before < before


@pytest.mark.sweep
def test_failures_are_merged_too_and_may_be_tried_again(texts: Project) -> None:
    texts.add_file("broken.wav", b"")
    for index in (1, 2, 3):
        assert texts.run("--shard", f"{index}/3").code in (0, 3)
    assert merge(texts, *(str(shard(texts, index)) for index in (1, 2, 3))).code == 0
    before = texts.requests()
    assert texts.run().code == 3
    assert texts.requests() == before
    assert [line["id"] for line in texts.results() if line["status"] == "failed"] == ["media/broken.wav"]


# -- the same measured twice -----------------------------------------------------------------------------------------


@pytest.mark.sweep
def test_what_two_have_measured_is_told_one_is_kept_and_none_is_lost(texts: Project) -> None:
    texts.manifest["execution"]["look_back"] = 0
    states = run_all(texts)
    kept = texts.folder / "kept"
    shutil.move(states[0], kept)
    assert texts.run("--shard", "1/3").code == 0  # without its state, and without asking: paid twice
    assert merge(texts, str(kept), states[1]).code == 0
    first = {line["id"]: line["raw"] for line in texts.results()}
    ran = merge(texts, *states)
    assert ran.code == 0
    assert "measured elsewhere as well" in ran.err
    assert {line["id"]: line["raw"] for line in texts.results() if line["id"] in first and first[line["id"]]} == {
        name: raw for name, raw in first.items() if raw
    }
    both = len(list((kept / "raw").iterdir())) + sum(len(list((Path(s) / "raw").iterdir())) for s in states)
    assert len(list((texts.out / "raw").iterdir())) == both
    assert texts.call("verify").code == 0
    before = texts.requests()
    assert texts.run().code == 0
    assert texts.requests() == before
    assert [row["item_id"] for row in rows(texts.out, "items")] == [line["id"] for line in texts.results()]
    ids = [(row["item_id"], row["position_begin"]) for row in rows(texts.out, "language")]
    assert len(ids) == len(set(ids))


@pytest.mark.sweep
def test_a_job_that_two_shards_took_from_elsewhere_is_one_job(texts: Project) -> None:
    texts.manifest["batching"] = {"max_sources": 100}
    texts.manifest["outputs"]["directory"] = "lost"
    assert texts.run().code == 0
    jobs = texts.requests()[JOBS]
    shutil.rmtree(texts.folder / "lost")
    texts.manifest["outputs"]["directory"] = "out"
    states = run_all(texts)
    assert texts.requests()[JOBS] == jobs  # all of it was there, and paid for
    ran = merge(texts, *states)
    assert ran.code == 0, ran.err
    assert texts.run().code == 0
    assert texts.requests()[JOBS] == jobs
    assert {line["status"] for line in texts.results()} == {"done"}
    assert len(list((texts.out / "raw").iterdir())) == jobs
    texts.manifest["execution"]["look_back"] = 0
    texts.manifest["outputs"]["directory"] = "whole"
    assert texts.run().code == 0
    for table in ("items", "language"):
        ours, theirs = rows(texts.out, table), rows(texts.folder / "whole", table)
        assert sorted(ours, key=json.dumps) == sorted(theirs, key=json.dumps)


# -- what is not finished --------------------------------------------------------------------------------------------


@pytest.fixture
def slow(tmp_path: Path) -> Any:
    with Emulator(processing_time_s=1.5) as emulator:
        yield emulator


@pytest.mark.sweep
def test_open_jobs_are_refused_or_taken_over_and_never_sent_twice(tmp_path: Path, slow: Emulator) -> None:
    project = Project(tmp_path / "slow", slow)
    project.manifest["models"] = {"language": {}}
    project.manifest["sources"] = {"text": TEXTS}
    for index in (1, 2):
        assert project.run("--shard", f"{index}/2", "--detach").code == 0
    states = [str(shard(project, index, 2)) for index in (1, 2)]
    ran = merge(project, *states)
    assert ran.code == 64
    assert "that nobody has the answer of yet" in ran.err
    assert "--take-over" in ran.err
    assert not (project.out / "state.sqlite3").exists()
    ran = merge(project, *states, "--take-over")
    assert ran.code == 0, ran.err
    refused = project.run("--shard", "1/2")
    assert (refused.code, "was taken over by the whole" in refused.err) == (64, True)
    assert merge(project, *states).code == 0  # again, without asking again
    before = project.requests()[JOBS]
    assert project.run().code == 0
    assert project.requests()[JOBS] == before
    assert {line["status"] for line in project.results()} == {"done"}
    elsewhere = merge(project, *states, "--output-dir", str(tmp_path / "elsewhere"))
    assert (elsewhere.code, "another state has taken over" in elsewhere.err) == (64, True)


@pytest.mark.sweep
def test_a_lost_answer_that_is_taken_over_is_asked_about_and_not_sent_again(texts: Project) -> None:
    texts.emulator.inject([{"route": JOBS, "nth": [1], "action": {"drop": "after"}}])
    texts.settle_s = 60.0
    process = texts.start("run", "manifest.yaml", "--shard", "1/3", "--no-progress")
    state = shard(texts, 1) / "state.sqlite3"
    try:
        while texts.requests().get(JOBS, 0) < 1:
            assert process.poll() is None
    finally:
        process.kill()
        process.communicate(timeout=30)
    texts.emulator.inject([])
    texts.settle_s = 0.2
    for index in (2, 3):
        assert texts.run("--shard", f"{index}/3").code == 0
    states = [str(shard(texts, index)) for index in (1, 2, 3)]
    assert state.exists()
    assert merge(texts, *states).code == 64
    assert merge(texts, *states, "--take-over").code == 0
    ran = texts.run()
    assert ran.code in (0, 9), ran.err
    sent = [text for request in texts.job_requests() for text in request["text"]]
    assert len(sent) == len(set(sent))


# -- what does not belong together -----------------------------------------------------------------------------------


@pytest.mark.sweep
def test_what_does_not_belong_together_is_refused_and_nothing_is_made(texts: Project, tmp_path: Path) -> None:
    states = run_all(texts)
    other = tmp_path / "copy"
    shutil.copytree(states[0], other)
    assert texts.run("--shard", "1/2", "--output-dir", str(texts.folder / "halves")).code == 0
    half = str(texts.folder / "halves" / "shards" / "1-of-2")
    whole = texts.folder / "whole"
    assert texts.run("--output-dir", str(whole)).code == 0
    for words, told in (
        ([states[0], half], "parts of different wholes"),
        ([states[0], str(other)], "are both shard 1/3"),
        ([states[0], states[0] + "/state.sqlite3"], "the same state as"),
        ([str(whole)], "this is no shard's state"),
        ([str(texts.folder)], "no state there"),
        ([], "takes a manifest and the shards' states"),
    ):
        ran = merge(texts, *words)
        assert (ran.code, told in ran.err) == (64, True), ran.err
    assert merge(texts, states[0], "--state", states[0] + "/state.sqlite3").code == 64
    texts.manifest["name"] = "other"
    assert "belongs to the manifest 'trial'" in merge(texts, *states).err
    texts.manifest["name"] = "trial"
    texts.manifest["models"] = {"language": {"granularity": "sentence"}, "prosody": {}}
    ran = merge(texts, *states)
    assert (ran.code, "models.language.granularity" in ran.err) == (64, True), ran.err
    assert not (texts.out / "state.sqlite3").exists()
    assert not (texts.out / "raw").exists()


@pytest.mark.sweep
def test_rehearsals_and_measurements_are_not_merged(texts: Project) -> None:
    states = run_all(texts)
    change(Path(states[1]) / "state.sqlite3", "UPDATE jobs SET simulated = 0")
    ran = merge(texts, *states)
    assert (ran.code, "the two are not mixed" in ran.err) == (64, True), ran.err
    merge(texts, states[0])
    assert merge(texts, states[1]).code == 64
    change(Path(states[2]) / "state.sqlite3", "UPDATE meta SET value = 'local' WHERE name = 'api'")
    ran = merge(texts, states[2])
    assert (ran.code, "measured with local" in ran.err) == (64, True), ran.err


@pytest.mark.sweep
def test_a_shard_that_runs_is_not_merged(texts: Project) -> None:
    states = run_all(texts)
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom hume_runner.state.lock import StateLock\n"
        f"with StateLock(Path({states[1] + '/state.sqlite3'!r})):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    process = warm.WarmPopen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        ran = merge(texts, *states)
        assert ran.code == 6, ran.err
        assert not (texts.out / "state.sqlite3").exists()
    finally:
        process.kill()
        process.communicate(timeout=30)
    assert merge(texts, *states).code == 0


@pytest.mark.sweep
def test_a_merge_waits_for_no_run_of_everything(texts: Project) -> None:
    states = run_all(texts)
    with StateLock(texts.out / "state.sqlite3"):
        assert merge(texts, *states).code == 6


@pytest.mark.sweep
def test_an_answer_that_was_changed_is_told_and_its_shard_is_not_merged(texts: Project) -> None:
    states = run_all(texts)
    answer = next((Path(states[0]) / "raw").rglob("predictions.json"))
    good = answer.read_bytes()
    answer.write_bytes(good[:-2] + b"  ")
    ran = merge(texts, *states)
    assert ran.code == 10
    assert "missing or was changed" in ran.err
    assert "--repair" in ran.err
    answer.write_bytes(good)
    assert merge(texts, *states).code == 0
    assert texts.call("verify").code == 0


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize(
    "path", ["../../escape.json", "/tmp/escape.json", "raw/../../../escape", "state.sqlite3", "raw/x"]
)
def test_a_state_from_elsewhere_chooses_no_path(texts: Project, path: str) -> None:
    states = run_all(texts)
    change(Path(states[0]) / "state.sqlite3", f"UPDATE answers SET path = '{path}' WHERE name = 'predictions.json'")
    ran = merge(texts, states[0])
    assert (ran.code, "not the path of an answer" in ran.err) == (10, True), ran.err


@pytest.mark.sweep
def test_two_jobs_of_one_name_keep_their_answers_apart(texts: Project) -> None:
    states = run_all(texts)
    taken = texts.out / "raw" / next((Path(states[0]) / "raw").iterdir()).name
    taken.mkdir(parents=True)
    (taken / "predictions.json").write_text("[]")
    assert merge(texts, *states).code == 0
    assert (taken / "predictions.json").read_text() == "[]"
    assert taken.with_name(taken.name + ".1-of-3").is_dir()
    counts = texts.call("verify", "--json").lines[-1]["counts"]
    assert counts.get("-", 0) == counts.get("*", 0) == 0


# -- killed ----------------------------------------------------------------------------------------------------------

_SWEEP = """
import json, os, shutil, signal, sys
from pathlib import Path
from hume_runner.api import Project
from hume_runner.api.merging import merge_shards
from hume_runner.settings import Settings
from hume_runner.machine import Machine
from tests.durability.disks import CountedDisk, KillingDisk

folder = Path(sys.argv[1])
seed = folder / "seed"

def merge(place, disk):
    machine = Machine(disk=disk, environ={}, settings=Settings())
    project = Project.open(seed / "manifest.yaml", output_dir=place, machine=machine)
    merge_shards(project, [place / "shards" / "1-of-2", place / "shards" / "2-of-2"], take_over=False, on_event=print)

def in_child(act):
    pid = os.fork()
    if not pid:
        try:
            act()
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def fresh(name):
    place = folder / name
    shutil.copytree(seed / "out", place)
    return place

place = fresh("count")
counting = CountedDisk()
merge(place, counting)
number, codes = len(counting.operations), []
for at in range(1, number + 1, int(sys.argv[2])):
    for moment in ("before", "after"):
        place = fresh(f"{at}-{moment}")
        killed = in_child(lambda: merge(place, KillingDisk(at, moment)))
        again = in_child(lambda: merge(place, CountedDisk()))
        codes.append([at, moment, killed, again])
print(json.dumps({"operations": counting.operations, "codes": codes}))
"""


@only_swept
def test_a_merge_killed_at_any_durable_operation_is_repeated_by_the_same_command(texts: Project, tier: Tier) -> None:
    texts.manifest["sources"] = {"text": TEXTS[:4]}
    texts.manifest["models"] = {"language": {}}
    run_all(texts, 2)
    (texts.folder / "seed").mkdir()
    shutil.move(texts.out, texts.folder / "seed" / "out")
    texts.manifest["outputs"]["tables"] = []
    texts.write(texts.folder / "seed" / "manifest.yaml")
    ran = warm.run(
        [sys.executable, "-c", _SWEEP, str(texts.folder), "1" if tier.all else "9"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    swept = json.loads(ran.stdout.splitlines()[-1])
    assert len(swept["operations"]) >= 12
    assert {code[2] for code in swept["codes"]} == {-9}, swept
    assert {code[3] for code in swept["codes"]} == {0}, ran.stderr
    expected = [json.loads(line) for line in (texts.folder / "count" / "results.jsonl").read_text().splitlines()]
    assert {line["status"] for line in expected} == {"done"}
    files = {name for name in tree(texts.folder / "count") if name.startswith("raw/")}
    before = texts.requests()
    for at, moment, _, _ in swept["codes"]:
        place = texts.folder / f"{at}-{moment}"
        found = [json.loads(line) for line in (place / "results.jsonl").read_text().splitlines()]
        assert [(one["id"], one["status"], one["raw"]) for one in found] == [
            (one["id"], one["status"], one["raw"]) for one in expected
        ], (at, moment)
        assert {name for name in tree(place) if name.startswith("raw/")} == files, (at, moment)
    texts.manifest["outputs"]["directory"] = str(place)
    assert texts.run().code == 0
    assert texts.requests() == before


@pytest.mark.sweep
def test_what_this_machine_measured_is_merged_as_well(texts: Project) -> None:
    texts.manifest["service"] = {"api": "local"}
    texts.manifest["models"] = {"language": {}}
    texts.manifest["sources"] = {"text": TEXTS}
    del texts.manifest["execution"]["requests_per_second"]
    texts.manifest["batching"] = {}
    states = run_all(texts)
    assert merge(texts, *states).code == 0
    assert texts.run().code == 0
    ours = rows(texts.out, "language")
    texts.manifest["outputs"]["directory"] = "whole"
    assert texts.run().code == 0
    theirs = rows(texts.folder / "whole", "language")
    assert sorted(ours, key=json.dumps) == sorted(theirs, key=json.dumps)


@pytest.mark.sweep
def test_a_merge_tells_how_far_it_is(texts: Project) -> None:
    shards = run_all(texts, of=2)
    told: list[events.Event] = []
    found = api.Project.open(texts.write())
    merge_shards(found, shards, take_over=False, on_event=told.append)
    assert [event.phase for event in told if isinstance(event, events.Phase)] == ["merging", "planning", "writing"]
    begun = [event for event in told if isinstance(event, events.Writing) and event.done == 0]
    assert [event.what for event in begun] == [
        "shard 1/2",
        "shard 2/2",
        "results.jsonl",
        "tables (jsonl)",
        "datapackage.json",
    ]
    assert all(event.total for event in begun[:2])


@pytest.mark.sweep
@pytest.mark.parametrize("planned", [False, True], ids=["a whole of nothing", "a whole that has planned it"])
def test_what_is_in_doubt_in_a_shard_is_so_in_the_whole(project: Project, planned: bool) -> None:
    project.manifest["models"] = {"language": {}}
    project.manifest["sources"] = {"text": [{"text": text, "id": text} for text in TEXTS[:4]]}
    project.manifest["batching"] = {"max_sources": 1}
    busy = [{"route": JOBS, "action": {"status": 503}}]
    if planned:
        project.emulator.inject(busy)
        assert project.run().code == 5
    project.emulator.make_difficult({"jobs": {"empty": True}})
    project.emulator.inject([{"route": JOBS, "action": {"drop": "after"}}])
    for index in (1, 2):
        assert project.run("--shard", f"{index}/2").code == 9
    project.emulator.inject(busy)
    for index in (1, 2):
        assert project.run("--shard", f"{index}/2", "--pay-again").code == 5
    project.emulator.inject([])
    states = [str(shard(project, index, 2)) for index in (1, 2)]
    for _ in range(2):  # a merge may be repeated
        assert merge(project, *states).code == 0
        ran = project.run()
        assert (ran.code, project.emulator.requests()["jobs_accepted"]) == (9, 4), ran.err
    assert project.run("--pay-again").code == 0
    assert project.emulator.requests()["jobs_accepted"] == 8
    assert merge(project, *states).code == 0
    assert (project.run().code, project.emulator.requests()["jobs_accepted"]) == (0, 8)

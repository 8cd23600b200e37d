"""Raw answers that are missing, cut or changed on disk: had again for nothing, or told; never paid for in silence."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hume_runner.state.answers import harmed_answers
from hume_runner.state.disk import Disk
from hume_runner.state.rows import StoredAnswer
from hume_runner.state.store import Store
from tests.cli.project import JOBS, Project
from tests.expression.runs import AUDIO, Folder
from tests.expression.test_recordings import SMALL_BODY, talk
from tests.media_files import speech, write_wav
from tests.tiers import sampled

PREDICTIONS = "GET /v0/batch/jobs/{id}/predictions"


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _edit(path: Path) -> None:
    """One byte of a score, by an editor that keeps the date."""
    seen = path.stat()
    content = bytearray(path.read_bytes())
    place = content.rindex(b"0.") + 2 if b"0." in content else len(content) // 2
    content[place] = ord("9") if content[place] != ord("9") else ord("1")
    path.write_bytes(content)
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))


def _remove_folder(path: Path) -> None:
    for one in path.parent.iterdir():
        one.unlink()
    path.parent.rmdir()


HARMS = [Path.unlink, _cut, _empty, _edit, _remove_folder]


def answer(out: Path, name: str = "predictions.json") -> Path:
    return sorted((out / "raw").glob(f"*/{name}"))[0]


@pytest.fixture
def study(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("HUME_API_KEY", project.emulator.api_key)
    project.of_texts("first", "second", "third")
    project.manifest["batching"] = {"max_sources": 1}
    assert project.run().code == 0
    return project


@sampled(1)
@pytest.mark.parametrize("harm", HARMS)
def test_a_run_has_a_harmed_answer_again_and_submits_nothing(study: Project, harm: Callable[[Path], None]) -> None:
    path = answer(study.out)
    before, told = path.read_bytes(), path.with_name("request.json").read_bytes()
    tables = (study.out / "tables" / "language.csv").read_bytes()
    harm(path)
    ran = study.run()
    assert ran.code == 0, ran.err
    assert path.relative_to(study.out).as_posix() in ran.err
    assert (path.read_bytes(), path.with_name("request.json").read_bytes()) == (before, told)
    assert study.requests()[JOBS] == 3
    assert (study.out / "tables" / "language.csv").read_bytes() == tables
    assert study.call("verify").code == 0
    fetched = study.requests()[PREDICTIONS]
    assert study.run().code == 0
    assert study.requests()[PREDICTIONS] == fetched == 4


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("harm", HARMS)
def test_verify_with_repair_does_the_same_and_makes_again_what_is_derived(
    study: Project, harm: Callable[[Path], None]
) -> None:
    path = answer(study.out)
    before = path.read_bytes()
    harm(path)
    (study.out / "tables" / "items.csv").unlink()
    (study.out / "results.jsonl").write_text("")
    assert study.call("verify").code == 3
    ran = study.call("verify", "--repair")
    assert ran.code == 0, ran.err + ran.out
    assert path.read_bytes() == before
    assert study.requests()[JOBS] == 3
    assert study.call("verify").code == 0


@pytest.mark.sweep
def test_what_a_person_made_of_an_answer_is_kept_beside_the_one_that_is_had_again(study: Project) -> None:
    path = answer(study.out)
    before, beside = path.read_bytes(), path.with_name("predictions.json.bak")
    _edit(path)
    edited = path.read_bytes()
    study.emulator.inject([{"route": PREDICTIONS, "times": 1, "action": {"status": 401}}])
    assert study.run().code != 0
    assert path.read_bytes() == edited
    assert not beside.exists(), "nothing took its place"
    ran = study.run()
    assert (ran.code, "which is kept as predictions.json.bak" in ran.err) == (0, True), ran.err
    assert (path.read_bytes(), beside.read_bytes()) == (before, edited)
    _edit(path)
    path.write_bytes(path.read_bytes() + b"\n")
    again = path.read_bytes()
    assert study.run().code == 0
    kept = path.with_name("predictions.json.2.bak")
    assert (path.read_bytes(), beside.read_bytes(), kept.read_bytes()) == (before, edited, again)
    assert study.call("verify").code == 0
    assert study.requests()[JOBS] == 3


@pytest.mark.sweep
def test_repair_finds_a_change_that_leaves_no_trace_in_the_folder(study: Project) -> None:
    path = answer(study.out)
    before = path.read_bytes()
    _edit(path)
    with Store.create_or_open(study.out / "state.sqlite3", disk=Disk(), name="trial", lineage="x") as store:
        stamp = path.stat()
        text = f"{stamp.st_size}-{stamp.st_mtime_ns}-{stamp.st_ctime_ns}-{stamp.st_ino}"
        store.note_stamps([(text, 1, "predictions.json")])  # as if bits had rotted under it
    assert study.call("verify").code == 3
    assert study.call("verify", "--repair").code == 0
    assert path.read_bytes() == before


@pytest.mark.sweep
@sampled(2)
@pytest.mark.parametrize("harm", HARMS)
def test_tables_and_report_name_the_file_and_keep_the_rows_of_the_others(
    study: Project, harm: Callable[[Path], None], tmp_path: Path
) -> None:
    path = answer(study.out)
    (mine,) = json.loads(path.with_name("request.json").read_bytes())["sources"][0]["ids"]
    harm(path)
    name = path.relative_to(study.out).as_posix()
    ran = study.call("tables", "--format", "jsonl", "--out", str(tmp_path / "t"))
    assert (ran.code, name in ran.err, "Traceback" in ran.err) == (3, True, False)
    rows = [json.loads(line) for line in (tmp_path / "t" / "language.jsonl").read_text().splitlines()]
    assert {row["item_id"] for row in rows} == {line["id"] for line in study.results()} - {mine}
    (error,) = [json.loads(line) for line in (tmp_path / "t" / "errors.jsonl").read_text().splitlines()]
    assert (error["item_id"], name in error["message"]) == (mine, True)
    ran = study.call("report", "--out", str(tmp_path / "r.html"))
    assert (ran.code, name in ran.err, "Traceback" in ran.err) == (3, True, False)


@pytest.mark.sweep
def test_a_paid_run_ends_with_its_own_results_and_says_what_cannot_be_had_now(study: Project) -> None:
    path = answer(study.out)
    path.unlink()
    study.manifest["sources"]["text"].append("fourth")
    study.emulator.inject([{"route": PREDICTIONS, "nth": [1, 2, 3], "action": {"status": 500}}])
    ran = study.run()
    assert ran.code == 5, ran.err
    assert path.relative_to(study.out).as_posix() in ran.err
    assert "free some space" not in ran.err
    assert [line["status"] for line in study.results()] == ["done"] * 4
    assert study.run().code == 0
    assert path.exists()
    assert study.requests()[JOBS] == 4
    rows = (study.out / "tables" / "language.csv").read_text().splitlines()
    assert len(rows) == 5


@pytest.mark.sweep
def test_what_the_service_tells_differently_now_is_not_taken(study: Project) -> None:
    path = answer(study.out)
    _cut(path)
    cut = path.read_bytes()
    body = [{"source": {"type": "text"}, "results": {"predictions": [], "errors": []}, "error": "it is gone"}]
    study.emulator.inject([{"route": PREDICTIONS, "nth": [1], "action": {"status": 200, "body": body}}])
    ran = study.run()
    assert (ran.code, path.read_bytes()) == (9, cut)
    assert "not what it answered before" in ran.err
    assert {line["status"] for line in study.results()} == {"done"}
    assert study.run().code == 0


@pytest.mark.sweep
def test_the_same_said_in_other_bytes_is_taken_and_known_from_then_on(study: Project) -> None:
    path = answer(study.out)
    body = json.loads(path.read_bytes())
    body[0]["new_member"] = 1
    path.unlink()
    study.emulator.inject([{"route": PREDICTIONS, "nth": [1], "action": {"status": 200, "body": body}}])
    assert study.run().code == 0
    assert json.loads(path.read_bytes()) == body
    assert study.call("verify").code == 0


@pytest.mark.sweep
def test_an_answer_that_spells_its_source_another_way_now_has_its_rows(study: Project) -> None:
    url = "https://example.org/a%20b.mp4"
    study.manifest["sources"]["urls"] = [url]
    study.manifest["models"]["prosody"] = {}
    assert study.run().code == 0
    (mine,) = [line for line in study.results() if line["kind"] == "url"]
    path = next(study.out / one for one in mine["raw"] if one.endswith("predictions.json"))
    rows = (study.out / "tables" / "prosody.csv").read_text()
    assert mine["id"] in rows
    path.unlink()
    study.emulator.make_difficult({"jobs": {"urls": "decode", "predictions_spell": True}})
    assert study.run().code == 0
    assert "a b.mp4" in path.read_text()
    assert (study.out / "tables" / "prosody.csv").read_text() == rows
    assert study.call("verify").code == 0


@pytest.mark.sweep
def test_an_answer_that_the_service_has_no_more_is_a_decision_and_is_measured_again_with_consent_only(
    study: Project,
) -> None:
    path = answer(study.out)
    path.unlink()
    study.emulator.inject([{"route": PREDICTIONS, "times": 1, "action": {"status": 404}}])
    ran = study.run()
    assert (ran.code, study.requests()[JOBS]) == (9, 3)
    assert "--pay-again" in ran.err
    assert {line["status"] for line in study.results()} == {"done"}
    study.emulator.inject([{"route": PREDICTIONS, "times": 1, "action": {"status": 404}}])
    ran = study.run("--pay-again")
    assert (ran.code, study.requests()[JOBS]) == (0, 4), ran.err
    assert len((study.out / "tables" / "language.csv").read_text().splitlines()) == 4
    assert study.call("verify").code == 0
    assert study.run().code == 0
    assert study.requests()[JOBS] == 4


@pytest.mark.sweep
def test_an_untouched_answer_is_not_read_and_a_copied_one_once(tmp_path: Path) -> None:
    out = tmp_path / "out"
    raw = out / "raw"
    raw.mkdir(parents=True)
    with Store.create_or_open(out / "state.sqlite3", disk=Disk(), name="n", lineage="l") as store:
        jobs = 10_000
        answers = []
        content = b"[]"
        for number in range(jobs):
            path = raw / f"{number}.json"
            path.write_bytes(content)
            answers.append((number, path))
        digest = "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945"
        store._db.execute("BEGIN")
        for number, path in answers:
            one = StoredAnswer(name="a", path=f"raw/{path.name}", size=2, sha256=digest)
            store._record_answers(number, [one], 0.0)  # from before all of them: as a copy looks
        store._db.execute("COMMIT")
        assert list(harmed_answers(store, out)) == []
        assert {one.stamp is not None for _, one in store.answers()} == {True}
        for _, path in answers:
            path.chmod(0)  # whoever reads one now fails, unless it is root
        for number, path in answers:
            stamp = path.stat()
            text = f"{stamp.st_size}-{stamp.st_mtime_ns}-{stamp.st_ctime_ns}-{stamp.st_ino}"
            store._db.execute("UPDATE answers SET stamp = ?, sha256 = 'not this' WHERE job = ?", (text, number))
        started = time.process_time()
        assert list(harmed_answers(store, out)) == []
        assert time.process_time() - started < 2


# -- the API that gives an answer once ---------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, project: Project) -> Folder:
    return Folder(path=tmp_path / "case", url=project.emulator.url, key=project.emulator.api_key)


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("harm", HARMS)
def test_where_an_answer_comes_once_its_loss_is_told_and_paid_for_with_consent_only(
    folder: Folder, project: Project, harm: Callable[[Path], None]
) -> None:
    folder.path.mkdir(parents=True)
    for number in range(2):
        write_wav(folder.path / f"{number}.wav", speech([("speech", 1.5)], seed=number))
    folder.write({"files": ["*.wav"]}, outputs={"directory": "out", "tables": ["csv"]})
    ran = folder.run()
    assert ran.code == 0, ran.err
    paid = project.emulator.requests()["by_route"][AUDIO]
    path = answer(folder.outputs, "response.json")
    harm(path)
    name = path.relative_to(folder.outputs).as_posix()
    ran = folder.run()
    assert (ran.code, name in ran.err, "gives an answer once" in ran.err) == (9, True, True), ran.err
    assert {line["status"] for line in folder.results().values()} == {"done"}
    assert folder.command("verify", "--repair").code == 9
    assert folder.command("tables").code == 3
    assert project.emulator.requests()["by_route"][AUDIO] == paid
    ran = folder.run("--pay-again")
    assert ran.code == 0, ran.err
    assert project.emulator.requests()["by_route"][AUDIO] == paid + 1
    assert folder.run().code == 0
    assert folder.command("tables").code == 0


@pytest.mark.sweep
def test_of_a_recording_in_parts_only_the_lost_part_is_paid_again(folder: Folder, project: Project) -> None:
    folder.path.mkdir(parents=True)
    write_wav(folder.path / "talk.wav", talk(40, seed=3))
    folder.write(
        {"files": ["*.wav"]},
        batching={"max_bytes": SMALL_BODY},
        models={"audio": {}},
        outputs={"directory": "out", "tables": ["csv"]},
    )
    assert folder.run().code == 0
    table = (folder.outputs / "tables" / "audio.csv").read_bytes()
    parts = len(folder.raw())
    assert parts >= 3
    path = sorted((folder.outputs / "raw").glob("*/response.json"))[1]
    path.unlink()
    assert folder.run().code == 9
    ran = folder.run("--pay-again")
    assert ran.code == 0, ran.err
    assert project.emulator.requests()["by_route"][AUDIO] == parts + 1
    again = (folder.outputs / "tables" / "audio.csv").read_text().splitlines()
    assert len(again) == len(table.decode().splitlines())

"""`verify`: every file against the hash that the state recorded; with --remote, every job against the service."""

from __future__ import annotations

from pathlib import Path

import pytest

from hume_runner.emulator.server import Emulator
from tests.cli.project import Project
from tests.tiers import sampled


@pytest.fixture
def finished(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("HUME_API_KEY", project.emulator.api_key)
    assert project.run().code == 0
    return project


def verdicts(project: Project, *words: str) -> dict[str, str]:
    return {e["path"]: e["verdict"] for e in project.call("verify", "--json", *words).lines if e.get("event") == "file"}


def predictions(project: Project) -> Path:
    (found,) = (project.out / "raw").glob("*/predictions.json")
    return found


def test_untouched_outputs_are_all_the_same(finished: Project) -> None:
    ran = finished.call("verify")
    assert ran.code == 0
    assert set(verdicts(finished).values()) == {"="}
    assert "results.jsonl" in verdicts(finished)
    assert "0 missing, 0 changed, 0 unreadable, 0 not ours" in ran.out


def test_a_changed_byte_of_the_same_length_is_found(finished: Project) -> None:
    path = predictions(finished)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    ran = finished.call("verify")
    assert ran.code == 3
    assert f"* {path.relative_to(finished.out).as_posix()}  (same size, other content)" in ran.out


@pytest.mark.sweep
def test_missing_unreadable_and_foreign_files_have_signs_of_their_own(finished: Project) -> None:
    path = predictions(finished)
    path.unlink()
    (finished.out / "results.jsonl").unlink()
    (finished.out / "results.jsonl").mkdir()  # a folder in a file's place cannot be read as one
    (finished.out / "raw" / "notes.txt").write_text("mine")
    found = verdicts(finished)
    assert found[path.relative_to(finished.out).as_posix()] == "-"
    assert found["results.jsonl"] in ("!", "*")
    assert found["raw/notes.txt"] == "+"


def test_a_file_that_is_not_ours_is_no_failure(finished: Project) -> None:
    (finished.out / "notes.txt").write_text("mine")
    assert finished.call("verify").code == 0


@pytest.mark.sweep
def test_the_state_and_its_companions_are_not_called_foreign(finished: Project) -> None:
    assert not [path for path, verdict in verdicts(finished).items() if verdict == "+"]


@pytest.mark.sweep
def test_with_remote_the_service_confirms_every_job(finished: Project) -> None:
    ran = finished.call("verify", "--remote", "-v")
    assert ran.code == 0
    assert "= job-000001" in ran.out
    assert "finished" in ran.out


@pytest.mark.sweep
def test_with_remote_a_job_that_the_service_does_not_know_is_a_failure(
    finished: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Emulator(data=tmp_path / "other") as other:
        monkeypatch.setenv("HUME_API_KEY", other.api_key)
        ran = finished.call("verify", "--remote", "--endpoint", other.url)
    assert ran.code == 3
    assert "not known under this key" in ran.out


def test_before_the_first_run_there_is_nothing_to_verify(project: Project) -> None:
    ran = project.call("verify")
    assert ran.code == 64
    assert "next: hume-runner run" in ran.err


@pytest.mark.sweep
def test_with_remote_each_job_that_the_list_leaves_out_is_asked_for_once(finished: Project) -> None:
    finished.manifest["batching"] = {"max_sources": 1}
    finished.manifest["sources"] = {"text": [f"text {number}" for number in range(12)]}
    assert finished.run().code == 0
    finished.emulator.make_difficult({"jobs": {"empty": True}})
    before = dict(finished.requests())
    ran = finished.call("verify", "--remote")
    assert ran.code == 0, ran.out + ran.err
    after = finished.requests()
    jobs = finished.run_json()["counts"]["jobs"]["done"]
    listed, detailed = (after.get(r, 0) - before.get(r, 0) for r in ("GET /v0/batch/jobs", "GET /v0/batch/jobs/{id}"))
    assert jobs == 13
    assert detailed == jobs
    assert listed <= 2


# -- whose the directory is

RECORD = "state.sqlite3.outputs.json"
HARMS: dict[str, bytes | None] = {
    "gone": None,
    "empty": b"",
    "half": b'{"schema": 1, "manifest": "tri',
    "zeros": bytes(120),
    "no record": b'{"schema": 1, "name": "mine"}\n',
    "a list": b"[]\n",
    "words": b"my notes\n",
    "another's": b'{"schema": 1, "manifest": "other", "state": "state.sqlite3", "lineage": "0"}\n',
}


@sampled(1)
@pytest.mark.parametrize("harm", HARMS.values(), ids=list(HARMS))
def test_a_record_that_does_not_tell_whose_the_directory_is_is_no_output_that_is_the_same(
    finished: Project, harm: bytes | None
) -> None:
    record = finished.out / RECORD
    as_written = record.read_bytes()
    assert verdicts(finished)[RECORD] == "="
    record.unlink()
    if harm is not None:
        record.write_bytes(harm)
    ran = finished.call("verify")
    sign = "-" if harm is None else "*"
    assert ran.code == 3, ran.out
    assert f"{sign} {RECORD}" in ran.out
    assert verdicts(finished)[RECORD] == sign
    ours = harm in (None, b"") or harm == HARMS["another's"]
    for ran in (finished.call("verify", "--repair"), finished.run()):
        assert ran.code == (0 if ours else 64), ran.err
    if harm is not None and not ours:  # nothing is written over what a person may have put there
        assert record.read_bytes() == harm
        assert "next: move it away" in ran.err
        record.rename(finished.folder / "moved away")
        assert finished.run().code == 0
    assert finished.call("verify").code == 0
    assert record.read_bytes() == as_written

"""The commands beside `run`, on a state in a store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from hume_runner.emulator.server import Emulator
from hume_runner.events import Event, Submitted
from tests.commands import Ran, call
from tests.object_stores import S3Server
from tests.state.remote.machines import Study, Vanished, accepted, rows, vanish_after, written

pytestmark = pytest.mark.usefixtures("quick_environment")


@pytest.mark.sweep
def test_status_and_plan_read_it_without_a_copy_here(study: Study) -> None:
    manifest = written(study, "b")
    assert "there is no state at s3://" in call("status", manifest).out
    study.run("a")
    ran = call("status", "--json", manifest)
    assert ran.json["items"]["done"] == 6
    assert ran.json["state"] == study.place
    assert ran.json["lock"] is None
    plan = call("plan", manifest)
    assert plan.code == 0
    assert "6 done" in plan.out
    assert not (study.folder / "b" / "state.sqlite3").exists()


@pytest.mark.sweep
def test_while_another_machine_owns_it_they_tell_who(study: Study, emulator: Emulator) -> None:
    seen: list[Ran] = []
    manifest = written(study, "b")

    def on_event(event: Event) -> None:
        if isinstance(event, Submitted) and not seen:
            seen.extend(call(*words, manifest) for words in (["status", "--json"], ["plan"], ["state", "export"]))
            seen.append(call("run", manifest))

    assert study.run("a", on_event=on_event).exit_code == 0
    status, plan, export, run = seen
    assert status.json["lock"]["pid"] > 0
    assert (plan.code, export.code) == (0, 0)
    assert json.loads(export.out)["jobs"]
    assert run.code == 6
    assert "another run holds the state: process" in run.err
    assert accepted(emulator) == 6


@pytest.mark.sweep
def test_pull_brings_the_whole_state_here(study: Study, tmp_path: Path) -> None:
    study.run("a")
    manifest = written(study, "b")
    assert "state pull" in call("verify", manifest).err
    ran = call("state", "pull", manifest)
    assert ran.code == 0, ran.err
    assert rows(study.folder / "b" / "state.sqlite3") == rows(study.folder / "a" / "state.sqlite3")
    assert call("status", manifest).code == 0
    assert call("state", "pull", "--json", manifest).json["action"] == "pull"


@pytest.mark.sweep
def test_push_puts_a_state_there_that_was_here(study: Study) -> None:
    study.run("a")
    elsewhere, study.place = study.place, f"{study.place}-2"
    manifest = written(study, "a")
    ran = call("state", "push", "--json", manifest)
    assert (ran.code, ran.json["pushed"]) == (0, True), ran.err
    assert call("state", "push", "--json", manifest).json["pushed"] is False
    assert call("status", "--json", written(study, "b")).json["items"]["done"] == 6
    assert study.place != elsewhere


def test_pull_and_push_are_for_stores(study: Study, tmp_path: Path) -> None:
    manifest = written(study, "a")
    for action in ("pull", "push"):
        ran = call("state", action, "--state", str(tmp_path / "here.sqlite3"), manifest)
        assert ran.code == 64
        assert "state: s3://" in ran.err


@pytest.mark.sweep
def test_unlock_releases_what_stands_still(study: Study, s3: S3Server) -> None:
    manifest = written(study, "b")
    assert "nobody holds" in call("state", "unlock", manifest).err
    study.texts = 12
    with pytest.raises(Vanished):
        study.run("a", on_event=vanish_after(3))
    bucket = study.place.split("/")[2]
    # As if it had vanished altogether: what it gave back while it went down is taken again.
    lock = json.loads(s3.body(bucket, "study/lock"))
    s3.put(bucket, "study/lock", json.dumps({**lock, "released": False, "beat": lock["beat"] + 1}).encode())
    ran = call("state", "unlock", manifest)
    assert ran.code == 0, ran.err
    assert "released; it was held by process" in ran.err
    assert json.loads(s3.body(bucket, "study/lock"))["released"]


@pytest.mark.sweep
def test_a_flag_names_the_place_as_well(study: Study, emulator: Emulator) -> None:
    place = study.place
    study.sections = {"outputs": {"directory": str(study.folder / "b")}}
    manifest = Path(written(study, "b"))
    manifest.write_text(yaml.safe_dump({k: v for k, v in study.manifest("b").items() if k != "state"}))
    assert call("run", "--state", place, str(manifest)).code == 0
    assert study.run("c").exit_code == 0
    assert accepted(emulator) == 6


@pytest.mark.parametrize(
    "uri", ["s3://bucket", "s3://user:secret@bucket/x", "file:///tmp/x", "s3://bucket/x?X-Amz-Signature=1"]
)
def test_a_place_that_is_none_is_a_fault_of_the_manifest(study: Study, uri: str) -> None:
    study.place = uri
    ran = call("validate", written(study, "a"))
    assert ran.code == 65
    assert "state" in ran.out + ran.err
    assert "user:secret" not in ran.out + ran.err
    assert "Signature=" not in ran.out + ran.err


@pytest.mark.sweep
def test_the_state_of_another_manifest_is_refused_and_not_brought_here(study: Study, emulator: Emulator) -> None:
    study.run("a")
    study.sections = {"name": "other"}
    manifest = written(study, "b")
    for words in (["run", manifest], ["state", "pull", manifest], ["status", manifest], ["plan", manifest]):
        ran = call(*words)
        assert ran.code == 10, words
        assert f"{study.place}: this state belongs to the manifest 'study', not to 'other'" in ran.err
        assert "`state:` of its own" in ran.err
        assert not (study.folder / "b" / "state.sqlite3").exists(), words
    assert accepted(emulator) == 6
    study.place += "-of-its-own"
    assert call("run", written(study, "b")).code == 0


@pytest.mark.sweep
def test_the_copy_of_a_state_in_a_store_does_not_go_on_without_it(study: Study, emulator: Emulator) -> None:
    assert study.run("a").exit_code == 0
    manifest, copy = written(study, "a"), str(study.folder / "a" / "state.sqlite3")
    before = Path(copy).read_bytes()
    study.texts += 1
    written(study, "a")
    for words in (["plan"], ["run"], ["adopt", "--state", copy]):
        more = ["some-job"] if words[0] == "adopt" else ["--state", copy]
        ran = call(*words, manifest, *more)
        assert ran.code == 64, ran.err
        assert f"is the working copy of a state that is at home in {study.place}" in ran.err
        assert f"--state {study.place}" in ran.err
    assert Path(copy).read_bytes() == before
    assert accepted(emulator) == 6
    assert call("run", manifest, "--state", study.place).code == 0

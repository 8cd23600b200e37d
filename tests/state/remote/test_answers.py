"""Answers that exist once: what a machine took with it is there all the same."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

import hume_runner
from hume_runner.emulator.server import Emulator
from hume_runner.events import Event, JobFinished
from hume_runner.state.disk import Disk
from hume_runner.wiring import Machine
from tests.commands import call
from tests.object_stores import S3Server, only
from tests.state.disks import FailsAt
from tests.state.remote.machines import (
    KEY,
    QUICK,
    Study,
    Vanished,
    accepted,
    measured,
    pulled,
    rows,
    vanish_after,
    written,
)
from tests.state.remote.test_merging import parts
from tests.stores.proxy import proxied
from tests.tiers import sampled


@pytest.fixture
def here(study: Study) -> Study:
    """Texts that are measured on this machine."""
    study.api = "local"
    study.sections = {"service": {"api": "local"}, "batching": {}, "models": {"language": {}}, "execution": {}}
    return study


def answers_of(study: Study, machine: str) -> dict[str, bytes]:
    raw = study.folder / machine / "raw"
    return {str(path.relative_to(raw)): path.read_bytes() for path in raw.rglob("response.json")}


@pytest.mark.sweep
def test_a_fresh_machine_has_the_answers_and_pays_for_nothing(recordings: Study, emulator: Emulator) -> None:
    assert recordings.run("a").exit_code == 0
    paid, answers = measured(emulator), answers_of(recordings, "a")
    recordings.vanish("a")
    result = recordings.run("b")
    assert (result.exit_code, result.counts.items["done"]) == (0, 4)
    assert measured(emulator) == paid
    assert answers_of(recordings, "b") == answers
    assert answers


@pytest.mark.sweep
def test_what_was_answered_before_a_machine_vanished_is_not_paid_again(recordings: Study, emulator: Emulator) -> None:
    recordings.sections["execution"] = {"transfer_workers": 1}  # nothing else is on its way then
    with pytest.raises(Vanished):
        recordings.run("a", on_event=vanish_after(2))
    recordings.vanish("a")
    result = recordings.run("b")
    assert (result.exit_code, result.counts.items["done"]) == (0, 4)
    assert measured(emulator) == 4


@pytest.mark.sweep
def test_an_answer_that_the_state_was_not_told_of_is_taken_in(recordings: Study, emulator: Emulator) -> None:
    """The machine goes between the answer's way into the store and its way into the state here."""
    recordings.sections["execution"] = {"transfer_workers": 1}

    class GoneWithTheFirst(Disk):
        def commit(self, db: sqlite3.Connection, what: str) -> None:
            if what == "accepted":
                raise Vanished
            super().commit(db, what)

    with pytest.raises(Vanished):
        recordings.run("a", disk=GoneWithTheFirst())
    recordings.vanish("a")
    assert measured(emulator)
    result = recordings.run("b")
    assert (result.exit_code, result.counts.items["done"]) == (0, 4)
    assert measured(emulator) == 4


@pytest.mark.sweep
def test_answers_that_were_here_before_the_state_went_there_are_kept_as_well(
    recordings: Study, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUME_API_KEY", KEY)
    alone = {name: value for name, value in recordings.manifest("a").items() if name != "state"}
    assert hume_runner.run(alone).exit_code == 0
    assert recordings.run("a").exit_code == 0
    recordings.vanish("a")
    assert recordings.run("b").exit_code == 0
    assert measured(emulator) == 4


def test_what_models_measured_here_is_not_measured_again(here: Study) -> None:
    assert here.run("a").exit_code == 0
    answers = answers_of(here, "a")
    here.vanish("a")
    told: list[Event] = []
    assert here.run("b", on_event=told.append).exit_code == 0
    assert answers_of(here, "b") == answers
    assert answers
    assert not [event for event in told if isinstance(event, JobFinished)]


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("kind", ["recordings", "here"])
def test_the_store_holds_the_same_rows(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    study: Study = request.getfixturevalue(kind)
    assert study.run("a").exit_code == 0
    pulled(study.project("a"), tmp_path / "pulled.sqlite3")
    assert rows(tmp_path / "pulled.sqlite3") == rows(study.folder / "a" / "state.sqlite3")
    assert json.loads((study.folder / "a" / "run.json").read_text())["exit_code"] == 0


@pytest.mark.sweep
def test_an_answer_that_lies_there_and_stands_in_no_entry_is_not_paid_again(
    recordings: Study, emulator: Emulator, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine goes between the two writes of one answer, and its disk with it."""
    recordings.sections["execution"] = {"transfer_workers": 1}
    with proxied(s3.url) as proxy:
        only(monkeypatch, {**s3.environ, "AWS_ENDPOINT_URL": proxy.url})

        def before(method: str, path: str) -> int | None:
            put = any(way == "PUT" and "/answers/" in seen for way, seen in proxy.seen)
            return 503 if put and method == "PUT" and "/answers/" not in path else None

        proxy.before = before
        assert recordings.run("a").exit_code == 5
    only(monkeypatch, s3.environ)
    paid, answers = measured(emulator), answers_of(recordings, "a")
    assert 0 < paid < 4
    recordings.vanish("a")
    result = recordings.run("b")
    assert (result.exit_code, result.counts.items["done"]) == (0, 4)
    assert measured(emulator) == 4
    assert answers.items() <= answers_of(recordings, "b").items()


def kept_there(study: Study, s3: S3Server) -> list[str]:
    return [key for key in s3.keys(study.place.split("/")[2]) if key.startswith("study/answers/")]


def taken_over(recordings: Study) -> str:
    """All is measured, and the last answer stands in the whole and on no disk: the path of the manifest on `a`."""
    recordings.sections["execution"] = {"transfer_workers": 1}
    manifest = written(recordings, "a")
    assert call("run", manifest, "--shard", "1/2").code == 0
    disk = FailsAt("accepted", Vanished(), after_s=0.3, nth=3)
    machine = Machine(disk=disk, environ={**os.environ, "HUME_API_KEY": KEY}, settings=QUICK)
    assert call("run", manifest, "--shard", "2/2", machine=machine).code == 1
    assert call("state", "merge", manifest, *parts(recordings, "a"), "--take-over").code == 0
    assert len(answers_of(recordings, "a")) == 3
    return manifest


@pytest.mark.sweep
@pytest.mark.usefixtures("quick_environment")
def test_an_answer_that_was_taken_over_outlives_the_machine_that_wrote_it(
    recordings: Study, emulator: Emulator, s3: S3Server
) -> None:
    manifest = taken_over(recordings)
    assert call("run", manifest).code == 0
    assert len(kept_there(recordings, s3)) == 4
    answers = answers_of(recordings, "a")
    recordings.vanish("a")
    ran = call("run", written(recordings, "c"))
    assert (ran.code, "nothing to do, 4 items" in ran.err) == (0, True), ran.err
    assert {name: answers[name] for name in answers_of(recordings, "c")} == answers_of(recordings, "c")
    assert len(answers_of(recordings, "c")) == 4
    assert measured(emulator) == 4


@pytest.mark.sweep
@pytest.mark.usefixtures("quick_environment")
@pytest.mark.parametrize("gone", [True, False])
def test_no_state_says_that_an_answer_is_had_before_the_store_has_it(
    recordings: Study, emulator: Emulator, s3: S3Server, monkeypatch: pytest.MonkeyPatch, gone: bool
) -> None:
    """The store takes everything but answers. Another machine goes on, or the same one does."""
    manifest = taken_over(recordings)
    monkeypatch.setenv("HUME_RUNNER_STORE_PATIENCE", "0.5")
    with proxied(s3.url) as proxy:
        only(monkeypatch, {**s3.environ, "AWS_ENDPOINT_URL": proxy.url})
        proxy.before = lambda method, path: 503 if method == "PUT" and "/study/answers/" in path else None
        assert call("run", manifest).code == 5
        assert call("state", "push", manifest).code == 5
    only(monkeypatch, s3.environ)
    if gone:
        recordings.vanish("a")
    else:
        assert call("state", "push", manifest).code == 0
        recordings.vanish("a")
    ran = call("run", written(recordings, "c"))
    assert ran.code == 0, ran.err
    assert len(answers_of(recordings, "c")) == 4
    assert measured(emulator) == 4


@pytest.mark.sweep
@pytest.mark.usefixtures("quick_environment")
def test_an_answer_that_was_adopted_from_a_file_outlives_the_file_and_the_machine(
    study: Study, emulator: Emulator, s3: S3Server, tmp_path: Path
) -> None:
    there, study.place = study.place, ""
    assert call("run", written(study, "old")).code == 0
    study.place = there
    (tmp_path / "kept").mkdir()
    files = []
    for number, path in enumerate((study.folder / "old" / "raw").glob("*/predictions.json")):
        files.append(str(tmp_path / "kept" / f"{number}.json"))
        shutil.copy(path, files[-1])
    assert call("adopt", written(study, "a"), *files, "--measured").code == 0
    assert len(kept_there(study, s3)) == 6
    shutil.rmtree(tmp_path / "kept")
    study.vanish("a")
    manifest = written(study, "c")
    ran = call("run", manifest)
    assert (ran.code, "nothing to do, 6 items" in ran.err) == (0, True), ran.err
    assert len(list((study.folder / "c" / "raw").glob("*/predictions.json"))) == 6
    assert call("verify", manifest).code == 0
    assert accepted(emulator) == 6


def _edit(path: Path) -> None:
    path.write_text(json.dumps({"edited": "by hand"}), encoding="utf-8")


HARMS: dict[str, Callable[[Path], None]] = {
    "missing": lambda path: shutil.rmtree(path.parent),
    "cut": lambda path: os.truncate(path, path.stat().st_size - 9),
    "edited": _edit,
}


@pytest.mark.sweep
@pytest.mark.usefixtures("quick_environment")
@pytest.mark.parametrize("command", [["run"], ["verify", "--repair"]], ids=lambda words: words[0])
@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("kind", ["recordings", "here"])
def test_no_command_calls_an_answer_lost_that_lies_in_the_store(
    kind: str, harm: str, command: list[str], request: pytest.FixtureRequest
) -> None:
    study: Study = request.getfixturevalue(kind)
    manifest = written(study, "a")
    assert call("run", manifest).code == 0
    path = study.folder / "a" / "raw" / sorted(answers_of(study, "a"))[0]
    before = path.read_bytes()
    HARMS[harm](path)
    ran = call(command[0], manifest, *command[1:])
    assert ran.code == 0, ran.err
    assert path.read_bytes() == before
    told = f"raw/{path.parent.name}/{path.name}"
    assert (told in ran.err) is (harm != "missing" or command[0] == "verify"), ran.err
    beside = path.with_name(f"{path.name}.bak")
    assert beside.exists() is (harm == "edited")
    if harm == "edited":
        assert f"kept as {beside.name}" in ran.err
        assert "by hand" in beside.read_text(encoding="utf-8")
    assert call("verify", manifest).code == 0


@pytest.mark.sweep
@pytest.mark.usefixtures("quick_environment")
@pytest.mark.parametrize("kind", ["recordings", "here"])
def test_who_only_looks_calls_no_answer_lost_that_lies_in_the_store(kind: str, request: pytest.FixtureRequest) -> None:
    study: Study = request.getfixturevalue(kind)
    manifest, other = written(study, "a"), written(study, "c")
    assert call("run", manifest).code == 0
    shutil.rmtree(study.folder / "a" / "raw")
    for path in (manifest, other):
        planned = call("plan", path)
        assert "a run has them again, at no cost" in planned.out
        assert "not to be had again" not in planned.out
        assert call("plan", path, "--format", "json").json["summary"]["jobs"] == 0
    looked = call("verify", manifest)
    assert looked.code == 3
    assert "--pay-again" not in looked.err
    assert call("verify", manifest, "--repair").code == 0


@pytest.mark.sweep
@pytest.mark.usefixtures("quick_environment")
@pytest.mark.parametrize("words", [["run"], ["verify", "--repair"], ["state", "merge"]], ids=lambda words: words[-1])
def test_an_answer_that_is_listed_and_not_there_is_damage_and_no_missing_source(
    recordings: Study, s3: S3Server, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    manifest = written(recordings, "a")
    more = words[1:]
    if words[-1] == "merge":
        for index in (1, 2):
            assert call("run", manifest, "--shard", f"{index}/2").code == 0
        assert call("state", "merge", manifest, *parts(recordings, "a")).code == 0
        more = parts(recordings, "a")
    else:
        assert call("run", manifest).code == 0
    shutil.rmtree(recordings.folder / "a" / "raw")
    with proxied(s3.url) as proxy:
        only(monkeypatch, {**s3.environ, "AWS_ENDPOINT_URL": proxy.url})
        proxy.before = lambda method, path: 404 if method == "GET" and "/study/answers/" in path else None
        ran = call(words[0], *(["merge"] if words[-1] == "merge" else []), manifest, *more)
    assert ran.code == 10, ran.err
    assert ".gz is gone, though its folder lists it" in ran.err
    only(monkeypatch, s3.environ)
    assert call("run", manifest).code == 0

"""Answers that exist once: what a machine took with it is there all the same."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

import hume_runner
from hume_runner.emulator.server import Emulator
from hume_runner.events import Event, JobFinished
from hume_runner.state.disk import Disk
from tests.object_stores import S3Server, only
from tests.state.remote.machines import KEY, Study, Vanished, measured, pulled, rows, vanish_after
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

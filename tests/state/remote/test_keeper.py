"""A state in a store, from whole runs on machines that share nothing else."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from pathlib import Path

import pytest
import requests

from hume_runner.emulator.server import Emulator
from hume_runner.errors import StateError, StateLocked, StoreUnavailable
from hume_runner.events import Event, JobFinished, StateAwaited, StatePutAside, Submitted
from hume_runner.state.remote import keeper
from tests.object_stores import S3Server, only
from tests.state.remote.machines import Study, Vanished, accepted, pulled, rows, vanish_after
from tests.stores.proxy import proxied


@pytest.mark.sweep
def test_what_the_store_holds_is_what_the_disk_holds_row_by_row(study: Study, tmp_path: Path) -> None:
    study.run("a")
    pulled(study.project("a"), tmp_path / "pulled.sqlite3")
    assert rows(tmp_path / "pulled.sqlite3") == rows(study.project("a").paths.state)


@pytest.mark.sweep
def test_another_machine_has_nothing_to_do(study: Study, emulator: Emulator) -> None:
    study.run("a")
    study.vanish("a")
    result = study.run("b")
    assert (result.exit_code, result.counts.items["done"]) == (0, 6)
    assert accepted(emulator) == 6
    assert len(list((study.folder / "b" / "raw").iterdir())) == 6  # fetched again, for nothing


def test_machines_take_turns(study: Study, emulator: Emulator) -> None:
    for machine, texts in (("a", 2), ("b", 4), ("a", 6), ("c", 6)):
        study.texts = texts
        result = study.run(machine)
        assert (result.exit_code, result.counts.items["done"]) == (0, texts)
        assert accepted(emulator) == texts


@pytest.mark.sweep
def test_a_finished_run_writes_no_snapshot(study: Study, s3: S3Server) -> None:
    study.run("a")
    bucket = study.place.split("/")[2]
    before = set(s3.keys(bucket))
    study.run("a")
    study.run("b")
    added = set(s3.keys(bucket)) - before
    assert added
    assert all("/journal/" in key for key in added)


@pytest.mark.sweep
def test_a_machine_that_vanishes_with_its_disk_is_gone_on_from(study: Study, emulator: Emulator) -> None:
    study.texts = 30
    with pytest.raises(Vanished):
        study.run("a", on_event=vanish_after(10))
    study.vanish("a")
    paid = accepted(emulator)
    assert 10 <= paid < 30
    told: list[Event] = []
    result = study.run("b", on_event=told.append)
    assert (result.exit_code, result.counts.items["done"]) == (0, 30)
    assert accepted(emulator) == 30


@pytest.mark.sweep
def test_the_same_machine_goes_on_with_its_own_disk(study: Study, emulator: Emulator) -> None:
    study.texts = 20
    with pytest.raises(Vanished):
        study.run("a", on_event=vanish_after(7))
    result = study.run("a")
    assert (result.exit_code, accepted(emulator)) == (0, 20)


@pytest.mark.sweep
def test_a_run_while_another_is_at_work_ends_with_who_it_is(study: Study, emulator: Emulator) -> None:
    requests.post(
        f"{emulator.url}/_emulator/faults",
        json=[{"route": "GET /v0/batch/jobs", "action": {"delay": "2s"}}],
        timeout=10,
    )
    begun = threading.Event()

    def on_event(event: Event) -> None:
        if isinstance(event, Submitted):
            begun.set()

    first = threading.Thread(target=study.run, args=("a",), kwargs={"on_event": on_event})
    first.start()
    try:
        assert begun.wait(20)
        with pytest.raises(StateLocked, match="another run holds the state: process") as refused:
            study.run("b")
        assert refused.value.exit_code == 6
    finally:
        first.join()
    assert accepted(emulator) == 6


@pytest.mark.sweep
def test_a_store_out_of_reach_ends_the_run_before_anything_is_sent(
    study: Study, emulator: Emulator, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxied(s3.url) as proxy:
        only(monkeypatch, {**s3.environ, "AWS_ENDPOINT_URL": proxy.url})
        proxy.before = lambda method, path: 503
        with pytest.raises(StoreUnavailable) as failed:
            study.run("a")
        assert failed.value.exit_code == 5
        # It goes away once the state is ours, before the first intent.
        proxy.before = lambda method, path: 503 if "/journal/" in path and method == "PUT" else None
        result = study.run("a")
        assert result.exit_code == 5
        assert accepted(emulator) == 0
        proxy.before = lambda method, path: None
        assert study.run("a").exit_code == 0
    assert accepted(emulator) == 6


@pytest.mark.sweep
def test_an_acceptance_that_no_store_takes_is_kept_beside_the_state(
    study: Study, emulator: Emulator, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxied(s3.url) as proxy:
        only(monkeypatch, {**s3.environ, "AWS_ENDPOINT_URL": proxy.url})
        proxy.before = lambda method, path: 503 if accepted(emulator) else None
        result = study.run("a")
        assert result.exit_code == 5
        assert result.error is not None
        assert "state.sqlite3" in str(result.error)
        paid = accepted(emulator)
        assert paid > 0
        proxy.before = lambda method, path: None
        assert study.run("a").exit_code == 0
    assert accepted(emulator) == 6


@pytest.mark.sweep
def test_who_lost_the_lock_stops_and_sends_nothing_more(study: Study, emulator: Emulator, s3: S3Server) -> None:
    """Another owner is written into the lock behind its back."""
    study.texts = 40
    bucket = study.place.split("/")[2]

    taken: list[Event] = []

    def on_event(event: Event) -> None:
        if isinstance(event, Submitted):
            taken.append(event)
        # Something was accepted before what is cut off then, or nothing would prove that it never arrived.
        if isinstance(event, Submitted) and len(taken) >= 12:
            lock = json.loads(s3.body(bucket, "study/lock"))
            if lock["epoch"] == 1:
                s3.put(bucket, "study/lock", json.dumps({**lock, "epoch": 2, "owner": "somebody"}).encode())

    result = study.run("a", on_event=on_event)
    assert result.exit_code == 6
    assert "another run has taken the state" in str(result.error)
    assert accepted(emulator) < 40
    assert json.loads(s3.body(bucket, "study/lock"))["owner"] == "somebody"
    # Nobody is there, so that the next one takes it once it stood still; what was accepted is known.
    told: list[Event] = []
    result = study.run("b", on_event=told.append)
    assert any(isinstance(event, StateAwaited) for event in told)
    assert (result.exit_code, accepted(emulator)) == (0, 40)


@pytest.mark.sweep
def test_a_state_of_another_history_is_refused(study: Study, tmp_path: Path) -> None:
    study.run("a")
    there, study.place = study.place, study.place + "-elsewhere"
    study.run("b")
    study.place = there
    with pytest.raises(StateError, match="another history"):
        study.run("b")


@pytest.mark.sweep
def test_a_state_of_another_history_that_sent_nothing_is_put_aside(study: Study, emulator: Emulator) -> None:
    """A machine that was killed before it could tell anybody of its state."""
    study.run("a")
    there, study.place = study.place, study.place + "-elsewhere"

    def at_once(event: Event) -> None:
        raise Vanished

    with pytest.raises(Vanished):
        study.run("b", on_event=at_once)
    study.place = there
    told: list[Event] = []
    assert study.run("b", on_event=told.append).exit_code == 0
    assert accepted(emulator) == 6


@pytest.mark.sweep
def test_a_state_that_was_here_before_goes_into_an_empty_store(study: Study, emulator: Emulator) -> None:
    place, study.sections = study.place, {"state": None}
    del study.sections["state"]
    local = study.manifest("a")
    del local["state"]
    import hume_runner

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HUME_API_KEY", "shared-key")
        assert hume_runner.run(local).exit_code == 0
    assert study.place == place
    assert study.run("a").exit_code == 0
    study.vanish("a")
    assert study.run("b").exit_code == 0
    assert accepted(emulator) == 6


@pytest.mark.sweep
def test_what_went_another_way_here_is_put_aside(study: Study, emulator: Emulator) -> None:
    study.texts = 20
    with pytest.raises(Vanished):
        study.run("a", on_event=vanish_after(5))
    assert study.run("b").exit_code == 0
    with contextlib.closing(sqlite3.connect(study.project("a").paths.state, isolation_level=None)) as db:
        db.execute("UPDATE meta SET value = json_set(value, '$.number', 9999) WHERE name = 'remote'")
    told: list[Event] = []
    assert study.run("a", on_event=told.append).exit_code == 0
    aside = [event.path for event in told if isinstance(event, StatePutAside)]
    assert len(aside) == 1
    assert Path(aside[0]).exists()
    assert accepted(emulator) == 20
    assert sum(isinstance(event, JobFinished) for event in told) == 0


@pytest.mark.sweep
def test_a_reader_sees_one_moment_while_an_owner_removes_what_its_snapshot_covers(
    study: Study, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has read the head and knows which entries there are; those are gone when it reads them."""
    study.run("a")
    seen: list[str] = []
    lock, over = threading.Lock(), threading.Event()

    def before(method: str, path: str) -> int | None:
        if method != "GET" or "/journal/" not in path or "list-type" in path:
            return None
        with lock:
            first = not seen
            seen.append(path)
        if first:
            only(monkeypatch, s3.environ)
            monkeypatch.setattr(keeper, "_MANY_ENTRIES", 0)
            assert study.run("a").exit_code == 0
            over.set()
        assert over.wait(60)  # the same entry is asked for once more where this takes long
        return None

    with proxied(s3.url) as proxy:
        only(monkeypatch, {**s3.environ, "AWS_ENDPOINT_URL": proxy.url})
        proxy.before = before
        pulled(study.project("b"), tmp_path / "pulled.sqlite3")
    assert seen
    assert rows(tmp_path / "pulled.sqlite3") == rows(study.project("a").paths.state)

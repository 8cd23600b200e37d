"""What an owner heard of the service, and the state on its disk did not: it stands in the journal, beside the state, or
in a shard, and whoever writes the state next knows of it."""

from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path

import pytest
import requests

from hume_runner.api import Project
from hume_runner.api.merging import merge_shards
from hume_runner.emulator.server import Emulator
from hume_runner.errors import NoRoom, StateLocked
from hume_runner.machine import Machine
from hume_runner.state.disk import Disk
from hume_runner.state.remote import keeper
from tests.commands import call
from tests.media_files import speech, write_wav
from tests.object_stores import S3Server, only
from tests.state.disks import FailsAt, full
from tests.state.remote.machines import KEY, QUICK, EndsBeforeItHears, Study, Vanished, accepted, measured, written
from tests.state.remote.test_merging import parts
from tests.stores.proxy import proxied

pytestmark = [pytest.mark.usefixtures("quick_environment"), pytest.mark.sweep]


def cannot_list(emulator: Emulator) -> None:
    """From now on nobody is told which jobs there are."""
    emulator.inject([{"route": "GET /v0/batch/jobs", "action": {"status": 404}}])


@pytest.mark.parametrize("disk", ["kept", "gone"])
@pytest.mark.parametrize("between", ["nothing", "push", "repair", "adopt"])
def test_no_command_that_writes_the_state_forgets_the_answers_in_the_journal(
    study: Study, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, between: str, disk: str
) -> None:
    study.texts = 1
    study.run("a")
    study.texts = 5
    with pytest.raises(Vanished):
        study.run("a", disk=EndsBeforeItHears(study, 4, tmp_path))
    machine = "a" if disk == "kept" else "b"
    if disk == "gone":
        study.vanish("a")
        if between in ("push", "repair"):  # which need a state here
            assert call("state", "pull", written(study, machine)).code == 0
    monkeypatch.setattr(keeper, "_MANY_ENTRIES", 0)  # whoever has written leaves a snapshot, and removes what it covers
    paid = 5
    match between:
        case "push":
            assert call("state", "push", written(study, machine)).code == 0
        case "repair":
            assert call("verify", "--repair", written(study, machine)).code in (0, 1)
        case "adopt":
            study.texts = 6
            paid = 6
            body = {"text": ["This is sentence number 5."], "models": {"language": {}}}
            job = requests.post(
                f"{emulator.url}/v0/batch/jobs", headers={"X-Hume-Api-Key": KEY}, json=body, timeout=10
            ).json()
            ran = call("adopt", written(study, machine), job["job_id"])
            assert ran.code == 0, ran.err
    cannot_list(emulator)
    result = study.run(machine)
    assert (result.exit_code, result.counts.items["done"]) == (0, paid)
    assert accepted(emulator) == paid


def rescued_of(study: Study, machine: str) -> list[str]:
    return sorted(path.name for path in (study.folder / machine).iterdir() if path.suffix == ".rescued")


def run_without_a_store_once_something_is_measured(
    study: Study, s3: S3Server, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last answer lies beside the state."""
    with proxied(s3.url) as proxy:
        only(monkeypatch, {**s3.environ, "AWS_ENDPOINT_URL": proxy.url})
        proxy.before = lambda method, path: 503 if method == "PUT" and measured(emulator) > 0 else None
        assert study.run("a").exit_code == 5
    only(monkeypatch, s3.environ)
    assert rescued_of(study, "a")


class EndsAfter(Disk):
    """Ends once a transaction of this name is on the disk."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self._what = what

    def commit(self, db: sqlite3.Connection, what: str) -> None:
        super().commit(db, what)
        if what == self._what:
            raise Vanished


@pytest.mark.parametrize("what", ["killed", "taken over"])
def test_a_rescued_answer_stays_until_the_store_has_it(
    recordings: Study, s3: S3Server, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    study = recordings
    study.sections["execution"] = {"transfer_workers": 1}
    run_without_a_store_once_something_is_measured(study, s3, emulator, monkeypatch)
    write_wav(study.folder / "9.wav", speech([("speech", 2.3)]))  # so that the next run plans something
    if what == "taken over":
        sleep_at_the_snapshot(study, s3, monkeypatch)
        assert rescued_of(study, "a")
    else:
        with pytest.raises(Vanished):
            study.run("a", disk=EndsAfter("plan"))
    result = study.run("a")
    assert (result.exit_code, result.counts.items["done"]) == (0, 5)
    assert measured(emulator) == 5
    assert rescued_of(study, "a") == []


def sleep_at_the_snapshot(study: Study, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run on `a` sleeps where it first writes a snapshot, until its lock was given back by somebody else."""
    other = written(study, "c")
    codes: list[int] = []

    asleep = threading.Lock()

    def before(method: str, path: str) -> int | None:
        with asleep:
            if not codes and "/snapshots/" in path and method in ("PUT", "POST"):
                only(monkeypatch, s3.environ)
                codes.append(call("state", "unlock", other).code)
        return None

    with proxied(s3.url) as proxy:
        only(monkeypatch, {**s3.environ, "AWS_ENDPOINT_URL": proxy.url})
        proxy.before = before
        with pytest.raises(StateLocked):
            study.run("a")
    only(monkeypatch, s3.environ)
    assert codes == [0]


@pytest.mark.parametrize("home", ["store", "disk"])
@pytest.mark.parametrize("api", ["expression-v1", "batch-v0"])
def test_a_shard_that_is_taken_over_brings_what_its_state_did_not_hear(
    study: Study, emulator: Emulator, request: pytest.FixtureRequest, api: str, home: str
) -> None:
    if api == "expression-v1":
        study = request.getfixturevalue("recordings")
    count, total = (measured, 4) if api == "expression-v1" else (accepted, 6)
    study.sections["execution"] = {"transfer_workers": 1, "requests_per_second": 500}
    if home == "disk":
        study.place = ""
    manifest = written(study, "a")
    assert call("run", manifest, "--shard", "2/2").code == 0
    # In the store the answer stands in the journal; on a disk it goes beside the state, whose disk is full.
    disk = FailsAt("accepted", Vanished(), after_s=0.5) if home == "store" else FailsAt("accepted", full())
    assert call("run", manifest, "--shard", "1/2", machine=on(disk)).code == (1 if home == "store" else 5)
    assert bool(rescued_of(study, "a/shards/1-of-2")) is (home == "disk")
    if api == "batch-v0":
        cannot_list(emulator)
    merged = call("state", "merge", manifest, *parts(study, "a"), "--take-over")
    assert merged.code == 0, merged.err
    ran = call("run", manifest)
    assert ran.code == 0, ran.err
    assert count(emulator) == total


@pytest.mark.parametrize("home", ["store", "disk"])
@pytest.mark.parametrize("nth", [1, 2])
def test_a_take_over_that_ends_among_its_shards_goes_on_with_the_same_command(
    study: Study, emulator: Emulator, home: str, nth: int
) -> None:
    """The first shard names the whole that closed it, which has to be there still."""
    study.place = study.place if home == "store" else ""
    study.sections["execution"] = {"transfer_workers": 1, "requests_per_second": 500}
    manifest = written(study, "a")
    for index in (1, 2):
        ended = call("run", manifest, "--shard", f"{index}/2", machine=on(FailsAt("accepted", Vanished(), after_s=0.5)))
        assert ended.code == 1
    whole = Project.open(manifest, machine=on(FailsAt("facts", full(), nth=nth)))
    with pytest.raises(NoRoom):
        merge_shards(whole, parts(study, "a"), take_over=True, on_event=print)
    merged = call("state", "merge", manifest, *parts(study, "a"), "--take-over")
    assert merged.code == 0, merged.err
    ran = call("run", manifest)
    assert ran.code == 0, ran.err
    assert accepted(emulator) == 6


def test_a_merge_that_is_refused_writes_nothing_into_a_shard(study: Study) -> None:
    study.place = ""
    study.sections["execution"] = {"transfer_workers": 1, "requests_per_second": 500}
    manifest = written(study, "a")
    assert call("run", manifest, "--shard", "2/2").code == 0
    assert call("run", manifest, "--shard", "1/2", machine=on(FailsAt("accepted", full()))).code == 5
    shard = study.folder / "a/shards/1-of-2"
    before = {path.name: path.read_bytes() for path in shard.iterdir() if path.is_file() and "-shm" not in path.name}
    assert call("state", "merge", manifest, *parts(study, "a")).code == 64
    after = {path.name: path.read_bytes() for path in shard.iterdir() if path.is_file() and "-shm" not in path.name}
    assert {name for name in before if after.get(name) != before[name]} == set()


def on(disk: Disk) -> Machine:
    return Machine(disk=disk, environ={**os.environ, "HUME_API_KEY": KEY}, settings=QUICK)

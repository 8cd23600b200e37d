"""The file here after a store failed under it: gone on with where nobody else went on, and put aside where somebody
did."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from hume_runner.emulator.server import Emulator
from tests.commands import Ran, call
from tests.object_stores import S3Server, only
from tests.state.remote.machines import KEY, Study, accepted, written
from tests.state.remote.test_merging import parts, run_parts
from tests.stores.proxy import proxied

pytestmark = pytest.mark.usefixtures("quick_environment")


@pytest.fixture
def failing(study: Study, s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """A command at a store that seals what is over, and takes nothing of what its owner does."""
    bucket = study.place.split("/")[2]

    def refused(method: str, path: str) -> int | None:
        if method not in ("PUT", "POST"):
            return None
        epoch = json.loads(s3.body(bucket, "study/lock"))["epoch"]
        return 503 if f"/study/journal/{epoch:08d}/" in path or "/study/snapshots/" in path else None

    def command(*words: str) -> Ran:
        monkeypatch.setenv("HUME_RUNNER_STORE_PATIENCE", "0.5")
        with proxied(s3.url) as proxy:
            only(monkeypatch, {**s3.environ, "AWS_ENDPOINT_URL": proxy.url})
            proxy.before = refused
            ran = call(*words)
        only(monkeypatch, s3.environ)
        return ran

    return command


def own_job(emulator: Emulator, number: int) -> str:
    """A job that the service has, and no state knows of."""
    body = {"text": [f"This is sentence number {number}."], "models": {"language": {}}}
    headers = {"X-Hume-Api-Key": KEY}
    told = requests.post(f"{emulator.url}/v0/batch/jobs", headers=headers, json=body, timeout=10).json()
    return str(told["job_id"])


def parted(study: Study, machine: str = "a") -> list[Path]:
    return list((study.folder / machine).glob("*.parted-*"))


def adopt_in_vain(study: Study, emulator: Emulator, failing: Callable[..., Ran]) -> str:
    """A job is adopted, and the store hears nothing of it: the path of the manifest. Nobody asks the service later."""
    study.sections["execution"] = {"requests_per_second": 500, "look_back": 0}
    study.texts = 3
    assert call("run", written(study, "a")).code == 0
    study.texts = 4
    manifest = written(study, "a")
    ran = failing("adopt", manifest, own_job(emulator, 3))
    assert ran.code == 5
    assert "the next run from here reads them" in ran.err
    return manifest


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("between", "follow"),
    [
        *(("nobody", [first, "run"]) for first in ("push", "pull", "plan", "again")),
        *((one, ["run"]) for one in ("nobody", "a reader", "unlock", "a taker without a word", "failed again")),
    ],
)
def test_what_no_store_heard_of_is_gone_on_with_where_nobody_else_went_on(
    study: Study, emulator: Emulator, s3: S3Server, failing: Callable[..., Ran], follow: list[str], between: str
) -> None:
    manifest = adopt_in_vain(study, emulator, failing)
    match between:
        case "a reader":
            for words in (("status",), ("plan",), ("state", "pull")):
                assert call(*words, written(study, "b")).code == 0
        case "unlock":
            call("state", "unlock", written(study, "b"))
        case "a taker without a word":
            assert call("state", "push", written(study, "b")).code == 64
            assert call("state", "pull", written(study, "b")).code == 0
            assert call("state", "push", written(study, "b")).code == 0
        case "failed again":
            assert failing("state", "push", manifest).code == 5
            assert failing("verify", manifest, "--repair").code == 5
    for words in follow:
        match words:
            case "push":
                assert f"has what is in {study.folder}/a/" in call("state", "push", manifest).err
            case "pull":
                assert "has more than s3://" in call("state", "pull", manifest).err
            case "plan":
                assert call("plan", manifest).code == 0
            case "again":
                assert failing("state", "push", manifest).code == 5
            case "run":
                assert call("run", manifest).code == 0
    assert parted(study) == []
    assert accepted(emulator) == 4
    assert call("run", written(study, "c")).code == 0
    assert accepted(emulator) == 4


@pytest.mark.sweep
@pytest.mark.parametrize("follow", ["run", "push", "pull"])
def test_what_no_store_heard_of_is_put_aside_where_another_machine_went_on(
    study: Study, emulator: Emulator, failing: Callable[..., Ran], follow: str
) -> None:
    manifest = adopt_in_vain(study, emulator, failing)
    study.texts = 3
    assert call("run", written(study, "b")).code == 0
    study.texts = 4
    assert (study.folder / "a.yaml").exists()
    written(study, "a")
    ran = call(*([follow] if follow == "run" else ["state", follow]), manifest)
    assert ran.code == 0
    assert len(parted(study)) == 1
    assert "the remote one went on without it" in ran.err
    assert "had all of" not in ran.err
    if follow == "push":
        assert f"{study.place}: nothing was put there; " in ran.err


@pytest.mark.sweep
@pytest.mark.parametrize("follow", ["push", "merge", "run"])
def test_shards_that_the_store_did_not_hear_of_are_the_wholes_all_the_same(
    study: Study, emulator: Emulator, failing: Callable[..., Ran], follow: str
) -> None:
    """The whole is there already. The shards may be removed once their merge was pushed."""
    study.sections["execution"] = {"requests_per_second": 500, "look_back": 0}
    assert call("run", written(study, "a"), "--limit", "1").code == 0
    manifest = run_parts(study, "a")
    assert failing("state", "merge", manifest, *parts(study, "a")).code == 5
    match follow:
        case "push":
            assert f"has what is in {study.folder}/a/" in call("state", "push", manifest).err
        case "merge":
            assert call("state", "merge", manifest, *parts(study, "a")).code == 0
    if follow != "run":
        shutil.rmtree(study.folder / "a" / "shards")
    ran = call("run", manifest)
    assert (ran.code, "nothing to do" in ran.err) == (0, True), ran.err
    assert parted(study) == []
    assert accepted(emulator) == 6


@pytest.mark.sweep
def test_a_file_that_does_not_say_from_where_it_went_on_is_put_aside(
    study: Study, emulator: Emulator, failing: Callable[..., Ran]
) -> None:
    """As an earlier version left it."""
    manifest = adopt_in_vain(study, emulator, failing)
    with contextlib.closing(sqlite3.connect(study.folder / "a" / "state.sqlite3", isolation_level=None)) as db:
        db.execute("DELETE FROM meta WHERE name = 'remote_since'")
    assert call("state", "push", manifest).code == 0
    assert len(parted(study)) == 1


@pytest.mark.sweep
def test_a_state_that_was_at_home_on_a_disk_is_known_again_once_it_was_pushed(study: Study, emulator: Emulator) -> None:
    there, study.place = study.place, ""
    assert call("run", written(study, "a")).code == 0
    study.place = there
    manifest = written(study, "a")
    assert call("state", "push", manifest).code == 0
    assert f"{study.place}: had all of" in call("state", "push", manifest).err
    assert call("run", manifest).code == 0
    assert parted(study) == []
    assert call("run", written(study, "b")).code == 0
    assert accepted(emulator) == 6


@pytest.mark.parametrize("there", [False, True])
def test_a_file_with_nothing_in_it_is_no_state(study: Study, emulator: Emulator, there: bool) -> None:
    """A run that was killed before it wrote anything leaves one. A run takes it for none, and so does a push."""
    if there:
        assert call("run", written(study, "b")).code == 0
    (study.folder / "a").mkdir()
    (study.folder / "a" / "state.sqlite3").touch()
    manifest = written(study, "a")
    pushed = call("state", "push", manifest)
    assert pushed.code == 64
    assert "there is no state here" in pushed.err
    if there:
        assert call("state", "pull", manifest).code == 0
        (study.folder / "a" / "state.sqlite3").write_bytes(b"")
    assert call("run", manifest).code == 0
    assert parted(study) == []
    with contextlib.closing(sqlite3.connect(study.folder / "a" / "state.sqlite3")) as db:
        assert db.execute("SELECT value FROM meta WHERE name = 'lineage'").fetchone() != ("",)
    assert accepted(emulator) == 6

"""What became of the objects of a remote state by other hands: refused with the way out, or gone on from whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hume_runner.emulator.server import Emulator
from hume_runner.errors import StateError, StateLocked
from tests.object_stores import S3Server, only
from tests.state.remote.machines import Study, accepted, pulled
from tests.stores.proxy import proxied
from tests.tiers import sampled


class Objects:
    """What lies below a study's state."""

    def __init__(self, study: Study, s3: S3Server) -> None:
        self._s3 = s3
        self.bucket, self.prefix = study.place.removeprefix("s3://").split("/", 1)

    def names(self, below: str = "") -> list[str]:
        start = f"{self.prefix}/{below}"
        return [key for key in self._s3.keys(self.bucket) if key.startswith(start)]

    def all(self) -> dict[str, bytes]:
        return {name: self._s3.body(self.bucket, name) for name in self.names() if not name.endswith("/lock")}

    def read(self, below: str) -> bytes:
        return self._s3.body(self.bucket, f"{self.prefix}/{below}")

    def put(self, below: str, body: bytes) -> None:
        self._s3.put(self.bucket, f"{self.prefix}/{below}", body)

    def remove(self, *names: str) -> None:
        for name in names:
            self._s3.client.delete_object(Bucket=self.bucket, Key=name)


@pytest.fixture
def objects(study: Study, s3: S3Server) -> Objects:
    return Objects(study, s3)


def refused(study: Study, machine: str) -> StateError:
    """Not `StateLocked`, which is another run's doing."""
    with pytest.raises(StateError) as caught:
        study.run(machine)
    assert not isinstance(caught.value, StateLocked)
    assert caught.value.exit_code == 10
    assert "bucket's own versions" in (caught.value.hint or "")
    return caught.value


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("machine", ["a", "b"])  # who has a copy, and who has none
def test_a_head_that_is_gone_is_refused(study: Study, objects: Objects, emulator: Emulator, machine: str) -> None:
    study.run("a")
    objects.remove(f"{objects.prefix}/head")
    before = objects.all()
    study.texts += 1
    assert f"{study.place}/head is gone" in str(refused(study, machine))
    assert objects.all() == before
    assert accepted(emulator) == 6


@pytest.mark.sweep
def test_a_reader_is_told_that_the_head_is_gone(study: Study, objects: Objects, tmp_path: Path) -> None:
    study.run("a")
    objects.remove(f"{objects.prefix}/head")
    with pytest.raises(StateError, match="/head is gone"):
        pulled(study.project("b"), tmp_path / "pulled.sqlite3")


@pytest.mark.sweep
def test_a_snapshot_that_is_gone_is_a_damaged_state_and_no_missing_source(study: Study, objects: Objects) -> None:
    study.run("a")
    (snapshot,) = objects.names("snapshots/")
    objects.remove(snapshot)
    assert snapshot in str(refused(study, "b"))


@pytest.mark.sweep
def test_an_entry_that_is_gone_from_the_middle_is_missed(
    study: Study, objects: Objects, emulator: Emulator, tmp_path: Path
) -> None:
    study.run("a")
    names = objects.names("journal/00000001/")
    objects.remove(names[len(names) // 2])
    left = objects.names("journal/")
    study.texts += 1
    assert names[len(names) // 2] in str(refused(study, "b"))
    assert objects.names("journal/") == left  # no seal stands where the entry is put back
    assert accepted(emulator) == 6
    with pytest.raises(StateError, match="is gone"):
        pulled(study.project("b"), tmp_path / "pulled.sqlite3")


@pytest.mark.sweep
@pytest.mark.parametrize("machine", ["a", "b"])
@pytest.mark.parametrize("older", [False, True])
def test_a_lock_that_is_gone_or_put_back_gets_an_epoch_that_nobody_had(
    study: Study, objects: Objects, emulator: Emulator, machine: str, older: bool
) -> None:
    study.run("a")
    lock = objects.read("lock")
    for _ in range(2):
        study.texts += 1
        study.run("a")
    if older:
        objects.put("lock", lock)
    else:
        objects.remove(f"{objects.prefix}/lock")
    study.texts += 1
    result = study.run(machine)
    assert (result.exit_code, result.counts.items["done"]) == (0, 9)
    assert accepted(emulator) == 9
    assert json.loads(objects.read("lock"))["epoch"] == 4
    assert study.run("c").exit_code == 0


@pytest.mark.sweep
def test_a_store_whose_conditions_never_hold_ends_the_run(
    study: Study, s3: S3Server, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind a proxy that packs what it passes on, whose tags match nothing."""
    with proxied(s3.url) as proxy:
        only(monkeypatch, {**s3.environ, "AWS_ENDPOINT_URL": proxy.url})
        proxy.before = lambda method, path: 412 if method == "PUT" and "/journal/" in path else None
        result = study.run("a")
        asked = len(proxy.seen)
    assert result.exit_code == 5
    assert "condition" in str(result.error)
    assert accepted(emulator) == 0
    assert asked < 100
    only(monkeypatch, s3.environ)
    assert study.run("a").counts.items["done"] == 6
    assert accepted(emulator) == 6

"""What became of the objects of a remote state by other hands: refused with the way out, or gone on from whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hume_runner.emulator.server import Emulator
from hume_runner.errors import StateError, StateLocked, StoreError
from hume_runner.events import Event, Submitted
from hume_runner.state.remote import keeper, protocol
from hume_runner.state.remote.drive import Clock
from hume_runner.wiring import driver
from tests.commands import call
from tests.object_stores import S3Server, only
from tests.state.remote.machines import KEY, EndsBeforeItHears, Study, Vanished, accepted, measured, pulled, written
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


@pytest.mark.sweep
@pytest.mark.parametrize("trouble", ["listing", "entry"])
def test_a_store_that_is_out_of_order_for_a_moment_hides_no_hole(
    study: Study,
    objects: Objects,
    s3: S3Server,
    emulator: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    trouble: str,
) -> None:
    study.run("a")
    names = objects.names("journal/00000001/")
    objects.remove(names[1])
    left = objects.names("journal/")
    troubled: list[str] = []

    def before(method: str, path: str) -> int | None:
        listing = "list-type" in path
        if not troubled and method == "GET" and "journal" in path and listing == (trouble == "listing"):
            troubled.append(path)
            return 503
        return None

    with proxied(s3.url) as proxy:
        only(monkeypatch, {**s3.environ, "AWS_ENDPOINT_URL": proxy.url})
        proxy.before = before
        assert names[1] in str(refused(study, "b"))
        assert troubled
        troubled.clear()
        with pytest.raises(StateError, match="is gone"):
            pulled(study.project("b"), tmp_path / "pulled.sqlite3")
        assert troubled
    assert objects.names("journal/") == left
    assert accepted(emulator) == 6


@pytest.mark.sweep
def test_a_snapshot_that_goes_while_it_is_read_is_a_damaged_state(
    study: Study, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.run("a")
    with proxied(s3.url) as proxy:
        only(monkeypatch, {**s3.environ, "AWS_ENDPOINT_URL": proxy.url})
        proxy.before = lambda method, path: 404 if method == "GET" and "/snapshots/" in path else None
        assert "the head names it" in str(refused(study, "b"))


@pytest.mark.sweep
def test_an_answer_that_is_gone_though_the_journal_names_it_is_not_paid_again(
    recordings: Study, s3: S3Server, emulator: Emulator, tmp_path: Path
) -> None:
    study = recordings
    study.sections["execution"] = {"transfer_workers": 1}
    with pytest.raises(Vanished):
        study.run("a", disk=EndsBeforeItHears(study, 1, tmp_path))
    objects = Objects(study, s3)
    [answer] = objects.names("answers/")
    objects.remove(answer)
    assert answer in str(refused(study, "b"))
    assert measured(emulator) == 1


def test_a_question_with_little_patience_is_given_up_soon(
    study: Study, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it reads: the patience of a whole run is not that of each of its questions."""
    study.run("a")
    with proxied(s3.url) as proxy:
        only(monkeypatch, {**s3.environ, "AWS_ENDPOINT_URL": proxy.url})
        proxy.before = lambda method, path: 503
        project = study.project("b")
        asked = driver(project.paths, project.machine)
        waited: list[float] = []
        asked.clock = Clock(monotonic=lambda: sum(waited), wait=waited.append)
        with pytest.raises(StoreError):
            asked.run(protocol.look(), patience_s=0.0)
    assert waited == []


@pytest.mark.sweep
@pytest.mark.parametrize("what", ["lock", "older lock", "head"])
def test_other_hands_during_a_run_are_not_told_as_another_run(
    study: Study, objects: Objects, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    study.run("a")
    older = objects.read("lock")
    study.texts = 14
    monkeypatch.setattr(keeper, "_MANY_ENTRIES", 0)  # so that the head is written at the end
    done: list[str] = []

    def on_event(event: Event) -> None:
        if isinstance(event, Submitted) and not done:
            done.append(what)
            if what == "older lock":
                objects.put("lock", older)
            else:
                objects.remove(f"{objects.prefix}/{what}")

    with pytest.raises(StateError, match=what.rpartition(" ")[2]) as caught:
        raise study.run("a", on_event=on_event).error or AssertionError
    assert caught.value.exit_code == 10
    assert "another run" not in str(caught.value)
    if what == "head":
        assert "/head is gone" in str(refused(study, "a"))
    else:
        assert study.run("a").exit_code == 0
        assert accepted(emulator) == 14


@pytest.mark.sweep
@pytest.mark.parametrize("shard", [None, "1/2"])
def test_a_lock_that_the_store_denies_once_is_nobody_at_work(
    study: Study, s3: S3Server, emulator: Emulator, monkeypatch: pytest.MonkeyPatch, shard: str | None
) -> None:
    monkeypatch.setenv("HUME_API_KEY", KEY)
    manifest, words = written(study, "a"), (["--shard", shard] if shard else [])
    assert call("run", manifest, *words).code == 0
    paid, study.texts = accepted(emulator), 9
    lock = "/study/shards/1-of-2/lock" if shard else "/study/lock"
    denied: list[str] = []

    def before(method: str, path: str) -> int | None:
        if method == "GET" and path.partition("?")[0].endswith(lock) and not denied:
            denied.append(path)
            return 404
        return None

    with proxied(s3.url) as proxy:
        only(monkeypatch, {**s3.environ, "AWS_ENDPOINT_URL": proxy.url})
        proxy.before = before
        ran = call("run", written(study, "a"), *words)
    assert denied
    assert ran.code == 0, ran.err
    assert accepted(emulator) > paid


@pytest.mark.sweep
def test_a_lock_that_the_store_denies_while_its_owner_is_at_work_is_that_owner_s(
    study: Study, s3: S3Server, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[BaseException] = []
    asked: list[str] = []

    def before(method: str, path: str) -> int | None:
        asked.append(path)
        return 404 if len(asked) == 1 else None

    def on_event(event: Event) -> None:
        if isinstance(event, Submitted) and not asked:
            with proxied(s3.url) as proxy, pytest.MonkeyPatch.context() as patch:
                only(patch, {**s3.environ, "AWS_ENDPOINT_URL": proxy.url})
                proxy.before = before
                try:
                    study.run("b")
                except StateLocked as error:
                    found.append(error)

    assert study.run("a", on_event=on_event).exit_code == 0
    assert asked[0].partition("?")[0].endswith("/lock")
    assert "another run holds the state: process" in str(found[0])
    assert accepted(emulator) == 6


@pytest.mark.sweep
def test_the_last_entry_is_not_passed_over_where_the_store_denies_it(
    study: Study, objects: Objects, s3: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    study.run("a")
    last = objects.names("journal/00000001/")[-1]
    with proxied(s3.url) as proxy:
        only(monkeypatch, {**s3.environ, "AWS_ENDPOINT_URL": proxy.url})
        proxy.before = lambda method, path: 404 if method == "GET" and path.endswith(last) else None
        with pytest.raises(StateError, match="its folder lists it"):
            pulled(study.project("b"), tmp_path / "pulled.sqlite3")
        assert last in str(refused(study, "b"))
    only(monkeypatch, s3.environ)
    assert study.run("b").exit_code == 0

"""Objects as files: read once, whole, known by their bytes, and gone when nobody needs them."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import pytest

from hume_runner.computing.here import InThread
from hume_runner.errors import ObjectMissing, PreconditionFailed, StoreDenied, StoreUnavailable
from hume_runner.manifest.model import RetrySection
from hume_runner.services.cannot_prepare import CannotPrepare
from hume_runner.services.jobs import PlanItem
from hume_runner.services.remote_files import RemoteFiles, refused_by_store
from hume_runner.services.source_store import SourceStore
from hume_runner.stores.base import ObjectInfo
from hume_runner.stores.opening import Stores, open_store
from tests.object_stores import S3Server, only
from tests.stores.proxy import Proxy, proxied


def item(uri: str, content: bytes, **more: object) -> PlanItem:
    sha256 = hashlib.sha256(content).hexdigest()
    named = {"key": b"k", "id": "i", "kind": "file", "value": uri, "path": None, "size_bytes": len(content)}
    return PlanItem(**{**named, "remote": uri, "content_sha256": sha256, **more})  # type: ignore[arg-type]


def reads(proxy: Proxy) -> int:
    return sum(method == "GET" for method, _ in proxy.seen)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RemoteFiles:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return RemoteFiles()


@pytest.mark.sweep
def test_an_object_is_a_file_with_its_name_and_hashes(s3: S3Server, files: RemoteFiles) -> None:
    bucket, body = s3.bucket(), b"sound" * 1000
    s3.put(bucket, "a b/talk ü.wav", body)
    with files.fetched(f"s3://{bucket}/a b/talk ü.wav") as found:
        assert found.path.read_bytes() == body
        assert found.path.name.endswith(".wav")
        assert found.sha256 == hashlib.sha256(body).hexdigest()
        assert found.md5 == hashlib.md5(body, usedforsecurity=False).hexdigest()
    files.close()


@pytest.mark.sweep
def test_nothing_stays_when_it_is_closed(s3: S3Server, files: RemoteFiles, tmp_path: Path) -> None:
    bucket = s3.bucket()
    s3.put(bucket, "a.wav", b"sound")
    with files.fetched(f"s3://{bucket}/a.wav"):
        assert list(tmp_path.iterdir())
    files.close()
    assert list(tmp_path.iterdir()) == []


def test_who_asks_again_gets_it_from_here(s3: S3Server, files: RemoteFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = s3.bucket()
    s3.put(bucket, "a.wav", b"sound")
    with proxied(s3.url) as proxy:
        only(monkeypatch, {**s3.environ, "AWS_ENDPOINT_URL": proxy.url})
        uri = f"s3://{bucket}/a.wav"
        with files.fetched(uri):
            pass
        asked = len(proxy.seen)
        with files.planned(item(uri, b"sound")) as path:
            assert path.read_bytes() == b"sound"
        assert len(proxy.seen) == asked
        files.drop(uri)
        with files.planned(item(uri, b"sound")):
            pass
        assert reads(proxy) == 2
    files.close()


def test_what_nobody_holds_goes_when_there_is_too_much(s3: S3Server, tmp_path: Path) -> None:
    bucket = s3.bucket()
    files = RemoteFiles(keep_bytes=3_000)
    paths = []
    for number in range(5):
        s3.put(bucket, f"{number}.wav", bytes([number]) * 1_000)
        with files.fetched(f"s3://{bucket}/{number}.wav") as found:
            paths.append(found.path)
    assert [path.exists() for path in paths[:3]] == [False] * 3
    assert paths[-1].exists()
    files.close()


def test_what_is_replaced_while_it_is_read_is_read_anew(
    s3: S3Server, files: RemoteFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = s3.bucket()
    s3.put(bucket, "a.wav", b"old" * 1_000)
    with proxied(s3.url) as proxy:
        only(monkeypatch, {**s3.environ, "AWS_ENDPOINT_URL": proxy.url})

        def before(method: str, path: str) -> None:
            if method == "GET" and reads(proxy) == 1:
                s3.put(bucket, "a.wav", b"new" * 1_000)

        proxy.before = before
        with files.fetched(f"s3://{bucket}/a.wav") as found:
            assert found.path.read_bytes() == b"new" * 1_000
    files.close()


@pytest.mark.sweep
def test_what_is_replaced_all_the_time_is_given_up(
    s3: S3Server, files: RemoteFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = s3.bucket()
    s3.put(bucket, "a.wav", b"0")
    with proxied(s3.url) as proxy:
        only(monkeypatch, {**s3.environ, "AWS_ENDPOINT_URL": proxy.url})

        def before(method: str, path: str) -> None:
            if method == "GET":
                s3.put(bucket, "a.wav", str(len(proxy.seen)).encode())

        proxy.before = before
        with pytest.raises(PreconditionFailed), files.fetched(f"s3://{bucket}/a.wav"):
            pass
        assert reads(proxy) == 3
        with (
            pytest.raises(CannotPrepare, match="replaced while it was read"),
            files.planned(item(f"s3://{bucket}/a.wav", b"0")),
        ):
            pass
    files.close()


def test_other_bytes_than_planned_are_not_given(s3: S3Server, files: RemoteFiles) -> None:
    bucket = s3.bucket()
    s3.put(bucket, "a.wav", b"new")
    with (
        pytest.raises(CannotPrepare, match="changed since it was planned") as caught,
        files.planned(item(f"s3://{bucket}/a.wav", b"old")),
    ):
        pass
    assert caught.value.reason == "source_changed"
    with (
        pytest.raises(CannotPrepare, match="not in its bucket any more"),
        files.planned(item(f"s3://{bucket}/b.wav", b"old")),
    ):
        pass
    files.close()


def test_an_etag_that_stays_the_same_does_not_pass_for_the_same_bytes(s3: S3Server, files: RemoteFiles) -> None:
    """As one that lies: the plan's hash is what counts."""
    bucket = s3.bucket()
    s3.put(bucket, "a.wav", b"what is there")
    uri = f"s3://{bucket}/a.wav"
    store, key = open_store(uri)
    planned = files.planned(item(uri, b"what was planned"))
    with files.fetched(uri, store.head(key)), pytest.raises(CannotPrepare), planned:
        pass
    files.close()


def test_objects_are_read_ahead_side_by_side(s3: S3Server, files: RemoteFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = s3.bucket()
    s3.fill(bucket, [f"{number}.wav" for number in range(12)], b"x" * 100)
    infos = {info.key: info for info in open_store(f"s3://{bucket}")[0].list()}
    with proxied(s3.url) as proxy:
        only(monkeypatch, {**s3.environ, "AWS_ENDPOINT_URL": proxy.url})

        def wanted(key: str) -> tuple[str, ObjectInfo]:
            return f"s3://{bucket}/{key}", infos[key]

        for key in files.ahead(sorted(infos), wanted):
            with files.fetched(*wanted(key)) as found:
                assert found.path.stat().st_size == 100
        assert reads(proxy) == 12  # each once, although it was asked for twice
    files.close()


def test_a_broken_read_ahead_is_told_when_its_turn_comes(s3: S3Server, files: RemoteFiles) -> None:
    bucket = s3.bucket()
    gone = ObjectInfo(key="gone.wav", size_bytes=3, etag='"0"', version=None, modified_at=0.0)
    uri = f"s3://{bucket}/gone.wav"
    assert list(files.ahead(["gone"], lambda _: (uri, gone))) == ["gone"]
    with pytest.raises(ObjectMissing), files.fetched(uri, gone):
        pass
    files.close()


class Elsewhere(InThread):
    """A pool whose workers see the prepared media and not our temporary folder."""

    elsewhere = True


def test_workers_of_another_machine_find_it_in_the_folder_that_they_see(
    s3: S3Server, files: RemoteFiles, tmp_path: Path
) -> None:
    bucket = s3.bucket()
    s3.put(bucket, "a.wav", b"sound")
    store = SourceStore(tmp_path / "prepared", (), RetrySection(), files)
    one = item(f"s3://{bucket}/a.wav", b"sound")
    with store.source(one) as path:
        assert not path.is_relative_to(tmp_path / "prepared")
    store.pool = Elsewhere()
    with store.source(one) as path:
        assert path.is_relative_to(tmp_path / "prepared")
        assert path.read_bytes() == b"sound"
    store.close()
    files.close()
    assert [left for left in tmp_path.rglob("*") if left.is_file()] == []


@pytest.mark.parametrize(
    ("error", "temporary", "stops"),
    [(StoreUnavailable("x"), True, False), (StoreDenied("x"), False, True), (ObjectMissing("x"), False, False)],
)
def test_what_a_store_refuses_is_told_as_what_it_means(error: object, temporary: bool, stops: bool) -> None:
    refused = refused_by_store(error)  # type: ignore[arg-type]
    assert (refused.temporary, refused.stops_run, refused.divisible) == (temporary, stops, True)


def test_one_bucket_is_opened_once(s3: S3Server) -> None:
    stores = Stores()
    assert stores.of("s3://bucket/a")[0] is stores.of("s3://bucket/b")[0]
    assert stores.of("s3://bucket/a")[0] is not stores.of("s3://other/a")[0]

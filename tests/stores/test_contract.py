"""What every store promises, asked of a real S3 protocol and of the emulator that Microsoft publishes for Azure."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256

import pytest

from hume_runner.errors import AlreadyExists, BucketMissing, ObjectMissing, PreconditionFailed, StoreError
from hume_runner.stores.base import ObjectStore, Version
from hume_runner.stores.opening import open_store
from hume_runner.stores.reading import chunks
from tests.object_stores import S3Server
from tests.stores.azurite import AzureServer


@dataclass(frozen=True)
class Bucket:
    """A new, empty bucket or container. `store` is ours; what is there somebody else tells, if there is a client."""

    scheme: str
    store: ObjectStore
    body: Callable[[str], bytes]
    keys: Callable[[], list[str]]


@pytest.fixture(params=["s3", pytest.param("az", marks=pytest.mark.sweep)])
def bucket(request: pytest.FixtureRequest) -> Bucket:
    if request.param == "s3":
        s3: S3Server = request.getfixturevalue("s3")
        name = s3.bucket()
        store = open_store(f"s3://{name}")[0]
        return Bucket("s3", store, lambda key: s3.body(name, key), lambda: s3.keys(name))
    azure: AzureServer = request.getfixturevalue("azure")
    store = azure.store(azure.container())
    return Bucket("az", store, lambda key: store.read(key).data, lambda: [info.key for info in store.list()])


@pytest.mark.sweep
def test_what_is_created_is_there_once(bucket: Bucket) -> None:
    written = bucket.store.create("folder/a.json", b"first")
    with pytest.raises(AlreadyExists):
        bucket.store.create("folder/a.json", b"second")
    assert bucket.body("folder/a.json") == b"first"
    assert bucket.store.head("folder/a.json").etag == written.etag


def test_of_many_that_create_one_wins(bucket: Bucket) -> None:
    def create(number: int) -> bool:
        try:
            bucket.store.create("lock", str(number).encode())
        except AlreadyExists:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(create, range(8)))
    assert won.count(True) == 1
    assert bucket.store.read("lock").data == str(won.index(True)).encode()


def test_a_swap_needs_what_was_read(bucket: Bucket) -> None:
    store = bucket.store
    first = store.create("head", b"1")
    second = store.swap("head", b"2", first)
    with pytest.raises(PreconditionFailed):
        store.swap("head", b"3", first)
    assert store.read("head").data == b"2"
    assert store.read("head").info.etag == second.etag


def test_a_swap_of_nothing_is_refused(bucket: Bucket) -> None:
    with pytest.raises(PreconditionFailed):
        bucket.store.swap("head", b"2", Version(etag='"0123"'))
    with pytest.raises(StoreError, match="names no version"):
        bucket.store.swap("head", b"2", Version(etag=None))


def test_what_is_deleted_is_gone_and_may_be_deleted_again(bucket: Bucket) -> None:
    bucket.store.create("a", b"1")
    bucket.store.delete("a")
    bucket.store.delete("a")
    with pytest.raises(ObjectMissing):
        bucket.store.read("a")


@pytest.mark.sweep
def test_a_large_object_comes_in_order_and_whole(bucket: Bucket) -> None:
    data = b"".join(sha256(str(number).encode()).digest() for number in range(10_001))
    bucket.store.upload("big", iter([data[:100_000], data[100_000:]]))
    assert bucket.body("big") == data
    parts = list(chunks(bucket.store, bucket.store.head("big"), part_bytes=10_000))
    assert max(map(len, parts)) == 10_000
    assert b"".join(parts) == data


@pytest.mark.sweep
def test_what_goes_up_in_several_parts_comes_whole_and_its_replacement_is_noticed(bucket: Bucket) -> None:
    body = os.urandom(20_000_000)
    bucket.store.upload("large.wav", iter([body]))
    info = bucket.store.head("large.wav")
    assert sha256(b"".join(chunks(bucket.store, info))).digest() == sha256(body).digest()
    bucket.store.overwrite("large.wav", body[::-1])
    with pytest.raises(PreconditionFailed):
        b"".join(chunks(bucket.store, info))


def test_an_empty_object_has_no_chunks(bucket: Bucket) -> None:
    bucket.store.create("empty", b"")
    assert list(chunks(bucket.store, bucket.store.head("empty"))) == []


def test_what_is_replaced_while_it_is_read_is_noticed(bucket: Bucket) -> None:
    bucket.store.overwrite("a", b"1" * 100)
    reading = chunks(bucket.store, bucket.store.head("a"), part_bytes=10, read_ahead=2)
    assert next(reading) == b"1" * 10
    bucket.store.overwrite("a", b"2" * 100)
    with pytest.raises(PreconditionFailed):
        list(reading)


def test_labels_are_kept_beside_the_bytes(bucket: Bucket) -> None:
    store = bucket.store
    first = store.create("a", b"", labels={"lineage": "abc"})
    assert store.labels("a")["lineage"] == "abc"
    store.swap("a", b"2", first, labels={"lineage": "def"})
    assert store.labels("a")["lineage"] == "def"
    store.upload("b", iter([b"x"]), labels={"lineage": "ghi"})
    assert store.labels("b")["lineage"] == "ghi"
    store.overwrite("b", b"y")
    assert "lineage" not in store.labels("b")
    with pytest.raises(ObjectMissing):
        store.labels("c")


def test_an_upload_that_breaks_publishes_nothing(bucket: Bucket) -> None:
    def breaks() -> Iterator[bytes]:
        yield b"x" * 9_000_000
        raise RuntimeError("the disk went away")

    with pytest.raises(RuntimeError, match="went away"):
        bucket.store.upload("big", breaks())
    assert bucket.keys() == []


ODD = [
    "a b.wav",
    "ü.wav",
    "e\u0301.wav",
    "a+b.wav",
    "a%2Fb.wav",
    ".hidden.wav",
    "q?.wav",
    "h#.wav",
    "x*y[1]{2}.wav",
    "'\".wav",
    "Köln study/a b+c%.wav",
    "100 %/é.wav",
    "~ # ? & =.wav",
]


@pytest.mark.sweep
def test_odd_names_are_listed_and_read(bucket: Bucket) -> None:
    for key in ODD:
        bucket.store.create(f"odd/{key}", key.encode())
    assert sorted(bucket.keys()) == sorted(f"odd/{key}" for key in ODD)
    assert sorted(info.key for info in bucket.store.list("odd")) == sorted(f"odd/{key}" for key in ODD)
    assert [bucket.store.read(f"odd/{key}").data for key in ODD] == [key.encode() for key in ODD]


@pytest.mark.parametrize("key", ["a//b", "/a", "a/", "a/./b", "../a", "new\nline"])
def test_a_name_that_would_be_another_one_is_refused(bucket: Bucket, key: str) -> None:
    with pytest.raises(StoreError, match="cannot be asked for"):
        bucket.store.head(key)
    with pytest.raises(StoreError, match="cannot be asked for"):
        bucket.store.overwrite(key, b"x")


def test_a_missing_bucket_is_told_from_a_missing_object(bucket: Bucket) -> None:
    with pytest.raises(ObjectMissing) as missing:
        bucket.store.head("nothing")
    assert missing.value.exit_code == 66
    uri = f"{bucket.scheme}://no-such-bucket"
    nowhere = open_store(uri)[0]
    for ask in (
        lambda: list(nowhere.list()),
        lambda: nowhere.read("a"),
        lambda: nowhere.create("a", b"x"),
    ):
        with pytest.raises(BucketMissing, match=f"{uri}: there is no such (bucket|container)") as caught:
            ask()
        assert caught.value.exit_code == 66

"""Containers in Azure: what is promised of `s3://` holds for `az://`, against the emulator that Microsoft publishes."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import pytest

from hume_runner.errors import AlreadyExists, BucketMissing, ObjectMissing, PreconditionFailed, StoreDenied
from hume_runner.stores import chunks
from tests.stores.azurite import AzureServer

pytestmark = pytest.mark.sweep


def test_of_many_that_create_one_wins(azure: AzureServer) -> None:
    store = azure.store(azure.container())

    def create(number: int) -> bool:
        try:
            store.create("lock", str(number).encode())
        except AlreadyExists:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(create, range(8)))
    assert won.count(True) == 1
    assert store.read("lock").data == str(won.index(True)).encode()


def test_a_swap_needs_what_was_read(azure: AzureServer) -> None:
    store = azure.store(azure.container())
    first = store.create("head", b"1")
    second = store.swap("head", b"2", first)
    with pytest.raises(PreconditionFailed):
        store.swap("head", b"3", first)
    assert store.read("head").data == b"2"
    assert store.read("head").info.etag == second.etag


def test_what_is_replaced_while_it_is_read_is_noticed(azure: AzureServer) -> None:
    store = azure.store(azure.container())
    body = os.urandom(20_000_000)
    store.upload("large.wav", iter([body]))
    info = store.head("large.wav")
    assert sha256(b"".join(chunks(store, info))).digest() == sha256(body).digest()
    store.overwrite("large.wav", body[::-1])
    with pytest.raises(PreconditionFailed):
        b"".join(chunks(store, info))


@pytest.mark.parametrize("key", ["Köln study/a b+c%.wav", "100 %/é.wav", "~ # ? & =.wav"])
def test_odd_names_are_listed_and_read(azure: AzureServer, key: str) -> None:
    store = azure.store(azure.container())
    store.create(key, b"x")
    assert [one.key for one in store.list()] == [key]
    assert store.read(key).data == b"x"


def test_a_missing_container_is_told_from_a_missing_object(azure: AzureServer, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ObjectMissing):
        azure.store(azure.container()).head("nothing")
    with pytest.raises(BucketMissing):
        azure.store("no-such-container").read("nothing")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "c29tZWJvZHkgZWxzZQ==")
    with pytest.raises(StoreDenied) as denied:
        azure.store(azure.container()).read("nothing")
    assert "c29tZWJvZHk" not in str(denied.value)

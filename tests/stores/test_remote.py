"""A bucket behind obstore, against a real S3 protocol: what only S3 has, and what goes wrong on the way there."""

from __future__ import annotations

import json
import os

import pytest

from hume_runner.errors import (
    BucketMissing,
    StoreDenied,
    StoreError,
    StoreMisconfigured,
    StoreUnavailable,
)
from hume_runner.stores.base import ObjectStore, Patience, Version
from hume_runner.stores.opening import open_store
from tests.object_stores import ACCESS_KEY, SECRET_KEY, S3Server, only, suspicious
from tests.stores.proxy import Proxy, proxied

SHORT = Patience(connect_s=1, request_s=2, retries=2, total_s=5)


def opened(bucket: str, patience: Patience = SHORT) -> ObjectStore:
    return open_store(f"s3://{bucket}", patience)[0]


def behind(proxy: Proxy, s3: S3Server, patch: pytest.MonkeyPatch) -> None:
    only(patch, {**s3.environ, "AWS_ENDPOINT_URL": proxy.url})


@pytest.mark.sweep
def test_a_version_is_read_after_it_was_written_over(s3: S3Server) -> None:
    bucket = s3.bucket(versioned=True)
    store = opened(bucket)
    store.overwrite("a", b"old")
    old = store.head("a")
    assert old.version is not None
    store.overwrite("a", b"new")
    assert store.read("a").data == b"new"
    assert store.read("a", which=Version(etag=None, version=old.version)).data == b"old"


@pytest.mark.sweep
def test_an_upload_that_the_store_does_not_know_any_more_may_be_tried_again(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = s3.bucket()
    with proxied(s3.url) as proxy:
        behind(proxy, s3, monkeypatch)
        told: list[str] = []

        def no_such_upload(method: str, path: str) -> int | None:
            if method == "POST" and "uploadId" in path and not told:
                told.append(path)
                return 404
            return None

        proxy.before = no_such_upload
        with pytest.raises(StoreUnavailable):
            opened(bucket).upload("big", iter([b"x" * 9_000_000]))
        assert told
        opened(bucket).upload("big", iter([b"x" * 9_000_000]))
    assert s3.keys(bucket) == ["big"]


@pytest.mark.sweep
def test_five_thousand_keys_are_listed_page_by_page(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = s3.bucket()
    s3.fill(bucket, (f"many/{number:05d}.wav" for number in range(5_000)))
    s3.put(bucket, "many-others/1.wav", b"x")
    with proxied(s3.url) as proxy:
        behind(proxy, s3, monkeypatch)
        listing = opened(bucket).list("many")
        assert next(listing).key == "many/00000.wav"
        assert len(proxy.seen) < 5  # the rest is not asked for before somebody wants it
        names = [info.key for info in listing]
    assert names == [f"many/{number:05d}.wav" for number in range(1, 5_000)]


def test_a_listing_that_holds_such_a_name_says_which(s3: S3Server) -> None:
    bucket = s3.bucket()
    s3.put(bucket, "media//b.wav", b"x")
    with pytest.raises(StoreError, match=r"'media//b\.wav'") as caught:
        list(opened(bucket).list())
    assert "rename the object" in caught.value.hint


def test_a_store_that_is_not_there_is_unavailable(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, {**s3.environ, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
    with pytest.raises(StoreUnavailable, match="no answer") as caught:
        opened("bucket").read("a")
    assert caught.value.exit_code == 5
    assert "AWS_ENDPOINT_URL" in caught.value.hint


def test_a_store_that_recovers_is_asked_again(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = s3.bucket()
    s3.put(bucket, "a", b"x")
    with proxied(s3.url) as proxy:
        behind(proxy, s3, monkeypatch)
        proxy.before = lambda method, path: 500 if len(proxy.seen) < 3 else None
        assert opened(bucket).read("a").data == b"x"
        assert len(proxy.seen) == 3


def test_a_store_that_stays_out_of_order_is_given_up(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = s3.bucket()
    with proxied(s3.url) as proxy:
        behind(proxy, s3, monkeypatch)
        proxy.before = lambda method, path: 503
        with pytest.raises(StoreUnavailable, match=r"not available \(503\)"):
            opened(bucket).read("a")
        assert len(proxy.seen) == 1 + SHORT.retries


def test_a_store_that_is_too_slow_is_given_up(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = s3.bucket()
    with proxied(s3.url) as proxy:
        behind(proxy, s3, monkeypatch)
        proxy.wait_s = 0.6
        with pytest.raises(StoreUnavailable, match="takes too long"):
            opened(bucket, Patience(connect_s=1, request_s=0.2, retries=1, total_s=2)).read("a")


def test_a_write_that_landed_although_the_store_said_500_is_there(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = s3.bucket()
    with proxied(s3.url) as proxy:
        behind(proxy, s3, monkeypatch)
        proxy.after = lambda method, path: 500
        with pytest.raises(StoreUnavailable):
            opened(bucket, Patience(connect_s=1, request_s=2, retries=0, total_s=2)).create("a", b"x")
    assert s3.body(bucket, "a") == b"x"


def test_no_message_holds_a_credential_or_an_address(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    said = []
    with proxied(s3.url) as proxy:
        behind(proxy, s3, monkeypatch)
        for status in (400, 401, 403, 404, 409, 412, 416, 429, 500):
            proxy.before = lambda method, path, status=status: status  # type: ignore[misc]
            with pytest.raises(StoreError) as caught:
                opened("bucket", Patience(retries=0)).read("a")
            said.append(f"{caught.value} {caught.value.hint} {caught.value.__cause__}")
    text = "\n".join(said)
    assert len(said) == 9
    for secret in (ACCESS_KEY, SECRET_KEY, "127.0.0.1", "Signature"):
        assert secret not in text


def test_what_the_store_refuses_names_the_credentials(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with proxied(s3.url) as proxy:
        behind(proxy, s3, monkeypatch)
        proxy.before = lambda method, path: 403
        for ask in (lambda: opened("bucket").read("a"), lambda: list(opened("bucket").list())):
            with pytest.raises(StoreDenied, match=r"access is denied \(403\)") as caught:
                ask()
            assert caught.value.exit_code == 7


@pytest.mark.sweep
def test_a_key_that_the_store_does_not_know_is_denied(monkeypatch: pytest.MonkeyPatch) -> None:
    with suspicious(free_requests=2) as s3:
        bucket = s3.bucket()
        s3.put(bucket, "a", b"x")
        only(monkeypatch, s3.environ)
        store = opened(bucket)
        for ask in (
            lambda: store.read("a"),
            lambda: store.head("a"),
            lambda: list(store.list()),
            lambda: store.create("b", b"x"),
            lambda: store.upload("b", iter([b"x"])),
            lambda: store.delete("a"),
        ):
            with pytest.raises(StoreDenied, match="access is denied") as caught:
                ask()
            assert ACCESS_KEY not in f"{caught.value} {caught.value.hint}"
        with pytest.raises(StoreDenied, match="InvalidAccessKeyId") as caught:
            store.read("a")
        assert "AWS_ACCESS_KEY_ID" in caught.value.hint


def test_an_endpoint_without_tls_has_to_be_on_this_machine_or_allowed(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = s3.bucket()
    s3.put(bucket, "a", b"x")
    silent = {name: value for name, value in s3.environ.items() if name != "AWS_ALLOW_HTTP"}
    only(monkeypatch, silent)
    assert opened(bucket).read("a").data == b"x"
    only(monkeypatch, {**silent, "AWS_ENDPOINT_URL": "http://store.invalid"})
    with pytest.raises(StoreError, match="not https") as caught:
        opened(bucket).read("a")
    assert "AWS_ALLOW_HTTP" in caught.value.hint


def test_azure_without_an_account_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("obstore")
    only(monkeypatch, {})
    with pytest.raises(StoreDenied, match="no credentials") as caught:
        open_store("az://container/key")
    assert "AZURE_STORAGE_ACCOUNT_NAME" in caught.value.hint


def test_a_bucket_in_another_region_is_told(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = s3.bucket()
    with proxied(s3.url) as proxy:
        behind(proxy, s3, monkeypatch)
        proxy.before = lambda method, path: 301
        store = opened(bucket)
        for ask in (lambda: store.read("a"), lambda: next(store.list("a"), None), lambda: store.create("a", b"")):
            with pytest.raises(BucketMissing, match=f"s3://{bucket} is in another region") as failed:
                ask()
            assert "AWS_REGION" in failed.value.hint


def test_a_variable_that_is_empty_counts_as_not_set(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = s3.bucket()
    s3.put(bucket, "a", b"x")
    empty = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT", "AWS_SESSION_TOKEN", "AWS_SKIP_SIGNATURE", "AWS_CONDITIONAL_PUT")
    only(monkeypatch, {**s3.environ, **dict.fromkeys(empty, "")})
    assert opened(bucket).read("a").data == b"x"
    assert all(os.environ[name] == "" for name in empty)


WRONG = {
    "AWS_ENDPOINT_URL": ("s3://bk", "127.0.0.1:8902", "http://127.0.0.1:notaport", "http://", "https://exa mple", "x"),
    "AWS_ENDPOINT_URL_S3": ("s3://bk", "ftp://127.0.0.1:1"),
    "AWS_ENDPOINT": ("s3://bk", "s3.example.org"),
    "AWS_METADATA_ENDPOINT": ("s3://bk", "nonsense"),
    "AWS_SKIP_SIGNATURE": ("s3://bk", "perhaps"),
    "AWS_CONDITIONAL_PUT": ("s3://bk", "sometimes"),
    "AWS_SERVER_SIDE_ENCRYPTION": ("s3://bk", "rot13"),
    "AZURE_ENDPOINT": ("az://ck", "127.0.0.1:10000"),
    "AZURE_STORAGE_USE_EMULATOR": ("az://ck", "perhaps"),
    "GOOGLE_BASE_URL": ("gs://bk", "127.0.0.1:4443"),
    "GOOGLE_SKIP_SIGNATURE": ("gs://bk", "perhaps"),
}


@pytest.mark.parametrize(("name", "uri", "value"), [(n, uri, one) for n, (uri, *more) in WRONG.items() for one in more])
def test_a_variable_that_cannot_be_is_named_and_its_text_is_not_told(
    name: str, uri: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("obstore")
    account = {"AZURE_STORAGE_ACCOUNT_NAME": "a", "AZURE_STORAGE_ACCOUNT_KEY": "a2V5"}
    only(monkeypatch, {**account, name: value})
    with pytest.raises(StoreMisconfigured, match=name) as caught:
        open_store(uri)
    assert caught.value.exit_code == 64
    assert len(value) < 5 or value not in f"{caught.value} {caught.value.hint}"


def test_a_key_that_cannot_be_read_is_no_trouble_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("obstore")
    for environ in ({"GOOGLE_SERVICE_ACCOUNT": "/no/such/file"}, {"GOOGLE_SERVICE_ACCOUNT_KEY": "nonsense"}):
        only(monkeypatch, environ)
        with pytest.raises(StoreDenied, match="cannot be read") as caught:
            open_store("gs://bk")
        assert "GOOGLE_SERVICE_ACCOUNT" in caught.value.hint


def test_what_breaks_off_inside_obstore_is_told_and_ends_in_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that stands in a key's file, where nobody looks before."""
    pytest.importorskip("obstore")
    key = {"private_key": "x", "private_key_id": "y", "client_email": "a@b", "disable_oauth": True}
    told = json.dumps({**key, "gcs_base_url": "127.0.0.1:1"})
    only(monkeypatch, {"GOOGLE_SERVICE_ACCOUNT_KEY": told})
    store = open_store("gs://bk", SHORT)[0]
    for ask in (lambda: next(store.list(), None), lambda: store.read("a"), lambda: store.create("a", b"x")):
        with pytest.raises(StoreMisconfigured, match="broke off"):
            ask()

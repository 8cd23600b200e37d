"""What a store's URI says, and which are refused."""

from __future__ import annotations

import pytest

from hume_runner.errors import UsageError
from hume_runner.stores.address import ObjectUri, is_remote, uri_fault
from hume_runner.stores.opening import open_store


@pytest.mark.parametrize(
    ("uri", "root", "key"),
    [
        ("s3://bucket/a/b.wav", "s3://bucket", "a/b.wav"),
        ("gs://bucket", "gs://bucket", ""),
        ("az://container/", "az://container", ""),
        ("S3://bucket/A b+c%2Fd", "s3://bucket", "A b+c%2Fd"),
        ("s3://bucket/new\nline", "s3://bucket", "new\nline"),
    ],
)
def test_a_key_is_taken_as_it_is_written(uri: str, root: str, key: str) -> None:
    place = ObjectUri.of(uri)
    assert (place.root, place.key) == (root, key)


@pytest.mark.parametrize("text", ["media/a.wav", "https://example.org/a.wav", "/s3:/x", "s3:/bucket/key", "ss3://b/k"])
def test_anything_else_is_not_remote(text: str) -> None:
    assert not is_remote(text)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("s3://", "names no bucket"),
        ("az:///key", "names no container"),
        ("s3://user:hidden@bucket/key", "a user or a password"),
        ("s3://bucket/key?X-Amz-Signature=hidden", "a signature or a secret"),
        ("az://container/key?sv=2020&sig=hidden", "a signature or a secret"),
        ("gs://bucket/key?access_token=hidden", "a signature or a secret"),
    ],
)
def test_a_uri_with_a_secret_is_refused_and_not_repeated(uri: str, said: str) -> None:
    fault = uri_fault(uri)
    assert fault is not None
    assert said in fault[0]
    assert "hidden" not in " ".join(fault)
    with pytest.raises(UsageError) as caught:
        open_store(uri)
    assert "hidden" not in str(caught.value)


def test_a_question_mark_is_a_letter_of_a_key() -> None:
    assert uri_fault("s3://bucket/what?.wav") is None
    assert uri_fault("s3://bucket/take=2?.wav") is None

"""Telling a URL that a manifest is finished: signed, tried again, and nothing followed."""

from __future__ import annotations

import hashlib
import hmac
import socket

import pytest

from hume_runner.errors import ApiError
from hume_runner.http.callback import SIGNATURE_HEADER, post_callback, signature
from hume_runner.http.retry import RetryPolicy
from tests.expression.receiver import Receiver

BODY = '{"event": "finished", "name": "Gespräche"}'.encode()
AT_ONCE = RetryPolicy(attempts=3, sleep=lambda seconds: None)


def test_the_signature_is_the_hmac_of_the_bytes_as_anybody_computes_it() -> None:
    expected = hmac.new(b"our s\xc3\xa9cret", BODY, hashlib.sha256).hexdigest()
    assert signature(BODY, "our sécret") == f"sha256={expected}"


def test_the_body_is_posted_as_it_is_with_its_signature() -> None:
    with Receiver() as receiver:
        post_callback(receiver.url, BODY, secret="s3cret", retry=AT_ONCE)
    [told] = receiver.told
    assert told.path == "/hooks/done?token=t0ken"
    assert told.body == BODY
    assert told.headers["Content-Type"] == "application/json"
    assert told.headers["User-Agent"].startswith("hume-runner/")
    assert hmac.compare_digest(told.headers[SIGNATURE_HEADER], signature(told.body, "s3cret"))


def test_without_a_secret_nothing_is_signed() -> None:
    with Receiver() as receiver:
        post_callback(receiver.url, BODY, secret=None, retry=AT_ONCE)
    assert SIGNATURE_HEADER not in receiver.told[0].headers


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_receiver_that_fails_for_now_is_told_again_the_same(status: int) -> None:
    with Receiver(status, status) as receiver:
        post_callback(receiver.url, BODY, secret="s3cret", retry=AT_ONCE)
    assert [told.body for told in receiver.told] == [BODY] * 3
    assert len({told.headers[SIGNATURE_HEADER] for told in receiver.told}) == 1


def test_it_is_given_up_after_as_many_tries_as_the_policy_has() -> None:
    with Receiver(503, 503, 503) as receiver, pytest.raises(ApiError) as caught:
        post_callback(receiver.url, BODY, secret=None, retry=AT_ONCE)
    assert len(receiver.told) == 3
    assert "503" in str(caught.value)


@pytest.mark.parametrize("status", [302, 400, 401, 404, 410])
def test_what_another_try_would_not_mend_is_told_once(status: int) -> None:
    elsewhere = [("Location", "http://127.0.0.1:9/elsewhere")]
    with Receiver(status, headers=elsewhere) as receiver, pytest.raises(ApiError) as caught:
        post_callback(receiver.url, BODY, secret=None, retry=AT_ONCE)
    assert len(receiver.told) == 1
    assert caught.value.status == status


def test_a_host_that_is_not_there_is_named_without_the_rest_of_the_url() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ApiError) as caught:
        post_callback(f"http://127.0.0.1:{port}/hooks?token=t0ken", BODY, secret=None, retry=AT_ONCE)
    assert "127.0.0.1" in str(caught.value)
    assert "t0ken" not in str(caught.value)

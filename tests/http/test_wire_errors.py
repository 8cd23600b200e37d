from __future__ import annotations

import inspect
import ssl
from collections.abc import Iterator
from http.client import BadStatusLine, HTTPException

import pytest
import requests
import urllib3

from hume_runner.errors import TransportError
from hume_runner.http.deadline import Exchange
from hume_runner.http.wire_errors import LIBRARY_ERRORS, CertificateRefused, transport_error

SECRET = "https://user:canary@host.example/path?token=canary"
WHERE = "GET /v0/batch/jobs at api.example.org"


def _exceptions(module: object, base: type[BaseException]) -> Iterator[type[BaseException]]:
    for _, found in inspect.getmembers(module, inspect.isclass):
        if issubclass(found, base) and not issubclass(found, Warning):
            yield found


ALL = sorted(
    {
        *_exceptions(requests.exceptions, requests.RequestException),
        *_exceptions(urllib3.exceptions, urllib3.exceptions.HTTPError),
        *_exceptions(__import__("http.client").client, HTTPException),
        OSError,
        ConnectionResetError,
        BrokenPipeError,
        TimeoutError,
        ssl.SSLError,
        UnicodeError,
    },
    key=lambda kind: f"{kind.__module__}.{kind.__name__}",
)


def _bare(kind: type[BaseException]) -> BaseException:
    """An instance whatever the constructor wants, with a secret where libraries put URLs."""
    error = kind.__new__(kind)
    error.args = (SECRET,)
    return error


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
@pytest.mark.parametrize("sent", [True, False])
def test_every_exception_of_the_libraries_is_caught_and_put_into_our_words(
    kind: type[BaseException], sent: bool
) -> None:
    exchange = Exchange(deadline_s=60, read_timeout_s=60)
    exchange.sent = sent
    assert issubclass(kind, LIBRARY_ERRORS)
    found = transport_error(_bare(kind), exchange, WHERE)
    assert isinstance(found, TransportError)
    assert found.sent is sent
    assert str(found).startswith(WHERE + ": ")
    assert "canary" not in str(found) + found.hint


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (requests.ConnectionError(urllib3.exceptions.ProtocolError("x", ConnectionResetError(104, "reset"))), "broke"),
        (requests.ConnectionError(urllib3.exceptions.ProtocolError("x", ConnectionRefusedError(111, "no"))), "refused"),
        (requests.ReadTimeout("x"), "no answer in time"),
        (urllib3.exceptions.IncompleteRead(1, 2), "cut off"),
        (requests.exceptions.SSLError("x"), "TLS"),
        (BadStatusLine("x"), "not HTTP"),
        (ValueError("x"), "failed"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_the_words_say_what_happened(error: Exception, words: str) -> None:
    assert words in str(transport_error(error, Exchange(deadline_s=60, read_timeout_s=60), WHERE))


def test_an_exchange_whose_time_is_up_says_so_whatever_broke() -> None:
    exchange = Exchange(deadline_s=0.0, read_timeout_s=60)
    assert "no complete answer within 0 s" in str(transport_error(ConnectionResetError(), exchange, WHERE))


def test_a_certificate_failure_after_bytes_were_sent_is_not_called_harmless() -> None:
    error = ssl.SSLCertVerificationError(1, "nope")
    error.verify_message = "self-signed"
    exchange = Exchange(deadline_s=60, read_timeout_s=60)
    assert isinstance(transport_error(error, exchange, WHERE), CertificateRefused)
    exchange.sent = True
    late = transport_error(error, exchange, WHERE)
    assert not isinstance(late, CertificateRefused)
    assert late.sent

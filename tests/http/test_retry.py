from __future__ import annotations

from email.utils import formatdate
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.errors import (
    ApiError,
    AuthError,
    NotFound,
    RateLimited,
    RequestRejected,
    ServerError,
    TransportError,
    UnexpectedResponse,
)
from hume_runner.http.retry import (
    RetryPolicy,
    is_temporary,
    parse_http_date,
    parse_retry_after,
    submission_outcome,
    wait_asked_for,
)
from hume_runner.http.upload import SourceChanged
from hume_runner.http.wire_errors import CertificateRefused

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("1000000000", 1e9),
        (formatdate(NOW + 30, usegmt=True), 30.0),
        (formatdate(NOW - 30, usegmt=True), 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 253402300799.0 - NOW),
        ("-5", None),
        ("+5", None),
        ("1e3", None),
        ("5 seconds", None),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("9" * 400, None),
        ("٣", None),
        ("Fri, 99 Foo 2020 99:99:99 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_nothing_else(value: str | None, expected: float | None) -> None:
    assert parse_retry_after(value, NOW) == expected


@given(st.text(max_size=40))
def test_no_retry_after_header_breaks_the_client(value: str) -> None:
    found = parse_retry_after(value, NOW)
    assert found is None or found >= 0


@given(st.text(max_size=40))
def test_no_date_header_breaks_the_client(value: str) -> None:
    found = parse_http_date(value)
    assert found is None or isinstance(found, float)


def test_the_rate_limit_reset_counts_where_retry_after_does_not_speak() -> None:
    assert wait_asked_for({"X-RateLimit-Reset": str(NOW + 12)}, NOW) == 12.0
    assert wait_asked_for({"X-RateLimit-Reset": str(NOW - 12)}, NOW) is None
    assert wait_asked_for({"X-RateLimit-Reset": "x"}, NOW) is None
    assert wait_asked_for({"Retry-After": "3", "X-RateLimit-Reset": str(NOW + 12)}, NOW) == 3.0
    assert wait_asked_for({}, NOW) is None


@pytest.mark.parametrize(
    ("error", "temporary", "outcome"),
    [
        (TransportError("refused", sent=False), True, "refused"),
        (TransportError("broke", sent=True), True, "unknown"),
        (CertificateRefused("x", sent=False), False, "refused"),
        (SourceChanged(Path("a.wav"), "changed"), False, "refused"),
        (RequestRejected("x", status=400), False, "refused"),
        (AuthError("x", status=401), False, "refused"),
        (AuthError("x", status=403), False, "refused"),
        (NotFound("x", status=404), False, "refused"),
        # Proxies answer these for requests that went through; with a code it is the service that speaks.
        (RequestRejected("x", status=408), True, "unknown"),
        (RequestRejected("x", status=425), True, "unknown"),
        (RequestRejected("x", status=460), True, "unknown"),
        (RequestRejected("x", status=499), True, "unknown"),
        (RequestRejected("x", status=408, code="timeout"), True, "refused"),
        (RequestRejected("x", status=499, code="closed"), True, "refused"),
        (RequestRejected("x", status=413), False, "refused"),
        (RateLimited("x", status=429), True, "refused"),
        (ServerError("x", status=500), True, "unknown"),
        (ServerError("x", status=501), False, "unknown"),
        (ServerError("x", status=502), True, "unknown"),
        (ServerError("x", status=503), True, "refused"),
        (ServerError("x", status=504), True, "unknown"),
        (ServerError("x", status=524), True, "unknown"),
        (UnexpectedResponse("page", status=200), True, "unknown"),
        (UnexpectedResponse("redirect", status=302), False, "unknown"),
        (UnexpectedResponse("damaged"), True, "unknown"),
    ],
    ids=lambda value: f"{type(value).__name__}-{value.status}" if isinstance(value, ApiError) else None,
)
def test_what_a_failure_means_for_a_read_and_for_a_submission(error: ApiError, temporary: bool, outcome: str) -> None:
    assert is_temporary(error) is temporary
    assert submission_outcome(error) == outcome


def test_a_services_own_error_code_refuses_only_where_the_api_says_so() -> None:
    error = ServerError("x", status=500, code="internal")
    assert submission_outcome(error) == "unknown"
    assert submission_outcome(error, own_code_refuses=True) == "refused"
    assert submission_outcome(ServerError("x", status=500), own_code_refuses=True) == "unknown"
    assert submission_outcome(TransportError("x", sent=True), own_code_refuses=True) == "unknown"


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.naps: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds

    def policy(self, **options: float) -> RetryPolicy:
        return RetryPolicy(sleep=self.sleep, clock=lambda: self.now, random=lambda: 0.0, **options)  # type: ignore[arg-type]


def _failing(*errors: Exception):
    waiting = list(errors)

    def fn() -> str:
        if waiting:
            raise waiting.pop(0)
        return "done"

    return fn


def test_a_temporary_failure_is_tried_again_with_growing_waits() -> None:
    clock = Clock()
    busy = ServerError("busy", status=503)
    assert clock.policy(attempts=6).call(_failing(*[busy] * 5)) == "done"
    assert clock.naps == [1.0, 2.0, 4.0, 8.0, 16.0]


def test_the_wait_that_the_service_asks_for_is_kept_up_to_the_cap() -> None:
    clock = Clock()
    errors = [RateLimited("x", status=429, retry_after_s=wait) for wait in (3.5, 1e9, -4.0, float("nan"))]
    assert clock.policy(attempts=9, max_wait_s=60).call(_failing(*errors)) == "done"
    assert clock.naps == [3.5, 60.0, 0.0, 8.0]


def test_the_last_failure_is_raised_as_it_was() -> None:
    clock = Clock()
    errors = [ServerError(str(number), status=503) for number in range(5)]
    with pytest.raises(ServerError, match="2"):
        clock.policy(attempts=3).call(_failing(*errors))
    assert len(clock.naps) == 2


def test_a_lasting_failure_is_raised_at_once() -> None:
    clock = Clock()
    with pytest.raises(NotFound):
        clock.policy().call(_failing(NotFound("x", status=404)))
    assert clock.naps == []


def test_no_wait_is_begun_that_would_end_after_the_deadline() -> None:
    clock = Clock()
    errors = [RateLimited("x", status=429, retry_after_s=40.0) for _ in range(9)]
    with pytest.raises(RateLimited):
        clock.policy(attempts=9, deadline_s=100).call(_failing(*errors))
    assert clock.naps == [40.0, 40.0]


def test_jitter_takes_up_to_a_quarter_off() -> None:
    error = ServerError("x", status=503)
    assert RetryPolicy(random=lambda: 1.0).wait_s(3, error) == 3.0
    assert RetryPolicy(random=lambda: 0.0).wait_s(3, error) == 4.0
    assert RetryPolicy(random=lambda: 0.0, max_wait_s=60).wait_s(500, error) == 60.0


def test_an_interrupt_is_never_swallowed() -> None:
    def fn() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Clock().policy().call(fn)

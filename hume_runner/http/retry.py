"""Which failures deserve another try, and how long to wait: the only place that knows tenacity.

Everything that decides is pure; the policy gets its clock, sleep and random numbers from outside.
"""

from __future__ import annotations

import logging
import random as random_module
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import field
from email.utils import parsedate_to_datetime
from typing import Final, Literal, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception

from hume_runner.amounts import seconds_text
from hume_runner.errors import ApiError, HostUnknown, TransportError, UnexpectedResponse
from hume_runner.frozen import frozen
from hume_runner.http.backoff import backoff
from hume_runner.http.upload import SourceChanged
from hume_runner.http.wire_errors import CertificateRefused, TurnedAway

# Hears of each wait before another try: the failure and how long. Whoever watches should know what is waited for.
WAITS: Final = logging.getLogger("hume_runner.waits")

T = TypeVar("T")
SubmissionOutcome = Literal["refused", "unknown"]

# 409 is here because both official SDKs repeat it; see docs/apis/batch_v0.md.
# What something between us and the service says of a connection or a client, not of the request: it may have gone on.
# 444, 460 and 499 are those of nginx and of load balancers.
_ON_THE_WAY = frozenset({408, 425, 444, 460, 499})
_TEMPORARY = frozenset({409, 429, 500, 502, 503, 504}) | _ON_THE_WAY
_SECONDS = re.compile(r"\d{1,15}(\.\d{1,9})?", re.ASCII)


def parse_retry_after(value: str | None, now: float) -> float | None:
    """Seconds to wait that a Retry-After header asks for; `now` is Unix time by the server's clock.

    Whole or decimal seconds, or an HTTP date (one that has passed means 0). None for what cannot be understood, a
    negative number included. No upper bound: that is the policy's business.
    """
    text = (value or "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    if not text or text[0] in "+-" or text[0].isdigit():
        return None
    at = parse_http_date(text)
    return None if at is None else max(0.0, at - now)


def parse_http_date(value: str | None) -> float | None:
    """Unix seconds of a Date header; None if it is missing or is none."""
    if not value:
        return None
    try:
        return parsedate_to_datetime(value.strip()).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError, OSError):
        return None


def wait_asked_for(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that an answer's headers ask to wait: Retry-After, else X-RateLimit-Reset (Unix seconds, if to come)."""
    asked = parse_retry_after(headers.get("Retry-After"), now)
    if asked is not None:
        return asked
    reset = (headers.get("X-RateLimit-Reset") or "").strip()
    if _SECONDS.fullmatch(reset) and float(reset) > now:
        return float(reset) - now
    return None


def is_temporary(error: BaseException) -> bool:
    """Whether the same request may succeed later.

    Answers that are damaged or not JSON count: most come from something between us and the service. Redirects, refused
    certificates, names of hosts that never answered, and files that changed do not.
    """
    match error:
        case SourceChanged() | CertificateRefused() | HostUnknown():
            return False
        case TransportError():
            return True
        case UnexpectedResponse(status=status):
            return status is None or 200 <= status < 300
        case ApiError(status=int(status)):
            return status in _TEMPORARY or status >= 520
        case _:
            return False


def submission_outcome(error: ApiError, *, own_code_refuses: bool = False) -> SubmissionOutcome:
    """What a failed POST means: `refused` if the service surely did not take it, else `unknown`.

    Refused: nothing of it left this machine, any 4xx, and 503. Unknown: the connection broke after bytes were sent, a
    time-out, 500, 502, 504 (a proxy may say so of a request that went through), 408 and 499 without the service's own
    code (the same), and 200 with an answer that makes no sense. With `own_code_refuses` an error that carries the
    service's own code is a refusal, whatever its status.
    """
    match error:
        case ApiError(status=int(status), code=None) if status in _ON_THE_WAY:
            return "unknown"
        case TransportError(sent=sent):
            return "unknown" if sent else "refused"
        case ApiError(status=int(status)) if 400 <= status < 500 or status == 503:
            return "refused"
        case ApiError(code=str()) if own_code_refuses:
            return "refused"
        case _:
            return "unknown"


def is_on_the_way(error: ApiError) -> bool:
    """Whether an error is about the connection and says nothing of the request: no other request would fare better."""
    return error.status in _ON_THE_WAY


def took_its_time(error: ApiError) -> bool:
    """Whether a failed POST ended by a time-out, ours or a proxy's: the service may go on reading and accept it later.

    A cut connection ends what the service would read; after a time-out it may have everything and be slow.
    """
    return error.status in (408, 504) or (isinstance(error, TransportError) and error.timed_out)


@frozen
class RetryPolicy:
    """How often and how patiently to try. Times are seconds.

    `deadline_s` bounds all attempts and waits of one call together: no wait is begun that would end after it.
    """

    attempts: int = 5
    max_wait_s: float = 60.0
    deadline_s: float = 900.0
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False)
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)
    random: Callable[[], float] = field(default=random_module.random, repr=False)

    def call(self, fn: Callable[[], T], *, retryable: Callable[[BaseException], bool] = is_temporary) -> T:
        """`fn()`, tried again after failures that are `retryable`; then the last failure is raised as it is."""
        started = self.clock()

        def give_up(state: RetryCallState) -> bool:
            spent = self.clock() - started
            return state.attempt_number >= self.attempts or spent + state.upcoming_sleep > self.deadline_s

        retrying = Retrying(
            sleep=self.sleep,
            stop=give_up,
            wait=lambda state: self.wait_s(state.attempt_number, _error_of(state)),
            before_sleep=_tell_wait,
            retry=retry_if_exception(lambda error: retryable(error) and not isinstance(error, TurnedAway)),
            reraise=True,
        )
        return retrying(fn)

    def wait_s(self, tries: int, error: BaseException | None) -> float:
        """Seconds before the next try, after `tries` failures: what the service asked for, else 1, 2, 4, … with
        jitter that takes up to a quarter off, so that many clients do not come back in step."""
        asked: float | None = getattr(error, "retry_after_s", None)
        return backoff(tries, most=self.max_wait_s, asked=asked, random=self.random)


def _tell_wait(state: RetryCallState) -> None:
    wait_s = state.upcoming_sleep
    WAITS.info("%s; trying again in %s s", _error_of(state), seconds_text(round(wait_s)), extra={"wait_s": wait_s})


def _error_of(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None else None


NO_RETRY = RetryPolicy(attempts=1)

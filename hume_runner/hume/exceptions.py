"""The old package's one exception, and below it what it never told apart.

HumeClientException
├── InvalidApiKeyException       also an AuthError: 401, 403, and both shapes of "Invalid ApiKey"
├── ApiDiscontinuedException     also a Discontinued: this host's API is closed
├── JobNotFoundException         also a NotFound
├── NetworkException             also a TransportError: `.sent` is False only if nothing reached the server
├── RateLimitedException         also a RateLimited
├── RequestRefusedException      also a RequestRejected: any other 4xx
├── ServiceFailedException       also a ServerError: 5xx
├── UnexpectedAnswerException    also an UnexpectedResponse: not JSON, a web page, damaged, or a fault with status 200
├── WrongTypeException           also a TypeError: an argument that is no list, no number, no text
├── WrongValueException          also a ValueError: an argument that cannot be
├── JobFailedException           the job ended as FAILED and the caller asked for an exception
└── JobTimeoutException          the job goes on, the waiting is over

A fault carries its error code as `.code`; None if the service gave none. The text of each ends with the next step,
which stands alone in `.hint`: scripts print exceptions and know no `.hint`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hume_runner.errors import (
    ApiError,
    AuthError,
    Discontinued,
    HumeRunnerError,
    NotFound,
    RateLimited,
    RequestRejected,
    ServerError,
    TransportError,
    UnexpectedResponse,
    UsageError,
)


class HumeClientException(HumeRunnerError):
    """Anything that the batch client could not do."""

    def __init__(self, message: str = "", **facts: Any) -> None:
        super().__init__(message, **facts)

    def __str__(self) -> str:
        said = super().__str__()
        return f"{said}\nnext: {self.hint}" if self.hint else said

    @classmethod
    def from_error(cls, error_code: str, error_message: str) -> HumeClientException:
        """An exception that names an error code."""
        return cls(f"hume({error_code}): {error_message}")


class InvalidApiKeyException(HumeClientException, AuthError):
    pass


class ApiDiscontinuedException(HumeClientException, Discontinued):
    pass


class JobNotFoundException(HumeClientException, NotFound):
    pass


class NetworkException(HumeClientException, TransportError):
    pass


class RateLimitedException(HumeClientException, RateLimited):
    pass


class RequestRefusedException(HumeClientException, RequestRejected):
    pass


class ServiceFailedException(HumeClientException, ServerError):
    pass


class UnexpectedAnswerException(HumeClientException, UnexpectedResponse):
    pass


class WrongTypeException(HumeClientException, TypeError):
    pass


class WrongValueException(HumeClientException, ValueError):
    pass


class JobFailedException(HumeClientException):
    pass


class JobTimeoutException(HumeClientException):
    pass


_KINDS: tuple[tuple[type[ApiError], type[HumeClientException]], ...] = (
    (AuthError, InvalidApiKeyException),
    (Discontinued, ApiDiscontinuedException),
    (NotFound, JobNotFoundException),
    (RateLimited, RateLimitedException),
    (RequestRejected, RequestRefusedException),
    (ServerError, ServiceFailedException),
    (UnexpectedResponse, UnexpectedAnswerException),
)


# Steps for a manifest, and what they are in a script.
_CLOSED = (
    "base_url names a host that speaks this API (`hume-runner emulate` is one to rehearse with); Hume's later API "
    "is asked with a manifest (`hume-runner init FOLDER --api expression-v1` writes one)"
)
_IN_SCRIPTS = (
    ("; leave it out with outputs.artifacts: false", ""),
    ("; the same command later may help", "; trying again later may help"),
    ("run again once nothing", "try again once nothing"),
    ("then run the same command again: it resumes", "then try again"),
    ("if such an answer is due, set HUME_RUNNER_MAX_ANSWER to more bytes", "no such answer is due"),
    ("service.endpoint", "base_url"),
)


def hint_for_scripts(hint: str) -> str:
    """A next step in the words of somebody who has a script and no manifest."""
    for theirs, ours in _IN_SCRIPTS:
        hint = hint.replace(theirs, ours)
    return hint


@contextmanager
def as_client_exceptions() -> Iterator[None]:
    """Turn our own errors into those above, so that `except HumeClientException` catches what it always caught."""
    try:
        yield
    except HumeClientException:
        raise
    except TransportError as error:
        raise NetworkException(
            str(error), sent=error.sent, timed_out=error.timed_out, hint=hint_for_scripts(error.hint)
        ) from error
    except ApiError as error:
        kind = next((ours for theirs, ours in _KINDS if isinstance(error, theirs)), UnexpectedAnswerException)
        raise kind(
            str(error),
            status=error.status,
            request_id=error.request_id,
            code=error.code,
            body=error.body,
            retry_after_s=error.retry_after_s,
            hint=_CLOSED if isinstance(error, Discontinued) else hint_for_scripts(error.hint),
        ) from error
    except UsageError as error:
        raise HumeClientException(str(error), hint=hint_for_scripts(error.hint)) from error

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
├── JobFailedException           the job ended as FAILED and the caller asked for an exception
└── JobTimeoutException          the job goes on, the waiting is over

A fault carries its error code as `.code`; None if the service gave none.
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


@contextmanager
def as_client_exceptions() -> Iterator[None]:
    """Turn our own errors into those above, so that `except HumeClientException` catches what it always caught."""
    try:
        yield
    except HumeClientException:
        raise
    except TransportError as error:
        raise NetworkException(str(error), sent=error.sent, hint=error.hint) from error
    except ApiError as error:
        kind = next((ours for theirs, ours in _KINDS if isinstance(error, theirs)), UnexpectedAnswerException)
        raise kind(
            str(error),
            status=error.status,
            request_id=error.request_id,
            code=error.code,
            body=error.body,
            retry_after_s=error.retry_after_s,
            hint=error.hint,
        ) from error
    except UsageError as error:
        raise HumeClientException(str(error), hint=error.hint) from error

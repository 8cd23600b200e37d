"""What the errors of expression-v1 mean: its codes, and what a gateway says in its place."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from hume_runner.errors import (
    ApiError,
    AuthError,
    Discontinued,
    NotFound,
    RateLimited,
    RequestRejected,
    ServerError,
    UnexpectedResponse,
)
from hume_runner.http.answer import parse_json
from hume_runner.http.messages import ApiResponse
from hume_runner.http.retry import SubmissionOutcome, submission_outcome, wait_asked_for

_REQUEST_ID_HEADERS = ("X-Request-Id", "CF-Ray")


def measurement_outcome(error: ApiError) -> SubmissionOutcome:
    """What a failed upload means: `refused`, so nothing is billed, or `unknown`: ask the list of runs.

    An error with the service's own code is a refusal, whatever its status.
    """
    return submission_outcome(error, own_code_refuses=True)


_HINTS: Final[Mapping[str, str]] = {
    "config_invalid": "the service does not take these settings; see `models` in the manifest",
    "message_invalid": "the service could not read the upload",
    "audio_decode_failed": "the recording has to be 16 kHz mono signed 16-bit WAV with a plain header",
    "image_decode_failed": "one of the images is damaged; a request with a bad image fails as a whole",
    "audio_too_long": "split the recording: a request holds 25 MB, about 13 minutes",
    "image_too_large": "an image may have 2 MB and 8,294,400 pixels, a request 25 MB",
    "unsupported_media_type": "only WAV and JPEG are measured",
    "server_busy": "send fewer requests at one time, or later",
}


def api_error(response: ApiResponse) -> ApiError:
    """What an error answer means; reads at most 64 KiB of its body and closes it.

    Shapes: {"type": "error", "code", "message", "request_id"} is the service's own, and only its code becomes
    `ApiError.code`; {"message", "request_id"?} or anything else comes from a gateway, where the status has to do.
    """
    raw = response.error_body()
    try:
        value = parse_json(raw, where=response.where)
    except UnexpectedResponse:
        value = None
    return classified(response, value, raw.decode("utf-8", "replace"))


def own_code(value: Any) -> str | None:
    """The code of an error that the service itself reports; None for whatever a gateway or a proxy may say."""
    if not isinstance(value, dict) or value.get("type") != "error":
        return None
    code = value.get("code")
    return code[:100] if isinstance(code, str) and code else None


def request_id_of(response: ApiResponse, value: Any) -> str | None:
    told = value.get("request_id") if isinstance(value, dict) else None
    if isinstance(told, str) and told:
        return told[:200]
    return next((response.headers[name] for name in _REQUEST_ID_HEADERS if name in response.headers), None)


def classified(response: ApiResponse, value: Any, text: str) -> ApiError:
    status, code = response.status, own_code(value)
    told = value.get("message") if isinstance(value, dict) else None
    message = told[:500].strip() if isinstance(told, str) else ""
    said = f"{code}: {message}" if code and message else code or message
    said = f": {said}" if said else ""
    now = response.server_date_s if response.server_date_s is not None else time.time()
    facts: dict[str, Any] = {
        "status": status,
        "code": code,
        "body": text[:2000],
        "request_id": request_id_of(response, value),
        "retry_after_s": wait_asked_for(response.headers, now),
    }
    hint = _HINTS.get(code or "", "")
    if status == 403 and "discontinued" in message.lower():
        return Discontinued(f"{response.where}: this API is closed{said}", hint="ask the service's people", **facts)
    if status == 401:
        hint = "check the key, that it has not expired and that it belongs to this host"
        return AuthError(f"{response.where}: the key is not accepted (401){said}", hint=hint, **facts)
    if status == 403 or code == "forbidden":
        hint = "check the key's permissions, and whether the organization has access to this API"
        return AuthError(f"{response.where} is not allowed with this key ({status}){said}", hint=hint, **facts)
    if status == 404:
        hint = (
            "a new run may take some seconds to appear"
            if code
            else "check service.endpoint: it ends before the API's paths, which are added to it"
        )
        return NotFound(f"{response.where}: not found{said}", hint=hint, **facts)
    if status == 429:
        return RateLimited(f"{response.where}: too many requests (429){said}", **facts)
    if 400 <= status < 500:
        return RequestRejected(f"{response.where} refused the request ({status}){said}", hint=hint, **facts)
    if status >= 500:
        return ServerError(f"{response.where} failed ({status}){said}", hint=hint, **facts)
    if code is not None:
        return RequestRejected(f"{response.where} reports an error with status {status}{said}", hint=hint, **facts)
    return UnexpectedResponse(f"{response.where} answered {status}, which this API never does{said}", **facts)

"""Errors of the Expression Measurement API: coded ones by the service, uncoded ones by the gateway before it."""

from __future__ import annotations

import uuid

from hume_runner.emulator.context import Refused

# Status of each code. 400 is documented for the first two; the others follow from which statuses each operation has.
STATUS_OF = {
    "message_invalid": 400,
    "config_invalid": 400,
    "audio_decode_failed": 400,
    "image_decode_failed": 400,
    "invalid_request": 400,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "audio_too_long": 413,
    "image_too_large": 413,
    "unsupported_media_type": 415,
    "internal_error": 500,
    "server_busy": 503,
}


class Coded(Refused):
    """A refusal with the service's own code; `{"type": "error", "code", "message", "request_id"}`."""

    def __init__(self, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        body = {"type": "error", "code": code, "message": message, "request_id": new_request_id()}
        super().__init__(STATUS_OF[code], body, headers)


def unauthorized(message: str, *, key_was_sent: bool) -> Refused:
    """The gateway's 401: no type, no code, and a request id only where an API key was sent."""
    return Refused(401, {"message": message} | ({"request_id": new_request_id()} if key_was_sent else {}))


def new_request_id() -> str:
    return uuid.uuid4().hex

"""Query members of the run operations, checked; and the cursor that leads from page to page."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NoReturn

from starlette.datastructures import QueryParams

from hume_runner.emulator.expression_v1.errors import Coded
from hume_runner.emulator.expression_v1.runs import RunFilter, RunRow

_FILTERS = ("user_id", "status", "mode", "endpoint", "started_before", "started_after")
_DEFAULT_PAGE = 50
_LARGEST_PAGE = 200
_INSTANT = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)  # RFC 3339: an offset is required
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SIGNATURE_BYTES = 16


def page_size(query: QueryParams) -> int:
    """Raises: Coded "invalid_request", here and below."""
    value = _single(query, "page_size")
    if value is None:
        return _DEFAULT_PAGE
    if not re.fullmatch(r"[0-9]{1,9}", value) or not 1 <= int(value) <= _LARGEST_PAGE:
        _refuse("page_size", f"must be 1 to {_LARGEST_PAGE}")
    return int(value)


def run_filter(query: QueryParams, secret: bytes) -> RunFilter | None:
    """None where nothing can match: every run here was an upload."""
    mode = _chosen(query, "mode", ("realtime", "file"))
    wanted = RunFilter(
        user_id=_single(query, "user_id"),
        status=_chosen(query, "status", ("live", "ended", "errored")),
        endpoint=_chosen(query, "endpoint", ("audio", "video")),
        started_before_ms=_instant_ms(query, "started_before"),
        started_after_ms=_instant_ms(query, "started_after"),
        behind=_read_cursor(query, secret),
    )
    return None if mode == "realtime" else wanted


def next_cursor(last: RunRow, query: QueryParams, secret: bytes) -> str:
    """Where the next page begins; it holds for the same filters only."""
    raw = json.dumps([last.started_ms, last.seq]).encode()
    return urlsafe_b64encode(_signature(raw, query, secret) + raw).decode()


def refuse_cursor(query: QueryParams) -> None:
    """For a list that never has a second page: no cursor can be one that was given out."""
    if _single(query, "cursor") is not None:
        _refuse("cursor", "is not one that a previous page gave")


def _read_cursor(query: QueryParams, secret: bytes) -> tuple[int, int] | None:
    value = _single(query, "cursor")
    if value is None:
        return None
    try:
        packed = urlsafe_b64decode(value.encode("ascii"))
    except ValueError:
        packed = b""
    signature, raw = packed[:_SIGNATURE_BYTES], packed[_SIGNATURE_BYTES:]
    if not hmac.compare_digest(signature, _signature(raw, query, secret)):
        _refuse("cursor", "is not one that a previous page gave for these filters")
    started_ms, seq = json.loads(raw)
    return started_ms, seq


def _signature(raw: bytes, query: QueryParams, secret: bytes) -> bytes:
    filters = json.dumps([query.get(name) for name in _FILTERS]).encode()
    return hmac.digest(secret, raw + filters, hashlib.sha256)[:_SIGNATURE_BYTES]


def _single(query: QueryParams, name: str) -> str | None:
    values = query.getlist(name)
    if len(values) > 1:
        _refuse(name, "may be given once")
    return values[0] if values else None


def _chosen(query: QueryParams, name: str, allowed: Sequence[str]) -> str | None:
    value = _single(query, name)
    if value is not None and value not in allowed:
        _refuse(name, f"must be one of {', '.join(allowed)}")
    return value


def _instant_ms(query: QueryParams, name: str) -> int | None:
    """The instant, rounded up to a millisecond: that keeps both bounds right for times in whole milliseconds."""
    value = _single(query, name)
    if value is None:
        return None
    if not _INSTANT.fullmatch(value):
        _refuse(name, "must be an RFC 3339 time with an offset")
    try:
        since = datetime.fromisoformat(value.upper()) - _EPOCH
    except ValueError:
        _refuse(name, "is no time")
    return -(-since // timedelta(milliseconds=1))


def _refuse(name: str, reason: str) -> NoReturn:
    raise Coded("invalid_request", f"{name}: {reason}")

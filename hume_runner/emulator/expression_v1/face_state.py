"""The opaque value that carries face numbers from one request to the next: signed, dated, one organization's own."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from hume_runner.emulator.expression_v1.faces import Tracker

LIFETIME_S = 24 * 3600
_SIGNATURE_BYTES = 32


def issue(tracker: Tracker, *, organization: str, now_ms: int, secret: bytes) -> str:
    content = {"org": organization, "issued": now_ms, "next": tracker.next_id, "known": tracker.known}
    raw = json.dumps(content, separators=(",", ":")).encode()
    return urlsafe_b64encode(hmac.digest(secret, raw, hashlib.sha256) + raw).decode()


def restore(state: str | None, *, organization: str, now_ms: int, secret: bytes, lifetime_s: float) -> Tracker:
    """Where numbering goes on. A state that is expired, altered or another organization's is ignored without a word."""
    content = None if state is None else _signed_content(state, secret)
    if content is None or content["org"] != organization or not 0 <= now_ms - content["issued"] < lifetime_s * 1000:
        return Tracker()
    return Tracker([(person, face_id) for person, face_id in content["known"]], content["next"])


def _signed_content(state: str, secret: bytes) -> dict[str, Any] | None:
    try:
        packed = urlsafe_b64decode(state.encode("ascii"))
    except ValueError:
        return None
    if urlsafe_b64encode(packed).decode() != state:  # decoding skips what does not belong
        return None
    signature, raw = packed[:_SIGNATURE_BYTES], packed[_SIGNATURE_BYTES:]
    if not hmac.compare_digest(signature, hmac.digest(secret, raw, hashlib.sha256)):
        return None
    content: dict[str, Any] = json.loads(raw)
    return content

"""What a link says about itself. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import parse_qsl

from hume_runner.settings import masked_url


def expiry(url: str) -> float | None:
    """When a signed link stops working, Unix seconds; None for a link that does not say.

    Source: X-Amz-Date + X-Amz-Expires (AWS SigV4), X-Goog-Date + X-Goog-Expires (Google V4), Expires (AWS V2,
    CloudFront, Google V2), se (Azure SAS).
    """
    if "?" not in url:
        return None
    members = {name.lower(): value for name, value in parse_qsl(url.partition("?")[2].partition("#")[0])}
    try:
        for prefix in ("x-amz-", "x-goog-"):
            if f"{prefix}date" in members and f"{prefix}expires" in members:
                begun = datetime.strptime(members[f"{prefix}date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
                return _moment(begun.timestamp() + float(members[f"{prefix}expires"]))
        if "signature" in members and "expires" in members:
            return _moment(float(members["expires"]))
        if "sig" in members and "se" in members:
            until = datetime.fromisoformat(members["se"].replace("Z", "+00:00"))
            return (until if until.tzinfo else until.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
    return None


def _moment(unix_s: float) -> float | None:
    """The same if it can be a time at all (not before 1970, not after the year 9999), else None."""
    return unix_s if 0 <= unix_s < 253_402_300_800 else None


def refuse_expired(url: str, now: float) -> tuple[str, str] | None:
    """(message, next step) if the link's time is over at `now`, Unix seconds."""
    expired = expiry(url)
    if expired is None or expired > now:
        return None
    when = datetime.fromtimestamp(expired, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"the signed link {masked_url(url)} expired at {when}", "sign it again: it stays the same item"

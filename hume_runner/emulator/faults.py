"""Faults on demand: which requests go wrong (selectors), and how (actions). Pure, but for the counters it keeps.

    {"route": "POST /v0/batch/jobs", "nth": [2], "every": 5, "times": 3, "probability": 0.1, "action": {...}}

A fault counts the requests on its route (all routes when absent) from the moment it is injected. It fires when every
selector that it has agrees. The first fault of the list that fires on a request is the one that happens to it.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from hume_runner.errors import UsageError
from hume_runner.frozen import frozen

_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h)?\s*")
_SECONDS = {"ms": 0.001, "s": 1.0, None: 1.0, "m": 60.0, "h": 3600.0}
_RATE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(B|KB|MB)/s\s*", re.IGNORECASE)
_BYTES = {"B": 1, "KB": 1_000, "MB": 1_000_000}
_SELECTORS = {"route", "nth", "every", "times", "probability", "action"}
_ENDINGS = ("status", "drop", "truncate", "html", "redirect", "corrupt", "bomb")
# What each ending may be combined with; `delay` and `slow` go with all of them.
_COMPANIONS = {"status": {"headers", "body"}, "truncate": {"chunked"}, "redirect": {"status"}, "bomb": {"like"}}


class FaultError(UsageError):
    """A fault that makes no sense; the message says which one and why."""


@frozen
class Action:
    """What happens to a request. At most one ending is set; `delay_s` and `slow_bytes_s` go with any."""

    delay_s: float = 0.0
    slow_bytes_s: float | None = None
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: Any = None
    drop: str | None = None  # "before": nothing is processed; "after": processed, the answer is lost
    truncate: float | None = None  # the share of the body that is sent
    chunked: bool = False  # truncate without announcing a Content-Length
    html: bool = False
    redirect: str | None = None
    corrupt: bool = False
    bomb: int | None = None  # bytes that a small gzip answer expands to
    like: str = "spaces"

    @property
    def processes(self) -> bool:
        """Whether the request reaches the service at all."""
        return (
            self.status is None
            and not self.html
            and self.redirect is None
            and self.bomb is None
            and self.drop != "before"
        )


@dataclass(slots=True, kw_only=True)
class Fault:
    """One fault and how often it was asked and has fired."""

    route: str | None
    nth: frozenset[int] | None
    every: int | None
    times: int | None
    probability: float | None
    action: Action
    chance: random.Random
    seen: int = 0
    fired: int = 0

    def matches(self, route: str) -> bool:
        return self.route is None or self.route == route

    def asked(self) -> bool:
        """Count one request on the route and say whether the fault fires on it."""
        self.seen += 1
        if self.times is not None and self.fired >= self.times:
            return False
        if self.nth is not None and self.seen not in self.nth:
            return False
        if self.every is not None and self.seen % self.every:
            return False
        # Drawn only when nothing else rules it out, so that the same seed hits the same requests.
        return self.probability is None or self.chance.random() < self.probability


@dataclass(slots=True)
class FaultPlan:
    """All faults of a server, in order."""

    faults: list[Fault] = field(default_factory=list)

    def choose(self, route: str) -> Action | None:
        """The action for a request that has just arrived, or None. Every matching fault counts the request."""
        chosen: Fault | None = None
        for fault in self.faults:
            if fault.matches(route) and fault.asked() and chosen is None:
                fault.fired += 1
                chosen = fault
        return chosen.action if chosen else None


def parse_duration_s(value: object) -> float:
    """Seconds of `200ms`, `2s`, `1.5m`, `1h` or a plain number of seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return float(value)
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise FaultError(f"not a duration: {value!r}", hint="write it as 200ms, 2s, 5m or 1h")
    return float(match[1]) * _SECONDS[match[2]]


def parse_faults(value: object, *, seed: int = 0) -> FaultPlan:
    """Read a list of faults as JSON or YAML gave it. Raises FaultError with the index and the reason."""
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise FaultError("faults must be a list of objects")
    return FaultPlan([_fault(entry, f"faults[{index}]", seed + index) for index, entry in enumerate(value)])


def _fault(entry: object, where: str, seed: int) -> Fault:
    if not isinstance(entry, Mapping):
        raise FaultError(f"{where}: must be an object")
    _known(entry, _SELECTORS, where)
    route = entry.get("route")
    if route is not None and not (isinstance(route, str) and re.fullmatch(r"[A-Z]+ /\S*", route)):
        raise FaultError(f"{where}.route: must look like 'GET /v0/batch/jobs/{{id}}'")
    probability = entry.get("probability")
    if probability is not None and not (_is_number(probability) and 0 <= probability <= 1):
        raise FaultError(f"{where}.probability: must be a number from 0 to 1")
    if "action" not in entry:
        raise FaultError(f"{where}.action: is missing")
    return Fault(
        route=route,
        nth=_nth(entry.get("nth"), where),
        every=_count(entry.get("every"), f"{where}.every"),
        times=_count(entry.get("times"), f"{where}.times"),
        probability=probability,
        action=_action(entry["action"], f"{where}.action"),
        chance=random.Random(seed),  # noqa: S311 - a reproducible coin, not a secret
    )


def _nth(value: object, where: str) -> frozenset[int] | None:
    if value is None:
        return None
    numbers = value if isinstance(value, list | tuple) else [value]
    if not numbers or not all(_is_count(one) for one in numbers):
        raise FaultError(f"{where}.nth: must be a list of whole numbers from 1")
    return frozenset(numbers)


def _action(entry: object, where: str) -> Action:
    if not isinstance(entry, Mapping) or not entry:
        raise FaultError(f"{where}: must be an object with at least one member")
    # `redirect` may carry its own status, so it is looked at first.
    endings = [name for name in _ENDINGS if name in entry and not (name == "status" and "redirect" in entry)]
    if len(endings) > 1:
        raise FaultError(f"{where}: {' and '.join(endings)} exclude each other")
    allowed = {"delay", "slow", *endings}
    for ending in endings:
        allowed |= _COMPANIONS.get(ending, set())
    _known(entry, allowed, where)
    status = entry.get("status")
    if status is not None and not (_is_count(status) and status in {one.value for one in HTTPStatus} and status >= 200):
        raise FaultError(f"{where}.status: must be an HTTP status from 200 to 599")
    drop = entry.get("drop")
    if drop not in (None, "before", "after"):
        raise FaultError(f"{where}.drop: must be 'before' or 'after'")
    return Action(
        delay_s=_duration(entry.get("delay", 0), f"{where}.delay"),
        slow_bytes_s=_rate(entry.get("slow"), f"{where}.slow"),
        status=status,
        headers=_headers(entry.get("headers"), f"{where}.headers"),
        body=entry.get("body"),
        drop=drop,
        truncate=_share(entry.get("truncate"), f"{where}.truncate"),
        chunked=_flag(entry, "chunked", where),
        html=_flag(entry, "html", where),
        redirect=_redirect(entry.get("redirect"), f"{where}.redirect"),
        corrupt=_flag(entry, "corrupt", where),
        bomb=_count(entry.get("bomb"), f"{where}.bomb"),
        like=_likeness(entry.get("like", "spaces"), f"{where}.like"),
    )


def _likeness(value: object, where: str) -> str:
    if value not in ("spaces", "string", "text"):
        raise FaultError(f"{where}: must be spaces, string or text")
    return str(value)


def _known(entry: Mapping[str, Any], allowed: set[str], where: str) -> None:
    unknown = [name for name in entry if name not in allowed]
    if unknown:
        raise FaultError(f"{where}: unknown or misplaced member {unknown[0]!r}; allowed: {', '.join(sorted(allowed))}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _count(value: Any, where: str) -> int | None:
    if value is not None and not _is_count(value):
        raise FaultError(f"{where}: must be a whole number from 1")
    return value  # type: ignore[no-any-return]


def _flag(entry: Mapping[str, Any], name: str, where: str) -> bool:
    value = entry.get(name, False)
    if not isinstance(value, bool):
        raise FaultError(f"{where}.{name}: must be true or false")
    return value


def _duration(value: object, where: str) -> float:
    try:
        return parse_duration_s(value)
    except FaultError as error:
        raise FaultError(f"{where}: {error}") from None


def _rate(value: object, where: str) -> float | None:
    if value is None:
        return None
    match = _RATE.fullmatch(value) if isinstance(value, str) else None
    if match is None or float(match[1]) <= 0:
        raise FaultError(f"{where}: must be a rate such as 100B/s, 20KB/s or 1MB/s")
    return float(match[1]) * _BYTES[match[2].upper()]


def _share(value: Any, where: str) -> float | None:
    if value is not None and not (_is_number(value) and 0 <= value < 1):
        raise FaultError(f"{where}: must be a number from 0, and less than 1")
    return None if value is None else float(value)


def _headers(value: object, where: str) -> tuple[tuple[str, str], ...]:
    if value is None:
        return ()
    if not isinstance(value, Mapping):
        raise FaultError(f"{where}: must be an object of header names and values")
    pairs = tuple((str(name), str(text)) for name, text in value.items())
    for name, text in pairs:
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or not re.fullmatch(r"[\x20-\x7e]*", text):
            raise FaultError(f"{where}: {name!r} is not a header that can be sent")
    return pairs


def _redirect(value: object, where: str) -> str | None:
    if value is not None and not (isinstance(value, str) and re.fullmatch(r"[\x21-\x7e]+", value)):
        raise FaultError(f"{where}: must be a URL")
    return value

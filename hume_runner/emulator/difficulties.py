"""A host that is difficult to deal with: what it shows late, spells another way, leaves out, or never says.

Everything here is off until a test asks for it by `POST /_emulator/difficulties`; the documents leave these open.
Parsing and the choices that need no request are here; the route groups ask.
"""

from __future__ import annotations

import base64
import html
import json
import random
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeVar
from urllib.parse import quote, unquote

from hume_runner.emulator.faults import FaultError, parse_duration_s
from hume_runner.frozen import frozen

T = TypeVar("T")


def _sorted_query(url: str) -> str:
    before, mark, after = url.partition("?")
    query, hash_, fragment = after.partition("#")
    return before + mark + "&".join(sorted(query.split("&"))) + hash_ + fragment


# One string into another; a `{"without": REGEX}` is one more.
_SPELLINGS: dict[str, Callable[[str], str]] = {
    "upper": str.upper,
    "lower": str.lower,
    "nfc": lambda text: unicodedata.normalize("NFC", text),
    "nfd": lambda text: unicodedata.normalize("NFD", text),
    "percent": lambda text: quote(text, safe=""),
    "decode": unquote,
    "encode": lambda text: quote(unquote(text), safe=":/?&=#,;@"),
    "encode_again": lambda text: quote(text, safe=":/?&=#,;@"),
    "lower_hex": lambda text: re.sub(r"%[0-9A-Fa-f]{2}", lambda found: found.group().lower(), text),
    "path": lambda text: f"uploads/2026/{text}",
    "backslash_path": lambda text: f"C:\\fakepath\\{text}",
    "strip": str.strip,
    "collapse": lambda text: " ".join(text.split()),
    "upper_host": lambda text: re.sub(r"(?<=://)[^/?#]*", lambda found: found.group().upper(), text),
    "http": lambda text: re.sub(r"^https:", "http:", text),
    "sorted_query": _sorted_query,
    "html": html.escape,
    "base64_of_hex": lambda text: base64.b64encode(bytes.fromhex(text)).decode(),
}


def _form(media: int, parts: int) -> int:
    return media + 180 + 150 * parts


# What a host tells of an upload that carries so many bytes of media in so many parts.
_COUNTS: dict[str, Callable[[int, int], int]] = {
    "media": lambda media, parts: media,
    "form": _form,
    "headers": lambda media, parts: _form(media, parts) + 700,
    "tls": lambda media, parts: _form(media, parts) + 31 * -(-_form(media, parts) // 16_384),
    "http2": lambda media, parts: _form(media, parts) + 9 * -(-_form(media, parts) // 16_384),
    "packets": lambda media, parts: _form(media, parts) + 52 * -(-_form(media, parts) // 1_448),
    "kib": lambda media, parts: -(-media // 1024) * 1024,
    "blocks": lambda media, parts: -(-media // 512) * 512,
    "base64": lambda media, parts: -(-media // 3) * 4,
    "packed": lambda media, parts: media * 6 // 10,
}
_WAYS_OF_QUOTING = ("plain", "url", "base64", "escapes", "split", "entities")
_PLACES_OF_QUOTING = ("message", "error", "title", "name", "refusal")
_ANSWERS = ("whole", "cut", "hang", "truncated")


class DifficultyError(FaultError):
    """A difficulty that makes no sense; the message says which one and why."""


@frozen(kw_only=False)
class Spelling:
    """How the host spells strings of one kind: each step after the other."""

    steps: tuple[Callable[[str], str], ...] = ()

    def __call__(self, text: str) -> str:
        for step in self.steps:
            text = step(text)
        return text


@dataclass(slots=True, kw_only=True)
class Lost:
    """What becomes of a submission or upload, and of its answer. Counts what it was asked for.

    `accepted_after_s`: 0 at once, None never; counted from when the client is gone or answered. `silent_s`,
    `live_s`: an expression run reads `errored` without bytes for so long, then `live` for so long. `uncounted_bytes`:
    its `bytes_received` leaves so many out.
    """

    holding: str | None = None
    skip: int = 0
    times: int | None = None
    accepted_after_s: float | None = 0.0
    answer: str | int = "whole"
    billed: bool = True
    says_bytes: bool = True
    uncounted_bytes: int = 0
    silent_s: float = 0.0
    live_s: float = 0.0
    seen: int = 0
    fired: int = 0

    def takes(self, content: str) -> bool:
        """Count a submission whose content reads so, and say whether it is one that is lost."""
        if self.holding is not None and self.holding not in content:
            return False
        self.seen += 1
        if self.seen <= self.skip or (self.times is not None and self.fired >= self.times):
            return False
        self.fired += 1
        return True


@frozen
class Listing:
    """How a list, and the details of what it lists, differ from the truth. Times are seconds."""

    late_s: float = 0.0
    details_late_s: float = 0.0
    cap: int | None = None
    cap_keeps: Literal["asked", "newest", "oldest"] = "asked"
    order: Literal["asked", "newest", "oldest", "shuffled"] = "asked"
    ignores: frozenset[str] = frozenset()
    leaves_out: tuple[str, ...] = ()
    details_leave_out: tuple[str, ...] = ()
    filenames: Spelling = Spelling()
    texts: Spelling = Spelling()
    urls: Spelling = Spelling()
    md5s: Spelling = Spelling()
    shows: Literal["all", "first", "every other", "count", "first and count"] = "all"
    predictions_spell: frozenset[str] = frozenset()
    integer_ids: frozenset[str] = frozenset()
    nameless_every: int | None = None
    empty: bool = False
    status: int | None = None
    details_status: int | None = None
    extra: tuple[Any, ...] = ()
    off_s: float = 0.0
    counts: Callable[[int, int], int] = _COUNTS["media"]

    def cut(self, shown: Sequence[T], newest_first: Sequence[T]) -> list[T]:
        """What of `shown` is left when only so many may be; `newest_first` is all that could be shown."""
        if self.empty:
            return []
        if self.cap is None:
            return list(shown)
        if self.cap_keeps == "asked":
            return list(shown[: self.cap])
        kept = newest_first[: self.cap] if self.cap_keeps == "newest" else newest_first[::-1][: self.cap]
        return [one for one in shown if one in kept]

    def ordered(self, shown: list[T], age: Callable[[T], Any], chance: random.Random) -> list[T]:
        match self.order:
            case "asked":
                return shown
            case "shuffled":
                return chance.sample(shown, len(shown))
            case _:
                return sorted(shown, key=age, reverse=self.order == "newest")

    def some_of(self, sources: list[Any]) -> Any:
        """What of a job's sources of one kind is shown."""
        match self.shows:
            case "first":
                return sources[:1]
            case "every other":
                return sources[::2]
            case "count":
                return len(sources)
            case "first and count":
                return [*sources[:1], *([f"+{len(sources) - 1} more"] if len(sources) > 1 else [])]
            case _:
                return sources

    def arranged(self, entries: list[dict[str, Any]], *, named_by: str) -> list[Any]:
        """The list's entries, some without what is left out, or without the member that names them, and with whatever
        else it holds."""
        for number, entry in enumerate(entries, 1):
            leave_out(entry, self.leaves_out)
            if self.nameless_every is not None and number % self.nameless_every == 0:
                entry.pop(named_by, None)
        return [*entries, *self.extra]


@frozen
class Dating:
    """The header `Date`: off by so many seconds, or missing."""

    off_s: float = 0.0
    missing: bool = False


@frozen
class Quoting:
    """Where the host quotes the caller's key, and in which spelling."""

    places: frozenset[str] = frozenset()
    way: str = "plain"


@frozen
class Leaving:
    """What becomes of an upload whose client leaves by itself."""

    while_uploading: Literal["nothing", "silent", "unbilled", "billed"] = "nothing"
    after_uploading: Literal["billed", "unbilled", "silent"] = "billed"


@dataclass(slots=True, kw_only=True)
class Difficulties:
    """All of them; one set replaces another."""

    jobs: Listing = field(default_factory=Listing)
    runs: Listing = field(default_factory=Listing)
    submissions: list[Lost] = field(default_factory=list)
    uploads: list[Lost] = field(default_factory=list)
    date: Dating = field(default_factory=Dating)
    leaving: Leaving = field(default_factory=Leaving)
    quote_key: Quoting = field(default_factory=Quoting)
    gzip: bool = False
    chance: random.Random = field(default_factory=lambda: random.Random(0))  # noqa: S311 - an order, not a secret

    def lost(self, what: Literal["submissions", "uploads"], content: str) -> Lost | None:
        """The first entry that takes this one."""
        return next((one for one in getattr(self, what) if one.takes(content)), None)


def leave_out(entry: dict[str, Any], paths: Sequence[str]) -> None:
    """Remove members; `request.files` is the member `files` of the member `request`."""
    for path in paths:
        *above, last = path.split(".")
        inside: Any = entry
        for name in above:
            inside = inside.get(name) if isinstance(inside, dict) else None
        if isinstance(inside, dict):
            inside.pop(last, None)


# --- from JSON -----------------------------------------------------------------------------------------------------


def parse_difficulties(given: Any, *, seed: int = 0) -> Difficulties:
    """Raises: DifficultyError naming the member."""
    members = _object(given, "difficulties")
    made: dict[str, Any] = {}
    for name, value in members.items():
        match name:
            case "jobs" | "runs":
                made[name] = _build(Listing, value, name)
            case "submissions" | "uploads":
                entries = value if isinstance(value, list) else [value]
                made[name] = [_build(Lost, one, f"{name}[{at}]") for at, one in enumerate(entries)]
            case "date":
                made[name] = _build(Dating, value, name)
            case "leaving":
                made[name] = _build(Leaving, value, name)
            case "quote_key":
                made[name] = _build(Quoting, value, name)
            case "gzip":
                made[name] = _flag(value, name)
            case _:
                raise DifficultyError(f"difficulties: unknown member {name!r}")
    return Difficulties(**made, chance=random.Random(seed))  # noqa: S311


def _build(kind: type[T], given: Any, path: str) -> T:
    known = {_NAMES.get(one.name, one.name): one.name for one in fields(kind)}  # type: ignore[arg-type]
    made = {}
    for name, value in _object(given, path).items():
        if name not in known or known[name] in ("seen", "fired"):
            raise DifficultyError(f"{path}: unknown member {name!r}")
        made[known[name]] = _READ[known[name]](value, f"{path}.{name}")
    return kind(**made)


def _object(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise DifficultyError(f"{path}: must be an object")
    return value


def _flag(value: Any, path: str) -> bool:
    if not isinstance(value, bool):
        raise DifficultyError(f"{path}: must be true or false")
    return value


def _whole(value: Any, path: str) -> int | None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        raise DifficultyError(f"{path}: must be a whole number or null")
    return value


def _status(value: Any, path: str) -> int | None:
    if value is not None and not (isinstance(value, int) and 400 <= value <= 599):
        raise DifficultyError(f"{path}: must be an error status or null")
    return value


def _duration(value: Any, path: str) -> float:
    try:
        return parse_duration_s(value)
    except FaultError as error:
        raise DifficultyError(f"{path}: {error}") from None


def _signed(value: Any, path: str) -> float:
    """A duration that may be negative: -3600, "-1h"."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and value.strip().startswith("-"):
        return -_duration(value.strip()[1:], path)
    return _duration(value, path)


def _acceptance(value: Any, path: str) -> float | None:
    return {"now": 0.0, "never": None}[value] if value in ("now", "never") else _duration(value, path)


def _answer(value: Any, path: str) -> str | int:
    if value in _ANSWERS:
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool) and 400 <= value <= 599:
        return value
    raise DifficultyError(f"{path}: must be one of {', '.join(_ANSWERS)} or an error status")


def _text(value: Any, path: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise DifficultyError(f"{path}: must be a string")
    return value


def _strings(value: Any, path: str) -> tuple[str, ...]:
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise DifficultyError(f"{path}: must be a string or a list of strings")
    return tuple(given)


def _words(*allowed: str) -> Callable[[Any, str], frozenset[str]]:
    """Some of the words; true means all, false none."""

    def read(value: Any, path: str) -> frozenset[str]:
        if isinstance(value, bool):
            return frozenset(allowed if value else ())
        chosen = frozenset(_strings(value, path))
        if not chosen <= set(allowed):
            raise DifficultyError(f"{path}: must be some of {', '.join(allowed)}")
        return chosen

    return read


def _one_of(*allowed: str) -> Callable[[Any, str], str]:
    def read(value: Any, path: str) -> str:
        if value not in allowed:
            raise DifficultyError(f"{path}: must be one of {', '.join(allowed)}")
        return str(value)

    return read


def _spelling(value: Any, path: str) -> Spelling:
    return Spelling(tuple(_step(one, path) for one in (value if isinstance(value, list) else [value])))


def _step(value: Any, path: str) -> Callable[[str], str]:
    match value:
        case str() if value in _SPELLINGS:
            return _SPELLINGS[value]
        case {"without": str(pattern)}:
            try:
                compiled = re.compile(pattern)
            except re.error as error:
                raise DifficultyError(f"{path}: {json.dumps(pattern)} is no regular expression: {error}") from None
            return lambda text: compiled.sub("", text)
        case {"first": int(characters)} if characters > 0:
            return lambda text: text[:characters]
        case _:
            raise DifficultyError(
                f'{path}: must be some of {", ".join(_SPELLINGS)}, {{"without": REGEX}} or {{"first": CHARACTERS}}'
            )


def _anything(value: Any, path: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise DifficultyError(f"{path}: must be a list")
    return tuple(value)


# Members that JSON names otherwise: there a duration carries its unit with it.
_NAMES = {
    "late_s": "late",
    "details_late_s": "details_late",
    "off_s": "off",
    "accepted_after_s": "accepted",
    "silent_s": "silent",
    "live_s": "live",
    "places": "in",
    "way": "as",
}
_READ: dict[str, Callable[[Any, str], Any]] = {
    "late_s": _duration,
    "details_late_s": _duration,
    "cap": _whole,
    "cap_keeps": _one_of("asked", "newest", "oldest"),
    "order": _one_of("asked", "newest", "oldest", "shuffled"),
    "ignores": lambda value, path: frozenset(_strings(value, path)),
    "leaves_out": _strings,
    "details_leave_out": _strings,
    "filenames": _spelling,
    "texts": _spelling,
    "urls": _spelling,
    "md5s": _spelling,
    "shows": _one_of("all", "first", "every other", "count", "first and count"),
    "predictions_spell": _words("filenames", "urls"),
    "integer_ids": _words("submit", "list", "details"),
    "nameless_every": _whole,
    "empty": _flag,
    "status": _status,
    "details_status": _status,
    "extra": _anything,
    "off_s": _signed,
    "counts": lambda value, path: _COUNTS[_one_of(*_COUNTS)(value, path)],
    "holding": _text,
    "skip": lambda value, path: _whole(value, path) or 0,
    "times": _whole,
    "accepted_after_s": _acceptance,
    "answer": _answer,
    "billed": _flag,
    "says_bytes": _flag,
    "uncounted_bytes": lambda value, path: _whole(value, path) or 0,
    "silent_s": _duration,
    "live_s": _duration,
    "missing": _flag,
    "while_uploading": _one_of("nothing", "silent", "unbilled", "billed"),
    "after_uploading": _one_of("billed", "unbilled", "silent"),
    "places": _words(*_PLACES_OF_QUOTING),
    "way": _one_of(*_WAYS_OF_QUOTING),
}

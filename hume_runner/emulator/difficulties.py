"""A host that is difficult to deal with: what it shows late, spells another way, leaves out, or never says.

Everything here is off until a test asks for it by `POST /_emulator/difficulties` (`asked_difficulties` reads that); the
documents leave these open. The choices that need no request are here; the route groups ask.
"""

from __future__ import annotations

import base64
import html
import random
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar
from urllib.parse import quote, unquote

from hume_runner.frozen import frozen

T = TypeVar("T")


def _sorted_query(url: str) -> str:
    before, mark, after = url.partition("?")
    query, hash_, fragment = after.partition("#")
    return before + mark + "&".join(sorted(query.split("&"))) + hash_ + fragment


# One string into another; a `{"without": REGEX}` is one more.
SPELLINGS: dict[str, Callable[[str], str]] = {
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
COUNTS: dict[str, Callable[[int, int], int]] = {
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
    counts: Callable[[int, int], int] = COUNTS["media"]

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

"""What may be the same content written in another way. Pure.

A service may tell back what it was sent in other capitals, without blanks, its query sorted or left out, or only how it
begins. That is never enough to take it for the same; it is enough to ask before paying for it once more.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from hashlib import blake2b
from itertools import accumulate, combinations
from typing import Literal
from urllib.parse import unquote

from hume_runner.frozen import frozen
from hume_runner.planning.fingerprint import url_identity

Worded = Literal["url", "text"]

# A URL with more members in its query than this is compared with few and with nearly all of them only.
_MANY = 6
# What a host puts where it does not show a value.
_MASKED = re.compile(r"[*x.\u2026\u2022-]*|[\[<(]?(?:redacted|masked|hidden|removed|secret)[\])>]?", re.IGNORECASE)
_PORTS = {"http": ":80", "https": ":443"}
# What is cut to so few characters tells hardly anything.
_SHORTEST_CUT = 8
# Where the last word was left out as well, what is left is shorter than the host allows.
_SHORTEST_WORDS, _CUT_SHARE = 40, 0.6


@frozen(kw_only=False)
class Capitals:
    """Whether the texts, or URLs, that a job is told to carry may have had other capitals when they were sent: a host
    that changes them leaves only small letters, or only capitals."""

    changed: bool

    @classmethod
    def of(cls, values: Iterable[str]) -> Capitals:
        small = large = False
        for value in values:
            _, _, rest = value.rpartition("://")
            small = small or rest != rest.upper()
            large = large or rest != rest.lower()
        return cls(not (small and large))


def told_as(kind: Worded, value: str, capitals: Capitals) -> frozenset[int]:
    """64-bit numbers of which `sent_as` gives one for whatever `value`, as a service tells it, may be a spelling of."""
    values = {value, *_undone(kind, value)}
    if capitals.changed:
        values |= {_folded(one) for one in values}
    return frozenset(number for one in values for number in _told(kind, one))


def sent_as(kind: Worded, value: str) -> frozenset[int]:
    """All numbers under which a service may tell `value`."""
    found: set[int] = set()
    for one in (value, *_poorer(value)):
        for spelt in {one, _folded(one)}:
            found |= _sent(kind, spelt)
    return frozenset(found)


def begins_as(kind: Worded, value: str, cuts: Collection[Cut]) -> Iterator[int]:
    """The numbers of how `value` begins, as far as hosts that cut like this would show it."""
    for spelt in {value, _folded(value)}:
        plain = outline(kind, spelt)
        ends = _word_ends(kind, spelt)
        for cut in cuts:
            if cut.length < len(plain) and (cut.anywhere or cut.length in ends):
                yield _number("cut", kind, plain[: cut.length])


def beginning(kind: Worded, value: str, capitals: Capitals) -> tuple[int, tuple[int, ...]]:
    """The length of what a service tells as an `outline`, and its numbers as `begins_as` gives them."""
    plain = outline(kind, value)
    numbers = {_number("cut", kind, plain)}
    if capitals.changed:
        numbers.add(_number("cut", kind, outline(kind, _folded(value))))
    return len(plain), tuple(sorted(numbers))


@frozen(kw_only=False)
class Cut:
    """A length (of an `outline`) to which a host may have cut what it tells: anywhere, or behind a word."""

    length: int
    anywhere: bool


def cut_to(kind: Worded, size: int, length: int, longest: int) -> Cut | None:
    """How what is told with so many characters, or so many of its outline, may have been cut, where the longest that is
    told has `longest`; None if it was not."""
    if size < _SHORTEST_CUT:
        return None
    if size == longest:
        return Cut(length, True)
    if kind != "text":
        return None
    behind_a_word = size == longest - 1 or (size >= _SHORTEST_WORDS and size >= _CUT_SHARE * longest)
    return Cut(length, False) if behind_a_word else None


def _word_ends(kind: Worded, value: str) -> frozenset[int]:
    if kind != "text":
        return frozenset()
    words = unicodedata.normalize("NFKC", html.unescape(value)).split()
    return frozenset(accumulate(map(len, words)))


def outline(kind: Worded, value: str) -> str:
    """What every way of writing a text, or a URL, leaves of it; capitals stay."""
    if kind == "text":
        return _solid(html.unescape(value))
    return _solid(_decoded(value.partition("://")[2] or value).replace("+", " "))


# -- texts and URLs as numbers ---------------------------------------------------------------------------------------


def _told(kind: Worded, value: str) -> Iterator[int]:
    if kind == "text":
        yield _number("text", outline("text", value))
        return
    url = _Url(value)
    if not url.whole:
        yield _number("name", url.place.rpartition("/")[2])
    if "/" not in url.place:
        yield _number("host", url.place)
    for members in url.queries:
        shown = [member for member in members if not _hides(member)]
        yield _number("url", url.place, *shown)


def _sent(kind: Worded, value: str) -> set[int]:
    if kind == "text":
        return {_number("text", outline("text", value))}
    url = _Url(value)
    found = {_number("name", url.place.rpartition("/")[2]), _number("host", url.place.partition("/")[0])}
    for members in url.queries:
        found |= {_number("url", url.place, *some) for some in _parts_of(members)}
    return found


def _parts_of(members: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """What a host may show of a query: all, some, none of its members."""
    count = len(members)
    for size in range(count + 1):
        if count <= _MANY or size <= 1 or size >= count - 1:
            yield from combinations(members, size)


class _Url:
    """`place`: host and path; `queries`: the members of the query, sorted, by each way of reading it; `whole`: it says
    how it is to be reached."""

    def __init__(self, value: str) -> None:
        value = html.unescape(value.strip())
        scheme, mark, rest = url_identity(value).partition("://")
        self.whole = bool(mark)
        base, _, query = (rest if mark else scheme).partition("?")
        host, slash, path = _decoded(base).replace("\\", "/").partition("/")
        host = host.rpartition("@")[2].casefold().rstrip(".").removesuffix(_PORTS.get(scheme.casefold(), ":"))
        path = _solid(re.sub("/{2,}", "/", path.replace("+", " "))).strip("/")
        self.place = _named(host) + ("/" if slash and path else "") + path
        raw = [_decoded(member) for member in query.split("&") if member]
        decoded = [member for member in re.split("[&;]", _decoded(query)) if member]
        self.queries = {tuple(sorted(_solid(m.replace("+", " ")) for m in members)) for members in (raw, decoded)}


def _named(host: str) -> str:
    """A host in letters, however it is told."""
    if "xn--" not in host:
        return _solid(host)
    try:
        return _solid(host.encode("ascii").decode("idna"))
    except UnicodeError:
        return host


def _hides(member: str) -> bool:
    name, mark, value = member.partition("=")
    return bool(mark) and bool(_MASKED.fullmatch(value)) and bool(name)


def _decoded(value: str) -> str:
    if "%" not in value:
        return value
    for _ in range(3):  # a host that encodes what is encoded already
        plain = unquote(value, errors="replace")
        if plain == value:
            break
        value = plain
    return value


def _solid(value: str) -> str:
    """Composed, and without blanks."""
    return "".join((value if value.isascii() else unicodedata.normalize("NFKC", value)).split())


def _folded(value: str) -> str:
    # Capitals have no way back for some letters, so both ways are gone.
    return value.lower() if value.isascii() else unicodedata.normalize("NFKC", value).upper().casefold()


def _undone(kind: Worded, value: str) -> Iterator[str]:
    """What `value` was before it was written, or read, in another encoding."""
    if kind == "url" and (plain := _decoded(value)) != value:
        yield plain
    if value.isascii():
        return
    for encoding in ("latin-1", "cp1252"):
        try:
            yield value.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue


def _poorer(value: str) -> Iterator[str]:
    """`value` as hosts that know no other letters may tell it."""
    if value.isascii():
        return
    yield value.encode("ascii", "replace").decode()
    yield value.encode("ascii", "ignore").decode()
    yield "".join(one for one in unicodedata.normalize("NFKD", value) if not unicodedata.combining(one))


def _number(*parts: str) -> int:
    digest = blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)

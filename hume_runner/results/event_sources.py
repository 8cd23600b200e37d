"""Events of sources that are not there: their rows would be missing without a word."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from hume_runner.errors import ManifestError, Problem
from hume_runner.manifest.near_ids import did_you_mean
from hume_runner.manifest.shown import quoted
from hume_runner.results.intervals import Intervals

_MOST_PROBLEMS = 100
_MOST_TOLD = 5
_HOW = "the id of a file is its path from the manifest's folder; `plan --items` shows every id"


class Listed(Protocol):
    """The items of a whole manifest."""

    def absent(self, ids: Iterable[str]) -> list[str]:
        """Those that no item has."""
        ...

    def ids(self) -> Iterator[str]:
        """The id of every item."""
        ...


def check_sources(intervals: Intervals, absent: Iterable[str], ids: Callable[[], Iterable[str]]) -> list[str]:
    """What is to be told of events whose sources are `absent`, where every id is known; `ids`: all.

    A list may be about more sources than one manifest has, so its lines are told. Raises: ManifestError for an event
    that stands in the manifest itself, and for a list of which no line fits.
    """
    missing = set(absent)
    if not missing:
        return []
    files = {one.place.file for name, one in intervals.mentions.items() if one.listed and name not in missing}
    wrong = [
        name
        for name, one in intervals.mentions.items()
        if name in missing and (not one.listed or one.place.file not in files)
    ]
    if wrong:
        raise ManifestError([_problem(intervals, name, ids) for name in wrong[:_MOST_PROBLEMS]])
    return list(_told(intervals, [name for name in intervals.mentions if name in missing], ids))


def _problem(
    intervals: Intervals, name: str, ids: Callable[[], Iterable[str]], what: str = "no source has the id"
) -> Problem:
    return intervals.mentions[name].place.problem(f"{what} {quoted(name)}", did_you_mean(name, ids()) or _HOW)


def _told(
    intervals: Intervals,
    names: list[str],
    ids: Callable[[], Iterable[str]],
    what: str = "no source has the id",
) -> Iterator[str]:
    for name in names[:_MOST_TOLD]:
        problem = _problem(intervals, name, ids, what)
        near = f"; {problem.hint}" if problem.hint != _HOW else ""
        yield f"{problem}: this event holds nothing{near}"
    if len(names) > _MOST_TOLD:
        yield f"{len(names) - _MOST_TOLD:,} more sources of events are not there"


def without_rows(intervals: Intervals, ids: Iterable[str]) -> list[str]:
    """What is to be told of events whose sources are none of these, which may be a part of what a manifest lists."""
    if not intervals.by_item:
        return []
    known = set(ids)
    names = [name for name in intervals.mentions if name not in known]
    return list(_told(intervals, names, lambda: known, "no source in these results has the id"))


class SeenIds:
    """Which of the sources of events come by while a manifest's sources are listed, and what else does.

    An item may become several once it is read (members of an archive, channels), and of two of a name the second has a
    number behind it: what would be such a one is not missed before.
    """

    def __init__(self, intervals: Intervals) -> None:
        self._left = set(intervals.by_item)
        self._parts: dict[str, set[str]] = {}
        for name in self._left:
            for at, letter in enumerate(name):
                if letter in "/~":
                    self._parts.setdefault(name[:at], set()).add(name)
        self._first: list[str] = []

    def add(self, name: str) -> None:
        """An item that is listed."""
        self._left.discard(name)
        if name in self._parts:
            self._left -= self._parts[name]
        if len(self._first) < 10_000:
            self._first.append(name)

    def check(self, intervals: Intervals) -> list[str]:
        """As `check_sources`, once all have come by."""
        return check_sources(intervals, self._left, lambda: self._first)

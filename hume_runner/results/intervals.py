"""Stretches of sources that a manifest names (`events`): which row lies in which."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, field
from io import TextIOWrapper
from itertools import accumulate
from math import isfinite
from pathlib import Path

from hume_runner.errors import ManifestError, Problem, SourceError, refuse_scarce
from hume_runner.frozen import frozen
from hume_runner.manifest.model import EventEntry, Manifest, Place
from hume_runner.manifest.published import schema
from hume_runner.manifest.quantities import moment_s
from hume_runner.regular_files import open_regular

_COLUMNS = {"start": ("start", "start_s", "begin_s"), "end": ("end", "end_s"), "name": ("name", "event")}
_SOURCE = ("source", "item_id", "id")


@frozen
class Interval:
    """A named stretch of a source, in seconds from its start; the end does not belong to it."""

    name: str
    begin_s: float
    end_s: float


@frozen
class Mention:
    """Where an event names a source: in the manifest, or on a line of a list that the manifest names."""

    place: Place
    listed: bool = False


@frozen
class Intervals:
    """All that a manifest names: for every source, and for some by id."""

    everywhere: tuple[Interval, ...] = ()
    by_item: Mapping[str, tuple[Interval, ...]]
    # Where each source is named first; changes nothing of what they say.
    mentions: Mapping[str, Mention] = field(default_factory=dict, compare=False)

    def __bool__(self) -> bool:
        return bool(self.everywhere or self.by_item)

    def of(self, item_id: str) -> tuple[Interval, ...]:
        """Those of one source, by their begin."""
        mine = self.by_item.get(item_id)
        if mine is None:
            return self.everywhere
        return tuple(sorted((*self.everywhere, *mine), key=lambda one: (one.begin_s, -one.end_s, one.name)))

    @property
    def digest(self) -> str:
        """Changes with every change of what they say."""
        told = [[asdict(one) for one in self.everywhere]]
        told += [[{"item": item}, *map(asdict, found)] for item, found in sorted(self.by_item.items())]
        return "events " + hashlib.sha256(json.dumps(told).encode("utf-8", "surrogatepass")).hexdigest()


NONE = Intervals(by_item={})


@frozen
class ManifestSays:
    """What the outputs need of a manifest and no state knows: what it is about, and its events."""

    description: str | None = None
    intervals: Intervals = NONE

    @classmethod
    def of(cls, manifest: Manifest) -> ManifestSays:
        """Reads the lists of events. Raises: ManifestError, SourceError."""
        return cls(description=manifest.description or None, intervals=read_intervals(manifest.events))

    @property
    def makers(self) -> tuple[str, ...]:
        """What of it decides how tables look, for `derived.maker`."""
        return (self.intervals.digest,) if self.intervals else ()


def holding(intervals: Sequence[Interval], moments: Iterable[float | None]) -> Iterator[list[Interval]]:
    """For each moment (seconds, or None) the intervals that it lies in, the last to begin at the end.

    `intervals` are in the order of their begins. A moment costs what it lies in, and not all that began before it.
    """
    begins = [one.begin_s for one in intervals]
    latest = list(accumulate((one.end_s for one in intervals), max))  # the latest end of all up to here
    for moment in moments:
        found: list[Interval] = []
        if moment is not None:
            at = bisect_right(begins, moment) - 1
            while at >= 0 and latest[at] > moment:
                if intervals[at].end_s > moment:
                    found.append(intervals[at])
                at -= 1
        yield found[::-1]


def read_intervals(entries: Iterable[EventEntry]) -> Intervals:
    """What the entries and their lists say. Raises: ManifestError for a list that says something that cannot be,
    SourceError for one that is missing; with every problem."""
    everywhere: list[Interval] = []
    by_item: dict[str, list[Interval]] = {}
    mentions: dict[str, Mention] = {}
    wrong: list[Problem] = []
    missing: list[Problem] = []
    for entry in entries:
        if entry.listing is None:
            found = Interval(name=entry.name or "", begin_s=entry.begin_s, end_s=entry.end_s)
            (everywhere if entry.source is None else by_item.setdefault(entry.source, [])).append(found)
            if entry.source is not None:
                # What the manifest itself says counts before what a list says.
                mentions[entry.source] = Mention(place=entry.place._replace(path=f"{entry.place.path}.source"))
            continue
        try:
            for line, source, found in _listed(entry.listing, wrong):
                (everywhere if source is None else by_item.setdefault(source, [])).append(found)
                if source is not None and source not in mentions:
                    place = Place(file=str(entry.listing), line=line, column=1, path="")
                    mentions[source] = Mention(place=place, listed=True)
        except (OSError, UnicodeDecodeError) as error:
            refuse_scarce(error)
            why = error.strerror or str(error) if isinstance(error, OSError) else "it is not UTF-8"
            missing.append(
                entry.place.problem(
                    f"the list {str(entry.listing)!r} cannot be read: {why}",
                    "paths are relative to the manifest's folder; save lists as UTF-8",
                )
            )
    if wrong:
        raise ManifestError([*wrong, *missing])
    if missing:
        raise SourceError(missing)
    return Intervals(
        everywhere=tuple(sorted(everywhere, key=lambda one: (one.begin_s, -one.end_s, one.name))),
        by_item={item: tuple(found) for item, found in by_item.items()},
        mentions=mentions,
    )


def _listed(path: Path, wrong: list[Problem]) -> Iterator[tuple[int, str | None, Interval]]:
    """(line, source or None for all, interval) of each line of a csv or tsv list."""

    def problem(line: int, message: str, hint: str) -> None:
        if len(wrong) < 100:
            wrong.append(Problem(file=str(path), line=line, column=1, path="", message=message, hint=hint))

    with open_regular(path) as raw, TextIOWrapper(raw, encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", strict=True)
        try:
            header = [name.strip().lower() for name in next(reader, [])]
            at = {name: _position(header, names) for name, names in _COLUMNS.items()}
            lacking = [name for name, where in at.items() if where is None]
            if lacking:
                names = ", ".join(header) or "nothing"
                hint = "the first line names the columns start, end, name, and for some sources alone: source"
                problem(1, f"has no column {' and no '.join(lacking)}: it names {names}", hint)
                return
            source_at = _position(header, _SOURCE)
            for row in reader:
                if not any(cell.strip() for cell in row):
                    continue
                if len(row) != len(header):
                    problem(reader.line_num, f"has {len(row)} cells instead of {len(header)}", "put commas in quotes")
                    continue
                cells = {name: row[where].strip() for name, where in at.items() if where is not None}
                begin, end = _seconds(cells["start"]), _seconds(cells["end"])
                if begin is None or end is None or not 0 <= begin < end or not cells["name"]:
                    hint = "start and end are seconds from the start of the source, as 12.5 or 1:30; the end is later"
                    problem(reader.line_num, f"is no event: {', '.join(row)[:120]!r}", hint)
                    continue
                source = row[source_at].strip() if source_at is not None else ""
                yield reader.line_num, source or None, Interval(name=cells["name"], begin_s=begin, end_s=end)
        except csv.Error as error:
            problem(reader.line_num, f"is no line of a table: {error}", "close the quotes")


def _position(header: Sequence[str], names: Sequence[str]) -> int | None:
    return next((header.index(name) for name in names if name in header), None)


def _seconds(text: str) -> float | None:
    if re.search(schema()["$defs"]["moment"]["pattern"], text):
        return moment_s(text)
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) else None

"""Which waiting items may be what a service tells in another way, and which of its sources that would be."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from hume_runner.frozen import frozen
from hume_runner.planning.likeness import (
    Capitals,
    Cut,
    Worded,
    beginning,
    begins_as,
    cut_to,
    sent_as,
    told_as,
)
from hume_runner.services.foreign import Foreign
from hume_runner.state.reader import StateReader
from hume_runner.state.told import Told

_WORDED: tuple[Worded, ...] = ("url", "text")
# So many sources are looked at that one item may be.
_MOST_ALIKE = 50


@frozen
class Alike:
    """A waiting item that may be a job's source; `place` is the source's in `Foreign.sources`."""

    remote_id: str
    place: int
    key: bytes
    item: str
    cut: bool  # only a beginning of it is told


def note(told: Told, foreign: Foreign, known: Collection[int]) -> None:
    """Remember what a job is told to carry, but for the sources at the places of `known`, which are items of ours."""
    for kind in _WORDED:
        values = {at: one.value or "" for at, one in enumerate(foreign.sources) if one.kind == kind}
        if not values:
            continue
        told.measure(kind, max(map(len, values.values())))
        capitals = Capitals.of(values.values())
        for at, value in values.items():
            if at not in known and value.strip():
                length, heads = beginning(kind, value, capitals)
                likes = told_as(kind, value, capitals)
                told.add(foreign.remote_id, at, kind, likes=likes, size=len(value), length=length, heads=heads)


def find(told: Told, store: StateReader) -> Iterator[Alike]:
    """Each waiting item with each source that it may be, in manifest order."""
    if told.empty:
        return
    cuts: dict[str, set[Cut]] = {}
    for one in _WORDED:
        longest = told.longest(one)
        cuts[one] = {
            cut for size, length in told.lengths(one) if (cut := cut_to(one, size, length, longest)) is not None
        }
    for key, name, kind, value in store.waiting_words():
        worded: Worded = "url" if kind == "url" else "text"
        found = dict.fromkeys(told.like(sent_as(worded, value), _MOST_ALIKE), False)
        if cuts[kind]:
            begun = told.beginning(begins_as(worded, value, cuts[kind]), _MOST_ALIKE)
            found |= {one: True for one in begun if one not in found}
        for (remote_id, place), begun_only in found.items():
            yield Alike(remote_id=remote_id, place=place, key=key, item=name, cut=begun_only)

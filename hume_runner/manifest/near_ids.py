"""Which source somebody meant who wrote an id that is none: ids are paths, and people write the end or the middle."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from itertools import islice

from hume_runner.manifest.shown import quoted

_MOST_LOOKED_AT = 10_000
_MOST_NAMED = 3


def near_ids(wanted: str, ids: Iterable[str]) -> list[str]:
    """The ids that `wanted` may stand for, at most three: those with it as their file's name, else those that hold it,
    else the nearest in spelling. Looks at the first ten thousand."""
    known = list(islice(ids, _MOST_LOOKED_AT))
    word = wanted.casefold()
    named = [one for one in known if word in (one.casefold(), _file(one), _stem(_file(one)), _stem(one.casefold()))]
    if not named and len(word) > 1:
        named = [one for one in known if word in one.casefold()]
    if not named:
        for part in (str.casefold, _file, lambda one: _stem(_file(one))):
            by_part = {part(one): one for one in reversed(known)}
            near = difflib.get_close_matches(word if part is str.casefold else _file(wanted), by_part, n=1, cutoff=0.7)
            if near:
                return [by_part[near[0]]]
    return named[:_MOST_NAMED]


def did_you_mean(wanted: str, ids: Iterable[str]) -> str:
    """`did you mean 'a/p07.wav'?`; empty where nothing is near."""
    near = near_ids(wanted, ids)
    return f"did you mean {' or '.join(map(quoted, near))}?" if near else ""


def _file(name: str) -> str:
    return name.casefold().rpartition("/")[2]


def _stem(name: str) -> str:
    stem, dot, _ = name.rpartition(".")
    return stem if dot and stem else name

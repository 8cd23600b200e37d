"""Labels from file names: `{participant}_{wave}.wav` reads `p07_2.wav` as participant p07, wave 2. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from hume_runner.frozen import frozen
from hume_runner.manifest.model import Scalar
from hume_runner.manifest.patterns import LABEL
from hume_runner.sources.cells import kind_of
from hume_runner.spelling import composed


@frozen(kw_only=False)
class NamePattern:
    """A pattern that was found good. `names`: its labels, in order."""

    regex: re.Pattern[str]
    names: tuple[str, ...]
    parts: int  # how many parts of the path it speaks of

    def labels(self, path: str) -> Mapping[str, Scalar] | None:
        """The labels of a path (POSIX separators); None where it does not fit."""
        tail = "/".join(path.split("/")[-self.parts :])
        found = self.regex.fullmatch(composed(tail))
        if found is None:
            return None
        return {name: _value(text) for name, text in zip(self.names, found.groups(), strict=True)}


@lru_cache(maxsize=64)
def name_pattern(pattern: str) -> NamePattern:
    """The pattern as a value; it must have no fault. Without an ending of its own any ending fits.

    A label ends where what follows it in the pattern stands for the first time, the last one at the end.
    """
    pattern = composed(pattern)
    pieces = LABEL.split(pattern)
    literals, names = pieces[::2], pieces[1::2]
    text = re.escape(literals[0])
    for after in literals[1:]:
        stop = re.escape(after[:1])
        text += (f"([^/{stop}]+)" if after and after != "/" else "([^/]+?)") + re.escape(after)
    if "." not in literals[-1]:
        text += r"(?:\.[^/.]+)?"
    return NamePattern(regex=re.compile(text, re.DOTALL), names=tuple(names), parts=pattern.count("/") + 1)


def _value(text: str) -> Scalar:
    """A whole number where it is written as one, else text: `07` is a name."""
    return int(text) if kind_of(text) == "whole" else text

"""Where a text is cut: into sentences, and into stretches that a model of short texts can read."""

from __future__ import annotations

import re
from collections.abc import Iterator

Span = tuple[int, int]  # characters, half open

# A line end, or marks that end a sentence (with the signs that close it) before a space. In scripts that write no
# spaces the mark is enough.
_END = re.compile(r"\s*\n\s*|[.!?…]+[\"'”’)\]]*(?=\s)|[。！？]+[」』”]*")
_WORD = re.compile(r"\S+")
# A full stop after these ends no sentence.
_SHORT = frozenset("mr mrs ms dr prof st sr jr vs etc e.g i.e approx dept fig inc no gen col sgt".split())
_LAST_WORD = re.compile(r"[^\s(\"'“‘]+$")


def sentences(text: str) -> list[Span]:
    """The sentences of a text, without the space around them."""
    return [span for span in (_stripped(text, *cut) for cut in _cuts(text)) if span[0] < span[1]]


def _cuts(text: str) -> Iterator[Span]:
    begin = 0
    for mark in _END.finditer(text):
        if mark.group() == "." and _is_short(text, mark.start(), mark.end()):
            continue
        yield begin, mark.end()
        begin = mark.end()
    yield begin, len(text)


def _is_short(text: str, begin: int, end: int) -> bool:
    """Whether the word before this full stop is cut short: a title, a single initial, or before a small letter."""
    word = _LAST_WORD.search(text[max(0, begin - 20) : begin])
    if word is None:
        return False
    last = word.group()
    if last.lower() in _SHORT or (len(last) == 1 and last.isupper() and last != "I"):
        return True
    return "." in last and not text[end : end + 20].lstrip()[:1].isupper()


def _stripped(text: str, begin: int, end: int) -> Span:
    part = text[begin:end]
    left = len(part) - len(part.lstrip())
    return begin + left, max(begin + left, begin + len(part.rstrip()))


def stretches(text: str, most_words: int) -> list[Span]:
    """The text as it is if it has no more words than that, else its sentences, longer ones cut between words."""
    if len(text.split()) <= most_words:
        return [(0, len(text))]
    found = []
    for begin, end in sentences(text):
        words = [match.span() for match in _WORD.finditer(text, begin, end)]
        found += [(some[0][0], some[-1][1]) for some in _runs(words, most_words)]
    return found


def _runs(words: list[Span], most: int) -> Iterator[list[Span]]:
    for begin in range(0, len(words), most):
        yield words[begin : begin + most]

"""Words as they were heard, put together to what was said at a time, with pauses, turns and rate. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from hume_runner.frozen import frozen
from hume_runner.services.local.measurers.voice import Span, overlap

# An utterance ends with a sentence, at such a silence, or where it gets so long that nobody would read it.
PAUSE_S = 0.6
LONGEST_S = 30.0
_SPEAKING_S = 0.1  # less voice than this has no rate

_ENDS = re.compile(r"[.?!…。？！।؟]+[\"'”’»)\]]*$")
_ABBREVIATED = frozenset("mr. mrs. ms. dr. st. prof. sr. jr. vs. e.g. i.e.".split())
_INITIAL = re.compile(r"^[^\W\d_]\.$")


@frozen
class Heard:
    """One word, with its spaces. `no_speech`, `log_probability` and `compression` are those of the window of sound that
    it was decoded in; `closes` tells that a segment of that ended with it, with a full stop or without."""

    text: str
    begin_s: float
    end_s: float
    probability: float
    no_speech: float
    log_probability: float
    compression: float
    closes: bool = False


@frozen
class Utterance:
    """Words that belong together. `places` are (begin, end) of each word in `text`."""

    number: int
    turn: int
    text: str
    words: tuple[Heard, ...]
    places: tuple[tuple[int, int], ...]
    pause_before_s: float | None
    speaking_s: float

    @property
    def begin_s(self) -> float:
        return self.words[0].begin_s

    @property
    def end_s(self) -> float:
        return self.words[-1].end_s

    @property
    def rate(self) -> float | None:
        """Words a second of voice."""
        return len(self.words) / self.speaking_s if self.speaking_s >= _SPEAKING_S else None


def spoken(words: Sequence[Heard], voice: Sequence[Span], turn_pause_s: float) -> Iterator[Utterance]:
    """Each utterance in order, numbered from 0. A turn ends with a silence longer than `turn_pause_s` between words."""
    turn = 0
    before: float | None = None
    for number, group in enumerate(_groups(words, min(PAUSE_S, turn_pause_s))):
        pause = None if before is None else max(0.0, group[0].begin_s - before)
        if pause is not None and pause > turn_pause_s:
            turn += 1
        before = group[-1].end_s
        text, places = _joined(group)
        yield Utterance(
            number=number,
            turn=turn,
            text=text,
            words=tuple(group),
            places=places,
            pause_before_s=pause,
            speaking_s=overlap(voice, group[0].begin_s, before),
        )


def _groups(words: Sequence[Heard], pause_s: float) -> Iterator[list[Heard]]:
    group: list[Heard] = []
    for number, word in enumerate(words):
        following = words[number + 1] if number + 1 < len(words) else None
        group.append(word)
        if following is None or _ends(group, word, following, pause_s):
            yield group
            group = []


def _ends(group: Sequence[Heard], word: Heard, following: Heard, pause_s: float) -> bool:
    if following.begin_s - word.end_s > pause_s or following.end_s - group[0].begin_s > LONGEST_S:
        return True
    text = word.text.strip()
    if not (word.closes or _ENDS.search(text)) or text.lower() in _ABBREVIATED or _INITIAL.match(text):
        return False
    return not following.text.strip()[:1].islower()


def _joined(words: Sequence[Heard]) -> tuple[str, tuple[tuple[int, int], ...]]:
    """The text of an utterance and where each word lies in it, without the spaces around it."""
    text = ""
    places = []
    for word in words:
        bare = word.text.strip()
        begin = len(text) + (len(word.text) - len(word.text.lstrip()) if text else 0)
        text = text.ljust(begin) + bare
        places.append((begin, begin + len(bare)))
    return text, tuple(places)

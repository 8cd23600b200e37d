"""Words: the real ones of a text, or simulated ones that fill the real length of a recording; then cut into segments.

Positions count characters over the whole passage. In a recording's transcript one space stands between two words.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from itertools import groupby

from hume_runner.emulator.scores import fingerprint, float32, integer, number
from hume_runner.frozen import frozen

_VOCABULARY = (
    "so the I we you it they and but maybe because really think know feel remember start wait there here always never "
    "today morning evening work people house river train letter window answer question picture music story minute "
    "little good quiet strange happy heavy open simple long bright could would should went came said told looked"
).split()
_CLOSING = "\"'\u201d\u2019)\\]"
_SENTENCE_END = re.compile(f"[.!?\u2026\u3002\uff01\uff1f][{_CLOSING}]*$")
_PUNCTUATION = ".,;:!?\u2026\"'()[]\u201c\u201d\u2018\u2019"
_NAMES = ("Anna", "Lisbon", "Oslo", "Maria", "Kyoto", "David", "Vienna", "Elena")


@frozen(kw_only=False)
class Word:
    """One word. Times are None in plain text. `utterance`, `sentence` and `turn` number what it belongs to."""

    text: str
    begin: int
    end: int
    begin_s: float | None
    end_s: float | None
    utterance: int
    sentence: int
    turn: int
    speaker: int
    confidence: float | None


@frozen(kw_only=False)
class Segment:
    """Consecutive words as one unit of measurement. `confidence` is set for single words alone, as in captures."""

    text: str
    begin: int
    end: int
    begin_s: float | None
    end_s: float | None
    speaker: int
    confidence: float | None


def confidence_of(digest: str, *, silent: bool) -> float:
    """Whole-file transcript confidence: 0.0 where nothing is heard."""
    return 0.0 if silent else float32(number(bytes.fromhex(digest), "transcript", 0.72, 0.99))


def spoken(digest: str, duration_s: float) -> list[Word]:
    """A simulated transcript within [0, duration_s], with pauses, sentences, one or two speakers."""
    chance = random.Random(fingerprint("spoken", digest))  # noqa: S311 - reproducible, not secret
    voices = integer(bytes.fromhex(digest), "voices", 1, 2)
    words: list[Word] = []
    now, position, speaker = min(0.2, duration_s / 10), 0, 0
    utterance = sentence = turn = 0
    left_in_utterance, left_in_sentence, left_in_turn = 4, chance.randint(5, 12), chance.randint(1, 3)
    opening = True
    while True:
        length = chance.uniform(0.14, 0.5)
        if now + length > duration_s:
            break
        closing = left_in_sentence == 1
        text = chance.choice(_NAMES) if not opening and chance.random() < 0.06 else chance.choice(_VOCABULARY)
        text = (text[:1].upper() + text[1:] if opening else text) + ("." if closing else "")
        confidence = float32(chance.uniform(0.6, 0.999))
        end = position + len(text)
        words.append(
            Word(
                text,
                position,
                end,
                round(now, 3),
                round(now + length, 3),
                utterance,
                sentence,
                turn,
                speaker,
                confidence,
            )
        )
        position, now, opening = end + 1, now + length + 0.02, closing
        left_in_utterance, left_in_sentence = left_in_utterance - 1, left_in_sentence - 1
        if left_in_utterance == 0 or closing:
            utterance, left_in_utterance, now = utterance + 1, chance.randint(3, 7), now + chance.uniform(0.1, 0.4)
        if closing:
            sentence, left_in_sentence, left_in_turn = sentence + 1, chance.randint(5, 12), left_in_turn - 1
            if left_in_turn == 0:
                turn, left_in_turn, speaker = turn + 1, chance.randint(1, 3), (speaker + 1) % voices
                now += chance.uniform(0.2, 0.6)
    return words


def written(text: str) -> list[Word]:
    """The words of a text, where they stand. A sentence ends at its mark before a space, or at a line's end."""
    words: list[Word] = []
    sentence = 0
    for match in re.finditer(r"\S+", text):
        words.append(
            Word(match[0], match.start(), match.end(), None, None, sentence, sentence, 0, 0, None),
        )
        gap = re.compile(r"\s*").match(text, match.end())
        if _SENTENCE_END.search(match[0]) or (gap is not None and "\n" in gap[0]):
            sentence += 1
    return words


def segments(words: Iterable[Word], granularity: str, *, by_speaker: bool) -> Iterator[Segment]:
    """Words joined to the wanted size. A turn is what one speaker says; without speakers it is the whole passage."""
    match granularity:
        case "word":
            for word in words:
                yield _join([word], word.confidence)
            return
        case "sentence":
            parts = groupby(words, key=lambda word: word.sentence)
        case "utterance":
            parts = groupby(words, key=lambda word: word.utterance)
        case _:
            parts = groupby(words, key=lambda word: word.turn if by_speaker else 0)
    for _, group in parts:
        yield _join(list(group), None)


def _join(words: list[Word], confidence: float | None) -> Segment:
    first, last = words[0], words[-1]
    return Segment(
        " ".join(word.text for word in words),
        first.begin,
        last.end,
        first.begin_s,
        last.end_s,
        first.speaker,
        confidence,
    )


def entities(words: Iterable[Word]) -> Iterator[Word]:
    """Words that look like names: capitalised, of three letters or more, and not merely the first of a sentence."""
    previous = -1
    for word in words:
        bare = word.text.strip(_PUNCTUATION)
        starts = word.sentence != previous
        previous = word.sentence
        if len(bare) >= 3 and bare[:1].isupper() and bare[:1].isalpha() and not starts:
            offset = word.text.find(bare)
            yield Word(
                bare,
                word.begin + offset,
                word.begin + offset + len(bare),
                word.begin_s,
                word.end_s,
                word.utterance,
                word.sentence,
                word.turn,
                word.speaker,
                word.confidence,
            )

"""`language`: probabilities of 28 labels for what a text says, from a small table that comes with the package.

The labels are those of GoEmotions (Demszky et al. 2020), for which people marked comments of Reddit. They say how
readers called a text, not what its writer felt. docs/local.md has the figures and what it gets wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from hume_runner.frozen import frozen
from hume_runner.services.local.measurers.base import Card, Passage, Reads, Row, WeightFile, Word
from hume_runner.services.local.measurers.emotion_table import Model, Read, read_table
from hume_runner.services.local.measurers.own_weights import own_schema, own_weight
from hume_runner.services.local.measurers.segments import Span, sentences, stretches
from hume_runner.services.table_shapes import Column, Family, Layout

Granularity = Literal["sentence", "utterance", "text"]

LABELS = tuple(
    "admiration amusement anger annoyance approval caring confusion curiosity desire disappointment disapproval "
    "disgust embarrassment excitement fear gratitude grief joy love nervousness optimism pride realization relief "
    "remorse sadness surprise neutral".split()
)
TABLE = WeightFile(
    name="goemotions-small/table.bin",
    sha256="7b11a212261b7f7adcf8e5780f27662885b5aed3599b512c8d2cb65307f52bff",
    lies=Path(__file__).with_name("goemotions.bin"),
)

# Below this share of known words nothing is measured: nearly all English comments have more, other languages less.
LEAST_KNOWN = 0.6
_MOST_WORDS = 60  # the comments that the table was taught with have up to 35: a longer text is read in stretches
_AT_ONCE = 512  # segments that are measured together

_LAYOUT = Layout(
    name="language",
    row="one stretch of text: a sentence, an utterance or a whole text, as the options say",
    time=("begin_s", "end_s"),
    text="text",
    unscored="it reads English only, and leaves out what is in another language or in words that it hardly knows",
    columns=(
        Column(name="text", type="string", meaning="the words of this segment"),
        Column(name="position_begin", type="integer", meaning="first character of the segment in its text, from 0"),
        Column(name="position_end", type="integer", meaning="one past the last character of the segment"),
        Column(name="begin_s", type="number", meaning="start, in seconds from the start of the source; null for text"),
        Column(name="end_s", type="number", meaning="end, in seconds from the start of the source; null for text"),
        Column(name="words", type="integer", meaning="words of the segment", joined="sum"),
        Column(
            name="known",
            type="number",
            meaning="share of these words that the model knows, 0 to 1; null without words. "
            f"Below {LEAST_KNOWN}, as in other languages, the scores are null",
        ),
    ),
    families=(Family(prefix="goemotions", words="emotions", names=LABELS, bounds=(0.0, 1.0)),),
)
_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "granularity": {
            "enum": ["sentence", "utterance", "text"],
            "default": "sentence",
            "description": "What a row is: a sentence, an utterance as it was heard (a written text is one), "
            "or the whole text",
        },
        "table": own_schema(
            "A table of your own with the same labels, as `benchmarks/train_language.py` makes it (a .bin), instead of "
            "the one in the package"
        ),
    },
}
_UNMEASURED: Mapping[str, None] = dict.fromkeys(LABELS)


@frozen
class _Segment:
    """What becomes a row: the number of its passage, its text, where it lies, and its stretches as the model reads."""

    passage: int
    text: str
    span: Span
    time_s: tuple[float | None, float | None]
    is_english: bool
    parts: tuple[Read, ...]


class LanguageSession:
    """The table, loaded."""

    def __init__(self, model: Model, granularity: Granularity) -> None:
        self._model = model
        self._granularity = granularity

    def measure(self, passages: Sequence[Passage]) -> Iterator[tuple[int, Row]]:
        """(number of the passage, row): the text's probabilities of the 28 labels, each on its own from 0 to 1.

        With `text`, passages that follow each other are one text, under the number of the first.
        """
        waiting: list[_Segment] = []
        for segment in self._segments(passages):
            waiting.append(segment)
            if len(waiting) >= _AT_ONCE:
                yield from self._rows(waiting)
                waiting = []
        yield from self._rows(waiting)

    def _segments(self, passages: Sequence[Passage]) -> Iterator[_Segment]:
        for number, passage in _texts(passages) if self._granularity == "text" else enumerate(passages):
            whole = (0, len(passage.text))
            for span in sentences(passage.text) if self._granularity == "sentence" else [whole]:
                text = passage.text[slice(*span)]
                outside = passage.text[: span[0]] + passage.text[span[1] :]
                yield _Segment(
                    passage=number,
                    text=text,
                    span=span,
                    time_s=_time(passage, span, is_whole=not outside.strip()),
                    is_english=passage.language in (None, "en"),
                    parts=tuple(self._model.read(text[begin:end]) for begin, end in stretches(text, _MOST_WORDS)),
                )

    def _rows(self, segments: Sequence[_Segment]) -> Iterator[tuple[int, Row]]:
        told = iter(self._model.probabilities([part for one in segments if _is_readable(one) for part in one.parts]))
        for one in segments:
            words, known = _counts(one)
            scores: Mapping[str, float | None] = _UNMEASURED
            if _is_readable(one):
                scores = dict(zip(LABELS, _mean([(next(told), part.words) for part in one.parts]), strict=True))
            yield (
                one.passage,
                Row(
                    layout=_LAYOUT.name,
                    values={
                        "text": one.text,
                        "position_begin": one.span[0],
                        "position_end": one.span[1],
                        "begin_s": one.time_s[0],
                        "end_s": one.time_s[1],
                        "words": words,
                        "known": round(known / words, 4) if words else None,
                        "goemotions": scores,
                    },
                ),
            )


def _counts(segment: _Segment) -> tuple[int, int]:
    return sum(part.words for part in segment.parts), sum(part.known for part in segment.parts)


def _is_readable(segment: _Segment) -> bool:
    words, known = _counts(segment)
    return segment.is_english and words > 0 and known >= LEAST_KNOWN * words


def _mean(parts: Sequence[tuple[list[float], int]]) -> list[float]:
    """Rounded probabilities; of a text that was read in stretches their mean, by words."""
    if len(parts) == 1:
        return [round(one, 4) for one in parts[0][0]]
    words = sum(weight for _, weight in parts)
    by_label = zip(*(scores for scores, _ in parts), strict=True)
    weights = [weight for _, weight in parts]
    return [round(sum(a * b for a, b in zip(scores, weights, strict=True)) / words, 4) for scores in by_label]


def _texts(passages: Sequence[Passage]) -> Iterator[tuple[int, Passage]]:
    """Written texts as they are; spoken ones that follow each other as one, a line each."""
    for heard, group in groupby(enumerate(passages), key=lambda one: one[1].begin_s is not None):
        if heard:
            some = list(group)
            yield some[0][0], _joined([passage for _, passage in some])
        else:
            yield from group


def _joined(passages: Sequence[Passage]) -> Passage:
    words: list[Word] = []
    at = 0
    for one in passages:
        words.extend(
            Word(begin_s=word.begin_s, end_s=word.end_s, begin=word.begin + at, end=word.end + at) for word in one.words
        )
        at += len(one.text) + 1
    languages = {one.language for one in passages}
    return Passage(
        text="\n".join(one.text for one in passages),
        begin_s=passages[0].begin_s,
        end_s=passages[-1].end_s,
        words=tuple(words),
        language=languages.pop() if len(languages) == 1 else None,
    )


def _time(passage: Passage, span: Span, *, is_whole: bool) -> tuple[float | None, float | None]:
    """From its first word to its last; without words only a whole passage has a time."""
    if is_whole:
        return passage.begin_s, passage.end_s
    inside = [word for word in passage.words if word.begin < span[1] and word.end > span[0]]
    return (inside[0].begin_s, inside[-1].end_s) if inside else (None, None)


@frozen(kw_only=False)
class Language:
    """The measurer."""

    model: str = "language"
    reads: Reads = "text"
    layouts: tuple[Layout, ...] = (_LAYOUT,)
    modules: tuple[str, ...] = ()

    @property
    def schema(self) -> Mapping[str, Any]:
        return _SCHEMA

    def card(self, options: Mapping[str, Any]) -> Card:
        own = options.get("table")
        return Card(
            name="goemotions-small" if own is None else "goemotions-own",
            version="1",
            licence="MIT; taught with GoEmotions, CC BY 4.0, Google" if own is None else "that of the manifest's table",
            trained_on="GoEmotions: 43,410 English comments of Reddit, marked by people (Demszky et al. 2020)"
            if own is None
            else "not known here: the manifest names the table",
            labels=LABELS,
            scale="probability, 0 to 1, that readers would give the text this label; several can hold",
            limits="English only; how readers call a text, not what its writer feels; blind to irony and context; "
            "right about half of the time for most labels. Not for inferring what people feel at work or in schools "
            "(EU AI Act, Article 5(1)(f)); people have to be told that it is used (Article 50(3)).",
            source="arXiv 2005.00547",
            files=(TABLE if own is None else own_weight(own),),
        )

    def open(self, options: Mapping[str, Any], files: Mapping[str, Path]) -> LanguageSession:
        """Ready to measure, in some milliseconds. Raises: OSError, ValueError for a table that cannot be used."""
        [path] = files.values()
        table = read_table(path.read_bytes())
        if table.labels != LABELS:
            raise ValueError("the table of the small language model has other labels than this version tells")
        return LanguageSession(Model(table), options.get("granularity", "sentence"))


LANGUAGE = Language()

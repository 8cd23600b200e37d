"""One prediction of each model: what it holds, how it prints as JSON, and its cells in the CSV file.

Rows are light: scores are computed when a row is printed, from the content's key and the row's place.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from hume_runner.emulator.batch_v0 import names
from hume_runner.emulator.batch_v0.transcript import Segment
from hume_runner.emulator.scores import score_list, sentiment_list
from hume_runner.frozen import frozen

Cell = str | int | float | None


def _template(of: Sequence[str]) -> str:
    return "[" + ",".join(f'{{"name":{json.dumps(name)},"score":%r}}' for name in of) + "]"


_JSON_48, _JSON_53 = _template(names.EXPRESSIONS_48), _template(names.EXPRESSIONS_53)
_JSON_FACS, _JSON_DESCRIPTIONS = _template(names.FACS), _template(names.FACE_DESCRIPTIONS)
_JSON_BURSTS, _JSON_SENTIMENT = _template(names.BURST_TYPES), _template(names.SENTIMENT)
_JSON_TOXICITY = _template(names.TOXICITY)
# Column -> place in the alphabetical list of the JSON answer.
_CSV_48 = [names.EXPRESSIONS_48.index(name) for name in names.CSV_EXPRESSIONS_48]
_CSV_53 = [names.EXPRESSIONS_53.index(name) for name in names.CSV_EXPRESSIONS_53]


def _number(value: float | None) -> str:
    return "null" if value is None else repr(value)


def _text(value: str | None) -> str:
    return json.dumps(value, ensure_ascii=False)


def _span(begin: float | None, end: float | None) -> str:
    return "null" if begin is None or end is None else f'{{"begin":{begin!r},"end":{end!r}}}'


def _optional(wanted: bool, scores: tuple[float, ...], count: int) -> tuple[Cell, ...]:
    return scores if wanted else (None,) * count


@frozen
class Row(ABC):
    """`key` stands for content and seed, `group` is the individual's label, `place` the row within its model."""

    model: ClassVar[str]
    columns: ClassVar[tuple[str, ...]]
    key: bytes
    group: str
    place: int

    def _scores(self, what: str, count: int) -> tuple[float, ...]:
        return score_list(self.key, f"{self.model}/{what}/{self.group}", self.place, count)

    @abstractmethod
    def json(self) -> str:
        """As the JSON answer has it."""

    @abstractmethod
    def cells(self) -> tuple[Cell, ...]:
        """Its cells in the CSV file, as `columns` names them."""


@frozen
class FaceRow(Row):
    model = "face"
    columns = (
        *("Id", "Frame", "Time", "Probability", "FaceX0", "FaceY0", "FaceWidth", "FaceHeight"),
        *names.CSV_EXPRESSIONS_48,
        *names.FACS,
        *names.FACE_DESCRIPTIONS,
    )
    frame: int
    time_s: float
    prob: float
    box: tuple[float, float, float, float]  # x, y, width, height in pixels
    facs: bool
    descriptions: bool

    def json(self) -> str:
        x, y, w, h = self.box
        emotions = _JSON_48 % self._scores("emotions", 48)
        facs = _JSON_FACS % self._scores("facs", 36) if self.facs else "null"
        descriptions = _JSON_DESCRIPTIONS % self._scores("descriptions", 27) if self.descriptions else "null"
        return (
            f'{{"frame":{self.frame},"time":{self.time_s!r},"prob":{self.prob!r},'
            f'"box":{{"x":{x!r},"y":{y!r},"w":{w!r},"h":{h!r}}},'
            f'"emotions":{emotions},"facs":{facs},"descriptions":{descriptions}}}'
        )

    def cells(self) -> tuple[Cell, ...]:
        emotions = self._scores("emotions", 48)
        facs = self._scores("facs", 36) if self.facs else ()
        descriptions = self._scores("descriptions", 27) if self.descriptions else ()
        return (
            *(self.group, self.frame, self.time_s, self.prob, *self.box),
            *(emotions[at] for at in _CSV_48),
            *_optional(self.facs, facs, 36),
            *_optional(self.descriptions, descriptions, 27),
        )


@frozen
class BurstRow(Row):
    model = "burst"
    columns = ("Id", "BeginTime", "EndTime", *names.CSV_EXPRESSIONS_48, *names.BURST_TYPES)
    begin_s: float
    end_s: float

    def json(self) -> str:
        return (
            f'{{"time":{_span(self.begin_s, self.end_s)},"emotions":{_JSON_48 % self._scores("emotions", 48)},'
            f'"descriptions":{_JSON_BURSTS % self._scores("descriptions", 67)}}}'
        )

    def cells(self) -> tuple[Cell, ...]:
        emotions = self._scores("emotions", 48)
        return (
            *(self.group, self.begin_s, self.end_s),
            *(emotions[at] for at in _CSV_48),
            *self._scores("descriptions", 67),
        )


@frozen
class ProsodyRow(Row):
    model = "prosody"
    columns = ("Id", "Text", "BeginTime", "EndTime", "Confidence", "SpeakerConfidence", *names.CSV_EXPRESSIONS_48)
    text: str | None
    begin_s: float
    end_s: float
    confidence: float | None

    def json(self) -> str:
        return (
            f'{{"text":{_text(self.text)},"time":{_span(self.begin_s, self.end_s)},'
            f'"confidence":{_number(self.confidence)},"speaker_confidence":null,'
            f'"emotions":{_JSON_48 % self._scores("emotions", 48)}}}'
        )

    def cells(self) -> tuple[Cell, ...]:
        emotions = self._scores("emotions", 48)
        return (
            *(self.group, self.text, self.begin_s, self.end_s, self.confidence, None),
            *(emotions[at] for at in _CSV_48),
        )


@frozen
class LanguageRow(Row):
    model = "language"
    columns = (
        *("Id", "Text", "BeginPosition", "EndPosition", "BeginTime", "EndTime", "Confidence", "SpeakerConfidence"),
        *names.CSV_EXPRESSIONS_53,
        *names.SENTIMENT,
        *names.TOXICITY,
    )
    segment: Segment
    sentiment: bool
    toxicity: bool

    def _levels(self) -> tuple[float, ...]:
        return sentiment_list(self.key, self.group, self.place)

    def json(self) -> str:
        part = self.segment
        sentiment = _JSON_SENTIMENT % self._levels() if self.sentiment else "null"
        toxicity = _JSON_TOXICITY % self._scores("toxicity", 6) if self.toxicity else "null"
        return (
            f'{{"text":{_text(part.text)},"position":{_span(part.begin, part.end)},'
            f'"time":{_span(part.begin_s, part.end_s)},"confidence":{_number(part.confidence)},'
            f'"speaker_confidence":null,"emotions":{_JSON_53 % self._scores("emotions", 53)},'
            f'"sentiment":{sentiment},"toxicity":{toxicity}}}'
        )

    def cells(self) -> tuple[Cell, ...]:
        part = self.segment
        emotions = self._scores("emotions", 53)
        return (
            *(self.group, part.text, part.begin, part.end, part.begin_s, part.end_s, part.confidence, None),
            *(emotions[at] for at in _CSV_53),
            *_optional(self.sentiment, self._levels() if self.sentiment else (), 9),
            *_optional(self.toxicity, self._scores("toxicity", 6) if self.toxicity else (), 6),
        )


@frozen
class NerRow(Row):
    model = "ner"
    # UNVERIFIED: no captured ner.csv is known; the columns follow the members of the JSON answer.
    columns = (
        *("Id", "Entity", "BeginPosition", "EndPosition", "EntityConfidence", "Support", "Uri", "LinkWord"),
        *("BeginTime", "EndTime", "Confidence", "SpeakerConfidence"),
        *names.CSV_EXPRESSIONS_53,
    )
    segment: Segment
    entity_confidence: float
    support: float

    @property
    def uri(self) -> str:
        return "https://example.org/entities/" + "".join(
            c if c.isascii() and c.isalnum() else "_" for c in self.segment.text
        )

    def json(self) -> str:
        part = self.segment
        return (
            f'{{"entity":{_text(part.text)},"position":{_span(part.begin, part.end)},'
            f'"entity_confidence":{self.entity_confidence!r},"support":{self.support!r},"uri":{_text(self.uri)},'
            f'"link_word":{_text(part.text)},"time":{_span(part.begin_s, part.end_s)},'
            f'"confidence":{_number(part.confidence)},"speaker_confidence":null,'
            f'"emotions":{_JSON_53 % self._scores("emotions", 53)}}}'
        )

    def cells(self) -> tuple[Cell, ...]:
        part = self.segment
        emotions = self._scores("emotions", 53)
        return (
            *(self.group, part.text, part.begin, part.end, self.entity_confidence, self.support, self.uri, part.text),
            *(part.begin_s, part.end_s, part.confidence, None),
            *(emotions[at] for at in _CSV_53),
        )


@frozen
class FacemeshRow(Row):
    model = "facemesh"
    columns = ("Id", *names.CSV_EXPRESSIONS_48)  # UNVERIFIED: no captured facemesh.csv is known

    def json(self) -> str:
        return f'{{"emotions":{_JSON_48 % self._scores("emotions", 48)}}}'

    def cells(self) -> tuple[Cell, ...]:
        emotions = self._scores("emotions", 48)
        return (self.group, *(emotions[at] for at in _CSV_48))

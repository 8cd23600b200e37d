"""What was heard, as those who read text are given it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hume_runner.services.local.measurers.base import Passage, Row, Word
from hume_runner.services.local.measurers.speech import SPEECH_LAYOUT, WORDS_LAYOUT


def passages(rows: Sequence[Row]) -> tuple[Passage, ...]:
    """What was said, utterance by utterance, for those who read text. `rows` are those of one measurement."""
    words: dict[object, list[Word]] = {}
    for row in rows:
        if row.layout == WORDS_LAYOUT.name:
            values: Mapping[str, Any] = row.values
            words.setdefault(values["utterance"], []).append(
                Word(
                    begin_s=values["begin_s"],
                    end_s=values["end_s"],
                    begin=values["position_begin"],
                    end=values["position_end"],
                    probability=values["probability"],
                )
            )
    return tuple(
        _passage(row.values, words.get(row.values["utterance"], ())) for row in rows if row.layout == SPEECH_LAYOUT.name
    )


def _passage(values: Mapping[str, Any], words: Sequence[Word]) -> Passage:
    return Passage(
        text=values["text"],
        begin_s=values["begin_s"],
        end_s=values["end_s"],
        words=tuple(words),
        language=values["language"],
    )

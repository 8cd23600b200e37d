"""What is done so that nobody takes invented English for what was said."""

from __future__ import annotations

from typing import Any

import pytest

from hume_runner.services.local.measurers.speech import SPEECH
from hume_runner.services.local.measurers.whisper_languages import doubtful


def row(words: int, sure: float, alike: float = 1.1) -> dict[str, Any]:
    return {"words": words, "mean_word_probability": sure, "compression_ratio": alike}


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([], None),
        ([row(9, 0.84), row(7, 0.99)], None),
        ([row(9, 0.41), row(6, 0.56)], "mean probability of 0.47"),
        ([row(15, 0.57)], "mean probability of 0.57"),
        ([row(1, 0.1), row(99, 0.9)], None),  # by words, and not by rows
        ([row(192, 0.9, 11.3)], "it repeats itself"),
    ],
)
def test_what_was_guessed_is_told_from_what_was_heard(rows: list[dict[str, Any]], told: str | None) -> None:
    english, other = (doubtful(rows, name) for name in ("whisper-tiny.en", "whisper-base"))
    assert (english is None, other is None) == (told is None, told is None)
    if told is not None:
        assert told in str(english)
        assert "whisper-tiny.en knows English only" in str(english)
        assert "English only" not in str(other)


def test_a_model_that_knows_english_only_is_told_before_and_in_its_limits() -> None:
    assert "knows English only" in str(SPEECH.caution({}))
    assert "{model: base}" in str(SPEECH.caution({}))
    assert "{model: small}" in str(SPEECH.caution({"model": "small.en"}))
    assert SPEECH.card({}).limits.startswith("Knows English only")
    for fits in ({"model": "base"}, {"language": "en"}):
        assert SPEECH.caution(fits) is None
    assert "English only" not in SPEECH.card({"model": "base"}).limits

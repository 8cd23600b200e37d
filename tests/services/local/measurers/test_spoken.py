"""What is said at a time, turns and rate, from words."""

from __future__ import annotations

import pytest

from hume_runner.services.local.measurers.spoken import Heard, Utterance, spoken
from hume_runner.services.local.measurers.voice import Span


def _said(*words: tuple[str, float, float], turn_pause_s: float = 1.0) -> list[Utterance]:
    heard = [
        Heard(
            text=text.rstrip("|"),
            begin_s=begin,
            end_s=end,
            probability=0.9,
            no_speech=0.1,
            log_probability=-0.2,
            compression=1.0,
            closes=text.endswith("|"),
        )
        for text, begin, end in words
    ]
    return list(spoken(heard, [Span(begin=0, end=16_000 * 100)], turn_pause_s))


def _texts(text: str) -> list[str]:
    words = [(f" {word}", number * 0.3, number * 0.3 + 0.3) for number, word in enumerate(text.split())]
    return [one.text for one in _said(*words)]


def test_a_sentence_is_an_utterance() -> None:
    assert _texts("How are you? I am fine.") == ["How are you?", "I am fine."]
    assert _texts('He said "no." Then he left…') == ['He said "no."', "Then he left…"]


@pytest.mark.parametrize("text", ["Dr. Smith is in.", "J. R. Tolkien wrote it.", "It was 3. something."])
def test_a_full_stop_that_ends_no_sentence_ends_no_utterance(text: str) -> None:
    assert _texts(text) == [text]


def test_a_segment_that_ends_without_a_full_stop_ends_an_utterance_where_a_sentence_may_begin() -> None:
    assert _texts("the age of foolishness| It was the epoch") == ["the age of foolishness", "It was the epoch"]
    assert _texts("its noisiest authorities| insisted on") == ["its noisiest authorities insisted on"]


def test_a_pause_ends_an_utterance_and_a_longer_one_a_turn() -> None:
    found = _said((" one", 0, 0.5), (" two", 1.3, 1.5), (" three", 1.6, 2.0), (" four", 3.5, 4.0))

    assert [(one.text, one.pause_before_s, one.turn, one.number) for one in found] == [
        ("one", None, 0, 0),
        ("two three", pytest.approx(0.8), 0, 1),
        ("four", pytest.approx(1.5), 1, 2),
    ]


def test_the_pause_of_a_turn_may_be_chosen() -> None:
    words = ((" one", 0.0, 0.5), (" two", 0.9, 1.5))

    assert [one.turn for one in _said(*words)] == [0]
    assert [one.turn for one in _said(*words, turn_pause_s=0.3)] == [0, 1]


def test_nobody_talks_without_end() -> None:
    found = _said(*((f" word{number}", number * 0.5, number * 0.5 + 0.5) for number in range(200)))

    assert all(one.end_s - one.begin_s <= 30 for one in found)
    assert sum(len(one.words) for one in found) == 200


def test_each_word_has_its_place_in_the_text() -> None:
    (one,) = _said((" It's", 0, 0.2), (" well-known,", 0.2, 0.5), (" isn't", 0.5, 0.7), ("?", 0.7, 0.8))

    assert one.text == "It's well-known, isn't?"
    assert [one.text[begin:end] for begin, end in one.places] == ["It's", "well-known,", "isn't", "?"]


def test_scripts_without_spaces_stay_without() -> None:
    (one,) = _said(("今日", 0, 0.3), ("は", 0.3, 0.4), ("晴れ", 0.4, 0.8))

    assert one.text == "今日は晴れ"
    assert one.places == ((0, 2), (2, 3), (3, 5))


def test_the_rate_counts_words_over_voice() -> None:
    heard = [
        Heard(text=" a", begin_s=b, end_s=b + 0.4, probability=1, no_speech=0, log_probability=0, compression=1)
        for b in (0.0, 0.5)
    ]

    (one,) = spoken(heard, [Span(begin=0, end=6400), Span(begin=8000, end=14_400)], 1.0)
    (silent,) = spoken(heard, [], 1.0)

    assert one.speaking_s == pytest.approx(0.8)
    assert one.rate == pytest.approx(2.5)
    assert silent.rate is None


def test_nothing_said_is_no_utterance() -> None:
    assert _said() == []

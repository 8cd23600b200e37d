"""Which text an answer is about, by its words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hume_runner.services.batch_v0.words import confirmed, measures, says


@pytest.mark.parametrize(
    ("text", "words", "same"),
    [
        ("Nothing is lost.", ["Nothing", "is", "lost"], True),
        ("Nothing is lost.", ["Nothing is lost."], True),
        ("Don't wait, Anna!", ["Do", "n't", "wait", ",", "Anna", "!"], True),
        ("\u00c9t\u00e9 2026", ["E\u0301t\u00e9", "2026"], True),
        ("?!", ["?", "!"], True),
        ("Nothing is lost.", ["Nothing", "was", "lost"], None),
        ("Nothing is lost.", ["Nothing"], None),
        ("Nothing is lost.", [], None),
        ("Nothing is lost.", ["", "."], None),
        ("Nothing is lost.", ["Nothing is paid twice."], False),
        ("Nothing is lost.", ["All", "of", "it", "is", "gone"], False),
    ],
)
def test_words_are_those_of_a_text_of_another_or_do_not_tell(text: str, words: list[str], same: bool | None) -> None:
    assert measures(text, words) is same


@pytest.mark.parametrize(
    ("text", "pieces", "same"),
    [
        ("Leave me alone.", ["Leave", "me", "alone", "."], True),
        ("Leave  me\nalone.", ["Leave me alone."], True),
        ("Don't wait.", ["Do", "n't", "wait", "."], True),
        ("\u00c9t\u00e9", ["E\u0301te\u0301"], True),
        ("今日は。", ["今 日 は 。"], True),
        ("Leave me alone.", ["LEAVE", "me", "alone", "."], False),
        ("Leave me alone!", ["Leave", "me", "alone", "."], False),
        ("Leave me alone.", ["Leave", "me", "alone"], False),
        ("Leave me", ["Leave", "me", "alone"], False),
        ("no where", ["nowhere"], False),
        ("nowhere", ["no where"], False),
        ("\u00bd", ["1\u20442"], False),
        ("", [], False),
    ],
)
def test_a_text_is_what_its_characters_are(text: str, pieces: list[str], same: bool) -> None:
    assert says(text, pieces) is same


ONE, TWO, THREE = ["The", "one"], ["The", "two"], ["The", "three"]
THREE_TEXTS = {0: ("The one.", "1"), 1: ("The two.", "2"), 2: ("The three.", "3")}


@pytest.mark.parametrize(
    ("texts", "words", "names", "doubtful"),
    [
        (THREE_TEXTS, {"1": ONE, "2": TWO, "3": THREE}, {0: "1", 1: "2", 2: "3"}, set()),
        # The echo had them in another order than they were sent in.
        (THREE_TEXTS, {"3": ONE, "2": TWO, "1": THREE}, {0: "3", 1: "2", 2: "1"}, set()),
        (THREE_TEXTS, {"2": ONE, "1": TWO, "3": []}, {0: "2", 1: "1"}, {2}),
        # Two of three stand where they should, so the third does as well; without any words nobody knows.
        (THREE_TEXTS, {"1": ONE, "2": TWO, "3": []}, {0: "1", 1: "2", 2: "3"}, set()),
        (THREE_TEXTS, {"1": ONE, "2": TWO, "3": ["Something", "else", "altogether"]}, {0: "1", 1: "2"}, {2}),
        (THREE_TEXTS, {"1": [], "2": [], "3": []}, {}, {0, 1, 2}),
        # A job of one text has one order; what the answer does not speak of is not doubtful but missing.
        ({0: ("The one.", "1")}, {"1": []}, {0: "1"}, set()),
        ({0: ("The one.", "1")}, {"1": TWO * 3}, {}, {0}),
        ({0: ("The one.", "1")}, {}, {}, set()),
        # Texts that a tokenizer leaves alike.
        ({0: ("Ah!", "1"), 1: ("Ah?", "2")}, {"1": ["Ah"], "2": ["Ah"]}, {}, {0, 1}),
        (
            {0: ("Ah!", "1"), 1: ("Ah?", "2"), 2: ("Yes.", "3"), 3: ("No.", "4")},
            {"1": ["Ah"], "2": ["Ah"], "3": ["Yes"], "4": ["No"]},
            {0: "1", 1: "2", 2: "3", 3: "4"},
            set(),
        ),
        # In the order of the alphabet, which may be the host's: then those in place tell nothing of the others.
        (
            {0: ("Ah!", "1"), 1: ("Ah?", "2"), 2: ("No.", "3"), 3: ("Yes.", "4")},
            {"1": ["Ah"], "2": ["Ah"], "3": ["No"], "4": ["Yes"]},
            {2: "3", 3: "4"},
            {0, 1},
        ),
    ],
)
def test_texts_of_a_job_that_was_started_elsewhere_are_told_by_their_words(
    texts: Any, words: Any, names: Any, doubtful: Any
) -> None:
    told = confirmed(texts, words)
    assert (dict(told.names), set(told.doubtful)) == (names, doubtful)


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (["?", "!", "apple", "zebra"], [[], [], ["apple"], ["zebra"]]),
        (["one two three", "one two four", "x y", "z"], [["one", "two"], ["one", "two"], ["x", "y"], ["z"]]),
        (["yes sir yes", "yes sir", "yes", "no"], None),
        (["Hello?", "Hello!", "b"], None),
        (["a b", "ab", "a", "b"], None),
    ],
)
@pytest.mark.parametrize("order", [str, len, str.casefold], ids=["by letters", "by length", "by small letters"])
def test_texts_that_a_host_sorted_are_told_by_their_words_or_by_nothing(
    sent: list[str], words: list[list[str]] | None, order: Callable[[str], Any]
) -> None:
    echoed = sorted(sent, key=order)
    texts = {at: (text, str(echoed.index(text) + 1)) for at, text in enumerate(sent)}
    measured = words or [text.split() for text in sent]
    told = confirmed(texts, {str(at): one for at, one in enumerate(measured, start=1)})
    assert {at: name for at, name in told.names.items() if name != str(at + 1)} == {}
    assert told.names.keys() | told.doubtful == texts.keys()

from __future__ import annotations

from typing import Literal
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.errors import UsageError
from hume_runner.planning.expression import parse

LABELS = {"wave": 2, "site": "Bern", "kept": True, "age group": "30-39", "code": "007", "score": 0.5}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("label.wave == 2", True),
        ("label.wave != 2", False),
        ("label.wave < 3", True),
        ("1 < label.wave <= 2", True),
        ("label.wave in (1, 2)", True),
        ("label.wave not in [1, 3]", True),
        ("label.wave == '2'", True),
        ("label.code == 7", True),
        ("label.code == '7'", False),
        ("label.site == 'Bern' and kind == 'file'", True),
        ("label.site == 'Basel' or label.score >= 0.5", True),
        ("not (label.site == 'Bern')", False),
        ("label.kept", True),
        ("label.kept == True", True),
        ("label.kept == 1", False),
        ("label['age group'] == '30-39'", True),
        ("'interview' in id", True),
        ("id in ('interview-1', 'x')", True),
        ("label.site < 3", False),
        ("label.site >= 3", False),
        ("label.wave > -1", True),
        ("label.wave < (1, 2)", False),
    ],
)
def test_an_expression_holds_for_the_items_that_it_means(text: str, holds: bool) -> None:
    assert parse(text).holds("interview-1", "file", LABELS) is holds


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize(
    "text",
    [
        "label.größe == 'groß, süß'",
        "label['größe'] in ('groß, süß', 'x')",
        "'süß' in label.größe",
        "id == 'Zürich/3'",
        "label.mª == 4",
        "label['mª'] == 4",
    ],
)
def test_what_looks_the_same_is_the_same_however_it_is_composed(text: str, form: Literal["NFC", "NFD"]) -> None:
    other: Literal["NFC", "NFD"] = "NFD" if form == "NFC" else "NFC"
    labels = {normalize(other, "größe"): normalize(other, "groß, süß"), "mª": 4}
    expression = parse(normalize(form, text))
    expression.check_labels(labels)
    assert expression.holds(normalize(other, "Zürich/3"), "file", labels)
    assert not expression.holds("a", "file", {"größer": "groß"})


def test_whole_numbers_are_compared_to_the_last_digit() -> None:
    labels = {"participant": "12345678901234567891"}
    assert parse("label.participant == 12345678901234567891").holds("a", "text", labels)
    assert not parse("label.participant == 12345678901234567890").holds("a", "text", labels)
    assert not parse("label.participant < 12345678901234567891").holds("a", "text", labels)


def test_what_an_item_does_not_have_is_neither_equal_nor_less_nor_more() -> None:
    for text, holds in (
        ("label.wave == 2", False),
        ("label.wave < 2", False),
        ("label.wave >= 2", False),
        ("label.wave != 2", True),
        ("label.wave", False),
        ("label.wave in (1, 2)", False),
    ):
        assert parse(text).holds("a", "text", {}) is holds, text


@pytest.mark.parametrize(
    ("text", "column", "what"),
    [
        ("", 1, "nothing to compare"),
        ("label.wave = 2", 1, ""),
        ("label.wave == ", 15, ""),
        ("label.wave == 2 and knd == 'file'", 21, "nothing is called 'knd'"),
        ("wave == 2", 1, "nothing is called 'wave'"),
        ("label == 2", 1, "which label?"),
        ("id.upper() == 'A'", 1, "not known here"),
        ("label.wave == 2 or __import__('os')", 20, "not known here"),
        ("label.wave + 1 == 2", 1, "not known here"),
        ("label.wave == id.x", 15, "not known here"),
        ("kind == 'video'", 9, "no source is of the kind 'video'"),
        ("kind in ('url', 'video')", 17, "no source is of the kind 'video'"),
        ("label.wave is 2", 1, "`is` is not known here"),
        ("label.wave in 2", 15, "`in` wants several values"),
        ("'ä' == id and [x for x in id]", 15, "not known here"),
        ("lambda: 1", 1, "not known here"),
        ("(label.wave := 2)", 1, ""),
    ],
)
def test_what_is_not_understood_is_told_with_its_column(text: str, column: int, what: str) -> None:
    with pytest.raises(UsageError) as told:
        parse(text)
    assert what in str(told.value)
    if what:
        assert str(told.value).startswith(f"--select, column {column}: ")
    assert told.value.hint


def test_a_label_that_nobody_has_is_told_with_those_that_are_like_it() -> None:
    expression = parse("kind == 'text' and label.wav == 2")
    with pytest.raises(UsageError, match=r"column 20: no source has a label 'wav'") as told:
        expression.check_labels(["wave", "site"])
    assert "did you mean label.wave?" in told.value.hint
    with pytest.raises(UsageError) as told:
        parse("label.zzz == 2").check_labels(["wave", "site"])
    assert "the sources have: site, wave" in told.value.hint
    with pytest.raises(UsageError) as told:
        parse("label.zzz == 2").check_labels([])
    assert "labels stand at a source" in told.value.hint
    parse("label.wave == 2").check_labels(["wave"])


@pytest.mark.parametrize(
    "text",
    [
        "(" * 5000 + "1" + ")" * 5000,
        "not " * 4000 + "label.a",
        "label.a" + " == 1" * 3000,
        "x" * 20_000,
        "a\x00b",
        "1" * 9000,
    ],
)
def test_what_is_too_much_is_refused_and_breaks_nothing(text: str) -> None:
    with pytest.raises(UsageError):
        parse(text).check_labels([])


@given(st.text(max_size=40))
def test_no_text_does_anything_but_select_or_be_refused(text: str) -> None:
    try:
        expression = parse(text)
    except UsageError:
        return
    assert expression.holds("a", "text", {"wave": 1}) in (True, False)

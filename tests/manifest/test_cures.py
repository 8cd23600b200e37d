"""What somebody meant who wrote a value in another form."""

from __future__ import annotations

import pytest

from hume_runner.manifest.cures import as_language, as_number, example_of, with_point

SECONDS = {"description": "Length of a window, in seconds."}
PICTURES = {"description": "Pictures a second that are measured."}


@pytest.mark.parametrize(
    ("value", "rule", "told"),
    [
        ("1s", SECONDS, "write 1"),
        ("500 ms", SECONDS, "write 0.5"),
        ("1,5", SECONDS, "write 1.5"),
        ("0,5s", SECONDS, "write 0.5"),
        ("2 min", SECONDS, "write 120"),
        ("3/s", PICTURES, "write 3"),
        ("3 fps", PICTURES, ""),
        ("5s", {"description": "How many."}, ""),
        ("2", SECONDS, ""),
        ("soon", SECONDS, ""),
    ],
)
def test_a_number_with_a_unit_or_a_comma_is_told_as_the_number(value: str, rule: dict[str, str], told: str) -> None:
    assert as_number(value, rule) == told


def test_a_language_is_told_by_its_code_where_a_language_stands() -> None:
    assert as_language(("models", "speech", "language"), "German") == "write de"
    assert as_language(("transcription", "language"), "Deutsch", ["de", "en"]) == "write de"
    assert as_language(("transcription", "language"), "greek", ["de", "en"]) == ""
    assert as_language(("name",), "german") == ""
    assert as_language(("models", "speech", "language"), "klingon") == ""


def test_a_decimal_comma_is_told_as_a_point_and_an_example_is_the_rules_own() -> None:
    assert (with_point("0,5h"), with_point("a,b")) == ("write 0.5h", "")
    assert example_of({"examples": [["x"], 2.5]}) == "for example 2.5"
    assert (example_of({"default": 3}), example_of({"default": True}), example_of({})) == ("for example 3", "", "")

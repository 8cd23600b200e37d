from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.manifest.scalars import Unclear, resolve


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("False", False),
        ("0", 0),
        ("-12", -12),
        ("0x1F", 31),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.0e+3", 1000.0),
        ("en-GB", "en-GB"),
        ("no.", "no."),
        ("5%", "5%"),
        ("6h", "6h"),
        ("200ms", "200ms"),
        ("12:61:99x", "12:61:99x"),
        ("https://example.org/a.mp4", "https://example.org/a.mp4"),
        ("yes please", "yes please"),
        ("3 of 4", "3 of 4"),
    ],
)
def test_words_with_one_meaning(word: str, value: object) -> None:
    found = resolve(word)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    "word",
    "yes no on off y n Y N Yes NO On OFF 12:30 1:2:3.4 010 0o17 -017 08 0b11 1_000 1_0.5 -0x1F 1e3 1.5e3 "
    "2026-10-06 2026-10-06T10:00:00Z = .inf -.INF .nan".split(),
)
def test_words_that_yaml_versions_read_differently_have_no_meaning(word: str) -> None:
    assert isinstance(resolve(word), Unclear)


def test_numbers_too_long_to_be_meant_are_refused_quickly() -> None:
    assert isinstance(resolve("9" * 100_000), Unclear)
    assert isinstance(resolve("1e99999"), Unclear)
    assert isinstance(resolve("1" * 400 + ".0"), Unclear)


@given(st.text(alphabet="0123456789+-._:eExobynYNoOfFtTruas", min_size=1, max_size=12))
def test_what_has_a_meaning_has_the_same_one_to_a_yaml_1_1_reader(word: str) -> None:
    found = resolve(word)
    if isinstance(found, Unclear):
        return
    resolver = yaml.SafeLoader("")
    tag = resolver.resolve(yaml.ScalarNode, word, (True, False))
    other = yaml.SafeLoader("").construct_object(yaml.ScalarNode(tag, word))
    assert (type(found), found) == (type(other), other)

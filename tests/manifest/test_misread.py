"""What YAML's parser refuses is told as what somebody meant."""

from __future__ import annotations

import pytest
import yaml

from hume_runner.manifest.misread import misread
from hume_runner.manifest.strict_yaml import parse


@pytest.mark.parametrize(
    ("entry", "meant"),
    [
        ("%100 satisfied", "%100 satisfied"),
        ("@home I feel well", "@home I feel well"),
        ("`so`", "`so`"),
        ('"Good" is what I said', '"Good" is what I said'),
        ("'It's fine'", "It's fine"),
        ('"He said "hi" to me"', 'He said "hi" to me'),
        ("[laughs] yes", "[laughs] yes"),
        ("{laughs} it's fine", "{laughs} it's fine"),
        ('"C:\\Users\\me"', "C:\\Users\\me"),
        ('"C:\\media\\a.wav"', "C:\\media\\a.wav"),
    ],
)
def test_the_line_that_is_advised_is_the_text_that_was_meant(entry: str, meant: str) -> None:
    (problem,) = parse(f"sources:\n  text:\n    - {entry}\n".encode(), "m.yaml").problems

    advised = problem.hint.split("quotes: ", 1)[1]
    assert yaml.safe_load(advised) == meant
    assert "while" not in problem.message, "these are the parser's words"
    assert problem.line == 3


@pytest.mark.parametrize("line", ["", "a: [1, 2", "- 'whole'", '- "whole"  # said', "- [1, 2]", "key: {a: 1}"])
def test_what_is_another_trouble_keeps_the_parsers_words(line: str) -> None:
    assert misread(line, 0, "while parsing a block collection did not find expected '-' indicator") is None


def test_a_secret_is_not_repeated_and_a_long_line_neither() -> None:
    said = "while scanning for the next token found character that cannot start any token"
    for line in ("api_key: %canary", "- %" + "canary " * 20):
        found = misread(line, line.index("%"), said)
        assert found is not None
        assert "canary" not in "".join(found)

"""Which member a name in an answer stands for."""

from __future__ import annotations

import pytest

from hume_runner.services.batch_v0.source_finder import SourceFinder

MARK = "0123456789"


@pytest.mark.parametrize(
    ("kind", "name", "found"),
    [
        ("file", f"{MARK}-000-Clip.wav", 0),
        ("file", f"{MARK}-000-CLIP.WAV", 0),
        ("file", f"uploads/{MARK}-001-Clip.wav", 1),
        ("file", f"{MARK.upper()}-002-%C3%B6.wav", 2),
        ("file", f"x-{MARK}-000-{MARK}-001-", None),  # two of ours: neither
        ("file", "clip.wav", None),  # two have that name
        ("file", "ö.wav", 2),
        ("file", "other.wav", None),
        ("url", "https://example.org/a b", 3),
        ("url", "https://example.org/a%20b", 4),
        ("url", "https://example.org/a%2520b", None),  # one of the two
        ("url", "HTTPS://EXAMPLE.org/c d", 5),
        ("text", "1", 6),
        ("text", " 01", 6),
        ("text", "3", None),
        ("file", "1", None),
    ],
)
def test_a_name_in_an_answer_finds_its_member_or_none(kind: str, name: str, found: int | None) -> None:
    finder = SourceFinder(
        [
            (0, "file", f"{MARK}-000-Clip.wav"),
            (1, "file", f"{MARK}-001-clip.wav"),
            (2, "file", f"{MARK}-002-ö.wav"),
            (3, "url", "https://example.org/a b"),
            (4, "url", "https://example.org/a%20b"),
            (5, "url", "https://example.org/c%20d"),
            (6, "text", "1"),
        ]
    )
    assert finder.find(kind, name) == found

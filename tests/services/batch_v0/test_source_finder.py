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


LINKS = [(0, "url", "https://example.org/v.mp4?id=2"), (1, "url", "https://example.org/b%2Fc.mp4")]


@pytest.mark.parametrize(
    ("name", "ours", "found"),
    [
        ("https://EXAMPLE.org:443/v.mp4?id=%32", False, 0),
        ("https://example.org/v.mp4?id=2#t=3", False, 0),
        ("https://example.org:443/v.mp4?id=2", True, 0),
        ("https://example.org/v.mp4", False, None),
        ("https://example.org/v.mp4", True, None),
        ("https://example.org/v.mp4?id=3", True, None),
        ("https://example.org/V.mp4?id=2", True, None),
        ("http://example.org/v.mp4?id=2", True, None),
        # A host that decodes what it was sent: what we sent alone can be meant. Elsewhere it is another address.
        ("https://example.org/b/c.mp4", True, 1),
        ("https://example.org/b/c.mp4", False, None),
    ],
)
def test_a_link_is_known_by_its_address(name: str, ours: bool, found: int | None) -> None:
    assert SourceFinder(LINKS, ours=ours).find("url", name) == found

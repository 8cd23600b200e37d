"""What may be the same, told in another way; and what surely is something else."""

from __future__ import annotations

import html
import unicodedata
from urllib.parse import quote, unquote

import pytest

from hume_runner.planning.likeness import Capitals, Cut, Worded, beginning, begins_as, cut_to, sent_as, told_as

URL = "https://User:pw@Example.org/Clips/A%20b/\u00e9.mp4?take=%20x%26y&b=\u00c4#frag"
TEXT = ' Stra\u00dfe  ist\n Caf\u00e9 & "gut" '


def may_be(kind: Worded, sent: str, told: str, *beside: str) -> bool:
    return not told_as(kind, told, Capitals.of([told, *beside])).isdisjoint(sent_as(kind, sent))


@pytest.mark.parametrize(
    "told",
    [
        URL.upper(),
        URL.lower(),
        unquote(URL),
        quote(URL),
        quote(URL, safe=":/?&="),
        quote(quote(URL, safe=""), safe=""),
        URL.partition("?")[0],
        URL.replace("https", "http"),
        "https://Example.org:443/Clips/A+b/\u00e9.mp4/",
        "https://example.org/Clips/A%20b/\u00e9.mp4?b=\u00c4",
        "https://Example.org/Clips/A b/\u00e9.mp4?b=\u00c4&take= x&y",
        "Example.org/Clips/A%20b/\u00e9.mp4",
        "\u00e9.mp4",
        "https://example.org",
        unicodedata.normalize("NFD", URL),
        URL.replace("take=%20x%26y", "take=***"),
        html.escape(URL),
        URL.encode().decode("latin-1"),
    ],
)
def test_a_link_is_known_however_it_is_written(told: str) -> None:
    assert may_be("url", URL, told)


@pytest.mark.parametrize(
    "told",
    [
        TEXT.upper(),
        TEXT.lower(),
        TEXT.strip(),
        " ".join(TEXT.split()),
        "".join(TEXT.split()),
        html.escape(TEXT),
        unicodedata.normalize("NFD", TEXT),
        TEXT.encode("ascii", "replace").decode(),
        TEXT.encode().decode("latin-1"),
    ],
)
def test_a_text_is_known_however_it_is_written(told: str) -> None:
    assert may_be("text", TEXT, told)


@pytest.mark.parametrize(
    ("kind", "sent", "told"),
    [
        ("url", "https://e.org/1/11.mp4", "https://e.org/11/1.mp4"),
        ("url", "https://e.org/clip_1.mp4", "https://e.org/clip_11.mp4"),
        ("url", "https://e.org/w?v=1", "https://e.org/w?v=2"),
        ("url", "https://e.org/w?v=1", "https://e.org/w?v=1&t=2"),
        ("url", "https://e.org/w?x=1&y=2", "https://e.org/w?x=2&y=1"),
        ("url", "https://e.org/a.mp4", "https://f.org/a.mp4"),
        ("text", "Answer 1.", "Answer 11."),
        ("text", "Yes.", "Yes!"),
        ("text", "yes.", "Yes."),
    ],
)
def test_what_is_told_in_full_and_differs_is_something_else(kind: Worded, sent: str, told: str) -> None:
    assert not may_be(kind, sent, told)


def test_capitals_beside_small_letters_were_sent_like_that() -> None:
    assert may_be("text", "Hello.", "HELLO.", "AND MORE.")
    assert not may_be("text", "Hello.", "HELLO.", "And more.")


@pytest.mark.parametrize(
    ("told", "longest", "may"),
    [
        ("This is sentence number 50", 26, True),  # nothing longer is told: it may go on
        ("This is sentence number 50", 27, False),  # a host that cuts would not have cut here
        ("This is sentence number", 27, False),
        ("This i", 6, False),  # too short to tell anything
    ],
)
def test_a_beginning_counts_only_where_a_host_may_have_cut(told: str, longest: int, may: bool) -> None:
    sent = "This is sentence number 501, and it goes on."
    length, heads = beginning("text", told, Capitals.of([told]))
    cut: Cut | None = cut_to("text", len(told), length, longest)
    assert (cut is not None and not set(heads).isdisjoint(begins_as("text", sent, [cut]))) == may

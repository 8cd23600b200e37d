from __future__ import annotations

import pytest

from hume_runner.cli.signs import fitted, in_ascii, moves_cursor, only_ascii


@pytest.mark.parametrize(
    ("environ", "encoding", "terminal", "ascii_alone"),
    [
        ({"TERM": "xterm", "LANG": "en_GB.UTF-8"}, "utf-8", True, False),
        ({"TERM": "xterm"}, "utf-8", True, False),
        ({"TERM": "xterm", "LANG": "C.UTF-8", "LC_CTYPE": "C.UTF-8"}, "utf-8", True, False),
        ({"TERM": "xterm", "LANG": "C"}, "utf-8", True, True),
        # Python sets LC_CTYPE itself where the locale is C.
        ({"TERM": "xterm", "LANG": "C", "LC_CTYPE": "C.UTF-8"}, "utf-8", True, True),
        ({"TERM": "xterm", "LANG": "en_GB.UTF-8", "LC_ALL": "POSIX"}, "utf-8", True, True),
        ({"TERM": "xterm", "LANG": "C", "LC_ALL": "de_DE.UTF-8"}, "utf-8", True, False),
        ({"TERM": "dumb", "LANG": "en_GB.UTF-8"}, "utf-8", True, True),
        # A file takes what Python writes, whatever the terminal is.
        ({"TERM": "dumb", "LANG": "C"}, "utf-8", False, False),
        ({"TERM": "xterm", "LANG": "en_GB.UTF-8"}, "ascii", False, True),
        ({"TERM": "xterm", "LANG": "en_GB"}, "ISO-8859-1", True, True),
    ],
)
def test_a_terminal_without_more_gets_ascii(
    environ: dict[str, str], encoding: str, terminal: bool, ascii_alone: bool
) -> None:
    assert only_ascii(environ, encoding, terminal=terminal) is ascii_alone


@pytest.mark.parametrize(("term", "moves"), [("xterm-256color", True), ("dumb", False), ("", False), ("linux", True)])
def test_a_dumb_terminal_is_not_drawn_on(term: str, moves: bool) -> None:
    assert moves_cursor({"TERM": term}) is moves


def test_our_signs_have_ascii_for_them_and_others_letters_stay() -> None:
    assert in_ascii("3 × a → b … 12–15 ≤ 20") == "3 x a -> b ... 12-15 <= 20"
    assert in_ascii("Köln/été.wav") == "Köln/été.wav"


def test_lines_are_broken_between_words_and_never_inside_a_command() -> None:
    text = "next: `hume-runner tables manifest.yaml --format csv` makes tables of what was measured here"
    assert fitted(text, 60).split("\n") == [
        "next: `hume-runner tables manifest.yaml --format csv` makes",
        "  tables of what was measured here",
    ]
    assert fitted(text, 100) == text
    command = f"`hume-runner run {'x' * 80}.yaml`"
    assert command in fitted(f"next: {command} goes on", 60)


def test_what_is_carried_over_stands_below_the_column_that_it_belongs_to() -> None:
    text = "  waiting  3 jobs at the service, which works on; the next run fetches the answers"
    assert fitted(text, 60).split("\n") == [
        "  waiting  3 jobs at the service, which works on; the next",
        "           run fetches the answers",
    ]


def test_paths_and_what_is_short_stay_as_they_are() -> None:
    path = "/".join(["folder"] * 20)
    assert fitted(f"  outputs  {path}", 60) == f"  outputs  {path}" or path in fitted(f"  outputs  {path}", 60)
    assert fitted("one\n  two\n", 60) == "one\n  two\n"

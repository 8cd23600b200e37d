from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hume_runner.manifest.document import Document
from hume_runner.manifest.strict_yaml import DEEPEST, MOST_BYTES, parse
from tests.tiers import examples


def parsed(text: str) -> Document:
    return parse(text.encode(), "m.yaml")


def messages(document: Document) -> list[str]:
    return [problem.message for problem in document.problems]


def test_every_key_and_value_knows_its_line_and_column() -> None:
    document = parsed('# é\nname: "é" \nmodels:\n  face: {fps_pred: 3, é: [1, two]}\n')
    assert document.problems == []
    assert document.get() == {"name": "é", "models": {"face": {"fps_pred": 3, "é": [1, "two"]}}}
    assert document.spot(("name",)) == (2, 7)
    assert document.spot(("models", "face", "fps_pred"), key=True) == (4, 10)
    assert document.spot(("models", "face", "fps_pred")) == (4, 20)
    assert document.spot(("models", "face", "é", 1)) == (4, 30)
    assert document.spot(("models", "burst")) == (4, 3), "an absent member is placed where its parent starts"


def test_a_byte_order_mark_and_windows_line_ends_do_not_shift_places() -> None:
    document = parse(b"\xef\xbb\xbfname: a\r\nversion: 1\r\n", "m.yaml")
    assert document.spot(("name",)) == (1, 7)
    assert document.spot(("version",)) == (2, 10)


def test_small_anchors_work() -> None:
    document = parsed("a: &x {wave: 2}\nb: *x\nc: [*x, *x]\n")
    assert document.problems == []
    assert document.get("c", 1, "wave") == 2


def test_quotes_and_blocks_keep_text_as_it_is() -> None:
    document = parsed("a: \"no\"\nb: '12:30'\nc: |\n  yes\nd: !!str 010\n")
    assert document.problems == []
    assert document.get() == {"a": "no", "b": "12:30", "c": "yes\n", "d": "010"}


def test_no_key_is_taken_for_one_that_is_left_out() -> None:
    document = parsed('{a: {"\\0b": 1, "\\x01": 2, "\\0b": 3}, <<: left out}')
    assert document.get() == {"a": {"\0b": 1, "\x01": 2}}
    assert [problem.message for problem in document.problems] == [
        "stands twice; first on line 1",
        "merge keys (<<) are not supported",
    ]


def test_all_problems_of_a_text_are_found_at_once() -> None:
    document = parsed("a: no\na: 1\nb: {<<: 1, 2: x}\nc: !!python/none x\nd: 010\n")
    assert [problem.line for problem in document.problems] == [1, 2, 3, 3, 4, 5]
    assert document.get("d") == "010"


def test_nesting_is_refused_quickly_however_deep() -> None:
    for opening in ("[", "{a: ", "- "):
        document = parsed(opening * 10_000)
        assert messages(document) == [f"is nested more than {DEEPEST} levels deep"]
        assert document.problems[0].line == 1


@pytest.mark.parametrize("text", ["x" * 10_000_000, "a: [" + "x, " * 3_400_000 + "]", "\n" * 10_000_000])
def test_ten_megabytes_are_refused_with_the_way_out(text: str) -> None:
    document = parsed(text)
    assert document.root is None
    assert messages(document) == ["is larger than 5 MB"]
    assert "list file" in document.problems[0].hint


def test_a_line_of_nearly_the_largest_size_is_read() -> None:
    document = parsed("a: " + "x" * (MOST_BYTES - 4))
    assert document.problems == []


@pytest.mark.sweep
def test_too_many_values_are_refused_with_the_way_out() -> None:
    document = parsed("a: [" + "1," * 400_000 + "]")
    assert messages(document) == ["has more than 300,000 values"]
    assert "list file" in document.problems[0].hint


def test_aliases_of_aliases_do_not_explode() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 60)]
    document = parsed("\n".join(lines))
    assert messages(document) == ["aliases of aliases grow beyond all bounds"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("---\n", "is empty"),
        ("a: 1\n...\n---\nb: 1\n", "a second document starts here"),
        ("a:\n\tb: 1\n", "a tab cannot indent YAML"),
        ("a: *b\n", "'*b' names no anchor before it"),
        ("a: b: c\n", "a second ':' where none can stand"),
        ("a: \x07\n", "has the control character U+0007"),
        ("a\0b", "is a binary file, not YAML"),
    ],
)
def test_what_is_no_manifest_says_why(text: str, message: str) -> None:
    document = parsed(text)
    assert document.root is None
    assert messages(document) == [message]


def test_a_secret_is_not_repeated() -> None:
    document = parsed("service: {api_key: 0123456}\n")
    assert "0123456" not in str(document.problems)


# Text that is nearly YAML finds more than random characters do.
_PIECES = st.sampled_from(
    [
        *"a b: : - [ ] { } , & * &a *a ! !!str !!x # | > ' % @ ` ? no 010 1 --- ... << é 💡 ~".split(),
        *['"', "\n", "\n\n", "\n  ", " ", "  - ", ": ", "\n- ", "\t", "\r", "\r\n", "\u2028", "\0", "\ufeff"],
        *["\nname: ", "\nsources: {urls: ["],
    ]
)
_YAML_LIKE = st.lists(_PIECES, max_size=40).map("".join)


@settings(max_examples=examples(400))
@given(_YAML_LIKE.map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(max_size=200))
def test_any_bytes_give_a_document_or_problems_that_lie_within_them(data: bytes) -> None:
    document = parse(data, "m.yaml")
    assert document.root is not None or document.problems
    lines = re.split(r"\r\n|\r|\n", data.decode("utf-8", "replace").removeprefix("\ufeff"))
    for problem in document.problems:
        if problem.line is not None:
            assert problem.column is not None
            assert 1 <= problem.line <= len(lines)
            assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1

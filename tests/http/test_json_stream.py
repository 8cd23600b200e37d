from __future__ import annotations

import io
import json
import tracemalloc
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hume_runner.errors import UnexpectedResponse
from hume_runner.http.json_stream import MAX_PIECE_BYTES, JsonReader
from tests.tiers import examples

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
ARRAYS = st.lists(VALUES, max_size=6)
STYLES = st.sampled_from(
    [
        {},
        {"ensure_ascii": False},
        {"indent": 2},
        {"separators": (",", ":")},
        {"indent": 30, "ensure_ascii": False},
    ]
)


def _elements(stream: BinaryIO | Iterable[bytes], limit: int = MAX_PIECE_BYTES) -> Iterator[Any]:
    """Each element of the array that the stream holds, whole; of at most `limit` bytes."""
    reader = JsonReader(stream)
    for _ in reader.whole_array():
        yield reader.value(limit)


def _chunks(body: bytes, cuts: list[int]) -> Iterator[bytes]:
    """`body` cut at these places, wherever that is: inside a character, a number, an escape."""
    places = sorted({cut % (len(body) + 1) for cut in cuts})
    for start, end in zip([0, *places], [*places, len(body)], strict=True):
        yield body[start:end]


@settings(max_examples=examples(300))
@given(ARRAYS, STYLES, st.lists(st.integers(0, 10_000), max_size=12))
def test_any_array_cut_anyhow_reads_as_json_loads_reads_it(array: list[Any], style: dict, cuts: list[int]) -> None:
    body = json.dumps(array, **style).encode("utf-8", "surrogatepass")
    try:
        expected = json.loads(body.decode("utf-8"))
    except UnicodeDecodeError:
        with pytest.raises(UnexpectedResponse):
            list(_elements(_chunks(body, cuts)))
    else:
        assert list(_elements(_chunks(body, cuts))) == expected


@settings(max_examples=examples(200))
@given(ARRAYS, STYLES)
def test_any_array_reads_the_same_byte_by_byte(array: list[Any], style: dict) -> None:
    body = b" \n" + json.dumps(array, **{**style, "ensure_ascii": True}).encode() + b"\n\t "
    assert list(_elements(body[i : i + 1] for i in range(len(body)))) == array


@settings(max_examples=examples(300))
@given(ARRAYS, STYLES, st.integers(0, 10_000), st.integers(1, 9))
def test_any_truncation_is_an_error(array: list[Any], style: dict, cut: int, size: int) -> None:
    body = json.dumps(array, **{**style, "ensure_ascii": True}).encode()
    short = body[: cut % len(body)]
    with pytest.raises(UnexpectedResponse):
        list(_elements(short[i : i + size] for i in range(0, len(short), size)))


@settings(max_examples=examples(200))
@given(ARRAYS, st.text(min_size=1, max_size=5).filter(str.strip))
def test_anything_after_the_array_is_an_error(array: list[Any], rest: str) -> None:
    body = json.dumps(array).encode() + rest.encode("utf-8", "replace")
    if not body.decode().strip(" \t\r\n").endswith("]") or rest.strip(" \t\r\n"):
        with pytest.raises(UnexpectedResponse):
            list(_elements([body]))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "it is empty"),
        (b"  \n ", "it is empty"),
        (b"{}", "it is not a JSON list"),
        (b"<html><body>Sign in</body></html>", "it is not a JSON list"),
        (b"null", "it is not a JSON list"),
        (b"[1, 2", "it is cut off"),
        (b"[1,", "it is cut off"),
        (b"[", "it is cut off"),
        (b'["abc', "it is cut off"),
        (b"[1 2]", "a comma is missing"),
        (b"[1,]", "Expecting value"),
        (b"[,1]", "Expecting value"),
        (b"[1}", "damaged|comma"),
        (b"[NaN]", "NaN is not JSON"),
        (b"[1, -Infinity]", "-Infinity is not JSON"),
        (b'[{"a": Infinity}]', "Infinity is not JSON"),
        (b"[01]", "damaged|comma"),
        (b"[1.]", "damaged|comma"),
        (b"[+1]", "Expecting value"),
        (b"['a']", "Expecting value"),
        (b"[1]]", "something follows"),
        (b"[1][2]", "something follows"),
        (b'["\xff"]', "not UTF-8"),
        (b'["a\nb"]', "control character"),
        (b"[" * 200_000, "nested too deeply"),
        (b"[1, " + b"[" * 200_000 + b"]" * 200_000 + b"]", "nested too deeply"),
        (b"[" + b"9" * 100_000 + b"]", "integer"),
    ],
    ids=lambda value: repr(value[:20]),
)
@pytest.mark.parametrize("size", [1 << 20, 7])
def test_what_is_no_list_is_refused_with_the_reason(body: bytes, words: str, size: int) -> None:
    with pytest.raises(UnexpectedResponse, match=words):
        list(_elements(body[i : i + size] for i in range(0, len(body), size)))


@dataclass
class Endless:
    """A stream that goes on as long as somebody reads it; `read_bytes` is how much that was."""

    beginning: bytes
    more: bytes
    read_bytes: int = 0

    def __iter__(self) -> Iterator[bytes]:
        yield self.beginning
        while True:
            self.read_bytes += len(self.more)
            yield self.more


def test_an_element_larger_than_its_bound_is_refused_before_it_is_in_memory() -> None:
    endless = Endless(b'["', b"x" * 10_000)
    with pytest.raises(UnexpectedResponse, match="more than 100,000 bytes"):
        list(_elements(endless, limit=100_000))
    assert endless.read_bytes < 1_000_000


def test_elements_up_to_the_bound_pass() -> None:
    array = ["é" * 30_000, 1, {"a": ["b" * 50_000]}]
    body = json.dumps(array, ensure_ascii=False).encode()
    assert list(_elements(io.BytesIO(body), limit=70_000)) == array


def test_damage_is_noticed_long_before_the_end_of_the_stream() -> None:
    endless = Endless(b'[{"a": 1 "b": 2}', b" " * 1000)
    with pytest.raises(UnexpectedResponse, match="delimiter"):
        list(_elements(endless))
    assert endless.read_bytes < 1_000_000


@pytest.mark.sweep
def test_memory_is_that_of_one_element_and_not_of_the_stream() -> None:
    element = json.dumps({"name": "x" * 1000, "numbers": list(range(200))}).encode()

    def stream() -> Iterator[bytes]:
        yield b"[" + element
        for _ in range(15_000):
            yield b"," + element
        yield b"]"

    tracemalloc.start()
    try:
        count = sum(1 for _ in _elements(stream()))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 15_001
    assert peak < 3_000_000  # of 30 MB


def test_what_the_stream_raises_passes_through() -> None:
    def stream() -> Iterator[bytes]:
        yield b"[1,"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        list(_elements(stream()))


def test_elements_come_as_soon_as_they_are_complete() -> None:
    def stream() -> Iterator[bytes]:
        yield b'[{"a": 1}, '
        raise AssertionError("read too far")

    assert next(_elements(stream())) == {"a": 1}

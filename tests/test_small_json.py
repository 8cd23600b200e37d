"""What nobody of ours wrote is refused for one reason, a `ValueError`, from wherever it is read."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from hume_runner import small_json
from hume_runner.errors import NotRegular, StateError

DEPTH = small_json.MOST_DEPTH
ODD = {
    "lists without end": b"[" * 200_000,
    "objects without end": b'{"a":' * 100_000,
    "deep, and whole": b"[" * (DEPTH + 1) + b"]" * (DEPTH + 1),
    "deep behind what is not": b'[1, {"a": ' + b"[" * DEPTH + b"]" * DEPTH + b"}]",
    "nothing": b"",
    "not text": b"\xff\xfe\0",
    "a number without end": b"9" * 5_000,
    "NaN": b"[NaN]",
    "Infinity": b"-Infinity",
    "a number that becomes Infinity": b"1e999",
    "two values": b"{} {}",
}


@pytest.mark.parametrize("content", ODD.values(), ids=ODD.keys())
def test_what_is_odd_is_a_value_error_whoever_asks(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "odd.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"\w"):
        small_json.read(tmp_path / "odd.json")
    with pytest.raises(StateError, match="the state is damaged: "):
        small_json.kept(content.decode("latin-1"))


@pytest.mark.parametrize("left", [60, 200])
def test_so_it_is_when_little_is_left_of_the_stack(left: int) -> None:
    """What the parser takes depends on how deep the caller is; what is refused does not."""

    def deeper(more: int) -> Any:
        return deeper(more - 1) if more else small_json.parsed("[" * 500 + "]" * 500)

    depth = 0
    frame: Any = sys._getframe()
    while frame is not None:
        depth, frame = depth + 1, frame.f_back
    with pytest.raises(ValueError, match="deep"):
        deeper(sys.getrecursionlimit() - depth - left)


def test_what_we_write_is_read() -> None:
    nested: Any = "x"
    for _ in range(DEPTH - 1):
        nested = {"a": nested}
    wide = {"many": [{"a": [1.5, "[[[{{{", None]} for _ in range(200)], "deep": nested}
    assert small_json.parsed(json.dumps(wide)) == wide
    assert small_json.parsed(b"\xef\xbb\xbf{}") == {}  # an editor's mark


def test_what_is_larger_than_it_can_be_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    path.write_bytes(b'"' + b"x" * 1_000 + b'"')
    assert small_json.read(path, most_bytes=1_002) == "x" * 1_000
    with pytest.raises(ValueError, match="longer than 1,001 bytes"):
        small_json.read(path, most_bytes=1_001)
    os.truncate(path, 1 << 40)  # a hole: to read it all would take this machine down
    with pytest.raises(ValueError, match="longer than"):
        small_json.read(path, most_bytes=1_001)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotRegular):
        small_json.read(tmp_path / "pipe")

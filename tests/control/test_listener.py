"""The socket of a run: what may be asked, who may ask, and what cannot hurt."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from hume_runner.control.address import short_name, socket_of
from hume_runner.control.asking import NobodyListens, ask
from hume_runner.control.listener import MOST_BYTES, Listener


def echo(asked: Mapping[str, Any]) -> Mapping[str, Any]:
    if asked.get("command") == "break":
        raise RuntimeError("broken")
    if asked.get("command") == "slow":
        time.sleep(0.5)
    return {"ok": True, "asked": asked}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite3"


@pytest.fixture
def listener(state: Path) -> Iterator[Listener]:
    listener = Listener(socket_of(state), echo)
    yield listener
    listener.close()


def said(state: Path, words: bytes) -> list[Any]:
    """What comes back until the run closes, or says nothing for a moment."""
    with socket.socket(socket.AF_UNIX) as client, short_name(socket_of(state)) as name:
        client.settimeout(3.0)
        client.connect(name)
        client.sendall(words)
        client.shutdown(socket.SHUT_WR)
        return [json.loads(line) for line in client.makefile("rb")]


def test_a_line_is_asked_and_answered(listener: Listener, state: Path) -> None:
    assert ask(state, {"command": "status"}) == {"ok": True, "asked": {"command": "status"}}
    two = said(state, b'{"n": 1}\n{"n": 2}\n')
    assert [one["asked"]["n"] for one in two] == [1, 2]


def test_nobody_else_may_connect(listener: Listener, state: Path) -> None:
    assert stat.S_IMODE(socket_of(state).lstat().st_mode) == 0o600


def test_no_moment_passes_in_which_others_may_connect(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes = []
    bound = socket.socket.listen

    def watched(self: socket.socket, *args: Any) -> None:
        modes.append(stat.S_IMODE(socket_of(state).lstat().st_mode))
        bound(self, *args)

    monkeypatch.setattr(Path, "chmod", lambda *_: None)  # what a bind alone leaves
    monkeypatch.setattr(socket.socket, "listen", watched)
    before = os.umask(0)
    try:
        Listener(socket_of(state), echo).close()
    finally:
        os.umask(before)
    assert modes == [0o600]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (b"hello\n", "not JSON"),
        (b"[1]\n", "not a JSON object"),
        (b"\xff\xfe\n", "not JSON"),
        (b"[" * 4000 + b"\n", "not JSON"),
        (b"x" * (MOST_BYTES + 1), "longer than"),
        (b'{"a": "' + b"x" * 100_000, "longer than"),
        (b'{"command": "break"}\n', "RuntimeError: broken"),
    ],
)
def test_what_is_hostile_is_refused_and_the_next_one_is_served(
    listener: Listener, state: Path, words: bytes, told: str
) -> None:
    try:
        answers = said(state, words)
    except OSError:
        answers = []  # closed while we were still talking
    assert not answers or told in answers[0]["error"]
    assert ask(state, {"command": "status"})["ok"]


def test_two_are_served_at_once(listener: Listener, state: Path) -> None:
    began = time.monotonic()
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(ask(state, {"command": "slow"}))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert [one["ok"] for one in found] == [True] * 4
    assert time.monotonic() - began < 1.9


def test_who_says_nothing_holds_up_nobody(listener: Listener, state: Path) -> None:
    silent = []
    for _ in range(7):
        one = socket.socket(socket.AF_UNIX)
        one.connect(str(socket_of(state)))
        silent.append(one)
    assert ask(state, {"command": "status"})["ok"]
    for one in silent:
        one.close()


def test_too_many_are_told_so(listener: Listener, state: Path) -> None:
    talking = [socket.socket(socket.AF_UNIX) for _ in range(8)]
    for one in talking:
        one.connect(str(socket_of(state)))
        one.sendall(b'{"n": 1}\n')
        assert one.recv(1)
    assert "too many" in ask(state, {"command": "status"})["error"]
    for one in talking:
        one.close()
    until = time.monotonic() + 10
    while time.monotonic() < until:
        if ask(state, {"command": "status"}).get("ok"):
            break
        time.sleep(0.05)
    assert ask(state, {"command": "status"})["ok"]


def test_a_folder_with_a_long_name_has_its_socket_too(tmp_path: Path) -> None:
    folder = tmp_path / ("a" * 120) / ("b" * 120)
    folder.mkdir(parents=True)
    state = folder / "state.sqlite3"
    listener = Listener(socket_of(state), echo)
    try:
        assert socket_of(state).exists()
        assert ask(state, {"command": "status"})["ok"]
    finally:
        listener.close()
    assert not socket_of(state).exists()


def test_without_a_run_it_is_said_so(state: Path) -> None:
    with pytest.raises(NobodyListens, match="no run is on"):
        ask(state, {"command": "status"})
    Listener(socket_of(state), echo).close()
    with pytest.raises(NobodyListens):
        ask(state, {"command": "status"})


def test_what_a_killed_run_left_is_told_and_the_next_run_takes_its_place(state: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(socket_of(state)))
    with pytest.raises(NobodyListens, match="the last one was killed"):
        ask(state, {"command": "status"})
    listener = Listener(socket_of(state), echo)
    assert ask(state, {"command": "status"})["ok"]
    listener.close()


def test_what_is_no_socket_stays(state: Path) -> None:
    socket_of(state).write_text("mine")
    with pytest.raises(OSError, match="in use"):
        Listener(socket_of(state), echo)
    assert socket_of(state).read_text() == "mine"


def test_the_socket_of_the_next_run_stays(state: Path) -> None:
    first = Listener(socket_of(state), echo)
    socket_of(state).unlink()
    second = Listener(socket_of(state), echo)
    first.close()
    assert ask(state, {"command": "status"})["ok"]
    second.close()

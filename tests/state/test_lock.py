from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hume_runner.errors import StateError, StateLocked
from hume_runner.state.lock import StateLock

HOLD = """
import sys
from pathlib import Path
from hume_runner.state.lock import StateLock
with StateLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def another_process_holds(state: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(state)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    try:
        yield process
    finally:
        process.communicate()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite3"


def test_a_second_process_is_refused_with_the_name_of_the_first(state: Path) -> None:
    with another_process_holds(state) as other:
        with pytest.raises(StateLocked) as caught, StateLock(state):
            pass
        assert f"process {other.pid} on " in str(caught.value)
        assert caught.value.exit_code == 6
        assert "wait for it" in caught.value.hint
        held = StateLock(state).held()
        assert held is not None
        assert held.pid == other.pid


def test_the_lock_dies_with_its_process(state: Path) -> None:
    with another_process_holds(state) as other:
        other.kill()
        other.wait()
        assert StateLock(state).held() is None
        with StateLock(state):
            pass


def test_a_dead_owner_s_note_is_cleared_and_a_living_one_s_is_not(state: Path) -> None:
    with another_process_holds(state) as other:
        with pytest.raises(StateLocked):
            StateLock(state).clear()
        other.kill()
        other.wait()
        dead = StateLock(state).clear()
        assert dead is not None
        assert dead.pid == other.pid
        assert StateLock(state).clear() is None


def test_who_holds_it_is_beside_it_while_it_is_held(state: Path) -> None:
    with StateLock(state) as lock:
        holder = lock.holder()
        assert holder is not None
        assert holder.pid == os.getpid()
        assert "/" not in holder.command  # a program's name, never its arguments
    assert lock.holder() is None


def test_looking_neither_takes_the_lock_nor_leaves_anything(state: Path) -> None:
    assert StateLock(state).held() is None
    assert list(state.parent.iterdir()) == []


def test_an_unreadable_note_still_means_locked(state: Path) -> None:
    with another_process_holds(state):
        state.with_name("state.sqlite3.owner.json").write_text("{")
        held = StateLock(state).held()
        assert held is not None
        assert held.pid == 0
        with pytest.raises(StateLocked, match="another process"), StateLock(state):
            pass


def test_a_place_that_cannot_be_locked_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="cannot lock the state"), StateLock(tmp_path / "file" / "state.sqlite3"):
        pass

"""One writer, whatever the state is called and whatever is done to the files beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hume_runner.errors import StateError, StateLocked, UsageError
from hume_runner.state.disk import Disk
from hume_runner.state.lock import Holder, OutputsLock, StateLock
from hume_runner.state.pinned import locks_inodes, resolved
from hume_runner.state.reader import StateReader
from hume_runner.state.store import Store
from tests.holding import holding
from tests.tiers import sampled
from tests.warm import WarmPopen

# What a run does: lock, then open for writing.
HOLD = """
import sys
from pathlib import Path
from hume_runner.state.disk import Disk
from hume_runner.state.lock import OutputsLock, StateLock
from hume_runner.state.reader import StateReader
from hume_runner.state.store import Store
state = Path(sys.argv[1])
with StateLock(state), OutputsLock(state.parent), Store.create_or_open(state, disk=Disk(), name="n", lineage="l"):
    print("held", flush=True)
    sys.stdin.read()
"""

# Many times: lock, open, and see that nobody else is in. One that finds somebody else says so.
CONTEND = """
import os, sys, time
from pathlib import Path
from hume_runner.errors import StateLocked
from hume_runner.state.disk import Disk
from hume_runner.state.lock import StateLock
from hume_runner.state.reader import StateReader
from hume_runner.state.store import Store
state, inside, rounds = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
won = 0
while won < rounds:
    try:
        with StateLock(state), Store.create_or_open(state, disk=Disk(), name="n", lineage="l") as store:
            handle = os.open(inside, os.O_CREAT | os.O_EXCL)
            store.remember(last=os.getpid())
            os.unlink(inside)
            os.close(handle)
            won += 1
    except StateLocked:
        pass
print("won", won)
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "state.sqlite3"


def test_a_second_process_is_refused_with_the_name_of_the_first(state: Path) -> None:
    with holding(HOLD, str(state)) as other:
        with pytest.raises(StateLocked) as caught, StateLock(state):
            pass
        assert f"process {other.pid} on " in str(caught.value)
        assert caught.value.exit_code == 6
        assert "wait for it" in caught.value.hint
        held = StateLock(state).held()
        assert held is not None
        assert held.pid == other.pid


def test_the_lock_dies_with_its_process(state: Path) -> None:
    with holding(HOLD, str(state)) as other:
        other.kill()
        other.wait()
        assert StateLock(state).held() is None
        with StateLock(state):
            pass


def test_a_dead_owner_s_note_is_cleared_and_a_living_one_s_is_not(state: Path) -> None:
    with holding(HOLD, str(state)) as other:
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
    with holding(HOLD, str(state)):
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


# -- other names ----------------------------------------------------------------------------------------------------


def link_to_the_file(state: Path) -> Path:
    link = state.parent.parent / "elsewhere.sqlite3"
    link.symlink_to(state)
    return link


def chain_of_links(state: Path) -> Path:
    first = state.parent.parent / "first"
    second = state.parent.parent / "second"
    first.symlink_to(Path("out") / state.name)
    second.symlink_to("first")
    return second


def link_to_the_folder(state: Path) -> Path:
    (state.parent.parent / "linked").symlink_to("out")
    return state.parent.parent / "linked" / state.name


def link_above_the_folder(state: Path) -> Path:
    above = state.parent.parent
    (above / "again").symlink_to(above)
    return above / "again" / "again" / "out" / state.name


def up_and_down(state: Path) -> Path:
    return state.parent / ".." / "out" / state.name


def up_from_a_link(state: Path) -> Path:
    deep = state.parent / "deep"
    deep.mkdir()
    (state.parent.parent / "short").symlink_to(deep)
    return state.parent.parent / "short" / ".." / state.name


def doubled_slashes(state: Path) -> Path:
    return Path("/" + str(state).replace("/", "//"))


def relative(state: Path) -> Path:
    return Path(os.path.relpath(state))


OTHER_NAMES = [
    link_to_the_file,
    chain_of_links,
    link_to_the_folder,
    link_above_the_folder,
    up_and_down,
    up_from_a_link,
    doubled_slashes,
    relative,
]


@sampled(4)
@pytest.mark.parametrize("other_name", OTHER_NAMES)
def test_a_state_by_another_name_has_one_writer(state: Path, other_name: Callable[[Path], Path]) -> None:
    with holding(HOLD, str(state)) as other:
        name = other_name(state)
        with pytest.raises(StateLocked, match=f"process {other.pid} on"), StateLock(name):
            pass
        held = StateLock(name).held()
        assert held is not None
        assert held.pid == other.pid
        with pytest.raises(StateLocked):
            StateLock(name).clear()
    assert StateLock(name).held() is None
    with StateLock(name), Store.create_or_open(name, disk=Disk(), name="n", lineage="other") as store:
        assert store.path == resolved(state)
        assert store.lineage == "l"
        assert Path(f"{state}-wal").exists()


@sampled(4)
@pytest.mark.parametrize("other_name", OTHER_NAMES)
def test_a_state_that_does_not_exist_yet_has_one_place_by_every_name(
    state: Path, other_name: Callable[[Path], Path]
) -> None:
    name = other_name(state)
    with holding(HOLD, str(name)) as other:
        assert state.exists()
        with pytest.raises(StateLocked, match=f"process {other.pid} on"), StateLock(state):
            pass


@pytest.mark.sweep
def test_a_hard_link_meets_the_same_lock_and_is_refused_with_the_way_out_when_it_is_free(
    state: Path, tmp_path: Path
) -> None:
    other_name = tmp_path / "hard.sqlite3"
    with holding(HOLD, str(state)):
        os.link(state, other_name)
        assert StateLock(other_name).held() is not None
        with pytest.raises(StateLocked), StateLock(other_name):
            pass
        with pytest.raises(StateLocked):
            StateLock(other_name).clear()
        with pytest.raises(StateLocked):  # nor by who forgets the lock
            Store.create_or_open(other_name, disk=Disk(), name="n", lineage="x")
    for name in (state, other_name):
        with pytest.raises(StateError, match="2 names") as refused, StateLock(name):
            Store.create_or_open(name, disk=Disk(), name="n", lineage="x")
        assert refused.value.exit_code == 10
    subprocess.run(refused.value.hint.split("`")[1], shell=True, cwd=tmp_path, check=True)
    for name in (state, other_name):
        with StateLock(name), Store.create_or_open(name, disk=Disk(), name="n", lineage="x") as store:
            assert store.lineage == "l"


# -- what is done to the lock's file ----------------------------------------------------------------------------------


def remove(lock: Path) -> None:
    lock.unlink()


def replace(lock: Path) -> None:
    lock.with_name("new").touch()
    lock.with_name("new").replace(lock)


def move_away(lock: Path) -> None:
    lock.rename(lock.with_name("moved"))


def remove_the_note_as_well(lock: Path) -> None:
    for path in lock.parent.glob("*.owner.json"):
        path.unlink()
    lock.unlink()


@pytest.mark.sweep
@pytest.mark.parametrize("attack", [remove, replace, move_away, remove_the_note_as_well])
def test_without_the_lock_s_file_there_is_still_one_writer(state: Path, attack: Callable[[Path], None]) -> None:
    with holding(HOLD, str(state)):
        attack(StateLock(state).path)
        assert StateLock(state).held() is not None
        for _ in range(2):
            with pytest.raises(StateLocked), StateLock(state):
                pass
        with pytest.raises(StateLocked):
            StateLock(state).clear()
    with StateLock(state):
        pass


@pytest.mark.parametrize("attack", [remove, replace])
def test_without_its_lock_s_file_an_output_directory_still_has_one_owner(
    state: Path, attack: Callable[[Path], None]
) -> None:
    with holding(HOLD, str(state)):
        with pytest.raises(StateLocked, match="holds the output directory: process"), OutputsLock(state.parent):
            pass
        attack(OutputsLock(state.parent).path)
        with pytest.raises(StateLocked, match="holds the output directory"), OutputsLock(state.parent):
            pass
    with OutputsLock(state.parent):
        pass


def test_a_link_in_the_place_of_the_lock_is_not_followed(state: Path, tmp_path: Path) -> None:
    StateLock(state).path.symlink_to(tmp_path / "victim")
    with pytest.raises(UsageError, match=r"\.lock: a link is where a file should be"), StateLock(state):
        pass
    assert not (tmp_path / "victim").exists()


@pytest.mark.sweep
def test_while_somebody_keeps_removing_the_lock_s_file_there_are_never_two(state: Path, tmp_path: Path) -> None:
    names = [state, link_to_the_folder(state), doubled_slashes(state)]
    with Store.create_or_open(state, disk=Disk(), name="n", lineage="l"):
        pass
    contenders = [
        WarmPopen(
            [sys.executable, "-c", CONTEND, str(name), str(tmp_path / "inside"), "15"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    while any(contender.poll() is None for contender in contenders):
        StateLock(state).path.unlink(missing_ok=True)
    said = [contender.communicate() for contender in contenders]
    assert [out for out, _ in said] == ["won 15\n"] * len(names), said


def test_a_look_at_the_lock_does_not_take_sqlite_s_own_locks_away(state: Path) -> None:
    """Closing any descriptor of a file drops the locks that this process has on it, those of SQLite among them."""
    with StateLock(state), Store.create_or_open(state, disk=Disk(), name="n", lineage="l") as store:
        before = posix_locks()
        assert any(str(state.stat().st_ino) in lock for lock in before)
        assert StateLock(state).held() is not None
        with StateReader.peek(state, name="n") as reader:
            assert reader.lineage == "l"
        with pytest.raises(StateLocked):
            Store.create_or_open(state, disk=Disk(), name="n", lineage="x")
        assert {lock for lock in before if str(state.stat().st_ino) in lock} <= posix_locks()
        store.remember(fact=1)


def posix_locks() -> set[str]:
    """The lines of the system's list that are locks of this process, without their running number."""
    lines = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    return {line.partition(" ")[2] for line in lines if " POSIX " in line and f" {os.getpid()} " in line}


def test_inodes_are_locked_where_that_is_of_use(tmp_path: Path) -> None:
    assert locks_inodes(tmp_path) is (sys.platform == "linux")
    assert not locks_inodes(tmp_path / "missing" / "file") or sys.platform == "linux"


# -- what is said of the holder ---------------------------------------------------------------------------------------

GOOD = {"pid": 12, "host": "laptop", "since": 1.8e9, "command": "hume-runner"}


@pytest.mark.parametrize(
    "said",
    [
        {"pid": -5},
        {"pid": True},
        {"pid": 10**30},
        {"pid": 1.5},
        {"pid": "12"},
        {"host": "h" * 5000},
        {"host": "two\nlines"},
        {"host": "\x1b[31mred"},
        {"host": None},
        {"since": 1e300},
        {"since": -1.0},
        {"since": "now"},
        {"command": "\u202egnp.exe"},
        {"phase": ["planning"]},
        {"more": 1},
    ],
)
def test_a_note_says_nothing_that_no_run_writes(state: Path, said: dict[str, object]) -> None:
    assert Holder.told(GOOD).pid == 12
    with holding(HOLD, str(state)):
        state.with_name(f"{state.name}.owner.json").write_text(json.dumps({**GOOD, **said}))
        with pytest.raises(StateLocked, match=r"another run holds the state: another process$"), StateLock(state):
            pass
        assert str(StateLock(state).held()) == "another process"

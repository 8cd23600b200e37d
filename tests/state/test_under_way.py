"""Of runs that have the same item under way at one service, one goes on; whatever has nothing in common goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.errors import StateError, StateLocked, UsageError
from hume_runner.state.lock import OsLock
from hume_runner.state.notes import KEY_BYTES, Mark, Note, opened, shared, write
from hume_runner.state.sent import NOTHING
from hume_runner.state.under_way import Afterwards, Meeting, UnderWay, is_private, meetings, one_service, one_state
from tests.holding import holding
from tests.small_disk import mounted
from tests.tiers import sampled
from tests.warm import WarmPopen

HOLD = """
import sys
from pathlib import Path
from tests.state.test_under_way import a_run
with a_run(sys.argv[1:-1], [Path(sys.argv[-1])]):
    print("held", flush=True)
    sys.stdin.read()
"""


def key(item: str) -> bytes:
    return sha256(item.encode()).digest()[:KEY_BYTES]


def keys_of(items: Iterable[str]) -> Iterator[bytes]:
    return iter(sorted({*map(key, items)}))


def a_run(
    items: Sequence[str],
    folders: Sequence[Path],
    service: str = "service",
    *,
    state: str = "",
    unseen: Sequence[str] = (),
    sent: Sequence[str] = (NOTHING,),
    settle_s: float = 60.0,
    lost_slowly: bool = False,
    named: bool = False,
) -> UnderWay:
    """A run that has these items under way; `unseen` of them may be at the service when it ends. `sent`: how far its
    state knows what was sent, the last of them in the end."""
    places = [Meeting(folder=folder, machine="here", named=named) for folder in folders]
    after = Afterwards(
        state=state,
        settle_s=settle_s,
        settle_slow_s=10 * settle_s,
        lost_slowly=lambda: lost_slowly,
        unseen=lambda: keys_of(unseen),
        last_sent=lambda: sent[-1],
        has_sent=lambda told: told in sent,
    )
    return UnderWay(places, service, lambda: keys_of(items), what="study.yaml", after=after)


def awaits(run: UnderWay, planned: Sequence[str]) -> bool:
    """Whether what runs that are gone left may be some of what is planned."""
    return run.awaited_s(lambda: keys_of(planned)) > 0


def another_process_has(items: Sequence[str], folder: Path) -> AbstractContextManager[subprocess.Popen[str]]:
    return holding(HOLD, *items, str(folder))


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


def test_a_run_that_has_something_in_common_is_refused_with_how_much_and_by_whom(place: Path) -> None:
    with another_process_has(["a", "b", "c"], place) as other:
        with pytest.raises(StateLocked) as refused, a_run(["b", "c", "d"], [place]):
            pass
        said = str(refused.value)
        assert said.startswith("study.yaml: another run has 2 of this one's 3 unfinished items under way ")
        assert f": process {other.pid} on " in said
        assert refused.value.exit_code == 6
        assert "wait for it" in refused.value.hint
    with a_run(["b", "c", "d"], [place]):
        pass


@pytest.mark.parametrize(
    ("items", "service"),
    [
        pytest.param(["d", "e"], "service", id="other items, as of another part or another manifest"),
        pytest.param(["a", "b"], "another", id="another service, or another key there"),
        pytest.param([], "service", id="nothing that could be paid for"),
    ],
)
def test_what_has_nothing_in_common_goes_on_at_once(place: Path, items: list[str], service: str) -> None:
    with a_run(["a", "b", "c"], [place]):
        before = {*place.iterdir()}
        with a_run(items, [place], service):
            assert before <= {*place.iterdir()}


def test_who_was_refused_keeps_nobody_out(place: Path) -> None:
    with a_run(["a"], [place]):
        with pytest.raises(StateLocked), a_run(["a", "b"], [place]):
            pass
        with a_run(["b"], [place]):
            pass


def test_notes_go_with_their_run(place: Path) -> None:
    with a_run(["a"], [place]), a_run(["b"], [place]):
        assert len([*place.glob("*.keys")]) == 2
    assert [path.name for path in place.iterdir()] == ["here.door"]


@contextmanager
def a_killed_run(items: Sequence[str], folder: Path) -> Iterator[None]:
    with another_process_has(items, folder) as other:
        other.send_signal(signal.SIGKILL)
        other.wait()
        yield


def test_what_a_killed_run_may_have_sent_is_awaited_as_long_as_it_is_planned(place: Path) -> None:
    with a_killed_run(["a", "b"], place):
        for _ in range(2):  # who comes after the one that found it gone waits as well
            with a_run(["b", "c"], [place]) as run:
                assert awaits(run, ["b", "c"])
                assert not awaits(run, ["c"])
        with a_run(["c"], [place]) as run:
            assert not awaits(run, ["c"])
        with a_run(["a"], [place], "another") as run:
            assert not awaits(run, ["a"])


def pass_by(place: Path, seconds: float, clock: Callable[[str], str] = str) -> None:
    """So many seconds go by for what was seen there; by `clock`, as its marks name it."""
    for mark in place.glob("*.seen"):
        name, _, told = mark.name.removesuffix(".seen").rpartition(".")
        named, *times = told.split("-")
        earlier = "-".join(str(int(at) - int(seconds * 1000)) for at in times)
        mark.rename(place / f"{name}.{clock(named)}-{earlier}.seen")


def test_the_time_of_a_killed_run_begins_when_it_is_found(place: Path) -> None:
    with a_killed_run(["a"], place):
        (keys,) = place.glob("*.keys")
        os.utime(keys, (time.time() - 3600,) * 2)
        with a_run(["a"], [place], settle_s=30) as run:
            assert 25 < run.awaited_s(lambda: keys_of(["a"])) <= 30
        pass_by(place, 61)
        with a_run(["a"], [place], settle_s=30) as run:
            assert not awaits(run, ["a"])
    assert [path.name for path in place.iterdir()] == ["here.door"]


@pytest.mark.parametrize("by_s", [-90_000, -3600, 3600, 90_000], ids="{:+}".format)
def test_the_time_is_not_the_wall_clock_s_which_somebody_may_set(place: Path, by_s: int) -> None:
    with a_run(["a"], [place], unseen=["a"]):
        pass
    (left,) = place.glob("*.left")
    os.utime(left, (time.time() - by_s,) * 2)
    for service in ("another", "service"):
        with a_run(["a"], [place], service, settle_s=30):
            pass
    pass_by(place, 20)
    with a_run(["a"], [place], settle_s=30) as run:
        assert 5 < run.awaited_s(lambda: keys_of(["a"])) <= 10
    pass_by(place, 41)
    with a_run(["a"], [place], settle_s=30) as run:
        assert not awaits(run, ["a"])
    assert not left.exists()


def test_what_another_clock_told_counts_from_when_it_is_seen_here_and_for_each_clock_once(place: Path) -> None:
    """After another start of the machine, or on another one that meets in the same folder."""
    with a_run(["a"], [place], unseen=["a"]):
        pass
    for start in ("00000001", "00000002"):
        pass_by(place, 0, lambda _, now=start: now)  # type: ignore[misc]
        with a_run(["a"], [place], settle_s=30) as run:
            assert 25 < run.awaited_s(lambda: keys_of(["a"])) <= 30
    seen = {mark.name for mark in place.glob("*.seen")}
    assert sum(".00000002-" not in name for name in seen) == 1
    for _ in range(2):
        with a_run(["a"], [place], settle_s=30):
            assert {mark.name for mark in place.glob("*.seen")} == seen
    for mark in place.glob("*.left"):
        mark.unlink()  # as an earlier version does
    with a_run(["a"], [place]):
        pass
    assert [path.name for path in place.iterdir()] == ["here.door"]


def test_a_note_stays_for_those_who_want_it_longer(place: Path) -> None:
    with a_run(["a"], [place], unseen=["a"], settle_s=60):
        pass
    pass_by(place, 10)
    with a_run(["a"], [place], settle_s=5) as hasty:
        assert not awaits(hasty, ["a"])
    with a_run(["a"], [place], settle_s=60) as run:
        assert awaits(run, ["a"])


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("killed", [True, False])
def test_what_was_lost_by_a_time_out_is_awaited_as_long_as_its_own_run_would(
    place: Path, recorded: bool, killed: bool
) -> None:
    with a_run(["a"], [place], unseen=["a"], settle_s=30, lost_slowly=recorded) as run:
        run.tell(not recorded)
        (keys,) = place.glob("*.keys")
        written = keys.read_bytes()
    (left,) = place.glob("*.left")
    if killed or not recorded:
        left.write_bytes(written)
    pass_by(place, 200)
    with a_run(["b"], [place], settle_s=30):
        pass
    with a_run(["a"], [place], settle_s=30) as run:
        assert 90 < run.awaited_s(lambda: keys_of(["a"])) <= 100
    pass_by(place, 101)
    with a_run(["a"], [place], settle_s=30) as run:
        assert not awaits(run, ["a"])
    assert not list(place.glob("*.left"))


def test_what_the_service_shows_by_now_and_nobody_can_adopt_is_awaited_no_longer(place: Path) -> None:
    with a_run(["a", "b"], [place], unseen=["a", "b"]):
        pass
    with a_run(["a", "b"], [place]) as run:
        for shown, awaited in ((["a"], True), (["a", "b"], False)):
            seen = {key(item) for item in shown}
            assert (run.awaited_s(lambda: keys_of("ab"), seen.__contains__) > 0) is awaited


def test_a_run_that_ends_leaves_what_the_service_may_not_show_yet(place: Path) -> None:
    with a_run(["a", "b", "c"], [place], unseen=["b"]):
        pass
    with a_run(["a", "b"], [place]) as run:
        assert awaits(run, ["b"])
        assert not awaits(run, ["a"])


def test_what_the_same_state_left_is_nothing_to_wait_for(place: Path) -> None:
    """It knows what it sent; others may have to wait for it still."""
    with a_run(["a"], [place], state="one", unseen=["a"]):
        pass
    for state, awaited in (("two", True), ("one", False), ("two", True)):
        with a_run(["a"], [place], state=state) as run:
            assert awaits(run, ["a"]) is awaited


def test_what_an_earlier_run_of_a_state_sent_is_awaited_whatever_a_later_one_has_under_way(place: Path) -> None:
    with a_run(["a"], [place], state="one", unseen=["a"]):
        pass
    with another_process_has(["b"], place) as later:  # of a state that has "a" done
        with a_run(["a"], [place], state="two") as run:
            assert awaits(run, ["a"])
        later.kill()
        later.wait()
        with a_run(["a"], [place], state="two") as run:
            assert awaits(run, ["a"])


FIRST, SECOND, OTHER = f"{1:032x}", f"{2:032x}", f"{3 << 64:032x}"
ENDS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], bool]] = {
    # What its state knew of when a run began, what it sent; what the state of the next run knows of; whether that has
    # to wait for what the first one sent.
    "the state goes on": ((FIRST,), (SECOND,), (FIRST, SECOND), False),
    "it went on since": ((FIRST,), (SECOND,), (FIRST, SECOND, OTHER), False),
    "it was put back as before the run": ((FIRST,), (SECOND,), (FIRST,), True),
    "it was put back as in the middle of the run": ((), (FIRST, SECOND), (FIRST,), True),
    "it was put back, and went on elsewhere since": ((FIRST,), (SECOND,), (FIRST, OTHER), True),
    "it was put back as it was when nothing was sent": ((), (FIRST,), (), True),
    "the run sent nothing": ((FIRST,), (), (FIRST,), False),
    "the run sent nothing, and the state was put back as before the one before": ((FIRST,), (), (), True),
    "nothing was ever sent": ((), (), (), False),
}


@pytest.mark.parametrize("killed", [False, True], ids=["ended", "killed"])
@pytest.mark.parametrize("case", ENDS)
def test_a_state_knows_what_a_run_of_it_sent_if_it_has_seen_it(place: Path, case: str, killed: bool) -> None:
    knew, sends, knows, awaited = ENDS[case]
    sent = [NOTHING, *knew]
    with a_run(["a"], [place], state="one", unseen=["a"], sent=sent) as run:
        for one in sends:
            sent.append(one)
            run.tell(False)
        (keys,) = place.glob("*.keys")
        written = keys.read_bytes()
    (left,) = place.glob("*.left")
    if killed:
        left.write_bytes(written)
    told = opened(left)
    told.file.close()
    assert told.mark == Mark(state="one", sent=sent[-1], settle_s=60.0)
    with a_run(["a"], [place], state="one", sent=[NOTHING, *knows]) as run:
        assert awaits(run, ["a"]) is awaited
    for other in ("two", ""):
        with a_run(["a"], [place], state=other, sent=[NOTHING, *knew, *sends]) as run:
            assert awaits(run, ["a"])


def test_a_note_of_an_earlier_version_does_not_tell_what_a_state_has_seen(place: Path) -> None:
    with a_run(["a"], [place], state="0123456789abcdef", unseen=["a"]):
        pass
    (left,) = place.glob("*.left")
    head, rest = left.read_bytes().split(b"\n", 1)
    earlier = json.loads(head) | {"state": "0123456789abcdef"}
    left.write_bytes(json.dumps(earlier).encode() + b"\n" + rest)
    with a_run(["a", "b"], [place], state="0123456789abcdef") as run:
        assert awaits(run, ["a"])
        assert not awaits(run, ["b"])


def test_a_note_that_cannot_tell_what_is_sent_may_be_anything_and_is_no_way_to_another_file(
    place: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"somebody's own")
    with a_run(["a"], [place]) as run:
        (keys,) = place.glob("*.keys")
        keys.unlink()
        run.tell(False)  # notes that are removed are not missed
        keys.symlink_to(elsewhere)
        run.tell(False)
        with pytest.raises(StateLocked, match="cannot be told"), a_run(["b"], [place]):
            pass
    assert elsewhere.read_bytes() == b"somebody's own"


def test_who_is_refused_leaves_what_its_state_left_before(place: Path) -> None:
    with a_run(["a"], [place], state="one", unseen=["a"]):
        pass
    with another_process_has(["b"], place), pytest.raises(StateLocked), a_run(["a", "b"], [place], state="one"):
        pass
    with a_run(["a"], [place], state="two") as run:
        assert awaits(run, ["a"])


def test_a_run_whose_state_tells_nothing_at_its_end_leaves_all_it_had(place: Path) -> None:
    def fails() -> Iterator[bytes]:
        raise StateError("the state is gone")

    places = [Meeting(folder=place, machine="here")]
    with UnderWay(places, "service", lambda: keys_of("ab"), what="x", after=Afterwards(settle_s=60, unseen=fails)):
        pass
    with a_run(["b"], [place]) as run:
        assert awaits(run, ["b"])


@pytest.mark.parametrize("harm", [b"", b"{}", b"x" * 5000])
def test_what_is_left_and_cannot_be_read_may_be_anything(place: Path, harm: bytes) -> None:
    with a_run(["a"], [place], unseen=["a"]):
        pass
    (left,) = place.glob("*.left")
    left.write_bytes(harm)
    with a_run(["b"], [place]) as run:
        assert awaits(run, ["b"])
        assert not awaits(run, [])


def remove_all(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def remove_the_folder(folder: Path) -> None:
    remove_all(folder)
    folder.rmdir()


@pytest.mark.parametrize("clean", [remove_all, remove_the_folder])
@pytest.mark.parametrize("which", [0, 1])
def test_one_folder_that_both_see_is_enough(
    place: Path, tmp_path: Path, clean: Callable[[Path], None], which: int
) -> None:
    folders = [place, tmp_path / "second"]
    folders[1].mkdir()
    with a_run(["a"], folders):
        clean(folders[which])
        with pytest.raises(StateLocked), a_run(["a"], folders):
            pass


def test_where_no_note_can_be_left_a_run_goes_on_and_is_told_so(place: Path, tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    for folders in ([tmp_path / "a file"], [tmp_path / "missing"], []):
        with a_run(["a"], folders) as run:
            assert not run.told
        with a_run([], folders) as run:  # there is nothing to tell
            assert run.told
    with a_run(["a"], [tmp_path / "missing", place]) as run:
        assert run.told


@pytest.mark.parametrize("name", ["a file", "missing", "/sys/kernel"])
def test_a_folder_that_is_named_and_takes_no_note_is_a_usage_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "a file").touch()
    folder = tmp_path / name
    with pytest.raises(UsageError, match="HUME_RUNNER_RUNS") as refused, a_run(["a"], [folder], named=True):
        pass
    assert refused.value.exit_code == 64
    with a_run([], [folder], named=True):  # there is nothing to tell
        pass


@pytest.mark.sweep
def test_a_full_folder_that_is_named_is_a_usage_error_and_what_was_begun_in_it_is_removed(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", megabytes=1) as disk:
        items = [f"item {number}" for number in range(200_000)]
        with pytest.raises(UsageError, match="No space left"), a_run(items, [disk], named=True):
            pass
        assert [path.name for path in disk.iterdir()] == ["here.door"]


def test_a_note_that_another_locks_while_it_is_made_has_another_name(place: Path) -> None:
    """Who looks for processes that are gone tries every lock."""
    taken: list[OsLock] = []
    names = iter(["first", "second", "third"])

    def next_lock() -> Path:
        path = place / f"{next(names)}.lock"
        if len(taken) < 2:
            taken.append(OsLock(path))
            assert taken[-1].acquire(0.0)
        return path

    def fill(path: Path) -> None:
        write(path, Mark(), keys_of(["a"]))

    note = Note.leave(next_lock, fill)
    for lock in taken:
        lock.release()
    assert note.keys.exists()
    assert not OsLock(note.lock.path).acquire(0.0)
    note.remove()
    assert not [*place.glob("*.keys")]


def test_many_come_at_once_and_one_goes_on(place: Path) -> None:
    """None is refused by one that is refused itself."""
    waiting = [
        WarmPopen([sys.executable, "-c", HOLD, "a", str(place)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                  stderr=subprocess.DEVNULL, text=True)
        for _ in range(4)
    ]  # fmt: skip
    said = []
    for process in waiting:
        assert process.stdout is not None
        said.append(process.stdout.readline())
    for process in waiting:
        process.communicate()
    assert sorted(said) == ["", "", "", "held\n"]


def emptied(note: bytes) -> bytes:
    return b""


def cut(note: bytes) -> bytes:
    return note[:-KEY_BYTES]


def with_a_long_head(note: bytes) -> bytes:
    return b"x" * 5000 + note


def with_another_head(note: bytes) -> bytes:
    return b'{"pid": -5}\n' + note.split(b"\n", 1)[1]


# What may stand in a note: whoever can write there may have put it there.
@pytest.mark.parametrize("harm", [emptied, cut, with_a_long_head, with_another_head, None])
@sampled(2)
def test_a_run_that_goes_on_and_whose_note_cannot_be_read_may_have_the_same(
    place: Path, harm: Callable[[bytes], bytes] | None
) -> None:
    with another_process_has(["a", "c"], place):
        (keys,) = place.glob("*.keys")
        if harm is None:
            keys.unlink()
        else:
            keys.write_bytes(harm(keys.read_bytes()))
        with pytest.raises(StateLocked, match="cannot be told") as refused, a_run(["b"], [place]):
            pass
        assert refused.value.exit_code == 6
        with a_run(["b"], [place], "another service"):
            pass


def test_keys_that_are_in_no_order_are_none_of_ours(place: Path) -> None:
    note = place / "here.keys"
    write(note, Mark(), (number.to_bytes(KEY_BYTES, "big") for number in reversed(range(100_000))))
    told = opened(note)
    with told.file, pytest.raises(ValueError, match="no run wrote"):
        list(told.blocks())


@given(mine=st.sets(st.integers(0, 60)), theirs=st.sets(st.integers(0, 60)), size=st.integers(1, 7))
def test_what_two_notes_have_in_common_is_found_once_however_they_are_cut(
    mine: set[int], theirs: set[int], size: int
) -> None:
    def in_blocks(numbers: set[int]) -> Iterator[bytes]:
        every = sorted(numbers)
        for at in range(0, len(every), size):
            yield b"".join(one.to_bytes(KEY_BYTES, "big") for one in every[at : at + size])

    parts = [*shared(in_blocks(mine), in_blocks(theirs))]
    assert sorted(number for part in parts for number in part) == sorted(mine & theirs)


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="where it is not, they are below TMPDIR")
def test_the_folders_are_the_same_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = meetings(None)
    for name in ("TMPDIR", "TMP", "HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert meetings(None) == before
    for one in before:
        assert is_private(one.folder)


def test_a_folder_that_others_can_write_in_or_a_link_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "own").mkdir(0o700)
    (tmp_path / "link").symlink_to("own")
    assert [is_private(tmp_path / name) for name in ("open", "own", "link")] == [False, True, False]
    if os.geteuid() == 0:
        os.chown(tmp_path / "own", 12345, -1)
        assert not is_private(tmp_path / "own")


def test_a_folder_that_is_named_is_the_one_whatever_the_machine_is_called(tmp_path: Path) -> None:
    assert meetings(tmp_path / "new" / "runs") == (
        Meeting(folder=tmp_path / "new" / "runs", machine="any", named=True),
    )
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="HUME_RUNNER_RUNS"):
        meetings(tmp_path / "file")


ONE = "http://127.0.0.1:8000"


@pytest.mark.parametrize(
    "other",
    ["HTTP://127.0.0.1:8000", "http://localhost:8000", "http://LOCALHOST:8000/", f"{ONE}/", "http://[::1]:8000",
     "http://127.0.0.2:8000", "http://hume.localhost:8000"],
)  # fmt: skip
def test_a_service_is_one_however_its_address_is_written(other: str) -> None:
    assert one_service(other, "key") == one_service(ONE, "key")


@pytest.mark.parametrize(
    ("other", "account"),
    [("https://127.0.0.1:8000", "key"), ("http://127.0.0.1:8001", "key"), (f"{ONE}/eu", "key"), (ONE, "another"),
     ("http://localhost.example.org:8000", "key"), ("http://[::1", "key"), ("http://127.0.0.2", "key")],
)  # fmt: skip
def test_another_service_or_another_key_is_another(other: str, account: str) -> None:
    assert one_service(other, account) != one_service(ONE, "key")


def test_a_state_that_was_made_anew_and_a_copy_elsewhere_remember_something_else() -> None:
    one = one_state(Path("/out/state.sqlite3"), "lineage")
    assert one == one_state("/out/state.sqlite3", "lineage")
    assert len({one, one_state("/out/state.sqlite3", "another"), one_state("/copy/state.sqlite3", "lineage")}) == 3

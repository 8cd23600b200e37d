"""Of runs that have the same item under way at one service, one goes on; whatever has nothing in common goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from hume_runner.errors import StateLocked, UsageError
from hume_runner.state.under_way import KEY_BYTES, Meeting, UnderWay, is_private, meetings, one_service
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


def a_run(items: Sequence[str], folders: Sequence[Path], service: str = "service") -> UnderWay:
    places = [Meeting(folder=folder, machine="here") for folder in folders]
    return UnderWay(places, service, lambda: map(key, items), what="study.yaml")


@contextmanager
def another_process_has(items: Sequence[str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    process = WarmPopen(
        [sys.executable, "-c", HOLD, *items, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    try:
        yield process
    finally:
        process.communicate()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


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
    with a_run(["a", "b", "c"], [place]), a_run(items, [place], service):
        pass


def test_who_was_refused_keeps_nobody_out(place: Path) -> None:
    with a_run(["a"], [place]):
        with pytest.raises(StateLocked), a_run(["a", "b"], [place]):
            pass
        with a_run(["b"], [place]):
            pass


def test_notes_go_with_their_run_and_those_of_a_killed_one_with_the_next(place: Path) -> None:
    with another_process_has(["a"], place) as other:
        other.send_signal(signal.SIGKILL)
        other.wait()
        assert [*place.glob("*.keys")]
        with a_run(["a"], [place]):
            assert len([*place.glob("*.keys")]) == 1
    assert [path.name for path in place.iterdir()] == ["here.door"]


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


def test_where_no_note_can_be_left_a_run_goes_on(tmp_path: Path) -> None:
    (tmp_path / "a file").touch()
    for folder in (tmp_path / "a file", tmp_path / "missing"):
        with a_run(["a"], [folder]):
            pass
    with a_run(["a"], []):
        pass


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


# What may stand in a note: whoever can write there may have put it there.
@pytest.mark.parametrize("head", [b"", b"{", b"[]", b'{"pid": -5}', b"\xff" * 100_000])
def test_a_note_that_no_run_wrote_refuses_without_telling_what_it_says(place: Path, head: bytes) -> None:
    with another_process_has(["a"], place):
        (keys,) = place.glob("*.keys")
        keys.write_bytes(head[:4095].ljust(4095) + b"\n" + key("a"))
        with pytest.raises(StateLocked, match=r"at the same service: another process$"), a_run(["a"], [place]):
            pass


def test_the_folders_are_the_same_whatever_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = meetings(None)
    for name in ("TMPDIR", "TMP", "HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    if Path("/dev/shm").is_dir():
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
    assert meetings(tmp_path / "new" / "runs") == (Meeting(folder=tmp_path / "new" / "runs", machine="any"),)
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="HUME_RUNNER_RUNS"):
        meetings(tmp_path / "file")


ONE = "http://127.0.0.1:8000"


@pytest.mark.parametrize(
    "other",
    ["HTTP://127.0.0.1:8000", "http://localhost:8000", "http://LOCALHOST:8000/", f"{ONE}/", "http://[::1]:8000"],
)
def test_a_service_is_one_however_its_address_is_written(other: str) -> None:
    assert one_service(other, "key") == one_service(ONE, "key")


@pytest.mark.parametrize(
    ("other", "account"),
    [("https://127.0.0.1:8000", "key"), ("http://127.0.0.1:8001", "key"), (f"{ONE}/eu", "key"), (ONE, "another"),
     ("http://localhost.example.org:8000", "key")],
)  # fmt: skip
def test_another_service_or_another_key_is_another(other: str, account: str) -> None:
    assert one_service(other, account) != one_service(ONE, "key")

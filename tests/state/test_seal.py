"""A state that was closed in good order is what the next run finds, bit for bit, or it is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from hume_runner.errors import StateError
from hume_runner.state.disk import Disk
from hume_runner.state.reader import StateReader
from hume_runner.state.seal import break_seal, check_seal, seal_path, write_seal
from hume_runner.state.store import Store


@pytest.fixture
def state(tmp_path: Path) -> Path:
    path = tmp_path / "state.sqlite3"
    with Store.create_or_open(path, disk=Disk(), name="trial", lineage="abc"):
        pass
    return path


def reopen(path: Path) -> None:
    with Store.create_or_open(path, disk=Disk(), name="trial", lineage="other") as store:
        assert store.lineage == "abc"


def test_closing_a_state_seals_it_and_opening_it_again_is_no_trouble(state: Path) -> None:
    assert seal_path(state).exists()
    reopen(state)
    with StateReader.peek(state, name="trial") as store:
        assert store.lineage == "abc"


def test_a_state_that_is_refused_as_another_manifests_keeps_its_seal(state: Path) -> None:
    good, seal = state.read_bytes(), seal_path(state).read_bytes()
    with pytest.raises(StateError, match="belongs to the manifest 'trial'"):
        Store.create_or_open(state, disk=Disk(), name="another", lineage="other")
    assert (state.read_bytes(), seal_path(state).read_bytes()) == (good, seal)


def test_a_flipped_bit_anywhere_is_found_and_the_file_is_left_as_it_is(state: Path) -> None:
    good, seal = state.read_bytes(), seal_path(state).read_bytes()
    assert len(good) > 4096
    for position in range(0, len(good), max(1, len(good) // 97)):
        damaged = bytearray(good)
        damaged[position] ^= 1 << (position % 8)
        state.write_bytes(damaged)
        seal_path(state).write_bytes(seal)
        with pytest.raises(StateError) as refused:
            reopen(state)
        assert refused.value.exit_code == 10
        assert refused.value.hint
        assert state.read_bytes() == damaged


def test_every_truncation_is_found(state: Path) -> None:
    good, seal = state.read_bytes(), seal_path(state).read_bytes()
    assert len(good) > 4096
    for length in [*range(1, 200), *range(200, len(good), 1009), len(good) - 1]:
        state.write_bytes(good[:length])
        seal_path(state).write_bytes(seal)
        with pytest.raises(StateError) as refused:
            reopen(state)
        assert refused.value.exit_code == 10


def test_the_seal_is_broken_before_the_first_write(state: Path) -> None:
    store = Store.create_or_open(state, disk=Disk(), name="trial", lineage="other")
    assert not seal_path(state).exists()
    store.close()
    assert seal_path(state).exists()


def test_a_run_that_died_leaves_no_seal_and_can_be_resumed(state: Path) -> None:
    break_seal(state)
    reopen(state)


def test_reading_leaves_the_seal_alone(state: Path) -> None:
    before = seal_path(state).read_bytes()
    with StateReader.peek(state, name="trial"):
        pass
    assert seal_path(state).read_bytes() == before


def test_a_damaged_seal_says_nothing_about_the_state(state: Path) -> None:
    seal_path(state).write_text("{")
    reopen(state)


def test_a_change_on_purpose_is_accepted_once_the_seal_is_removed(state: Path) -> None:
    state.write_bytes(state.read_bytes() + bytes(4096))
    with pytest.raises(StateError) as refused:
        check_seal(state)
    assert f"remove {seal_path(state).name}" in refused.value.hint
    seal_path(state).unlink()
    check_seal(state)


def test_a_full_disk_is_no_reason_to_fail_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    path.write_bytes(b"x")
    seal_path(path).mkdir()  # nothing can be renamed onto a folder
    write_seal(path)
    assert not list(tmp_path.glob("*.part"))

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from hume_runner import aside
from hume_runner.errors import NotRegular
from tests.writers import killed_writer


def test_a_link_at_the_final_name_is_replaced_and_what_it_led_to_stays(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / "run.json").symlink_to(precious)
    aside.write(tmp_path / "run.json", b"{}")
    assert precious.read_text() == "mine"
    assert not (tmp_path / "run.json").is_symlink()
    assert (tmp_path / "run.json").read_bytes() == b"{}"


def test_a_name_that_exists_is_never_opened_for_writing(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError):
        aside.open_new(tmp_path / "link")
    assert not (tmp_path / "nowhere").exists()


def test_a_failed_writing_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    aside.write(tmp_path / "a", b"old")

    def fail() -> None:
        with aside.written(tmp_path / "a") as file:
            file.write(b"new")
            raise ValueError("enough")

    with pytest.raises(ValueError, match="enough"):
        fail()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"old"}


@pytest.mark.parametrize("private", [True, False])
def test_private_files_are_readable_by_their_owner_alone_from_the_start(tmp_path: Path, private: bool) -> None:
    before = os.umask(0o022)
    try:
        with aside.written(tmp_path / "a", private=private) as file:
            early = stat.S_IMODE(Path(file.name).stat().st_mode)
    finally:
        os.umask(before)
    assert early == stat.S_IMODE((tmp_path / "a").stat().st_mode) == (0o600 if private else 0o644)


def test_what_a_killed_writer_left_is_removed_by_the_next_and_what_a_living_one_writes_is_not(tmp_path: Path) -> None:
    killed_writer(f"from hume_runner import aside\nkept = aside.Part(Path({str(tmp_path / 'a')!r}))")
    (left,) = tmp_path.iterdir()
    with aside.written(tmp_path / "a") as living:
        assert not left.exists()
        aside.write(tmp_path / "a", b"another")
        assert Path(living.name).exists()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_cleaning_up_follows_no_link_and_touches_no_other_name(tmp_path: Path) -> None:
    precious = tmp_path / "elsewhere"
    precious.write_text("mine")
    folder = tmp_path / "folder"
    folder.mkdir()
    aside.part_path(folder / "a").symlink_to(precious)
    other = aside.part_path(folder / "b").name
    others = [".a.part", "a.part", f".a.{'0' * 15}.part", f".a.{'0' * 16}.part", other, other.replace("b", "a", 1)]
    for name in others:
        (folder / name).write_text("kept")
    aside.remove_leftovers(folder, "a")
    assert precious.read_text() == "mine"
    assert sorted(path.name for path in folder.iterdir()) == sorted(others)


def test_a_name_of_255_bytes_is_written_and_its_leftovers_are_known_again(tmp_path: Path) -> None:
    name = "ü" * 127
    part = aside.part_path(tmp_path / name)
    assert aside.is_part(part.name, name)
    aside.write(tmp_path / name, b"x")
    assert (tmp_path / name).read_bytes() == b"x"


def test_nothing_is_renamed_over_a_device_even_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to(os.devnull)
    with pytest.raises(NotRegular):
        aside.write(tmp_path / "out", b"x")
    assert (tmp_path / "out").is_symlink()


def test_what_is_appended_to_is_a_private_file_of_our_own(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (tmp_path / "link").symlink_to(precious)
    os.mkfifo(tmp_path / "pipe")
    os.link(precious, tmp_path / "second-name")
    for name in ("link", "pipe", "second-name"):
        with pytest.raises(OSError, match=f"{name}'$"):
            aside.open_to_append(tmp_path / name)
    assert precious.read_text() == "mine"
    with aside.open_to_append(tmp_path / "new") as file:
        file.write(b"x")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600


def test_a_folder_below_ours_may_not_be_a_link_but_ours_may(tmp_path: Path) -> None:
    (tmp_path / "real" / "raw").mkdir(parents=True)
    (tmp_path / "out").symlink_to(tmp_path / "real")
    assert aside.refuse_links(tmp_path / "out", "raw") == tmp_path / "out" / "raw"
    (tmp_path / "real" / "raw" / "a").symlink_to(tmp_path)
    with pytest.raises(aside.LinkInTheWay):
        aside.refuse_links(tmp_path / "out", "raw", "a", "b")


def test_a_folder_that_is_missing_is_told_by_the_final_name(tmp_path: Path) -> None:
    """Nobody knows the name that is written aside."""
    target = tmp_path / "none" / "results.json"
    with pytest.raises(FileNotFoundError) as caught:
        aside.write(target, b"")
    assert caught.value.filename == str(target)

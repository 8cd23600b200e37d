"""What may stand where a file or a folder of ours is about to be, and what is told of anything else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hume_runner.errors import NotRegular, of_place, of_system
from hume_runner.regular_files import refuse_no_file, refuse_no_folder


def a_link_to(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


# What stands there: the words for it in a file's place, in one where no link may be, and in a folder's; None: it may.
STANDS: dict[str, tuple[Callable[[Path], object], str | None, str | None, str | None]] = {
    "nothing": (lambda path: None, None, None, None),
    "a file": (Path.touch, None, None, "a file"),
    "a folder": (Path.mkdir, "a folder", "a folder", None),
    "a pipe": (os.mkfifo, "a pipe", "a pipe", "a pipe"),
    "a link to a file": (a_link_to(__file__), None, "a link", "a link to a file"),
    "a link to a folder": (a_link_to("/"), None, "a link", None),
    "a link to nothing": (a_link_to("nowhere"), None, "a link", None),
    "a link to a device": (a_link_to(os.devnull), "a link to a device", "a link", "a link to a device"),
    "a loop": (a_link_to("there"), *["a link that leads to itself"] * 3),
}


@pytest.mark.parametrize(("make", "file", "no_link", "folder"), STANDS.values(), ids=list(STANDS))
def test_what_stands_in_the_place_of_a_file_or_a_folder(
    tmp_path: Path, make: Callable[[Path], object], file: str | None, no_link: str | None, folder: str | None
) -> None:
    path = tmp_path / "there"
    make(path)

    def told(refuse: Callable[[], None]) -> str | None:
        try:
            refuse()
        except NotRegular as error:
            return error.strerror
        return None

    assert told(lambda: refuse_no_file(path)) == (file and f"{file} is where a file should be")
    assert told(lambda: refuse_no_file(path, links=False)) == (no_link and f"{no_link} is where a file should be")
    assert told(lambda: refuse_no_folder(path)) == (folder and f"{folder} is where a folder should be")


def test_what_is_in_the_way_is_bad_usage_with_a_next_step_that_helps(tmp_path: Path) -> None:
    with pytest.raises(NotRegular) as refused:
        refuse_no_file(tmp_path)
    for error in (of_place("elsewhere", refused.value), of_system(refused.value)):
        assert error is not None
        assert (error.exit_code, str(error)) == (64, f"{tmp_path}: a folder is where a file should be")
        assert error.hint == "move it away, or name another place; nothing is lost"

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from hume_runner.scratch import EMULATOR, Scratch
from tests.writers import killed_writer

pytestmark = pytest.mark.usefixtures("temporary")


def killed(kind: str, temporary: Path) -> Path:
    code = f"from hume_runner.scratch import Scratch\nkept = Scratch({kind!r})\n(kept.path / 'texts').write_text('x')"
    before = set(temporary.iterdir())
    killed_writer(code, {**os.environ, "TMPDIR": str(temporary)})
    (left,) = set(temporary.iterdir()) - before
    return left


@pytest.mark.parametrize("kind", ["hume-runner-", EMULATOR])
def test_what_a_killed_process_left_is_removed_by_the_next(temporary: Path, kind: str) -> None:
    left = killed(kind, temporary)
    assert stat.S_IMODE(left.stat().st_mode) == 0o700
    with Scratch() as folder:
        assert not left.exists()
        assert folder.is_dir()
    assert list(temporary.iterdir()) == []


def test_what_a_living_process_uses_is_not_removed() -> None:
    with Scratch() as first:
        (first / "texts").write_text("x")
        with Scratch() as second:
            assert (first / "texts").exists()
            assert first != second


def test_links_and_other_names_are_neither_followed_nor_removed(temporary: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("mine")
    (temporary / f"hume-runner-{'0' * 16}").symlink_to(precious)
    (temporary / "hume-runner-notes").mkdir()
    left = killed("hume-runner-", temporary)
    (left / "link").symlink_to(precious)
    with Scratch():
        pass
    assert not left.exists()
    assert (precious / "file").read_text() == "mine"
    assert (temporary / f"hume-runner-{'0' * 16}").is_symlink()
    assert (temporary / "hume-runner-notes").is_dir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_another_users_folder_is_left_alone(temporary: Path) -> None:
    left = killed("hume-runner-", temporary)
    os.chown(left, 65534, 65534)
    with Scratch():
        assert left.exists()

"""What a run and its workers share on disk: a folder of its own in `<outputs>/cluster`, gone with the run.

That name is nobody's alone: it may be the output directory of another study. So what a run removes there is what it
made itself, and what a killed run left: a folder whose name and whose nonce say that it is one of these, and whose
nonce nobody has locked. A lock ends with its process.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from pathlib import Path

from hume_runner import aside
from hume_runner.computing.base import FOLDER
from hume_runner.computing.perform import CALLS, NONCE

_NAME = re.compile("run-[0-9a-f]{16}")
_NONCE_BYTES = 16


class SharedFolder:
    """A folder for one run, with its nonce and a place for marks; `close` removes it. Raises: OSError."""

    def __init__(self, outputs: Path) -> None:
        root = aside.folder_below(outputs, FOLDER).absolute()
        root.parent.mkdir(parents=True, exist_ok=True)
        try:
            root.mkdir()
            self._root_is_ours = True
        except FileExistsError:
            self._root_is_ours = _remove_abandoned(root)
        self.nonce = secrets.token_hex(_NONCE_BYTES)
        self.path = root / _name_of(self.nonce)
        self.path.mkdir()
        (self.path / CALLS).mkdir()
        # Locked before it says whose the folder is: one without a nonce is taken for abandoned by nobody.
        self._mark = aside.open_new(self.path / NONCE)
        aside.lock_now(self._mark.fileno())
        self._mark.write(self.nonce.encode())
        self._mark.flush()
        os.fsync(self._mark.fileno())

    def is_there(self) -> bool:
        """Whether it is what it was: somebody may have removed it, or its file system went away."""
        try:
            return (self.path / NONCE).read_text() == self.nonce and (self.path / CALLS).is_dir()
        except OSError:
            return False

    def close(self) -> None:
        """What is still worked on finds the folder gone, and ends."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._mark.close()
        if self._root_is_ours:
            with contextlib.suppress(OSError):  # others have something there
                self.path.parent.rmdir()


def remove_abandoned(outputs: Path) -> None:
    """Remove what killed runs left below an output directory."""
    root = outputs / FOLDER
    if not root.is_symlink() and _remove_abandoned(root):
        with contextlib.suppress(OSError):  # others have something there
            root.rmdir()


def _name_of(nonce: str) -> str:
    return f"run-{nonce[:16]}"


def _remove_abandoned(root: Path) -> bool:
    """Remove what killed runs left; whether there was any. Links are neither followed nor removed."""
    found = False
    with contextlib.suppress(OSError), os.scandir(root) as entries:
        for entry in entries:
            if _NAME.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                with contextlib.suppress(OSError, ValueError):
                    found = _remove_if_abandoned(Path(entry.path)) or found
    return found


def _remove_if_abandoned(folder: Path) -> bool:
    # For writing, since the locks of some shared file systems ask for that.
    handle = os.open(folder / NONCE, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        nonce = os.read(handle, 4 * _NONCE_BYTES).decode("ascii")
        is_one = re.fullmatch(f"[0-9a-f]{{{2 * _NONCE_BYTES}}}", nonce) and _name_of(nonce) == folder.name
        if not is_one or not aside.lock_now(handle):
            return False
        shutil.rmtree(folder, ignore_errors=True)
        return True
    finally:
        os.close(handle)

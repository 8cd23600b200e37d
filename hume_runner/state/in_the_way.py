"""What stands where a run keeps its locks and makes its folders, and is neither: told before anything is sent, by what
looks and by what runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from hume_runner import aside
from hume_runner.errors import of_place
from hume_runner.regular_files import refuse_no_file, refuse_no_folder
from hume_runner.state.lock import OutputsLock, StateLock
from hume_runner.state.seal import seal_path

# What runs make below the output directory, as some need them.
_FOLDERS = ("raw", "tables", "prepared", "cluster", "emulator")


def refuse_in_the_way(state: Path, outputs: Path, *, named: Path, needed: Iterable[str]) -> None:
    """Nothing is in the way of the folders, the locks and the seal of a run. `named`: the output directory as a person
    calls it, which may be a link; `needed`: folders below it that the run makes. Raises: UsageError, StateError."""
    try:
        for folder in (named, state.parent, outputs):
            _refuse_no_folder(folder)
        for guard in (StateLock(state), OutputsLock(outputs)):
            refuse_no_file(guard.path, links=False)
        refuse_no_file(seal_path(state))
        for name in needed:
            aside.folder_below(outputs, name)
    except OSError as error:
        raise of_place(outputs, error) from error


def refuse_links(outputs: Path) -> None:
    """Nothing that a run writes below the output directory goes elsewhere by a link. Raises: LinkInTheWay, NotRegular;
    OSError."""
    for name in _FOLDERS:
        if (outputs / name).is_symlink():
            aside.folder_below(outputs, name)
    if not (outputs / "raw").is_dir():
        return
    with os.scandir(outputs / "raw") as answers:
        for entry in answers:
            if entry.is_symlink():
                aside.folder_below(outputs, "raw", entry.name)


def refuse_for_answers(outputs: Path, known: Callable[[str], bool]) -> None:
    """The folders of answers that the state knows (`known`, by path) are folders: what is missing in them is put back
    there. Raises: UsageError."""
    raw = outputs / "raw"
    if not raw.is_dir():
        return
    try:
        with os.scandir(raw) as answers:
            for entry in answers:
                if not entry.is_dir() and known(f"raw/{entry.name}/request.json"):
                    refuse_no_folder(Path(entry.path))
    except OSError as error:
        raise of_place(raw, error) from error


def _refuse_no_folder(folder: Path) -> None:
    """Of a folder and those above it the lowest that is there."""
    there = next((one for one in (folder, *folder.parents) if os.path.lexists(one)), None)
    if there is not None:
        refuse_no_folder(there)

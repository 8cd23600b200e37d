"""Names that are the same letters and not the same bytes: `ä` as one character or as `a` and two dots.

One system writes names composed (NFC), another decomposed (NFD), and most file systems keep the bytes that they get. So
there can be two folders that nobody can tell apart by eye: twins. A file system that takes both spellings for one name
has none, and nothing here finds any there.
"""
# Plain strings and os.path here, as in sources/files.py: names may come by the million.
# ruff: noqa: PTH118, PTH121

from __future__ import annotations

import os
import unicodedata
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from hume_runner.errors import UsageError

_MOST_FOLDERS = 64
_T = TypeVar("_T")


def is_whole(text: str) -> bool:
    """Whether a text has no half of a surrogate pair, which JSON can spell and UTF-8 cannot."""
    try:
        text.isascii() or text.encode()
    except UnicodeEncodeError:
        return False
    return True


def composed(name: str) -> str:
    """A name as it is compared with others."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def look_the_same(one: str, other: str) -> bool:
    """Whether two different names can be told apart by their bytes and hardly by eye."""
    return one != other and unicodedata.normalize("NFKC", one) == unicodedata.normalize("NFKC", other)


def stored_path(path: Path) -> Path:
    """What is to be read at `path`: itself, or if it is not there the only one that reads the same."""
    text = str(path)
    stored = Spellings().stored(text)
    return path if len(stored) != 1 or stored[0] == text else Path(stored[0])


def placed_path(path: Path, *marks: str) -> Path:
    """What is to be written at `path`, or gone on with: the one that is there, however it is spelt, so that no twin is
    made of it or of a folder above it.

    Of several that are there the one that is spelt as asked; but where only another holds one of `marks`, names of
    files, that is the one that was worked with. Raises: UsageError where nobody can tell which is meant.
    """
    text = str(path)
    if text.isascii():
        return path
    asked, there, rest = _reached(text)
    meant = _marked(there, marks) or there
    if meant[0] == asked:
        return path
    if len(meant) > 1:
        raise UsageError(
            f"{path}: {len(meant)} read so, all written differently (composed and decomposed letters): "
            f"{', '.join(map(ascii, meant))}",
            hint="merge or rename them until one is left, or name one exactly as the disk spells it",
        )
    return Path(os.path.join(meant[0], *rest))


def twins(path: Path, *marks: str) -> list[Path]:
    """Others that are there and read as `path` does; with `marks`, only those that hold one of them."""
    text = str(path)
    if text.isascii():
        return []
    asked, there, rest = _reached(text)
    others = _marked(there, marks) if marks else there
    return [] if rest else [Path(one) for one in others if one != asked]


def _reached(text: str) -> tuple[str, list[str], Sequence[str]]:
    head, parts = _split(text)
    return Spellings().reached(head, parts)


def _marked(folders: Sequence[str], marks: Sequence[str]) -> list[str]:
    return [one for one in folders if any(os.path.lexists(os.path.join(one, mark)) for mark in marks)]


def _split(path: str) -> tuple[str, Sequence[str]]:
    """Where a path begins, and its parts."""
    whole = Path(path)
    return whole.anchor, whole.parts[1:] if whole.anchor else whole.parts


class Spellings:
    """Finds files whose names are spelt in other bytes than asked for. Remembers the folders it looked into."""

    def __init__(self) -> None:
        self._folders: OrderedDict[str, dict[str, list[str]]] = OrderedDict()
        self._ways: OrderedDict[str, tuple[list[str], Sequence[str]]] = OrderedDict()

    def stored(self, path: str) -> tuple[str, ...]:
        """The absolute `path` as the disk spells it.

        One path: itself, if it is there or nothing is that reads the same. Several: those that read the same, none of
        them spelt as asked.
        """
        if path.isascii() or os.path.lexists(path):
            return (path,)
        folder, name = os.path.split(path)
        there, rest = self._way_to(folder)
        further = () if rest else self._further(there, name)
        return tuple(further) or (os.path.join(there[0], *rest, name),)

    def reached(self, start: str, parts: Sequence[str]) -> tuple[str, list[str], Sequence[str]]:
        """(how far `parts` lead from `start`, as it is asked for; what is there that reads so, what is spelt as asked
        before all others; the parts that are left, where nothing more is there).

        All that read the same are followed: of two folders one may lack what the other has.
        """
        plain = 0
        while plain < len(parts) and parts[plain].isascii():
            plain += 1
        asked = os.path.join(start, *parts[:plain])
        there = [asked]
        for index, part in enumerate(parts[plain:], plain):
            further = self._further(there, part)
            if not further:
                return asked, there, parts[index:]
            asked, there = os.path.join(asked, part), further
        return asked, there, ()

    def _way_to(self, folder: str) -> tuple[list[str], Sequence[str]]:
        """What is there of a folder, and what is not; remembered, as a list names many files of few folders."""
        known = self._ways.get(folder)
        if known is None:
            _, there, rest = self.reached(*_split(folder))
            known = there, rest
            _remember(self._ways, folder, known)
        return known

    def _further(self, folders: Sequence[str], part: str) -> list[str]:
        """What is called `part` in any of these folders; what several names lead to once, by the first."""
        found: list[str] = []
        for folder in folders:
            names = [part]
            if not part.isascii():
                names += [name for name in self._names(folder).get(composed(part), []) if name != part]
            for path in (os.path.join(folder, name) for name in names):
                if os.path.lexists(path) and not any(_same(path, other) for other in found):
                    found.append(path)
        return found

    def _names(self, folder: str) -> dict[str, list[str]]:
        """Composed name -> the names in this folder that are spelt so or otherwise."""
        known = self._folders.get(folder)
        if known is None:
            known = {}
            try:
                with os.scandir(folder or ".") as entries:
                    for name in sorted(entry.name for entry in entries if not entry.name.isascii()):
                        known.setdefault(composed(name), []).append(name)
            except OSError:
                known = {}
            _remember(self._folders, folder, known)
        return known


def _remember(folders: OrderedDict[str, _T], folder: str, known: _T) -> None:
    folders[folder] = known
    if len(folders) > _MOST_FOLDERS:
        folders.popitem(last=False)


def _same(one: str, other: str) -> bool:
    """Whether two names lead to one thing: by a link, or where the file system takes both spellings for one name."""
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False

"""Names that are the same letters and not the same bytes: `ä` as one character or as `a` and two dots.

One system writes names composed (NFC), another decomposed (NFD), and most file systems keep the bytes that they get.
"""
# Plain strings and os.path here, as in files.py: names may come by the million.
# ruff: noqa: PTH118

from __future__ import annotations

import os
import unicodedata
from collections import OrderedDict

_MOST_FOLDERS = 64


def composed(name: str) -> str:
    """A name as it is compared with others."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def look_the_same(one: str, other: str) -> bool:
    """Whether two different names can be told apart by their bytes and hardly by eye."""
    return one != other and unicodedata.normalize("NFKC", one) == unicodedata.normalize("NFKC", other)


class Spellings:
    """Finds files whose names are spelt in other bytes than asked for. Remembers the folders it looked into."""

    def __init__(self) -> None:
        self._folders: OrderedDict[str, dict[str, list[str]]] = OrderedDict()

    def stored(self, path: str) -> tuple[str, ...]:
        """The absolute `path` as the disk spells it.

        One path: itself, if it is there or nothing is that reads the same. Several: those that read the same, none of
        them spelt as asked.
        """
        if path.isascii() or os.path.lexists(path):
            return (path,)
        here = "/"
        parts = [part for part in path.split("/") if part]
        for index, part in enumerate(parts):
            exact = os.path.join(here, part)
            if part.isascii() or os.path.lexists(exact):
                here = exact
                continue
            alike = self._names(here).get(composed(part), [])
            if len(alike) != 1:
                return tuple(os.path.join(here, name, *parts[index + 1 :]) for name in alike) or (path,)
            here = os.path.join(here, alike[0])
        return (here,)

    def _names(self, folder: str) -> dict[str, list[str]]:
        """Composed name -> the names in this folder that are spelt so or otherwise."""
        known = self._folders.get(folder)
        if known is None:
            known = {}
            try:
                with os.scandir(folder) as entries:
                    for name in sorted(entry.name for entry in entries if not entry.name.isascii()):
                        known.setdefault(composed(name), []).append(name)
            except OSError:
                known = {}
            self._folders[folder] = known
            if len(self._folders) > _MOST_FOLDERS:
                self._folders.popitem(last=False)
        return known

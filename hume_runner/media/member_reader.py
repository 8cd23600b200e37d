"""Members of one archive by name: read in about one pass, although most formats can only be read from the start."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final

from hume_runner.media.archives import ArchiveLimits, Member, Skipped, iter_members

_UNSEEN: Final = 1 << 60


class MemberReader:
    """Members of one archive by name, in about one pass for each thread that asks.

    Formats that are packed as a whole can only be read from the start. So places where a reading stopped are kept open,
    and the next member is read from the last such place before it. Safe to share between threads.
    """

    def __init__(self, path: Path, limits: ArchiveLimits | None = None, *, most_places: int = 8) -> None:
        self._path = path
        self._limits = limits
        self._most_places = most_places
        self._lock = threading.Lock()
        self._order: dict[str, int] = {}  # offered members that were seen -> their place in the archive
        self._places: list[_Place] = []  # least recently used first
        self._version = self._stat()

    def copy(self, name: str, target: Path) -> int | None:
        """Write a member's bytes to `target`; gives their number, None if the archive does not offer it.

        Raises: as `iter_members` and `Member.copy_to` do.
        """
        place = self._take(name)
        found = None
        try:
            found = place.seek(name, self._saw)
            size = None if found is None else found.copy_to(target)
        except BaseException:
            place.close()
            raise
        self._keep(place, exhausted=found is None)
        return size

    def close(self) -> None:
        """Close the archive wherever it is open and not being read."""
        with self._lock:
            places, self._places = self._places, []
        for place in places:
            place.close()

    def _take(self, name: str) -> _Place:
        stale: list[_Place] = []
        with self._lock:
            version = self._stat()
            if version != self._version:  # another archive by now
                stale, self._places, self._order, self._version = self._places, [], {}, version
            # A member that was never seen lies behind all that were.
            wanted = self._order.get(name, len(self._order) + _UNSEEN)
            before = [place for place in self._places if place.number <= wanted]
            best = max(before, key=lambda place: place.number, default=None)
            if best is not None:
                self._places.remove(best)
        for place in stale:
            place.close()
        return best or _Place(iter_members(self._path, self._limits), version)

    def _keep(self, place: _Place, *, exhausted: bool) -> None:
        extra: list[_Place] = [place]
        with self._lock:
            if not exhausted and place.version == self._version:
                self._places.append(place)
                extra = [self._places.pop(0)] if len(self._places) > self._most_places else []
        for one in extra:
            one.close()

    def _saw(self, name: str, number: int) -> None:
        with self._lock:
            self._order.setdefault(name, number)

    def _stat(self) -> tuple[int, int, int]:
        try:
            status = self._path.stat()
        except OSError:  # opening it will say more
            return 0, 0, 0
        return status.st_size, status.st_mtime_ns, status.st_ino


class _Place:
    """Where a reading of an archive stands: before its member `number`."""

    def __init__(self, members: Generator[Member | Skipped, None, None], version: tuple[int, int, int]) -> None:
        self._members = members
        self.version = version
        self.number = 0

    def seek(self, name: str, saw: Callable[[str, int], None]) -> Member | None:
        """The member of this name from here on, ready to be read; None if there is none."""
        for member in self._members:
            number, self.number = self.number, self.number + 1
            if isinstance(member, Member):
                saw(member.name, number)
                if member.name == name:
                    return member
        return None

    def close(self) -> None:
        self._members.close()

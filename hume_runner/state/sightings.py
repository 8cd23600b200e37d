"""How old what lies in a folder is, by clocks that nobody sets: since it was first seen there
while this machine runs.

The wall clock, and with it the times of files, may be set forward and back. What is counted since the machine's start
may not, but tells nothing to another machine, nor after the next start. So who looks and finds that nobody of the same
clocks has seen a file writes down that it was seen, as a name beside it, `NAME.<clocks>-<milliseconds by each>.seen`,
and its age begins then: never more than it is.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

from hume_runner import aside
from hume_runner.state.lock import hostname

_SEEN = ".seen"
_BOOT, _SPACE, _UPTIME = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/time"), Path("/proc/uptime")


def now_ms() -> tuple[int, ...]:
    """Milliseconds since the machine began, with those that it slept where the system tells, by every clock for that:
    somebody may put another one before a process, as a library that is loaded with it, or before a container."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    told = [time.monotonic() if clock is None else time.clock_gettime(clock)]
    with contextlib.suppress(OSError, ValueError, IndexError):
        told.append(float(_UPTIME.read_text(encoding="ascii").split()[0]))
    return tuple(int(seconds * 1000) for seconds in told)


def clock_name() -> str:
    """What all have in common whose `now_ms` is the same. Where a system does not tell one start from the next, its
    clock begins anew, and tells less than the age."""
    told = [hostname(), ""]
    with contextlib.suppress(OSError, ValueError):
        told[0] = _BOOT.read_text(encoding="ascii").strip()
    with contextlib.suppress(OSError):
        told[1] = str(_SPACE.readlink())
    return hashlib.sha256("\0".join(told).encode("utf-8", "surrogatepass")).hexdigest()[:8]


class Sightings:
    """Of the files in a folder whose names begin so, all of one listing; not of what others write down meanwhile.

    There may be hundreds, of services that nobody asks any more: each costs a look at its name, and the clocks are read
    once, so that an age is that at the time of the listing."""

    def __init__(self, folder: Path, beginning: str) -> None:
        self._folder = folder
        self._clock = clock_name()
        self._names: list[str] = []
        with contextlib.suppress(OSError), os.scandir(folder) as listed:
            self._names += [one.name for one in listed if one.name.startswith(beginning)]
        self._now = now_ms()
        self._marks: dict[str, list[str]] = {}
        for name in self._names:
            if name.endswith(_SEEN):
                self._marks.setdefault(_seen_of(name), []).append(name)

    def files(self, suffix: str) -> list[Path]:
        """Those of the listing whose names end so."""
        return [self._folder / name for name in self._names if name.endswith(suffix)]

    def age_s(self, path: Path) -> float:
        """How long ago this file was first seen, at least. Raises: OSError if it is not there."""
        path.lstat()
        seen = [self._since(mark) for mark in self._marks.get(path.name, ())]
        if ages := [age for age in seen if age is not None]:
            return max(ages) / 1000
        self._marks.setdefault(path.name, []).append(note_seen(path).name)
        return 0.0

    def remove(self, path: Path) -> None:
        """The file, and what was written down of it."""
        path.unlink(missing_ok=True)
        self._remove(self._marks.pop(path.name, ()))

    def sweep(self) -> None:
        """Remove what was written down of files that are gone."""
        listed = set(self._names)
        gone = [name for name in self._marks if name not in listed and not os.path.lexists(self._folder / name)]
        for name in gone:
            self._remove(self._marks.pop(name))

    def _since(self, mark: str) -> int | None:
        """Milliseconds since it was written down, by the clock that tells least; None if it was by others."""
        now = self._now
        clock, *told = mark.removesuffix(_SEEN).rpartition(".")[2].split("-")
        if clock != self._clock or len(told) != len(now) or not all(map(str.isdecimal, told)):
            return None
        age = min(at - int(then) for at, then in zip(now, told, strict=True))
        return age if age >= 0 else None

    def _remove(self, marks: Iterable[str]) -> None:
        for mark in marks:
            with contextlib.suppress(OSError):
                (self._folder / mark).unlink(missing_ok=True)


def note_seen(path: Path) -> Path:
    """Write down that a file is there from now on. Where that cannot be, whoever looks next sees it first."""
    times = "-".join(map(str, now_ms()))
    mark = path.with_name(f"{path.name}.{clock_name()}-{times}{_SEEN}")
    with contextlib.suppress(OSError):
        aside.open_new(mark, private=True).close()
    return mark


def _seen_of(mark: str) -> str:
    return mark.removesuffix(_SEEN).rpartition(".")[0]

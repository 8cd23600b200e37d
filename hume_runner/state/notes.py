"""A note that a run leaves for others: a lock, which ends with its process, and beside it the keys of its items.

A note of a run that goes on is `NAME.lock` and `NAME.keys`; the lock appears locked, and when the keys are whole, so
that nobody takes one that is just made for one of a process that is gone. What such a process may have sent, or a run
that ended, is `NAME.left`, whose age counts from when that was found out (`sightings`).

Keys stand in ascending order, each once, so that two notes are compared in one go through both, with a few blocks of
them in memory at a time.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import sys
import time
from array import array
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO, Self

from hume_runner import aside, small_json
from hume_runner.frozen import frozen
from hume_runner.regular_files import open_regular
from hume_runner.state import sightings
from hume_runner.state.lock import Holder, OsLock, command, hostname
from hume_runner.state.sent import NOTHING

# Of a key, which is a digest: of ten million beside ten million, one in 200,000 pairs of runs has two alike by chance.
KEY_BYTES = 8
_BLOCK_KEYS = 64_000
_MOST_HEAD_BYTES = 4096
_MOST_STATE = 64
_TRIES = 20
_BEGINNING = b'{"state": "'  # of a note: what changes while its run goes on stands at one place
_MARK = re.compile(r"(?P<sent>[0-9a-f]{32})(?P<slow>[s-])(?P<settle>[0-9a-f]{12})(?P<state>.*)", re.ASCII | re.DOTALL)
_SLOW = {True: "s", False: "-"}
_MOST_SETTLE_S = 86_400.0


def blocks(keys: Iterable[bytes]) -> Iterator[bytes]:
    """The same keys, many at a time."""
    keys = iter(keys)
    while block := b"".join(itertools.islice(keys, _BLOCK_KEYS)):
        yield block


def shared(mine: Iterator[bytes], theirs: Iterator[bytes]) -> Iterator[AbstractSet[int]]:
    """The keys that two have in common, as numbers, a part of them at a time (see `key_of`). Both come in blocks, as
    they stand in notes."""
    ours, others = next(mine, b""), next(theirs, b"")
    seen: frozenset[int] | None = None
    while ours and others:
        if ours[:KEY_BYTES] <= others[-KEY_BYTES:] and others[:KEY_BYTES] <= ours[-KEY_BYTES:]:
            seen = frozenset(_numbers(ours)) if seen is None else seen
            yield seen.intersection(_numbers(others))
        if ours[-KEY_BYTES:] <= others[-KEY_BYTES:]:
            ours, seen = next(mine, b""), None
        else:
            others = next(theirs, b"")


def key_of(number: int) -> bytes:
    return number.to_bytes(KEY_BYTES, "big")


def _numbers(block: bytes) -> array[int]:
    """As numbers that differ in their low digits where keys do in their last bytes: those are what a set looks at."""
    numbers = array("Q", block)
    if sys.byteorder == "little":
        numbers.byteswap()
    return numbers


@frozen
class Mark:
    """Of which state a note is, and how far that has to know what was sent to know all that the note's run sent
    (`sent`). `slow`: some of that ended by a time-out, after which the service may take it much later. `settle_s`: so
    long after its end its run wants it to be seen."""

    state: str = ""
    sent: str = NOTHING
    slow: bool = False
    settle_s: float = 0.0

    def __str__(self) -> str:
        return f"{self.changing}{int(self.settle_s * 1000):012x}{self.state}"

    @property
    def changing(self) -> str:
        """What may be another while the run goes on, as a text of one length."""
        return f"{self.sent}{_SLOW[self.slow]}"

    @classmethod
    def told(cls, text: str) -> Self | None:
        """None for one of an earlier version, which told a state alone."""
        if (found := _MARK.fullmatch(text)) is None:
            return None
        settle_s = min(int(found["settle"], 16) / 1000, _MOST_SETTLE_S)
        return cls(state=found["state"], sent=found["sent"], slow=found["slow"] == _SLOW[True], settle_s=settle_s)


@frozen
class Told:
    """What a note says: whose it is in words, and its mark. `number` keys stand in `file` from `begin` on. Some of it
    may be as a stranger wrote it."""

    who: str
    mark: Mark | None
    number: int
    begin: int
    file: BinaryIO

    def blocks(self) -> Iterator[bytes]:
        """Its keys, as often as they are asked for. Raises: OSError; ValueError where they are none of ours."""
        self.file.seek(self.begin)
        left, last = self.number * KEY_BYTES, b""
        while left > 0:
            block = self.file.read(min(left, _BLOCK_KEYS * KEY_BYTES))
            if not block or len(block) % KEY_BYTES or block[:KEY_BYTES] <= last:
                raise ValueError("keys that no run wrote")
            left, last = left - len(block), block[-KEY_BYTES:]
            yield block


def opened(path: Path) -> Told:
    """What a note says, whole; its file is to be closed. Raises: OSError; ValueError where no run can have written
    it."""
    file = open_regular(path)
    try:
        head = file.readline(_MOST_HEAD_BYTES)
        parsed = small_json.parsed(head)
        state = parsed.pop("state", None) if isinstance(parsed, dict) else None
        if not (isinstance(state, str) and len(state) <= _MOST_STATE):
            raise ValueError("no head of a note")
        who = str(Holder.told(parsed))
        begin, end = file.tell(), file.seek(0, os.SEEK_END) - KEY_BYTES
        number, rest = divmod(end - begin, KEY_BYTES)
        file.seek(max(begin, end))
        # Whatever cut it took this with it.
        if rest or number < 1 or file.read() != key_of(number):
            raise ValueError("cut short")
        return Told(who=who, mark=Mark.told(state), number=number, begin=begin, file=file)
    except BaseException:
        file.close()
        raise


def write(path: Path, mark: Mark, keys: Iterable[bytes]) -> int:
    """Leave these keys there, if there are any: how many. Raises: OSError."""
    keys = iter(keys)
    first = next(keys, None)
    if first is None:
        return 0
    holder = Holder(pid=os.getpid(), host=hostname(), since=time.time(), command=command())
    number = 0
    # Nobody needs it after a power cut.
    with aside.written(path, private=True, durable=False) as file:
        file.write(json.dumps({"state": str(mark), **asdict(holder)}).encode() + b"\n")
        for block in blocks(itertools.chain([first], keys)):
            number += len(block) // KEY_BYTES
            file.write(block)
        file.write(key_of(number))
    return number


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0))


@frozen
class Note:
    """`lock` is held by its run; `keys` what that has under way; `left` what it may have sent, once it is gone."""

    lock: OsLock
    keys: Path
    left: Path

    @classmethod
    def at(cls, lock: Path) -> Self:
        return cls(lock=OsLock(lock), keys=lock.with_suffix(".keys"), left=lock.with_suffix(".left"))

    @classmethod
    def leave(cls, new_lock: Callable[[], Path], fill: Callable[[Path], None]) -> Self:
        """One of this process, under a name that `new_lock` gives. Raises: OSError where none can be left that others
        find locked and whole."""
        note = cls.at(new_lock())
        try:
            fill(note.keys)
            opened(note.keys).file.close()
            # Whoever looks for processes that are gone may have locked it between its making and our locking it.
            for _ in range(_TRIES):
                if note._take():
                    return note
                note.unlock()
                moved = cls.at(new_lock())
                note.keys.rename(moved.keys)
                note = moved
            raise OSError("no lock can be had there that keeps others out")
        except ValueError as error:
            note.remove()
            raise OSError("what is written there is not what is read") from error
        except BaseException:
            note.remove()
            raise

    def _take(self) -> bool:
        """Whether the lock is ours, and another who looks finds it so. It has its name once it is locked."""
        path = self.lock.path
        if sys.platform != "win32":  # where a file that is open keeps its name
            self.lock.path = aside.part_path(path)
        if not self.lock.acquire(0.0):
            return False
        if self.lock.path != path:
            self.lock.path.rename(path)
            self.lock.path = path
        other = OsLock(path)
        if other.acquire(0.0):
            other.release()
            return False
        return True

    def tell(self, mark: Mark) -> None:
        """Its run has come so far, or is about to. The lock is ours. Where that cannot be written, nobody shall believe
        what stands there."""
        told = mark.changing.encode()
        try:
            with open(self.keys, "r+b", buffering=0, opener=_no_link) as file:
                file.seek(len(_BEGINNING))
                if file.write(told) == len(told):
                    return
        except FileNotFoundError:
            return  # notes that are removed as a whole are not missed
        except OSError:
            pass
        with contextlib.suppress(OSError):
            open(self.keys, "wb", opener=_no_link).close()

    def put_down(self) -> None:
        """Its process is gone, or goes: from now on it says what that may have sent. The lock is ours."""
        with contextlib.suppress(OSError):
            os.utime(self.keys, follow_symlinks=False)  # what earlier versions go by
        with contextlib.suppress(OSError):
            self.keys.replace(self.left)
            sightings.note_seen(self.left)
        self.unlock()

    def remove(self) -> None:
        """Take it away; the lock is ours."""
        self.unlock()
        with contextlib.suppress(OSError):
            self.keys.unlink(missing_ok=True)

    def unlock(self) -> None:
        """Take the lock away, and nobody else's: one that is let go first is another's before it is removed."""
        if sys.platform == "win32":
            self.lock.release()
        with contextlib.suppress(OSError):
            self.lock.path.unlink(missing_ok=True)
        self.lock.release()

"""Runs of one user on one machine tell each other what they are about to pay for: of two that have the same item under
way, neither sees at the service yet what the other sends, and both would pay.

What counts is what is measured, and where it is paid for: the items' keys, the service and its key. Not the manifest,
its name or its text, nor directories: two manifests may list the same, and two parts of one nothing in common.

A run leaves a note (`notes`) in each folder where such runs meet. It looks at those of others after it has left its
own, and one at a time is in at the door, so that of two that come at once one goes on. Where no note can be left,
nothing is refused, and that is told. A note of a run that goes on and cannot be read may say anything: it refuses.

What a run that is gone sent may be at the service and not be shown there yet. So its note stays for as long as that
takes, whoever reads it meanwhile, and who has something in common with it looks again until the service shows it, or
would have. Only a state that has seen all that the run sent tells its own run as much: one state at one place that has
counted the submissions that the note tells of (`sent`).
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from hume_runner import aside
from hume_runner.addresses import one_address
from hume_runner.errors import HumeRunnerError, StateLocked, UsageError, is_scarce, lacks_room, of_place
from hume_runner.frozen import frozen
from hume_runner.hosts import is_loopback
from hume_runner.regular_files import open_regular
from hume_runner.scratch import temporary_folder
from hume_runner.state.lock import OsLock, hostname
from hume_runner.state.notes import KEY_BYTES, Mark, Note, Told, blocks, key_of, opened, shared, write
from hume_runner.state.sent import NOTHING
from hume_runner.state.sightings import Sightings, note_seen

if sys.platform != "win32":
    import pwd

# Who is in at the door writes and reads a few bytes an item. One that stopped there keeps nobody out for good.
_DOOR_S = 10.0
_A_MOMENT_S = 2.0
# Of another service nobody here knows how long it takes to show what it has.
_FORGOTTEN_S = 86_400.0
# A note of an earlier version does not tell how long it is wanted.
_USUAL_S = 120.0


@frozen
class Meeting:
    """A folder where runs leave their notes, private to its user. `machine` begins the names of those who meet there: a
    home may be one folder of many machines, between which no lock is sure to end with its process. `named`: somebody
    chose it, and means it to be used."""

    folder: Path
    machine: str
    named: bool = False


def meetings(named: Path | None) -> tuple[Meeting, ...]:
    """Where runs of this user meet: in the folder that is `named`, else in two at least one of which every process of
    theirs is likely to see, whatever its environment says. Raises: UsageError for one that is named and cannot be
    there; whether it takes a note shows when one is left."""
    if named is not None:
        try:
            named.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise _no_use(named, error) from error
        return (Meeting(folder=named, machine="any", named=True),)
    machine = hashlib.sha256(hostname().encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return tuple(Meeting(folder=one, machine=machine) for one in _usual() if is_private(one))


def _usual() -> Iterator[Path]:
    # Not as the environment has it: a job of a scheduler, a service and a shell each have one of their own.
    with contextlib.suppress(KeyError, OSError, RuntimeError):
        home = Path.home() if sys.platform == "win32" else Path(pwd.getpwuid(os.geteuid()).pw_dir)
        if home.is_dir():
            yield home / ".local" / "state" / "hume-runner"
    with contextlib.suppress(HumeRunnerError):
        memory = Path("/dev/shm")  # noqa: S108 - a folder in it, which is looked at before it is used
        user = "" if sys.platform == "win32" else f"-{os.geteuid()}"
        yield (memory if memory.is_dir() else temporary_folder()) / f"hume-runner-runs{user}"


def is_private(folder: Path) -> bool:
    """Whether it is there, or could be made, and nobody else can write in it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        seen = folder.lstat()
    except OSError:
        return False
    if sys.platform == "win32":
        return stat.S_ISDIR(seen.st_mode)
    return stat.S_ISDIR(seen.st_mode) and seen.st_uid == os.geteuid() and not seen.st_mode & 0o022


def one_service(endpoint: str, account: str) -> str:
    """What all ways of writing one service's address have in common, with who pays there: a name for files."""
    plain = _of_this_machine(one_address(endpoint)).rstrip("/")
    return hashlib.sha256(f"{plain}\0{account}".encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _of_this_machine(address: str) -> str:
    """An address with one name for this machine, which has many; others stay as they are."""
    try:
        parts = urlsplit(address)
    except ValueError:  # brackets that hold no address: nobody is reached there
        return address
    if not is_loopback(parts.hostname or ""):
        return address
    user, at, place = parts.netloc.rpartition("@")
    port = place[place.rindex(":") :] if ":" in place.rpartition("]")[2] else ""
    return address.replace(parts.netloc, f"{user}{at}localhost{port}", 1)


def one_state(state: Path | str, lineage: str) -> str:
    """Which state it is: another at the same place, and a copy elsewhere, remember something else."""
    return hashlib.sha256(f"{state}\0{lineage}".encode("utf-8", "surrogatepass")).hexdigest()[:16]


@frozen
class Afterwards:
    """What a run leaves behind. `state`: which state remembers what it sent (see `one_state`), as far as `last_sent`
    tells now; `has_sent` tells whether it knows as much as another told so. `unseen` gives the keys of what it may have
    at the service and the service may not show yet, which takes `settle_s` at most, or `settle_slow_s` where something
    was lost by a time-out (`lost_slowly`)."""

    state: str = ""
    settle_s: float = 0.0
    settle_slow_s: float = 0.0
    unseen: Callable[[], Iterator[bytes]] = lambda: iter(())
    lost_slowly: Callable[[], bool] = lambda: False
    last_sent: Callable[[], str] = lambda: NOTHING
    has_sent: Callable[[str], bool] = lambda told: told == NOTHING

    def mark(self, *, slow: bool = False) -> Mark:
        """What its note says of it now. `slow`: something is about to be recorded as lost by a time-out."""
        slow = slow or self.lost_slowly()
        return Mark(state=self.state, sent=self.last_sent(), slow=slow, settle_s=self.patience_s(slow=slow))

    def patience_s(self, *, slow: bool) -> float:
        return max(self.settle_s, self.settle_slow_s) if slow else self.settle_s

    def knows(self, mark: Mark | None) -> bool:
        """Whether the state has seen all that the run sent whose note says this."""
        return mark is not None and mark.state == self.state != "" and self.has_sent(mark.sent)


@frozen
class _Gone:
    """What a run that is gone may have sent: until when (monotonic seconds) the service may not show it, and its keys;
    None where its note cannot be read."""

    until: float
    told: Told | None

    def has_one_of(self, keys: Iterator[bytes], *, but: Callable[[bytes], bool] = lambda key: False) -> bool:
        """Whether one of these is among them, apart from those that `but` is true of."""
        if self.told is not None:
            with contextlib.suppress(OSError, ValueError):
                parts = shared(blocks(keys), self.told.blocks())
                return any(not but(key_of(number)) for part in parts for number in part)
        return any(not but(key) for key in keys)


class UnderWay:
    """What a run has under way, for others to see for as long as the block lasts.

    `keys` gives the first `KEY_BYTES` of each item's key in ascending order, each once, and is asked more than once.
    `what`: whose run it is, for the message. Raises: StateLocked where another run has one of them under way, or may
    have; UsageError where the folder that is named for it takes no note.
    """

    def __init__(
        self,
        places: Sequence[Meeting],
        service: str,
        keys: Callable[[], Iterator[bytes]],
        *,
        what: object,
        after: Afterwards | None = None,
    ) -> None:
        self._places = places
        self._service = service
        self._keys = keys
        self._what = what
        self._after = after or Afterwards()
        self._left: list[Note] = []
        self._begun: Iterator[bytes] | None = None  # `keys` as it was asked first: a million take time to be in order
        self._gone: list[_Gone] = []
        self.told = True  # whether others can see it, if there is something to see

    def __enter__(self) -> Self:
        keys = self._keys()
        first = next(keys, None)
        if first is None:  # nothing that could be paid for
            return self
        self._begun = itertools.chain([first], keys)
        try:
            with contextlib.ExitStack() as doors:
                for place in self._places:
                    self._meet(place, doors)
        except BaseException:
            while self._left:
                self._left.pop().remove()
            self.__exit__()
            raise
        finally:
            self._begun = None  # a query that is half read keeps its database attached
        self.told = bool(self._left)
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._gone:
            if one.told is not None:
                one.told.file.close()
        self._gone.clear()
        while self._left:
            self._let_go(self._left.pop())

    def tell(self, slow: bool) -> None:
        """The state has the intent of submissions that are about to leave: who has not seen it does not know all.
        `slow`: or one was lost by a time-out: whoever comes next waits for it as long as this run would have."""
        if self._left:
            mark = self._after.mark(slow=slow)
            for note in self._left:
                note.tell(mark)

    def awaited_s(
        self, planned: Callable[[], Iterator[bytes]], shown: Callable[[bytes], bool] = lambda key: False
    ) -> float:
        """How many seconds more the service may take to show what runs that are gone sent of what is still planned; 0
        if there is nothing of it. `planned` gives keys as `keys` does; `shown`: whether that of this key is shown by
        now as well as it can be."""
        now = time.monotonic()
        return max(
            (one.until - now for one in self._gone if one.until > now and one.has_one_of(planned(), but=shown)),
            default=0.0,
        )

    def _let_go(self, note: Note) -> None:
        try:
            unseen = self._after.unseen()
            if write(note.left, self._after.mark(), unseen):
                note_seen(note.left)
        except (OSError, HumeRunnerError):
            note.put_down()  # then it may be any of it
        else:
            note.remove()

    def _meet(self, place: Meeting, doors: contextlib.ExitStack) -> None:
        door = OsLock(place.folder / f"{place.machine}.door")
        with contextlib.suppress(OSError):
            if door.acquire(_DOOR_S):
                doors.callback(door.release)
                # Of who was killed while it wrote; outside, one that is just begun might be taken for such.
                aside.remove_leftovers(place.folder)
        before = f"{place.machine}-{self._service}-"
        try:
            self._left.append(Note.leave(lambda: place.folder / f"{before}{secrets.token_hex(8)}.lock", self._write))
        except OSError as error:
            if is_scarce(error) and not lacks_room(error):  # open files, memory: no fault of the folder
                raise of_place(place.folder, error) from error
            if place.named:
                raise _no_use(place.folder, error) from error
        own = {note.lock.path for note in self._left}
        for lock in place.folder.glob(f"{place.machine}-*.lock"):
            if lock not in own:
                self._look_at(Note.at(lock), same_service=lock.name.startswith(before))
        seen = Sightings(place.folder, f"{place.machine}-")
        for left in seen.files(".left"):
            with contextlib.suppress(OSError):
                self._look_back_at(left, seen, same_service=left.name.startswith(before))
        for keys in seen.files(".keys"):  # of who was killed before it had the lock
            with contextlib.suppress(OSError):
                if not keys.with_suffix(".lock").exists() and seen.age_s(keys) >= _FORGOTTEN_S:
                    seen.remove(keys)
        seen.sweep()

    def _write(self, path: Path) -> None:
        if not self._left:
            begun, self._begun = self._begun, None
            write(path, self._after.mark(), self._keys() if begun is None else begun)
            return
        # Quicker than to ask for a million again.
        with aside.written(path, private=True, durable=False) as file, open_regular(self._left[0].keys) as first:
            shutil.copyfileobj(first, file)

    def _mine(self) -> Iterator[bytes]:
        """All keys of this run, in blocks."""
        for note in self._left:
            with contextlib.suppress(OSError, ValueError):
                told = opened(note.keys)
                with told.file:
                    yield from told.blocks()
                return
        yield from blocks(self._keys())

    def _look_at(self, other: Note, *, same_service: bool) -> None:
        # A second time where it says nothing: a run that ends puts its note down first, and then its lock.
        for patience_s in (0.0, _A_MOMENT_S):
            try:
                gone = other.lock.acquire(patience_s)
            except OSError:
                return  # nobody holds what cannot be locked
            if gone:
                other.put_down()
                return
            if not same_service:
                return
            with contextlib.suppress(OSError, ValueError):
                told = opened(other.keys)
                with told.file:
                    number = sum(map(len, shared(self._mine(), told.blocks())))
                if number:
                    raise self._refusal(told.who, number)
                return
        raise StateLocked(
            f"{self._what}: another run is under way at the same service, and what it has cannot be told: "
            f"{other.keys} is not as a run writes it",
            hint="wait for it: both might pay for the same",
        )

    def _look_back_at(self, left: Path, seen: Sightings, *, same_service: bool) -> None:
        """At what a run that is gone may have sent. Raises: OSError where the note is gone as well."""
        age_s = seen.age_s(left)
        if not same_service:
            if age_s >= _FORGOTTEN_S:
                seen.remove(left)
            return
        told: Told | None = None
        with contextlib.suppress(OSError, ValueError):
            told = opened(left)
        mark = told.mark if told is not None else None
        own_s = self._after.patience_s(slow=mark is not None and mark.slow)
        found = _Gone(until=time.monotonic() + own_s - age_s, told=told)
        if age_s < own_s and not self._after.knows(mark) and found.has_one_of(self._keys()):
            self._gone.append(found)
            return
        if told is not None:
            told.file.close()
        # Others may have to wait for it, whatever this one knows.
        if age_s >= max(own_s, _USUAL_S if mark is None else mark.settle_s):
            seen.remove(left)

    def _refusal(self, who: str, shared: int) -> StateLocked:
        own = sum(len(block) for block in self._mine()) // KEY_BYTES
        number = f"{shared:,} of this one's {own:,} unfinished items" if own > 1 else "this one's item"
        return StateLocked(
            f"{self._what}: another run has {number} under way at the same service: {who}",
            hint="wait for it, whatever directory either writes to: both would pay. What has nothing in common may run "
            "together, as the parts of one split do (`--shard I/N`)",
        )


def _no_use(folder: Path, error: OSError) -> UsageError:
    return UsageError(
        f"HUME_RUNNER_RUNS: {folder}: no note can be left there for other runs: {error.strerror or error}",
        hint="name a folder that can be written, on a file system that locks files",
    )

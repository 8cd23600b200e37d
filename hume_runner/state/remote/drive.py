"""Carries out against a store what `protocol` asks for."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from hume_runner.errors import (
    AlreadyExists,
    BucketMissing,
    ObjectMissing,
    PreconditionFailed,
    StateError,
    StoreDenied,
    StoreError,
    StoreUnavailable,
)
from hume_runner.frozen import frozen
from hume_runner.http.backoff import doubled
from hume_runner.state.remote.objects import (
    ENTRY_DIGITS,
    JOURNAL,
    SNAPSHOTS,
    Note,
    folder_of,
    from_bytes,
    name_of,
    to_bytes,
)
from hume_runner.state.remote.protocol import (
    HEAD,
    LOCK,
    Absent,
    Came,
    Create,
    Found,
    Key,
    Lock,
    Moved,
    NotWritten,
    Op,
    Read,
    Remove,
    Steps,
    Stood,
    Swap,
    Watch,
    Written,
)
from hume_runner.stores.base import ObjectStore

T = TypeVar("T")

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 3.0
_READ_AHEAD = 16
_REFUSALS_AS_THEY_COME = 3


@frozen
class Timing:
    """How long who waits, seconds.

    `lease_s`: for so long a lock that does not move is its owner's. `heartbeat_s`: so often its owner moves it.
    `half_open_s`: for so long a host keeps a request open whose last byte does not come; who takes a lock waits for
    that besides. `patience_s`: for so long a store may be out of order before we give up.
    """

    lease_s: float = 60.0
    heartbeat_s: float = 15.0
    half_open_s: float = 75.0
    patience_s: float = 60.0


@frozen
class Clock:
    """`monotonic` counts seconds; `wait` lets so many pass."""

    monotonic: Callable[[], float]
    wait: Callable[[float], None]


class Driver:
    """One state in one store, below `prefix`. Safe to share between threads."""

    def __init__(
        self,
        store: ObjectStore,
        prefix: str,
        timing: Timing,
        clock: Clock,
        on_watch: Callable[[str, Lock, float], None] = lambda place, lock, seconds: None,
    ) -> None:
        """`on_watch` is told of a place whose lock is waited for, of the lock, and for how many seconds at most."""
        self._on_watch = on_watch
        self.store = store
        self.prefix = prefix.strip("/")
        self.timing = timing
        self.clock = clock
        self._ahead: dict[Key, Found] = {}  # entries never change, so that they can be read before they are asked for
        self._listed: dict[int, frozenset[int]] = {}  # by epoch: the numbers of the entries that are there

    @property
    def place(self) -> str:
        return f"{self.store.root}/{self.prefix}"

    def name(self, below: str) -> str:
        return f"{self.prefix}/{below}" if self.prefix else below

    def run(self, steps: Steps[T], *, patience_s: float | None = None) -> T:
        """Carry out all steps; what they come to.

        Raises: what the steps raise; StoreUnavailable once the store was out of order for so long; StoreDenied,
        BucketMissing, StateError for what is no remote state.
        """
        patience_s = self.timing.patience_s if patience_s is None else patience_s
        tries = _Tries(self.clock, patience_s)
        try:
            op = next(steps)
            while True:
                came = self._do(op, tries, patience_s)
                op = steps.send(came)
        except StopIteration as over:
            value: T = over.value
            return value

    def _do(self, op: Op, tries: _Tries, patience_s: float) -> Came | None:
        match op:
            case Read(key):
                return self._read(key, patience_s)
            case Create(key, body):
                if key == HEAD:
                    self.need_no_head(patience_s)
                return self._write(lambda: self.store.create(self.name(name_of(key)), to_bytes(body)), tries)
            case Swap(key, tag, body):
                return self._write(lambda: self.store.swap(self.name(name_of(key)), to_bytes(body), tag), tries)
            case Remove(key):
                self.remove(name_of(key))
                return None
            case Watch(tag):
                return self._watch(tag)

    def remove(self, below: str) -> None:
        """Remove what nobody needs; it does no harm where it stays."""
        with contextlib.suppress(StoreError):
            self.store.delete(self.name(below))

    def patiently(self, ask: Callable[[], T], patience_s: float | None = None) -> T:
        """Something without a condition, again as long as the store is out of order. Raises: StoreError."""
        tries = _Tries(self.clock, self.timing.patience_s if patience_s is None else patience_s)
        while True:
            try:
                return ask()
            except (StoreDenied, BucketMissing, ObjectMissing):
                raise
            except StoreError as error:
                tries.pause(error)

    def _read(self, key: Key, patience_s: float) -> Came:
        if key.kind == "entry":
            self._read_ahead(key.epoch, patience_s)
            if key in self._ahead:
                return self._ahead[key]
        try:
            return self.patiently(lambda: self._found(key), patience_s)
        except ObjectMissing:
            listed = self._listed[key.epoch] if key.kind == "entry" else frozenset()
            if any(number > key.number for number in listed):
                raise self.gone(name_of(key), "entries that were written after it are there") from None
            if key.number in listed:
                raise self.gone(name_of(key), "its folder lists it") from None
            return Absent()

    def need_no_head(self, patience_s: float | None = None) -> None:
        """Return where no head may be, because nothing is there that only an owner with a head writes.

        Raises: StateError, StoreError.
        """
        for folder in (JOURNAL, SNAPSHOTS):
            if self.patiently(partial(self._holds, self.name(folder)), patience_s):
                raise self.gone(name_of(HEAD), f"{folder}/ is not empty")

    def _holds(self, folder: str) -> bool:
        return any(True for _ in self.store.list(folder))

    def gone(self, below: str, witness: str) -> StateError:
        """An object that the state needs was deleted."""
        return StateError(
            f"{self.store.root}/{self.name(below)} is gone, though {witness}: the remote state is damaged",
            hint="put the object back from the bucket's own versions, or name another place in `state:`: the state "
            "here goes there, and what was submitted is looked for at the service",
        )

    def _found(self, key: Key) -> Found:
        name = self.name(name_of(key))
        got = self.store.read(name)
        if not got.data:  # nobody writes an empty one: a store that is out of order
            raise StoreUnavailable(f"{self.store.root}/{name} came empty", key=name)
        return Found(from_bytes(key, got.data, f"{self.store.root}/{name}"), got.info.which)

    def _read_ahead(self, epoch: int, patience_s: float) -> None:
        """All entries of an epoch at once, side by side.

        Which there are is known before any is missed: what a store out of order did not give is no hole. An entry that
        could not be read now is read by itself, with patience. Raises: StoreError where the store does not list them.
        """
        if epoch in self._listed:
            return
        folder = self.name(folder_of(epoch))
        names = self.patiently(lambda: [info.key.rpartition("/")[2] for info in self.store.list(folder)], patience_s)
        # What nobody but people call so is no entry.
        keys = [Key("entry", epoch, int(name)) for name in names if name.isdecimal() and len(name) == ENTRY_DIGITS]
        with ThreadPoolExecutor(_READ_AHEAD, thread_name_prefix="remote-journal") as pool:
            found = zip(keys, pool.map(self._if_it_comes, keys), strict=True)
            self._ahead.update({key: one for key, one in found if one is not None})
        self._listed[epoch] = frozenset(key.number for key in keys)

    def _if_it_comes(self, key: Key) -> Found | None:
        try:
            return self._found(key)
        except (StoreDenied, BucketMissing):
            raise
        except StoreError:
            return None

    def _write(self, attempt: Callable[[], Any], tries: _Tries) -> Came:
        try:
            version = attempt()
        except (StoreDenied, BucketMissing):
            raise
        except (AlreadyExists, PreconditionFailed):
            tries.refused(self.place)  # perhaps by an attempt of ours: what is there is read
            return NotWritten()
        except StoreError as error:
            tries.pause(error)
            return NotWritten()
        tries.went_well()
        return Written(version)

    def _watch(self, tag: Any) -> Came:
        """Until the lock stood still for its lease and for what may still be open, by our own clock alone."""
        began, clock = self.clock.monotonic(), self.clock
        told = False
        while True:
            seen = self._read(LOCK, self.timing.patience_s)
            if not isinstance(seen, Found) or seen.tag != tag:
                return Moved(seen.body if isinstance(seen, Found) else None)
            assert isinstance(seen.body, Lock)
            # Whoever holds it may have a longer lease than we give ourselves.
            lease_s = max(self.timing.lease_s, Note.read(seen.body.note).lease_s)
            left = began + lease_s + self.timing.half_open_s - clock.monotonic()
            if left <= 0:
                return Stood()
            if not told:
                self._on_watch(self.place, seen.body, left)
                told = True
            clock.wait(min(left, max(0.05, self.timing.heartbeat_s / 3)))


class _Tries:
    """Pauses between attempts in a row that failed, for so long altogether."""

    def __init__(self, clock: Clock, patience_s: float) -> None:
        self._clock = clock
        self._patience_s = patience_s
        self._until = clock.monotonic() + patience_s
        self._pauses = 0
        self._refusals = 0

    def pause(self, error: StoreError) -> None:
        """Raises: the error, once it is too late for another try."""
        if self._clock.monotonic() >= self._until:
            raise error
        self._clock.wait(doubled(self._pauses, first=_FIRST_PAUSE_S, most=_LONGEST_PAUSE_S))
        self._pauses += 1

    def refused(self, place: str) -> None:
        """A condition did not hold. Once or twice that is by an attempt of ours or by another's write. Raises:
        StoreUnavailable if it goes on."""
        self._refusals += 1
        if self._refusals > _REFUSALS_AS_THEY_COME:
            self.pause(
                StoreUnavailable(
                    f"{place}: the store refuses writes on a condition that holds",
                    hint="it has to keep If-None-Match and If-Match, and nothing before it may change an ETag (a proxy "
                    "that packs what it passes on does); then run the same command again",
                )
            )

    def went_well(self) -> None:
        self._refusals = 0
        self._until = self._clock.monotonic() + self._patience_s
        self._pauses = 0

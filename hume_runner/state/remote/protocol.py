"""In which order a remote state is read and written. Pure: generators that say what they want done, and are told what
came of it.

The program carries out what they ask for against a real store (`drive.py`); the tests carry it out in small worlds, in
every order, with every write that may be lost, late or repeated, and with every pause and crash between two of them
(`tests/state/remote/model.py`). An order that is changed here is searched again there.

Three kinds of objects. The **lock** says whose the state is: every owner gets a higher epoch, and every beat makes it
another object. The **head** says which snapshot counts and which entries it covers. The **journal** has numbered
entries an epoch, each created only where nothing is; the last one of an epoch that is over is a seal, which stays for
good, so that an owner that wakes up too late finds its next number taken.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, TypeVar

from hume_runner.frozen import frozen

T = TypeVar("T")

# -- what is stored ---------------------------------------------------------------------------------------------------


@frozen
class Lock:
    """Whose the state is. `note` is for people: who, since when, doing what."""

    epoch: int
    owner: str
    beat: int = 0
    released: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Upto:
    """All entries of earlier epochs, and those of this one up to `number`."""

    epoch: int = 0
    number: int = 0


@frozen
class Head:
    """Which snapshot counts. `epoch`: that of the owner who wrote this; `data`: the snapshot itself, or what names it,
    None before the first; `covers`: the entries whose facts are in it."""

    epoch: int
    covers: Upto = Upto()
    data: Any = None


@frozen
class Entry:
    """Facts that one owner recorded; a seal has none, and nothing follows it in its epoch."""

    owner: str
    facts: Any = None
    seal: bool = False


@frozen(kw_only=False)
class Key:
    """Where an object is: the lock, the head, or an entry."""

    kind: str
    epoch: int = 0
    number: int = 0


LOCK, HEAD = Key("lock"), Key("head")
Body = Lock | Head | Entry


def entry_key(epoch: int, number: int) -> Key:
    return Key("entry", epoch, number)


# -- what is asked for, and what came of it ---------------------------------------------------------------------------


@frozen(kw_only=False)
class Read:
    key: Key


@frozen(kw_only=False)
class Create:
    """Write an object where there is none."""

    key: Key
    body: Body


@frozen(kw_only=False)
class Swap:
    """Write an object over the version with this tag, and over no other."""

    key: Key
    tag: Any
    body: Body


@frozen(kw_only=False)
class Remove:
    key: Key


@frozen(kw_only=False)
class Watch:
    """Wait until the lock stood still at this tag for so long that its owner cannot send anything any more."""

    tag: Any


@frozen(kw_only=False)
class Found:
    body: Body
    tag: Any


@frozen(kw_only=False)
class Absent:
    pass


@frozen(kw_only=False)
class Written:
    tag: Any


@frozen(kw_only=False)
class NotWritten:
    """Something else is there, or the answer was lost: only reading it back tells which."""


@frozen(kw_only=False)
class Stood:
    pass


@frozen(kw_only=False)
class Moved:
    """Its owner is at work."""

    body: Body | None


Op = Read | Create | Swap | Remove | Watch
Came = Found | Absent | Written | NotWritten | Stood | Moved
Steps = Generator[Any, Any, T]


class NotOurs(Exception):
    """The state is another's, or will be: touch nothing. `lock` is what was seen, if it was the lock."""

    def __init__(self, seen: object = None) -> None:
        super().__init__(seen)
        self.lock = seen if isinstance(seen, Lock) else None


class Behind(NotOurs):
    """The head is of this epoch, which is not before ours."""

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self.epoch = epoch


class Removed(NotOurs):
    """A lock or a head that was there is gone. No owner removes one."""

    def __init__(self, key: Key) -> None:
        super().__init__()
        self.key = key


# -- one write --------------------------------------------------------------------------------------------------------


def write(op: Create | Swap) -> Steps[Any]:
    """Write, whatever becomes of single attempts; the new tag. Raises: NotOurs once something else is there; Removed.

    No two writes of ours have one body, so that what is read back is told from what was there before.
    """
    while True:
        came = yield op
        if isinstance(came, Written):
            return came.tag
        seen = yield Read(op.key)
        if isinstance(seen, Found) and seen.body == op.body:
            return seen.tag
        if isinstance(op, Swap) and isinstance(seen, Absent):
            raise Removed(op.key)
        as_before = isinstance(seen, Absent) if isinstance(op, Create) else getattr(seen, "tag", None) == op.tag
        if not as_before:
            raise NotOurs(getattr(seen, "body", None))


# -- becoming the owner -----------------------------------------------------------------------------------------------


def look() -> Steps[Lock | None]:
    """The lock as it is."""
    seen = yield Read(LOCK)
    return seen.body if isinstance(seen, Found) and isinstance(seen.body, Lock) else None


def take(owner: str, note: str = "") -> Steps[tuple[Lock, Any]]:
    """Get the lock: (the lock, its tag). Raises: NotOurs while its owner is at work, or if another was quicker."""
    seen = yield Read(LOCK)
    if isinstance(seen, Absent):
        lock = Lock(epoch=1, owner=owner, note=note)
        try:
            return lock, (yield from write(Create(LOCK, lock)))
        except NotOurs:
            # Another was quicker, or it was there all the time and the store said it was not: whether its owner is at
            # work shows as for any lock.
            seen = yield Read(LOCK)
            if isinstance(seen, Absent):
                raise
    if not seen.body.released:
        came = yield Watch(seen.tag)
        if isinstance(came, Moved):
            raise NotOurs(came.body)
    lock = Lock(epoch=seen.body.epoch + 1, owner=owner, note=note)
    return lock, (yield from write(Swap(LOCK, seen.tag, lock)))


def claim(lock: Lock) -> Steps[tuple[Head, Any]]:
    """Write our epoch into the head, so that no earlier owner moves it any more: (the head, its tag). Raises: NotOurs
    where a later owner was there; Behind, which is the same unless `rise` can tell otherwise."""
    tried: Head | None = None
    while True:
        seen = yield Read(HEAD)
        if isinstance(seen, Absent):
            tried = head = Head(epoch=lock.epoch)
            came = yield Create(HEAD, head)
        elif tried is not None and seen.body == tried:  # an attempt of ours whose answer was lost
            return tried, seen.tag
        elif seen.body.epoch >= lock.epoch:
            raise Behind(seen.body.epoch)
        else:
            tried = head = replace(seen.body, epoch=lock.epoch)
            came = yield Swap(HEAD, seen.tag, head)
        if isinstance(came, Written):
            return head, came.tag


def rise(lock: Lock, tag: Any, above: int) -> Steps[tuple[Lock, Any]]:
    """Take the lock that is ours once more, with an epoch that no owner had: (the lock, its tag). Raises: NotOurs where
    somebody took it from us. For a lock that was deleted or put back by other hands, so that its epochs began again."""
    lock = replace(lock, epoch=above + 1, beat=lock.beat + 1)
    return lock, (yield from write(Swap(LOCK, tag, lock)))


def gather(lock: Lock, head: Head) -> Steps[tuple[tuple[Upto, Any], ...]]:
    """Seal every earlier epoch; the facts that the snapshot does not have, in order, each with where it stands."""
    found: tuple[tuple[Upto, Any], ...] = ()
    for epoch in range(max(1, head.covers.epoch), lock.epoch):
        number = head.covers.number if epoch == head.covers.epoch else 0
        while True:
            seen = yield Read(entry_key(epoch, number + 1))
            if isinstance(seen, Absent):
                came = yield Create(entry_key(epoch, number + 1), Entry(owner=lock.owner, seal=True))
                if isinstance(came, Written):
                    break
                continue  # whatever is there now is read
            if seen.body.seal:
                break
            number += 1
            found += ((Upto(epoch, number), seen.body.facts),)
    return found


# -- being the owner --------------------------------------------------------------------------------------------------


def beat(lock: Lock, tag: Any) -> Steps[tuple[Lock, Any]]:
    """Prove that the lock is still ours, and make whoever watches it wait anew. Raises: NotOurs."""
    lock = replace(lock, beat=lock.beat + 1)
    return lock, (yield from write(Swap(LOCK, tag, lock)))


def append(lock: Lock, number: int, facts: Any) -> Steps[None]:
    """Make facts durable as entry `number` of our epoch; the one before it is. Raises: NotOurs."""
    yield from write(Create(entry_key(lock.epoch, number), Entry(owner=lock.owner, facts=facts)))


def compact(lock: Lock, head: Head, tag: Any, data: Any, number: int) -> Steps[tuple[Head, Any]]:
    """Make another snapshot count, with all facts of earlier epochs and of our entries up to `number`. Raises: NotOurs
    once somebody claimed the head."""
    head = replace(head, data=data, covers=Upto(lock.epoch, number))
    return head, (yield from write(Swap(HEAD, tag, head)))


def clear(covered: tuple[Upto, ...]) -> Steps[None]:
    """Remove entries that the snapshot covers. Never a seal: an owner that sleeps would find its number free."""
    for place in covered:
        yield Remove(entry_key(place.epoch, place.number))


def release(lock: Lock, tag: Any) -> Steps[None]:
    """Let the next one have it at once. Nothing of ours may be under way. Nothing is deleted."""
    yield from write(Swap(LOCK, tag, replace(lock, beat=lock.beat + 1, released=True)))


# -- one submission ---------------------------------------------------------------------------------------------------


class Step(StrEnum):
    """What a submission is made of."""

    INTEND = "intend"  # an entry: what is meant
    SEND_MOST = "send most"  # the request, but for its last byte
    CONFIRM = "confirm"  # a beat
    SEND_LAST = "send last"  # from here on the service may take it
    ACCEPT = "accept"  # an entry: what the service answered


# The order is the whole point: the engine and the model both read it from here.
SUBMISSION = (Step.INTEND, Step.SEND_MOST, Step.CONFIRM, Step.SEND_LAST, Step.ACCEPT)


def before_sending(order: tuple[Step, ...] = SUBMISSION) -> tuple[Step, ...]:
    return order[: order.index(Step.SEND_MOST)]


def before_the_last_byte(order: tuple[Step, ...] = SUBMISSION) -> tuple[Step, ...]:
    return order[order.index(Step.SEND_MOST) + 1 : order.index(Step.SEND_LAST)]


def after_the_answer(order: tuple[Step, ...] = SUBMISSION) -> tuple[Step, ...]:
    return order[order.index(Step.SEND_LAST) + 1 :]

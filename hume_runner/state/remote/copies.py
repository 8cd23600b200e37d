"""A state from a store as a file here, and a file here as a snapshot there."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from hume_runner.aside import open_new
from hume_runner.errors import ObjectMissing, StateError, StoreUnavailable
from hume_runner.frozen import frozen
from hume_runner.hashes import sha256_of
from hume_runner.scratch import Scratch
from hume_runner.state.connection import guarded
from hume_runner.state.remote.drive import Driver
from hume_runner.state.remote.objects import Snapshot
from hume_runner.state.remote.protocol import HEAD, LOCK, Absent, Head, Lock, Read, Steps, entry_key
from hume_runner.state.remote.redo import Answer, Facts, Position, Told, begun_at, tell, unpack
from hume_runner.stores.reading import chunks

T = TypeVar("T")

_CHUNK = 1 << 20
_LEVEL = 3  # what SQLite keeps packs well at any level
_TRIES = 5


@frozen
class Remote:
    """What a store holds, read at one moment: the lock, the snapshot, and what came after it."""

    lock: Lock | None
    snapshot: Snapshot | None
    told: tuple[Told, ...] = ()
    answers: tuple[Answer, ...] = ()

    @property
    def last(self) -> Position | None:
        """Where the last transaction that the store knows of stands; None before the first snapshot."""
        if self.told:
            return self.told[-1].at
        one = self.snapshot
        if one is None:
            return None
        return Position(epoch=one.epoch, owner=one.owner, number=one.number, serial=one.serial)


@frozen
class Here:
    """A state file that nobody has open. `position`: how far it is, `serial`: by its own count; `begun_at`: see there;
    `sent`: whether anything of it was ever sent."""

    lineage: str
    position: Position | None
    serial: int
    begun_at: tuple[int, str, int] | None
    sent: bool


def from_facts(lock: Lock | None, head: Head, facts: Sequence[Facts]) -> Remote:
    return Remote(
        lock=lock,
        snapshot=head.data,
        told=tuple(told for one in facts for told in one.told),
        answers=tuple(answer for one in facts for answer in one.answers),
    )


def _ends() -> Steps[tuple[Lock | None, Head | None, object]]:
    """The lock, the head, and the head's tag, taking nothing."""
    found = yield Read(LOCK)
    lock: Lock | None = getattr(found, "body", None)
    found = yield Read(HEAD)
    head: Head | None = getattr(found, "body", None)
    return lock, head, getattr(found, "tag", None)


def _since(head: Head, last: int) -> Steps[tuple[Facts, ...]]:
    """What the journal holds up to this epoch that the snapshot does not."""
    facts: list[Facts] = []
    covers = head.covers
    for epoch in range(max(1, covers.epoch), last + 1):
        number = covers.number if epoch == covers.epoch else 0
        while True:
            seen = yield Read(entry_key(epoch, number + 1))
            if isinstance(seen, Absent) or seen.body.seal:
                break
            facts.append(unpack(seen.body.facts))
            number += 1
    return tuple(facts)


def reading(new_driver: Callable[[], Driver], use: Callable[[Driver, Remote], T]) -> T:
    """What `use` makes of what is there at one moment, whoever owns it. Raises: StoreError, StateError."""
    for tries_left in reversed(range(_TRIES)):
        driver = new_driver()  # what one has read ahead is of one moment
        lock, head, tag = driver.run(_ends())
        try:
            if head is None:
                driver.need_no_head()
                remote = from_facts(lock, Head(epoch=0), ())
            else:
                # A lock that somebody deleted hides nothing.
                facts = driver.run(_since(head, max(head.epoch, lock.epoch if lock else 0)))
                remote = from_facts(lock, head, facts)
            # Its owner may have written another snapshot meanwhile, and removed what that covers: what is left of the
            # journal is less than came after the snapshot that is known here.
            if driver.run(_head_tag()) == tag:
                return use(driver, remote)
        except (ObjectMissing, StateError):
            if not tries_left or driver.run(_head_tag()) == tag:
                raise
    raise StoreUnavailable(
        f"{driver.place}: another run writes the state faster than it can be read", hint="run the same command again"
    )


def read_all(new_driver: Callable[[], Driver], target: Path, manifest: str) -> Remote:
    """Read what is there, and write the state to `target` if there is one; it must not exist. `manifest`: whose it has
    to be. Raises: as `reading`."""

    def write(driver: Driver, remote: Remote) -> Remote:
        if remote.snapshot is not None:
            check_owner(driver, remote.snapshot, manifest)
            target.unlink(missing_ok=True)
            download(driver, remote.snapshot, target)
            tell_file(target, remote.told)
        return remote

    return reading(new_driver, write)


def check_owner(driver: Driver, snapshot: Snapshot, manifest: str) -> None:
    """Raises: StateError for the state of another manifest, before any of it is here."""
    if snapshot.manifest not in ("", manifest):
        raise StateError(
            f"{driver.place}: this state belongs to the manifest '{snapshot.manifest}', not to '{manifest}'",
            hint="give each manifest a `state:` of its own; nothing of it was brought here",
        )


def _head_tag() -> Steps[object]:
    seen = yield Read(HEAD)
    return getattr(seen, "tag", None)


def download(driver: Driver, snapshot: Snapshot, target: Path) -> None:
    """The state of a snapshot as a new file. Raises: StoreError; StateError if it is not what was written."""
    name = driver.name(snapshot.name)
    try:
        _unpack_to(target, driver, snapshot, name)
    except ObjectMissing:
        raise driver.gone(snapshot.name, "the head names it") from None


def _unpack_to(target: Path, driver: Driver, snapshot: Snapshot, name: str) -> None:
    """Raises: ObjectMissing, StoreError, StateError."""
    info = driver.patiently(lambda: driver.store.head(name))
    digest, unpacker, size = hashlib.sha256(), zlib.decompressobj(wbits=31), 0
    with guarded(target), open_new(target, private=True) as file:
        try:
            for chunk in chunks(driver.store, info):
                data = unpacker.decompress(chunk, _CHUNK)
                while data:
                    size += len(data)
                    if size > snapshot.size_bytes:
                        break
                    digest.update(data)
                    file.write(data)
                    data = unpacker.decompress(unpacker.unconsumed_tail, _CHUNK)
        except zlib.error:
            digest.update(b"damaged")
    if digest.hexdigest() != snapshot.sha256:
        target.unlink(missing_ok=True)
        raise StateError(
            f"{driver.store.root}/{name}: the snapshot is damaged: it is not what was written",
            hint="put the object back from the bucket's own versions",
        )


def tell_file(state: Path, told: Sequence[Told]) -> None:
    if told:
        with guarded(state), contextlib.closing(sqlite3.connect(state, isolation_level=None)) as db:
            tell(db, told)


def look_here(state: Path) -> Here | None:
    """A state file that nobody has open; None where there is none, or nothing in it: a run was killed before it wrote
    anything. Raises: StateError."""
    if not state.exists():
        return None
    with guarded(state), contextlib.closing(sqlite3.connect(state, isolation_level=None)) as db:
        if not db.execute("SELECT 1 FROM sqlite_master").fetchone():
            return None
        found = dict(db.execute("SELECT name, value FROM meta WHERE name IN ('lineage', 'serial')").fetchall())
        position = Position.of(db)
        return Here(
            lineage=str(found.get("lineage", "")),
            position=position,
            serial=int(found.get("serial", 0)),
            begun_at=begun_at(db, position),
            sent=db.execute("SELECT 1 FROM jobs WHERE tries > 0 OR remote_id IS NOT NULL LIMIT 1").fetchone()
            is not None,
        )


def upload(driver: Driver, db: sqlite3.Connection, name: str, now: float) -> Snapshot:
    """A consistent copy of an open state, under this name. Raises: StoreError."""
    with Scratch() as folder:
        copy = folder / "snapshot.sqlite3"
        open_new(copy, private=True).close()
        with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as target:
            db.backup(target)
            # A file without a log is read by whoever gets it.
            target.execute("PRAGMA journal_mode = DELETE")
            facts = dict(target.execute("SELECT name, value FROM meta WHERE name IN ('manifest', 'lineage', 'serial')"))
            (schema,) = target.execute("PRAGMA user_version").fetchone()
            at = Position.of(target)
        digest = sha256_of(copy)
        driver.patiently(lambda: driver.store.upload(driver.name(name), _packed(copy)))
        return Snapshot(
            name=name,
            sha256=digest,
            size_bytes=copy.stat().st_size,
            manifest=str(facts.get("manifest", "")),
            lineage=str(facts.get("lineage", "")),
            schema=schema,
            epoch=at.epoch if at else 0,
            owner=at.owner if at else "",
            number=at.number if at else 0,
            serial=int(facts.get("serial", 0)),
            at=now,
        )


def _packed(path: Path) -> Iterator[bytes]:
    packer = zlib.compressobj(_LEVEL, wbits=31)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            if packed := packer.compress(chunk):
                yield packed
    yield packer.flush()


def packed_answer(body: bytes, record: bytes = b"") -> bytes:
    """An answer as an object: gzip, and behind it what an entry says of it, so that it tells of itself."""
    return gzip.compress(body, _LEVEL, mtime=0) + record


def unpacked_answer(data: bytes, place: str) -> tuple[bytes, bytes]:
    """(the answer, what is behind it, which may be nothing). Raises: StateError for what no runner wrote."""
    unpacker = zlib.decompressobj(wbits=31)
    try:
        body = unpacker.decompress(data)
    except zlib.error:
        unpacker = zlib.decompressobj(wbits=31)
        body = b""
    if not unpacker.eof:
        raise StateError(f"{place}: this answer is damaged", hint="put it back from the bucket's own versions")
    return body, unpacker.unused_data

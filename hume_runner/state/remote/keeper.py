"""A state whose home is an object store: brought here for a run, and told of everything that happens in it."""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from hume_runner.errors import HumeRunnerError, ObjectMissing, StateError, StateLocked, StoreError
from hume_runner.events import Report, StateAwaited, StatePutAside
from hume_runner.state.keeping import HadBack, Intent, Kept, Send, Shipper
from hume_runner.state.reader import StateReader
from hume_runner.state.remote import protocol
from hume_runner.state.remote.answers import GivenOnce, take_in
from hume_runner.state.remote.bringing import bring, note_pushed
from hume_runner.state.remote.copies import Remote, from_facts, upload
from hume_runner.state.remote.drive import Driver
from hume_runner.state.remote.objects import SNAPSHOTS, Note
from hume_runner.state.remote.owner import Owner, ended, in_truth
from hume_runner.state.remote.protocol import Lock, NotOurs
from hume_runner.state.remote.redo import POSITION, Position, Recorder, Told, note_position, reads_others, unpack
from hume_runner.state.remote.submission import Submission
from hume_runner.state.store import Store

# More entries than this, and the next reader is given a snapshot.
_MANY_ENTRIES = 200
_MANY_EPOCHS = 20
_MANY_IN_A_RUN = 2_000


class RemoteKeeper:
    """Takes a state in a store. `aside` is told of a file here that was put aside, as `report` is; `once`: the service
    gives each of its answers once."""

    def __init__(
        self,
        driver: Driver,
        note: Note,
        manifest: str,
        *,
        once: bool,
        now: Callable[[], float],
        report: Report = lambda event: None,
        aside: Callable[[Path], None] = lambda path: None,
    ) -> None:
        self._driver = driver
        self._note = note
        self._manifest = manifest
        self._once = once
        self._now = now
        self._report = report
        self._aside = aside

    def _put_aside(self, path: Path) -> None:
        self._aside(path)
        self._report(StatePutAside(path=str(path)))

    @contextmanager
    def own(self, state: Path) -> Iterator[Kept]:
        driver, name = self._driver, secrets.token_hex(8)
        try:
            lock, tag = driver.run(protocol.take(name, self._note.text()))
        except NotOurs as error:
            raise held(driver.place, error.lock) from None
        owner: Owner | None = None
        kept: RemoteKept | None = None
        try:
            try:
                while True:
                    try:
                        head, head_tag = driver.run(protocol.claim(lock))
                        break
                    except protocol.Behind as behind:
                        lock, tag = driver.run(protocol.rise(lock, tag, behind.epoch))
                found = driver.run(protocol.gather(lock, head))
                owner = Owner(driver, lock, tag, head, head_tag, tuple(place for place, _ in found))
                remote = from_facts(lock, head, [unpack(facts) for _, facts in found])
                base = bring(driver, remote, state, self._put_aside, self._manifest)
                once = GivenOnce(driver, state.parent, every=self._once)  # where what belongs to a state lies
                kept = RemoteKept(driver, owner, remote, state, once, stale=base, now=self._now)
            except (StateError, ObjectMissing) as error:
                raise in_truth(driver, lock, error) from None
            yield kept
        except NotOurs as error:
            raise ended(driver, lock, error) from None
        finally:
            if owner is not None:
                if owner.close(release=True) and kept is not None and kept.pushed:
                    note_pushed(state)
            else:
                with contextlib.suppress(NotOurs, StoreError):
                    driver.run(protocol.release(lock, tag), patience_s=0.0)


def awaited(report: Report, place: str, lock: Lock, seconds: float) -> None:
    """Tell that the owner of this place's lock is waited for, for so long at most."""
    report(StateAwaited(place=place, owner=str(Note.read(lock.note)), seconds=seconds))


def held(place: str, lock: Lock | None) -> StateLocked:
    """Another run owns it, and is at work."""
    who = f": {Note.read(lock.note)}" if lock is not None and lock.note else ""
    return StateLocked(
        f"{place}: another run holds the state{who}",
        hint="wait for it, watch it (`hume-runner status MANIFEST --watch`), or end it; a run that vanished is taken "
        "over from once its lock has not moved for its lease",
    )


class _Shipper:
    """Hears every transaction, and hands it on."""

    connection = Recorder

    def __init__(self, kept: RemoteKept) -> None:
        self._kept = kept
        self._at: Position | None = None
        self._cannot_be_told = False

    def begin(self, db: sqlite3.Connection) -> None:
        assert isinstance(db, Recorder)
        self._cannot_be_told = reads_others(db)
        self._kept.once.listen(db)
        db.listen()

    def number(self, db: sqlite3.Connection) -> None:
        self._at = self._kept.next_position(db)

    def done(self, db: sqlite3.Connection) -> None:
        assert isinstance(db, Recorder)
        assert self._at is not None
        statements = db.heard()
        (schema,) = db.execute("PRAGMA user_version").fetchone()
        told = None if self._cannot_be_told else Told(at=self._at, schema=schema, statements=statements)
        self._kept.told(self._at, told, db)

    def drop(self, db: sqlite3.Connection) -> None:
        assert isinstance(db, Recorder)
        db.heard()


class RemoteKept:
    """See `Kept`. `state`: the file here. `stale`: it has what no entry says, so that a snapshot is due before the next
    one."""

    def __init__(
        self,
        driver: Driver,
        owner: Owner,
        remote: Remote,
        state: Path,
        once: GivenOnce,
        *,
        stale: bool,
        now: Callable[[], float],
    ) -> None:
        self._state = state
        self._said: StoreError | None = None
        self._driver = driver
        self._owner = owner
        self.once = once
        self._answers = remote.answers
        self._on = remote.last.transaction if remote.last is not None else None
        self._now = now
        self._stale = stale
        self._schema = remote.snapshot.schema if remote.snapshot else None
        self._number: int | None = None
        self.pushed = False
        self._missed: set[int] = set()
        self.shipper: Shipper = _Shipper(self)

    @property
    def broken(self) -> HumeRunnerError | None:
        found = self._owner.broken
        if isinstance(found, StoreError) and self._said is None:
            self._said = self._unsaid(found)
        return self._said or found

    def _unsaid(self, error: StoreError) -> StoreError:
        return type(error)(
            f"the remote state cannot be told what happened: {error}; all of it is in {self._state}",
            key=error.key,
            hint="keep that file and what lies beside it: the next run from here reads them, and pushes them",
        )

    # -- what the shipper hears

    def next_position(self, db: sqlite3.Connection) -> Position:
        if self._number is None:
            had = Position.of(db)
            self._number = had.number if had else 0
        return note_position(db, epoch=self._owner.epoch, owner=self._owner.name, number=self._number + 1, on=self._on)

    def told(self, at: Position, told: Told | None, db: sqlite3.Connection) -> None:
        self._number = at.number
        self.pushed = False
        if told is None or told.schema != self._schema:
            self._stale = True  # the snapshot that counts was written by an earlier version, or there is none
        if not self._stale:
            assert told is not None
            # Nobody is told that an answer is on a disk, and no more in the state, before it is there.
            if self._owner.broken is None:
                try:
                    self.once.put(self.once.heard(db))
                except StoreError as error:
                    self._owner.give_up(error)
                    return
            self._owner.note(told=told)

    # -- see `Kept`

    def take_in(self, store: Store, now: float) -> None:
        take_in(self._driver, self._answers, store, now)
        self._answers = ()

    def restore(self, store: StateReader, outputs: Path, *, every: bool, thorough: bool = False) -> Iterator[HadBack]:
        self.once.every |= every
        return self.once.restore(store, outputs, thorough=thorough)

    @property
    def has_more(self) -> bool:
        """Whether the state here has what the store does not."""
        return self._stale

    def ready(self, store: Store) -> None:
        if self._stale or self._owner.snapshot is None:
            self._push(store)

    def around(self, intent: Intent, send: Send) -> Send:
        turn = self._owner.turn
        return Submission(self._owner, self._driver, intent, turn, send, self._missed.add, self.once)

    def heard(self, store: Store, number: int) -> bool:
        self._owner.told_of(number)
        if self._owner.entries > _MANY_IN_A_RUN and self._owner.broken is None:
            self._push(store)
        return number not in self._missed

    def settle(self, store: Store) -> HumeRunnerError | None:
        owner = self._owner
        try:
            if self.broken is not None:
                return self.broken
            if self._stale or owner.entries > _MANY_ENTRIES or owner.behind > _MANY_EPOCHS:
                self._push(store)
            else:
                owner.flush()
        except StoreError as error:
            return self.broken or self._unsaid(error)
        except HumeRunnerError as error:
            return error
        self.pushed = True
        return None

    def _push(self, store: Store) -> None:
        # What a snapshot covers is removed, and these stand nowhere else.
        if self._answers:
            store.recover(self._now())
            self.take_in(store, self._now())
        if self._number is None and not store.meta(POSITION):
            store.remember()  # a state that was never anywhere else: by its transactions it is known again
        self.once.put_all(store)
        name = f"{SNAPSHOTS}/{self._owner.epoch:08d}-{self._owner.name}-{secrets.token_hex(4)}.sqlite3.gz"
        snapshot = store.copied_by(lambda db: upload(self._driver, db, name, self._now()))
        # Not removed where this fails: the head may name it all the same, and its next owner count on it.
        self._owner.compact(snapshot)
        self._stale = False
        self._schema = snapshot.schema

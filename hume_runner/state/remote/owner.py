"""Being the owner of a remote state: every write of ours proves that we still are.

Threads of a run share one owner. What several of them want at one moment is written together: one entry holds what all
were waiting for, and one beat that began after they asked confirms all of them.
"""

from __future__ import annotations

import threading
from typing import Any

from hume_runner.errors import HumeRunnerError, ObjectMissing, StateError, StateLocked, StoreError
from hume_runner.frozen import frozen
from hume_runner.state.remote import protocol
from hume_runner.state.remote.drive import Driver
from hume_runner.state.remote.objects import Note, Snapshot, name_of
from hume_runner.state.remote.protocol import Head, Lock, NotOurs, Upto
from hume_runner.state.remote.redo import Answer, Told, pack

_MOST_A_ENTRY = 500
_CLEAN_UP_IN_VAIN_S = 2.0


@frozen(kw_only=False)
class _Waiting:
    """Something that the next entry holds."""

    turn: int
    told: Told | None = None
    answer: Answer | None = None


class Owner:
    """Holds a state that was taken. `broken` is why it does not any more, None as long as it does."""

    def __init__(
        self, driver: Driver, lock: Lock, tag: Any, head: Head, head_tag: Any, covered: tuple[Upto, ...]
    ) -> None:
        self._driver = driver
        self._lock, self._tag = lock, tag
        self._head, self._head_tag = head, head_tag
        self._number = 0
        self._clear = covered  # entries of earlier epochs that the next snapshot covers
        self._first = 1  # our first entry that no snapshot covers
        self._waiting: list[_Waiting] = []
        self._untold: dict[int, Answer] = {}  # by job: answers that the state was not told of yet
        self._turn = self._written = 0
        self._asked = self._confirmed = 0
        self._small = threading.Lock()  # for the numbers and the list above
        self._appending = threading.Lock()
        self._beating = threading.Lock()
        self._over = threading.Event()
        self._under_way = 0  # requests whose last byte may leave now, or may be on its way
        self.broken: HumeRunnerError | None = None
        self._heart = threading.Thread(target=self._live, name="hume-runner-heartbeat", daemon=True)
        self._heart.start()

    @property
    def epoch(self) -> int:
        return self._lock.epoch

    @property
    def name(self) -> str:
        return self._lock.owner

    @property
    def snapshot(self) -> Snapshot | None:
        found: Snapshot | None = self._head.data
        return found

    @property
    def behind(self) -> int:
        """How many epochs a reader has to look into besides ours."""
        return self.epoch - self._head.covers.epoch

    @property
    def entries(self) -> int:
        """How many entries a reader has to read besides the snapshot."""
        return len(self._clear) + self._number - self._first + 1

    # -- facts

    def note(self, *, told: Told | None = None, answer: Answer | None = None) -> int:
        """Something for the next entry; its turn, to be flushed up to."""
        with self._small:
            self._turn += 1
            if answer is not None:
                self._untold[answer.number] = answer
            self._waiting.append(_Waiting(self._turn, told, answer))
            return self._turn

    @property
    def turn(self) -> int:
        """That of what was noted last."""
        return self._turn

    def told_of(self, number: int) -> None:
        """The state knows the answer to this job, so that a snapshot holds it."""
        with self._small:
            self._untold.pop(number, None)

    def flush(self, turn: int | None = None) -> None:
        """Return once everything up to this turn (None: all that is noted) is durable. Raises: what `broken` is."""
        with self._small:
            upto = self._turn if turn is None else turn
        while self._written < upto:
            with self._appending:
                if self._written < upto:
                    self._append()

    def _append(self) -> None:
        self._check()
        with self._small:
            some, self._waiting = self._waiting[:_MOST_A_ENTRY], self._waiting[_MOST_A_ENTRY:]
        told = [one.told for one in some if one.told is not None]
        answers = [one.answer for one in some if one.answer is not None]
        # Given up or refused, nothing can follow: what lands later under this number is not known.
        self._drive(protocol.append(self._lock, self._number + 1, pack(told, answers)))
        self._number += 1
        self._written = some[-1].turn

    # -- the lock

    def confirm(self) -> None:
        """Return once a beat that began after this call has landed. Raises: what `broken` is."""
        with self._small:
            self._asked += 1
            mine = self._asked
        with self._beating:
            if self._confirmed < mine:
                self._beat()
                self._check()

    def _beat(self, *, patience_s: float | None = None, breaks: bool = True) -> None:
        self._check()
        with self._small:
            upto = self._asked
        self._lock, self._tag = self._drive(protocol.beat(self._lock, self._tag), patience_s=patience_s, breaks=breaks)
        self._confirmed = upto

    def may_leave(self) -> None:
        """The last byte of one request may leave from here on, until `has_left`. Raises: what `broken` is."""
        with self._small:
            self._check()
            self._under_way += 1

    def has_left(self) -> None:
        with self._small:
            self._under_way -= 1

    def _live(self) -> None:
        """Beat, and flush what nobody waits for, until it is over. A store that is out of order is asked again; who
        needs it finds out by himself."""
        while not self._over.wait(self._driver.timing.heartbeat_s):
            try:
                with self._beating:
                    self._beat(patience_s=0.0, breaks=False)
                self.flush()
            except HumeRunnerError:
                if self.broken is not None:
                    return

    # -- snapshots

    def compact(self, snapshot: Snapshot) -> None:
        """Make this snapshot count, which has all that was noted up to now, and remove what it covers.

        Raises: what `broken` is. To be called where nothing is noted meanwhile.
        """
        with self._appending:
            self._check()
            with self._small:
                self._waiting.clear()
                turn, untold = self._turn, list(self._untold.values())
            before, upto = self.snapshot, self._number
            if untold:  # no snapshot has them yet, and what it covers is removed
                self._drive(protocol.append(self._lock, upto + 1, pack((), untold)))
                self._number += 1
            head = self._drive(protocol.compact(self._lock, self._head, self._head_tag, snapshot, upto))
            self._head, self._head_tag = head
            self._written = turn
            covered = self._clear + tuple(Upto(self.epoch, n) for n in range(self._first, upto + 1))
            self._clear, self._first = (), upto + 1
        self._driver.run(protocol.clear(covered), patience_s=_CLEAN_UP_IN_VAIN_S)
        if before is not None and before.name != snapshot.name:
            self._driver.remove(before.name)

    # -- the end

    def close(self, *, release: bool) -> bool:
        """Stop the heart; give the lock back if it is ours and nothing can leave any more. Whether it was."""
        with self._small:
            busy = self._under_way > 0
            broken = self.broken
            if broken is None:
                self.broken = StateLocked(f"{self._driver.place}: this run has given the state back")
        self._over.set()
        self._heart.join(timeout=self._driver.timing.patience_s)
        if not release or busy or isinstance(broken, StateLocked):
            return False
        patience_s = None if broken is None else _CLEAN_UP_IN_VAIN_S
        with self._beating:
            try:
                self._driver.run(protocol.release(self._lock, self._tag), patience_s=patience_s)
            except (NotOurs, StoreError):
                return False
        return True

    # -- what ends it

    def give_up(self, error: HumeRunnerError) -> None:
        """What has to be there before anything more may be told is not, and cannot be."""
        self.broken = self.broken or error

    def _check(self) -> None:
        if self.broken is not None:
            raise self.broken

    def _drive(self, steps: protocol.Steps[Any], *, patience_s: float | None = None, breaks: bool = True) -> Any:
        try:
            return self._driver.run(steps, patience_s=patience_s)
        except NotOurs as error:
            self.broken = ended(self._driver, self._lock, error)
            raise self.broken from None
        except HumeRunnerError as error:
            found = in_truth(self._driver, self._lock, error)
            if breaks or isinstance(found, StateLocked):
                self.broken = self.broken or found
            if found is not error:
                raise found from None
            raise


def in_truth(driver: Driver, ours: Lock, error: HumeRunnerError) -> HumeRunnerError:
    """What an owner's error is: what seems damaged or gone is another's work where the state is another's by now, who
    removes what a snapshot of his covers."""
    if not isinstance(error, StateError | ObjectMissing):
        return error
    try:
        seen = driver.run(protocol.look(), patience_s=_CLEAN_UP_IN_VAIN_S)
    except HumeRunnerError:
        return error
    # A lock of before is none that anybody took: other hands put it back.
    taken = seen is not None and (seen.epoch > ours.epoch or (seen.epoch == ours.epoch and seen.owner != ours.owner))
    return lost(driver.place, seen) if taken else error


def ended(driver: Driver, ours: Lock, error: NotOurs) -> StateError:
    """Why the state is not an owner's any more: another took it, or other hands were at the objects that say whose it
    is."""
    if isinstance(error, protocol.Removed) and error.key == protocol.HEAD:
        return driver.gone(name_of(error.key), "this run found it")
    put_back = error.lock is not None and error.lock.epoch < ours.epoch
    if put_back or isinstance(error, protocol.Removed):
        what = "an earlier one was put in its place" if put_back else "it was removed"
        return StateError(
            f"{driver.place}/{name_of(protocol.LOCK)} is not what this run wrote, and no other run took it: {what}",
            hint="nothing is lost: run the same command again, it takes the state anew",
        )
    return lost(driver.place, error.lock)


def lost(place: str, lock: Lock | None) -> StateLocked:
    """Somebody took the state from us."""
    who = f": {Note.read(lock.note)}" if lock is not None and lock.note else ""
    return StateLocked(
        f"{place}: another run has taken the state{who}; this one writes nothing any more",
        hint="this run did not move its lock for longer than its lease (a machine that slept, a store that was out of "
        "reach); look with `hume-runner status MANIFEST`",
    )

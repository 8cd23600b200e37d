"""Answers in a store: those that no transaction tells of, because their owner ended before the state on its disk heard
of them, and those that nobody gives a second time."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path

from hume_runner import small_json
from hume_runner.errors import AlreadyExists, ObjectMissing, StoreUnavailable, refuse_scarce
from hume_runner.frozen import frozen
from hume_runner.state.answers import look_at
from hume_runner.state.disk import Disk
from hume_runner.state.keeping import HadBack
from hume_runner.state.lifecycle import JobStatus
from hume_runner.state.reader import StateReader
from hume_runner.state.remote.copies import packed_answer, unpacked_answer
from hume_runner.state.remote.drive import Driver
from hume_runner.state.remote.objects import ANSWERS
from hume_runner.state.remote.redo import Answer, pack, unpack
from hume_runner.state.rows import KEPT, StoredAnswer
from hume_runner.state.store import Store

_DESCRIPTION = "request.json"  # made again from the state
_MOST_ANSWER_BYTES = 1 << 40  # as large as it was
_LISTED = "its folder lists it"
_ANSWERS = (
    "SELECT a.job, a.name, a.path, a.size, a.sha256, a.stamp, a.at, j.nonce, coalesce(j.endpoint, '') LIKE ? "
    "FROM answers a JOIN jobs j ON j.job = a.job WHERE a.name != ?"
)


def take_in(driver: Driver, answers: Sequence[Answer], store: Store, now: float) -> None:
    """Tell the state of these, which stand in entries, and of those that lie there without one. After `recover`.

    Raises: StoreError; StateError for one that is damaged, or gone though an entry names it.
    """
    for one in (*answers, *_in_no_entry(driver, store)):
        if store.number_of(one.endpoint, one.remote_id) is not None:
            continue
        body = None
        if one.kept is not None:
            body, _ = _read(driver, one.kept, "the journal names it")
        store.record_rescued(one, body, now)


def _in_no_entry(driver: Driver, store: StateReader) -> Iterator[Answer]:
    """What lies there of submissions whose answer seems lost: its owner vanished before it could say so."""
    waiting = {job.nonce for job in store.jobs(JobStatus.AMBIGUOUS) if job.nonce}
    if not waiting:
        return
    for name in _there(driver) & {f"{nonce}.gz" for nonce in waiting}:
        _, record = _read(driver, f"{ANSWERS}/{name}", _LISTED)
        if record:
            yield from unpack(record).answers


def _there(driver: Driver) -> set[str]:
    """Names in the folder of answers."""
    folder = driver.name(ANSWERS)
    return {info.key.rpartition("/")[2] for info in driver.patiently(lambda: [*driver.store.list(folder)])}


def _read(driver: Driver, name: str, witness: str) -> tuple[bytes, bytes]:
    """(an answer, what lies behind it). Raises: StoreError; StateError for one that is damaged, or gone."""
    try:
        content = driver.patiently(lambda: driver.store.read(driver.name(name)))
    except ObjectMissing:
        raise driver.gone(name, witness) from None
    return unpacked_answer(content.data, f"{driver.store.root}/{driver.name(name)}")


def lie_there(driver: Driver, store: StateReader, jobs: Iterable[int]) -> frozenset[int]:
    """Those of these jobs whose answers, which nobody gives again, a run has from the store. Raises: StoreError."""
    there = _there(driver)
    return frozenset(job for job in jobs if f"{store.job(job).nonce}.gz" in there)


def answer_name(ending: str) -> str:
    return f"{ANSWERS}/{ending}.gz"


@frozen
class _Given:
    """An answer that nobody gives again, as a state knows it. `named`: by the nonce of the only try that had it, or by
    its hash where it was adopted; `links`: it may quote links that grant access."""

    job: int
    answer: StoredAnswer
    named: str
    links: bool

    def body(self, outputs: Path) -> bytes | None:
        """What is on the disk, if it is what was recorded."""
        try:
            body = (outputs / self.answer.path).read_bytes()
        except OSError as error:
            refuse_scarce(error)
            return None
        return body if hashlib.sha256(body).hexdigest() == self.answer.sha256 else None


class GivenOnce:
    """The answers below a state that cannot be had again. Each lies in the store before the state there says that it
    is on a disk, by whatever way it came there: every transaction is heard, and every snapshot is looked through.

    `every`: the service gives each of its answers once; else those alone are such that were adopted from files.
    """

    def __init__(self, driver: Driver, outputs: Path, *, every: bool) -> None:
        self._driver = driver
        self._outputs = outputs
        self.every = every
        self._listed: set[str] | None = None

    # -- which

    def listen(self, db: sqlite3.Connection) -> None:
        """From here on it is noted of which jobs this transaction records answers, in whatever words."""
        db.execute("CREATE TEMP TABLE IF NOT EXISTS answered (job INTEGER PRIMARY KEY)")
        db.execute(
            "CREATE TEMP TRIGGER IF NOT EXISTS note_answered AFTER INSERT ON main.answers "
            "BEGIN INSERT OR IGNORE INTO answered VALUES (new.job); END"
        )
        db.execute("DELETE FROM temp.answered")

    def heard(self, db: sqlite3.Connection) -> tuple[_Given, ...]:
        """What the transaction recorded."""
        return tuple(self._such(db, " AND a.job IN (SELECT job FROM temp.answered)"))

    def _such(self, db: sqlite3.Connection, where: str = "") -> Iterator[_Given]:
        rows = db.execute(_ANSWERS + where, (f"{KEPT}%", _DESCRIPTION))
        for job, name, path, size, sha256, stamp, at, nonce, adopted in rows:
            if adopted or (self.every and nonce):
                answer = StoredAnswer(name=name, path=path, size=size, sha256=sha256, stamp=stamp, at=at)
                yield _Given(job=job, answer=answer, named=nonce or sha256, links=bool(adopted))

    # -- there

    def put(self, some: Iterable[_Given]) -> None:
        """Have these there, as far as they are here. Raises: StoreError."""
        for one in some:
            if not self._is_there(one.named) and (body := one.body(self._outputs)) is not None:
                self.keep(one.named, body)

    def put_all(self, store: StateReader) -> None:
        """Have all of them there. Raises: StoreError."""
        store.copied_by(lambda db: self.put(self._such(db)))

    def keep(self, named: str, body: bytes, record: Answer | None = None) -> None:
        """Put an answer where another machine finds it, and with it what no entry says yet. Raises: StoreError."""
        driver, name = self._driver, answer_name(named)
        packed = packed_answer(body, pack((), (record,)) if record is not None else b"")

        def create() -> None:
            try:
                with contextlib.suppress(AlreadyExists):  # by an attempt whose answer was lost: no other has this name
                    driver.store.create(driver.name(name), packed)
            except ObjectMissing as error:
                raise StoreUnavailable(f"{driver.place}: the store finds no place for {name}", key=name) from error

        driver.patiently(create)
        if self._listed is not None:
            self._listed.add(f"{named}.gz")

    def _is_there(self, named: str) -> bool:
        if self._listed is None:
            self._listed = _there(self._driver)
        return f"{named}.gz" in self._listed

    # -- and here

    def restore(self, store: StateReader, outputs: Path, *, thorough: bool) -> Iterator[HadBack]:
        """See `Kept`."""
        for one in self._such(store._db):
            harm = look_at(outputs, one.answer, thorough=thorough).harm
            if harm is None:
                self.put((one,))
            elif self._is_there(one.named):
                body, _ = _read(self._driver, answer_name(one.named), _LISTED)
                if hashlib.sha256(body).hexdigest() == one.answer.sha256:
                    kept = _write(outputs, one, body)
                    told = harm if kept is None else f"{harm}, which is kept as {kept.name}"
                    yield HadBack(job=one.job, path=one.answer.path, harm=told)


def _write(outputs: Path, one: _Given, body: bytes) -> Path | None:
    """An answer in its place; under which name there is what somebody made of it. Raises: OSError."""
    path, disk, kept = outputs / one.answer.path, Disk(), None
    disk.make_below(outputs, Path(one.answer.path).parent)
    if path.is_file() and not path.is_symlink() and _is_whole(path):  # no disk makes such a one
        kept = next(name for name in _names_beside(path) if not os.path.lexists(name))
        path.rename(kept)
    with disk.written(path, private=one.links) as file:
        file.write(body)
    return kept


def _is_whole(path: Path) -> bool:
    try:
        small_json.parsed(path.read_bytes(), most_bytes=_MOST_ANSWER_BYTES)
    except (OSError, ValueError) as error:
        refuse_scarce(error)
        return False
    return True


def _names_beside(path: Path) -> Iterator[Path]:
    for ending in count(1):
        yield path.with_name(f"{path.name}.bak" if ending == 1 else f"{path.name}.{ending}.bak")

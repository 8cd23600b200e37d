"""A state file that is written: the transaction in which every write ends."""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from hume_runner.state import sent
from hume_runner.state.connection import PATIENT_MS, Opened, guarded, take_back
from hume_runner.state.disk import Disk
from hume_runner.state.keeping import Shipper
from hume_runner.state.pinned import PARTED
from hume_runner.state.reader import StateReader
from hume_runner.state.seal import write_seal

# So long whoever writes the file is waited for once they were waited for in vain.
_HURRIED_MS = 100


class Transactions(StateReader):
    """Has transactions, and a count of requests that is written along with the next one."""

    def __init__(
        self,
        opened: Opened,
        disk: Disk,
        *,
        mask: Callable[[str], str] = lambda text: text,
        shipper: Shipper | None = None,
    ) -> None:
        super().__init__(opened)
        self._shipper = shipper
        self.mask = mask  # what keeps secrets out of words that come from a service
        self._disk = disk
        self._pinned = opened.pinned
        self._closed = False
        self._request_counts: dict[str, int] = {}
        self._hurried = False  # somebody who holds the file was waited for in vain
        self._together = False  # what is recorded now ends in one transaction with what comes next
        self._sender = ""  # by what name its submissions are counted; empty where nobody has to know

    def close(self) -> None:
        """Close the file and seal it, if nothing of it is in the log any more."""
        if self._closed:
            return
        whole = False
        with contextlib.suppress(sqlite3.Error):
            if self._still_ours():
                busy, *_ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                whole = not busy
        with contextlib.suppress(sqlite3.Error):
            self._db.close()
        self._closed = True
        if self._pinned is not None:
            if whole and self._pinned.in_place():
                write_seal(self._pinned.path)
            self._pinned.release()

    def discard(self) -> None:
        """Close a state, and remove it if this opening made it: then nothing in it is worth keeping."""
        if self._closed:
            return
        if self._pinned is not None and not self._pinned.created:
            self.close()
            return
        with contextlib.suppress(sqlite3.Error):
            self._db.close()
        self._closed = True
        if self._pinned is not None:
            take_back(self._pinned)

    def _still_ours(self) -> bool:
        """Whether the file is as we left it. If not, what is there is what somebody wanted to be there."""
        if self._pinned is None:
            return True
        trouble = self._pinned.trouble()
        if trouble not in (None, PARTED):
            self._pinned.forsake_log()
        return trouble is None

    def remember(self, **facts: Any) -> None:
        """Set a few facts about the file."""
        with self._transaction("facts", bump=False):
            self._set(facts)

    def _set(self, facts: Mapping[str, Any]) -> None:
        self._db.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", facts.items())

    def count_sent(self) -> None:
        """From now on each submission is counted with its intent, as of one run more: see `sent`."""
        self._sender = secrets.token_hex(8)

    def _note_sent(self) -> None:
        if self._sender:
            self._set({sent.FACT: sent.counted(self.meta(sent.FACT), self._sender)})

    @property
    def tells_each(self) -> bool:
        """Whether another machine is told of each transaction by itself: nothing is recorded together then."""
        return self._shipper is not None

    @contextlib.contextmanager
    def together(self, what: str) -> Iterator[None]:
        """All that is recorded in the block is durable when it ends, at the cost of one transaction; nothing of it is
        recorded if it raises. With `tells_each` each is durable by itself, and what was recorded before stays."""
        if self.tells_each:
            yield
            return
        with self._transaction(what):
            self._together = True
            try:
                yield
            finally:
                self._together = False

    @contextlib.contextmanager
    def _transaction(self, what: str, *, bump: bool = True) -> Iterator[sqlite3.Connection]:
        if self._together:
            with guarded(self.path):
                yield self._db
            return
        with guarded(self.path):
            self._check()
            self._begin_alone()
            shipper = self._shipper
            try:
                if shipper is not None:
                    shipper.begin(self._db)
                yield self._db
                if bump:
                    self._db.execute("UPDATE meta SET value = value + 1 WHERE name = 'serial'")
                self._flush_requests()
                if shipper is not None:
                    shipper.number(self._db)
                self._check()
                if self._pinned is not None:
                    self._pinned.stir()
                self._disk.commit(self._db, what)
            except BaseException:
                # The commit itself may have failed half-way; SQLite then has rolled back already.
                if shipper is not None:
                    shipper.drop(self._db)
                with contextlib.suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                raise
            if shipper is not None:
                shipper.done(self._db)
            if self._pinned is not None:
                # What was written counts as recorded only if it is in the file that the next run will read.
                self._pinned.check(bytes_too=False)
                self._pinned.settle()

    def _begin_alone(self) -> None:
        """Whoever else writes is waited for, but not for as long again by each of many who have something to record."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            self._db.execute(f"PRAGMA busy_timeout = {_HURRIED_MS}")
            self._hurried = True
            raise
        if self._hurried:
            self._db.execute(f"PRAGMA busy_timeout = {PATIENT_MS}")
            self._hurried = False

    def check_place(self) -> None:
        """Raises: StateError where another state was put in the place of this one, which may be read in its stead."""
        with guarded(self.path):
            self._check()

    def _check(self) -> None:
        if self._pinned is not None:
            self._pinned.check()

    def count_request(self, kind: str, number: int = 1) -> None:
        """Count requests by kind; written with the next transaction, so that counting costs no sync of its own."""
        self._request_counts[kind] = self._request_counts.get(kind, 0) + number

    def requests(self) -> dict[str, int]:
        counts = super().requests()
        for kind, number in self._request_counts.items():
            counts[kind] = counts.get(kind, 0) + number
        return counts

    def _flush_requests(self) -> None:
        if self._request_counts:
            self._db.executemany(
                "INSERT INTO requests VALUES (?, ?) ON CONFLICT (kind) DO UPDATE SET count = count + excluded.count",
                list(self._request_counts.items()),
            )
            self._request_counts.clear()

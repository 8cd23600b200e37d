"""A scratch file that holds the manifest's items while they are compared with the state.

Sources stream in and may be a million; the scratch file is what keeps them out of memory. It is thrown away when the
comparison is done, so it needs no journal.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import sha256
from itertools import chain, repeat
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec

from hume_runner.aside import open_new
from hume_runner.errors import ManifestError, Problem
from hume_runner.planning.staged import FileDigest, PlainBlock, PlainRow, Row, parse_place
from hume_runner.scratch import Scratch
from hume_runner.state.connection import of_temporary

P = ParamSpec("P")

# Large pages: rows are written one after another, and read so.
_FAST = "PRAGMA page_size=65536; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-16000;"
_SCHEMA = """
CREATE TABLE staged (
  ord INTEGER PRIMARY KEY,
  id TEXT NOT NULL,
  explicit INTEGER NOT NULL,
  kind TEXT NOT NULL,
  key BLOB NOT NULL,
  value TEXT NOT NULL,
  place TEXT NOT NULL,
  labels TEXT,
  content BLOB NOT NULL,
  size INTEGER NOT NULL,
  settings BLOB NOT NULL,
  -- What only a file has.
  path TEXT,
  inside TEXT,
  facts TEXT,
  md5 BLOB
);
-- What the keys were made with; a handful.
CREATE TABLE settings (digest BLOB PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID;
-- Keys under which an earlier version measured staged items.
CREATE TABLE former (key BLOB PRIMARY KEY, old BLOB NOT NULL UNIQUE) WITHOUT ROWID;
-- Items that are listed and not selected.
CREATE TABLE passed (id TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE digests (
  path TEXT PRIMARY KEY, size INTEGER, mtime_ns INTEGER, inode INTEGER, sha256 BLOB, md5 BLOB
) WITHOUT ROWID;
CREATE TABLE todo (ord INTEGER PRIMARY KEY, retry INTEGER NOT NULL, carried INTEGER NOT NULL);
-- Items whose key an earlier item has; what is plain about the others (1: never seen, 2: measured); jobs once packed.
CREATE TABLE repeated (ord INTEGER PRIMARY KEY);
CREATE TABLE plain (ord INTEGER PRIMARY KEY, what INTEGER);
-- One row: whether all items are texts, and links without a query.
CREATE TABLE shape (plain INTEGER NOT NULL);
CREATE TABLE packed (job INTEGER PRIMARY KEY, key TEXT, sources INTEGER, bytes INTEGER, billable_seconds REAL);
"""

# Many rows a statement take three quarters of the time of as many statements; SQLite takes 32,766 values in one.
_BATCH = 2_000
_PLAIN = "ord, id, explicit, kind, key, value, place, labels, content, size, settings"
_OF_FILE = f"{_PLAIN}, path, inside, facts, md5"


def _insert(columns: str, rows: int) -> str:
    values = f"({', '.join('?' * len(columns.split()))})"
    return f"INSERT INTO staged ({columns}) VALUES {', '.join([values] * rows)}"  # noqa: S608


# A block of links: what all of it has in common is given once, and two digests come as one value.
_BLOCK = 1_000
_BLOCK_INSERT = (
    f"INSERT INTO staged ({_PLAIN}) "  # noqa: S608
    "SELECT ?1 + column1, column2, ?2, ?3, substr(column3, 1, 32), column4, ?4 || column5 || ?5, column6, "
    f"substr(column3, 33), ?6, ?7 FROM (VALUES {', '.join(f'({n}, ?, ?, ?, ?, ?)' for n in range(_BLOCK))})"
)

_INSERTS = {columns: (_insert(columns, 1), _insert(columns, _BATCH)) for columns in (_PLAIN, _OF_FILE)}


class Scan:
    """All items of one manifest, in its order, in a scratch database at `path`."""

    sources: str | None = None  # see `Scanned`

    def __init__(self) -> None:
        self._directory = Scratch()
        self.path = self._directory.path / "scan.sqlite3"
        try:
            with self._room():
                open_new(self.path, private=True).close()
                # Used by two threads, one after the other.
                self._db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
                self._db.executescript(_FAST + _SCHEMA)
                self._db.execute("BEGIN")
        except BaseException:
            self._directory.close()
            raise
        self._batch: list[PlainRow] | list[Row] = []  # neither hashed nor in the file yet, all of one shape
        self._columns = _PLAIN
        self._plain = True  # nothing but texts, and links without a query, so far
        self._threads = True
        self._writer: ThreadPoolExecutor | None = None
        self._written: Future[None] | None = None
        self._digest = sha256()
        self.count = 0
        self.digest = ""
        self.partial = False
        self._passed = 0

    def __enter__(self) -> Scan:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.shutdown()
        self._db.close()
        self._directory.close()

    def add(self, row: Row) -> None:
        """Add one item; its `ord` is its place in the manifest."""
        self._plain = False
        self._add(row, _OF_FILE)

    def add_plain(self, row: PlainRow) -> None:
        """The same for an item that is no file."""
        if row[3] == "url" and "?" in row[5]:
            self._plain = False
        self._add(row, _PLAIN)

    def add_block(self, block: PlainBlock) -> None:
        """The same for many of them."""
        self._flush()
        if block.kind == "url" and "?" in "".join(block.values):
            self._plain = False
        self.count += len(block)
        self._hand(self._write_block, block)

    def _add(self, row: Any, columns: str) -> None:
        if columns is not self._columns:
            self._flush()
            self._columns = columns
        self._batch.append(row)
        self.count += 1
        if len(self._batch) >= _BATCH:
            self._flush()

    def select(self, selection: str, *, partial: bool) -> None:
        """Before the first item: only some are added, as this says. `partial`: the state may hold the others."""
        self.partial = partial
        self._digest.update(b"%b\0\0" % _b(selection))

    def pass_over(self, row: Row) -> None:
        """An item that is listed and not selected: its id is taken, and it has its place in the order."""
        self._passed += 1
        self.add((*row[:4], b"", *row[5:]))

    def add_digest(self, path: str, size: int, mtime_ns: int, inode: int, digest: FileDigest) -> None:
        """Remember a file's digest, to be kept in the state if a run follows."""
        self._wait()
        with self._room():
            self._db.execute(
                "INSERT OR REPLACE INTO digests VALUES (?,?,?,?,?,?)",
                (path, size, mtime_ns, inode, digest.sha256, digest.md5),
            )

    def add_settings(self, digest: bytes, text: str) -> None:
        """Settings that rows name by their digest, as canonical JSON."""
        self._wait()
        with self._room():
            self._db.execute("INSERT OR IGNORE INTO settings VALUES (?, ?)", (digest, text))

    @contextlib.contextmanager
    def _room(self) -> Iterator[None]:
        """The temporary folder is a disk like others. Raises: StateError when it takes no more."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise of_temporary(error, "the list of sources", self.path) from error

    def _flush(self) -> None:
        """Hash and write what was collected, a whole batch by another thread."""
        batch, self._batch = self._batch, []
        if len(batch) == _BATCH:
            self._hand(self._write, batch, self._columns)
        elif batch:
            self._wait()
            self._write(batch, self._columns)

    def _hand(self, write: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
        """Have another thread write, as SQLite and SHA-256 need no Python while they work, and the next rows are made
        meanwhile."""
        self._wait()
        if self._threads:
            try:
                if self._writer is None:
                    self._writer = ThreadPoolExecutor(1, thread_name_prefix="hume-runner-scan")
                self._written = self._writer.submit(write, *args, **kwargs)
            except RuntimeError:
                # This machine has no thread to spare: all is done here from now on. (What was handed to the pool stays
                # in its queue, so it must not get a thread later.)
                self._threads = False
        if self._written is None:
            write(*args, **kwargs)

    def _wait(self) -> None:
        """Until the file has all but what is collected. Raises: what writing it raised."""
        written, self._written = self._written, None
        if written is not None:
            written.result()

    def _write_block(self, block: PlainBlock) -> None:
        texts = {text: _b(text or "") for text in set(block.labels)}
        told = zip(
            _encoded(block.ids),
            repeat(b"\0"),
            block.keys,
            _encoded(block.values),
            repeat(b"\0"),
            [texts[text] for text in block.labels],
            repeat(b"\0"),
        )
        self._digest.update(b"".join(chain.from_iterable(told)))  # as `_write` has it
        if len(block) != _BLOCK:
            with self._room():
                self._db.executemany(_INSERTS[_PLAIN][0], _rows_of(block))
            return
        digests = map(bytes.__add__, block.keys, block.contents)
        own = chain.from_iterable(zip(block.ids, digests, block.values, block.lines, block.labels, strict=True))
        whole = (block.first, block.explicit, block.kind, block.before, block.behind, block.size, block.settings)
        with self._room():
            self._db.execute(_BLOCK_INSERT, [*whole, *own])

    def _write(self, batch: Sequence[Any], columns: str) -> None:
        # What decides about a plan: who, in what order, with which key, sent as what. Places and labels are not in it
        # twice: a label that changes is seen through its text.
        told = [b"%b\0%b%b\0%b\0" % (_b(row[1]), row[4], _b(row[5]), _b(row[7] or "")) for row in batch]
        self._digest.update(b"".join(told))
        one, many = _INSERTS[columns]
        with self._room():
            if len(batch) == _BATCH and columns is _PLAIN:
                self._db.execute(many, list(chain.from_iterable(batch)))
            else:
                self._db.executemany(one, batch)

    def finish(self) -> None:
        """Settle ids that were claimed twice, and set `digest` (hex), over all that decides about the plan.

        A derived id that is taken gets the suffix `~2`, `~3`, … in manifest order. Raises: ManifestError if two items
        claim an id by name.
        """
        self._flush()
        self._wait()
        with self._room():
            self._settle_all()
        self.digest = self._digest.hexdigest()

    def _settle_all(self) -> None:
        self._db.execute("CREATE INDEX staged_id ON staged (id)")
        taken = self._db.execute("SELECT id FROM staged GROUP BY id HAVING count(*) > 1 ORDER BY min(ord)").fetchall()
        problems: list[Problem] = []
        for (name,) in taken:
            problems += self._settle(name)
        if problems:
            raise ManifestError(problems[:100], hint="give each source an id of its own")
        if self._passed:
            self._db.execute("INSERT INTO passed SELECT id FROM staged WHERE key = x''")
            self._db.execute("DELETE FROM staged WHERE key = x''")
        self._db.execute("INSERT INTO shape VALUES (?)", (self._plain,))
        self._db.execute("COMMIT")
        self._db.execute("BEGIN")

    def _settle(self, name: str) -> list[Problem]:
        rows = self._db.execute(
            "SELECT ord, explicit, place FROM staged WHERE id = ? ORDER BY explicit DESC, ord", (name,)
        ).fetchall()
        explicit = [place for _, is_explicit, place in rows if is_explicit]
        number = 1
        for position, _, _ in rows[1:] if len(explicit) < 2 else ():
            while True:
                number += 1
                candidate = f"{name}~{number}"
                if not self._db.execute("SELECT 1 FROM staged WHERE id = ?", (candidate,)).fetchone():
                    break
            self._db.execute("UPDATE staged SET id = ? WHERE ord = ?", (candidate, position))
        return [_duplicate(name, explicit[0], place) for place in explicit[1:]]

    def hand_over(self) -> Path:
        """Make all rows visible to another connection and return the file's path."""
        self._flush()
        self._wait()
        with self._room():
            self._db.execute("COMMIT")
            self._db.execute("BEGIN")
            self._db.execute("COMMIT")
            self._db.execute("PRAGMA shrink_memory")  # from here on another connection reads
        return self.path


def _rows_of(block: PlainBlock) -> Iterator[PlainRow]:
    places = [f"{block.before}{line}{block.behind}" for line in block.lines]
    own = zip(block.ids, block.keys, block.values, places, block.labels, block.contents, strict=True)
    for ord_, (name, key, value, place, labels, content) in enumerate(own, start=block.first):
        size, settings = block.size, block.settings
        yield ord_, name, block.explicit, block.kind, key, value, place, labels, content, size, settings


def _encoded(texts: Sequence[str]) -> list[bytes]:
    """`_b` of each."""
    try:
        return list(map(str.encode, texts))
    except UnicodeEncodeError:
        return list(map(_b, texts))


def _b(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _duplicate(name: str, first: str, second: str) -> Problem:
    return parse_place(second).problem(
        f"the id {name!r} is taken already, at {parse_place(first).told}", "ids are unique within a manifest"
    )

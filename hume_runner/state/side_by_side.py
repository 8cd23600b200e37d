"""Two listings side by side, and what is kept of their items until both are there: a scratch database.

Items of both may be millions, and rows of one item stand anywhere in the answers; this is what keeps them out of
memory.
"""

from __future__ import annotations

import contextlib
import math
import sqlite3
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Literal

from hume_runner.frozen import frozen
from hume_runner.state.connection import of_temporary

Side = Literal["a", "b"]

_SCHEMA = """
PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-32000;
CREATE TABLE listed (
  side TEXT NOT NULL, number INTEGER NOT NULL, id TEXT NOT NULL, kind TEXT NOT NULL, content BLOB NOT NULL,
  source TEXT NOT NULL, status TEXT NOT NULL, error TEXT, PRIMARY KEY (side, number)
) WITHOUT ROWID;
CREATE INDEX listed_content ON listed (side, kind, content, number);
CREATE INDEX listed_id ON listed (side, kind, id);
CREATE TABLE kept (side TEXT NOT NULL, number INTEGER NOT NULL, data BLOB NOT NULL);
CREATE INDEX kept_number ON kept (side, number);
CREATE TABLE paired (number INTEGER NOT NULL, data BLOB NOT NULL);
CREATE INDEX paired_number ON paired (number);
"""
# Content that a listing has more than once counts once, under its first id.
_MATCH = """
CREATE TABLE matched (a INTEGER PRIMARY KEY, b INTEGER NOT NULL UNIQUE, measured INTEGER NOT NULL);
INSERT INTO matched
  SELECT a.number, b.number, a.status = 'done' AND b.status = 'done'
  FROM (SELECT kind, content, min(number) AS first FROM listed WHERE side = 'a' GROUP BY kind, content) f
  JOIN listed a ON a.side = 'a' AND a.number = f.first
  JOIN listed b ON b.side = 'b' AND b.number = (
    SELECT min(number) FROM listed o WHERE o.side = 'b' AND o.kind = f.kind AND o.content = f.content
  )
"""


@frozen
class ListedItem:
    """An item of one listing. `content` is its digest, `source` what people see of it; `number` counts from 0."""

    number: int
    id: str
    kind: str
    content: bytes
    source: str
    status: str
    error: str | None


class SideBySide:
    """The items of two listings, in their order."""

    def __init__(self) -> None:
        # SQLite keeps a database without a name in a temporary file that nobody sees, and that goes with it.
        self._db = sqlite3.connect("", isolation_level=None)
        with self._room():
            self._db.executescript(_SCHEMA)
            self._db.execute("BEGIN")

    def __enter__(self) -> SideBySide:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    @contextlib.contextmanager
    def _room(self) -> Iterator[None]:
        """The temporary folder is a disk like others. Raises: StateError when it takes no more."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise of_temporary(error, "what is compared", size=self._size()) from error

    def _size(self) -> int:
        with contextlib.suppress(sqlite3.Error):
            return math.prod(self._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
        return 0

    def list_items(self, side: Side, items: Iterable[ListedItem]) -> None:
        rows = ((side, one.number, one.id, one.kind, one.content, one.source, one.status, one.error) for one in items)
        with self._room():
            self._db.executemany("INSERT INTO listed VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def match(self) -> None:
        """Both are listed: find what has the same kind and content in both."""
        with self._room():
            for statement in _MATCH.split(";\n"):
                self._db.execute(statement)

    def matched(self) -> Iterator[tuple[ListedItem, ListedItem]]:
        """Items of A beside those of B with the same kind and content, in A's order, streamed."""
        columns = ", ".join(
            f"{side}.{name}" for side in "ab" for name in "number id kind content source status error".split()
        )
        rows = self._db.execute(
            f"SELECT {columns} FROM matched m JOIN listed a ON a.side = 'a' AND a.number = m.a "  # noqa: S608
            "JOIN listed b ON b.side = 'b' AND b.number = m.b ORDER BY m.a"
        )
        for row in rows:
            yield _listed(row[:7]), _listed(row[7:])

    def alone(self, side: Side) -> Iterator[tuple[ListedItem, bool]]:
        """Items whose content the other listing does not have, in order; and whether it has another content under the
        same id."""
        other = "b" if side == "a" else "a"
        rows = self._db.execute(
            "SELECT number, id, kind, content, source, status, error, EXISTS ("
            "SELECT 1 FROM listed o WHERE o.side = ? AND o.kind = l.kind AND o.id = l.id) FROM listed l WHERE side = ? "
            "AND NOT EXISTS (SELECT 1 FROM listed o WHERE o.side = ? AND o.kind = l.kind AND o.content = l.content) "
            "ORDER BY number",
            (other, side, other),
        )
        for row in rows:
            yield _listed(row[:7]), bool(row[7])

    def repeats(self, side: Side) -> int:
        """How many items of this listing have the content of an earlier one."""
        (all_of_them, contents) = self._db.execute(
            "SELECT count(*), (SELECT count(*) FROM (SELECT DISTINCT kind, content FROM listed WHERE side = ?)) "
            "FROM listed WHERE side = ?",
            (side, side),
        ).fetchone()
        return int(all_of_them - contents)

    def wanted(self, side: Side, kind: str, item_id: str) -> int | None:
        """The number of an item that is measured in both, so that its rows are to be kept; None for others."""
        row = self._db.execute(
            f"SELECT l.number FROM listed l JOIN matched m ON m.{side} = l.number "  # noqa: S608
            "WHERE l.side = ? AND l.kind = ? AND l.id = ? AND m.measured",
            (side, kind, item_id),
        ).fetchone()
        return row[0] if row else None

    # -- rows until their partners are there, and values of columns until all are

    def keep(self, side: Side, number: int, data: bytes) -> None:
        with self._room():
            self._db.execute("INSERT INTO kept VALUES (?, ?, ?)", (side, number, data))

    def kept(self, side: Side, number: int) -> Iterator[bytes]:
        """What was kept of an item, in order."""
        rows = self._db.execute("SELECT data FROM kept WHERE side = ? AND number = ? ORDER BY rowid", (side, number))
        return (row[0] for row in rows)

    def keep_paired(self, number: int, data: bytes) -> None:
        with self._room():
            self._db.execute("INSERT INTO paired VALUES (?, ?)", (number, data))

    def paired(self, number: int) -> Iterator[bytes]:
        """What was kept under this number, in order."""
        rows = self._db.execute("SELECT data FROM paired WHERE number = ? ORDER BY rowid", (number,))
        return (row[0] for row in rows)


def _listed(row: tuple[int, str, str, bytes, str, str, str | None]) -> ListedItem:
    return ListedItem(number=row[0], id=row[1], kind=row[2], content=row[3], source=row[4], status=row[5], error=row[6])

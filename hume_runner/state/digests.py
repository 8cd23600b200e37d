"""What is known of files by their bytes, so that nobody reads them twice: digests, and what looks at media told."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from hume_runner.planning.staged import FileDigest
from hume_runner.state.file import StateFile


class Digests(StateFile):
    """Remembers digests of files."""

    def digest(self, path: str, size: int, mtime_ns: int, inode: int) -> FileDigest | None:
        """The cached digest of a file that looks unchanged, or None."""
        row = self._db.execute(
            "SELECT sha256, md5 FROM digests WHERE path = ? AND size = ? AND mtime_ns = ? AND inode = ?",
            (path, size, mtime_ns, inode),
        ).fetchone()
        return FileDigest(sha256=row[0], md5=row[1]) if row else None

    def waiting_without_md5(self) -> Iterator[tuple[bytes, Path]]:
        """(key, path) of listed files that are not measured yet and whose MD5 is not known, in manifest order."""
        after = -1
        while True:
            rows = self._db.execute(
                "SELECT i.ord, m.key, i.path FROM items i JOIN measurements m ON m.key = i.key WHERE i.ord > ? "
                "AND m.kind = 'file' AND m.outcome = 'pending' AND m.md5 IS NULL AND i.inside IS NULL "
                "AND i.path NOT LIKE '%://%' "  # what lies in a store is read when it is planned
                "ORDER BY i.ord LIMIT 500",
                (after,),
            ).fetchall()
            if not rows:
                return
            for after, key, path in rows:  # noqa: B007 - where the next page begins
                yield key, Path(os.fsdecode(path))

    def facts(self, content: bytes) -> list[str]:
        """What looks at a medium told before, as JSON."""
        rows = self._db.execute("SELECT facts FROM measurements WHERE content = ? AND facts IS NOT NULL", (content,))
        return [row[0] for row in rows]

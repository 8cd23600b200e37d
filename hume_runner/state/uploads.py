"""What of the outputs lies in an object store, as which version, and what was on its way there."""

from __future__ import annotations

from collections.abc import Iterator

from hume_runner.frozen import frozen
from hume_runner.state.connection import guarded
from hume_runner.state.file import StateFile
from hume_runner.stores.base import Version


@frozen
class Upload:
    """A recorded file and its copy in the store.

    `size`, `sha256`: of what has to be there (None: nothing, the file is no output any more). `was`: the version that
    was seen there last, of these bytes (`was_sha256`). `intended`: SHA-256 of bytes that were on their way, of which
    nobody knows whether they arrived.
    """

    path: str
    size: int | None
    sha256: str | None
    was: Version | None
    was_sha256: str | None
    intended: str | None


class Uploads(StateFile):
    """Outputs that are elsewhere as well. `target` is the URI that they lie below."""

    def uploads_due(self, target: str) -> Iterator[Upload]:
        """Files whose copy is not what it has to be, by path, streamed in pages; then copies that are no outputs."""
        yield from self._uploads(
            "SELECT f.path, f.size, f.sha256, u.etag, u.version, u.sha256, u.intended FROM ("
            "SELECT path, size, sha256 FROM outputs UNION ALL SELECT path, size, sha256 FROM answers "
            "WHERE path NOT IN (SELECT path FROM outputs)) f LEFT JOIN uploads u ON u.target = ? AND u.path = f.path "
            "WHERE f.path > ? AND (u.sha256 IS NULL OR u.sha256 != f.sha256 OR u.intended IS NOT NULL) "
            "ORDER BY f.path LIMIT 500",
            target,
        )
        yield from self._uploads(
            "SELECT u.path, NULL, NULL, u.etag, u.version, u.sha256, u.intended FROM uploads u WHERE u.target = ? "
            "AND u.path > ? AND u.path NOT IN (SELECT path FROM outputs UNION ALL SELECT path FROM answers) "
            "ORDER BY u.path LIMIT 500",
            target,
        )

    def uploads(self, target: str) -> Iterator[Upload]:
        """Every file of which a copy has to be there, by path."""
        yield from self._uploads(
            "SELECT f.path, f.size, f.sha256, u.etag, u.version, u.sha256, u.intended FROM ("
            "SELECT path, size, sha256 FROM outputs UNION ALL SELECT path, size, sha256 FROM answers "
            "WHERE path NOT IN (SELECT path FROM outputs)) f LEFT JOIN uploads u ON u.target = ? AND u.path = f.path "
            "WHERE f.path > ? ORDER BY f.path LIMIT 500",
            target,
        )

    def _uploads(self, question: str, target: str) -> Iterator[Upload]:
        after = ""
        while True:
            with guarded(self.path):
                rows = self._db.execute(question, (target, after)).fetchall()
            for path, size, sha256, etag, version, was_sha256, intended in rows:
                was = None if was_sha256 is None else Version(etag=etag, version=version)
                yield Upload(path=path, size=size, sha256=sha256, was=was, was_sha256=was_sha256, intended=intended)
                after = path
            if not rows:
                return

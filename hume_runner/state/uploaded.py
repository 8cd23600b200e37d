"""Copies of outputs in an object store: which are on their way there, and which arrived."""

from __future__ import annotations

from collections.abc import Sequence

from hume_runner.state.adopting import Adopting
from hume_runner.stores.base import Version


class Uploaded(Adopting):
    """Records what `Uploads` tells. `target` is the URI that the copies lie below."""

    def record_upload_intents(self, target: str, some: Sequence[tuple[str, str]]) -> None:
        """(path, SHA-256) of bytes that are about to leave: whoever finds them there knows that they are ours."""
        with self._transaction("upload", bump=False) as db:
            db.executemany(
                "INSERT INTO uploads (target, path, intended) VALUES (?, ?, ?) "
                "ON CONFLICT (target, path) DO UPDATE SET intended = excluded.intended",
                [(target, path, sha256) for path, sha256 in some],
            )

    def record_uploaded(self, target: str, some: Sequence[tuple[str, str, Version]], now: float) -> None:
        """(path, SHA-256, version) of copies that are there."""
        with self._transaction("upload", bump=False) as db:
            db.executemany(
                "INSERT OR REPLACE INTO uploads (target, path, sha256, etag, version, intended, at) "
                "VALUES (?, ?, ?, ?, ?, NULL, ?)",
                [(target, path, sha256, one.etag, one.version, now) for path, sha256, one in some],
            )

    def forget_uploads(self, target: str, paths: Sequence[str]) -> None:
        """Copies that are not there any more."""
        with self._transaction("upload", bump=False) as db:
            db.executemany("DELETE FROM uploads WHERE target = ? AND path = ?", [(target, path) for path in paths])

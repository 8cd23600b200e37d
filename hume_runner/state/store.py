"""The state file: the runner's memory. All SQL is in this package.

Every write is one transaction that ends in `Disk.commit`; after it returns, the fact survives a power cut. What can be
done with the file stands in one class a concern, each building on the one before: `file` (the transaction), `reading`,
`comparing` (with a manifest), `planning`, `journal` (what happened to jobs) and `uploads` (copies elsewhere).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from hume_runner.state.connection import Opened, guarded, open_state
from hume_runner.state.disk import Disk
from hume_runner.state.keeping import Shipper
from hume_runner.state.uploads import Uploads


class Store(Uploads):
    """One open state file. Not shared between threads: the engine's loop is its only writer."""

    @classmethod
    def create_or_open(
        cls,
        path: Path,
        *,
        disk: Disk,
        name: str,
        lineage: str,
        mask: Callable[[str], str] = lambda text: text,
        shipper: Shipper | None = None,
    ) -> Store:
        """Open for writing; a new file gets this manifest name and lineage. What a service said goes through `mask`
        before it is written; `shipper` hears every transaction. Raises: StateError."""
        kind = shipper.connection if shipper is not None else sqlite3.Connection
        opened = open_state(path, create=True, name=name, lineage=lineage, kind=kind)
        return cls(opened, disk, writes=True, mask=mask, shipper=shipper)

    @classmethod
    def peek(cls, path: Path, *, name: str | None = None) -> Store:
        """Open for reading, never blocked by a writer. Raises: StateError; FileNotFoundError without a state."""
        return cls(open_state(path, create=False, name=name, lineage=""), Disk())

    def apart(self) -> Store:
        """A copy in a temporary file without a name: what is recorded in it is nobody's but the caller's."""
        copy = sqlite3.connect("", isolation_level=None)
        try:
            with guarded(self.path):
                self._db.backup(copy)
        except BaseException:
            copy.close()
            raise
        return Store(Opened(db=copy, path=None), Disk())

    @classmethod
    def empty(cls, name: str) -> Store:
        """A state that knows nothing and is written nowhere: what a plan compares with before the first run."""
        return cls(open_state(None, create=True, name=name, lineage=""), Disk())

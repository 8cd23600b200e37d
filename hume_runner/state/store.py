"""The state file: the runner's memory. All SQL is in this package.

Every write is one transaction that ends in `Disk.commit`; after it returns, the fact survives a power cut. Whoever only
asks has a `StateReader`. What can be recorded besides stands in one class a concern, each building on the one before:
`transactions`, `planning`, `journal` (what happened to jobs), `settled` (of which nobody knew what had
happened), `on_disk` (answers and outputs), `adopting` and `uploaded` (copies elsewhere).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from hume_runner.state.connection import Opened, open_state
from hume_runner.state.disk import Disk
from hume_runner.state.keeping import Shipper
from hume_runner.state.reader import StateReader
from hume_runner.state.uploaded import Uploaded


class Store(Uploaded):
    """One open state file, and its only writer: the engine's loop. Not shared between threads."""

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
        return cls(opened, disk, mask=mask, shipper=shipper)

    @classmethod
    def apart(cls, state: StateReader) -> Store:
        """A copy in a temporary file without a name: what is recorded in it is nobody's but the caller's."""
        copy = sqlite3.connect("", isolation_level=None)
        try:
            state.copied_by(lambda db: db.backup(copy))
        except BaseException:
            copy.close()
            raise
        return cls(Opened(db=copy, path=None), Disk())

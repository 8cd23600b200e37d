"""All that a state file can be asked, and no more: who is handed a `StateReader` changes nothing, as its type says.

What can be asked stands in one class a concern: `known` (by id and by content), `consent` (what is in doubt, and what
somebody agreed to pay), `counting`, `reading` (jobs, items and answers), `comparing` (with a manifest), `digests`,
`noted_keys` and `uploads`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hume_runner.state.comparing import Comparing
from hume_runner.state.connection import open_state
from hume_runner.state.digests import Digests
from hume_runner.state.noted_keys import NotedKeys
from hume_runner.state.uploads import Uploads


class StateReader(Comparing, Digests, NotedKeys, Uploads):
    """One open state file, to be read while others may write it. Not shared between threads."""

    @classmethod
    def peek(cls, path: Path, *, name: str | None = None) -> StateReader:
        """Open for reading, never blocked by a writer. Raises: StateError; FileNotFoundError without a state."""
        return StateReader(open_state(path, create=False, name=name, lineage=""))

    @classmethod
    def empty(cls, name: str) -> StateReader:
        """A state that knows nothing and is written nowhere: what a plan compares with before the first run."""
        return StateReader(open_state(None, create=True, name=name, lineage=""))

    def note_stamps(self, seen: Sequence[tuple[str, int, str]]) -> None:
        """How answers look that were read: kept by who may write, so that they are not read again."""

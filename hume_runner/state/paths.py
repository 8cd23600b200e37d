"""Where the files of a manifest are: its outputs, its state, and the parts that shards have of both."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hume_runner.frozen import frozen
from hume_runner.manifest.model import Manifest
from hume_runner.spelling import placed_path
from hume_runner.state.pinned import resolved
from hume_runner.stores.address import is_remote

if TYPE_CHECKING:
    from hume_runner.planning.selection import Shard


@frozen
class Paths:
    """Where a manifest's files are. Absolute, links resolved: one place has one name. `whole`: for a shard, the output
    directory of which it is a part. `remote`: where the state's home is, if that is an object store; `state` is then
    the copy that a run works with."""

    outputs: Path
    state: Path
    whole: Path | None = None
    remote: str | None = None

    @classmethod
    def of(cls, manifest: Manifest, state: str | os.PathLike[str] | None, shard: Shard | None = None) -> Paths:
        outputs = whole = resolved(manifest.outputs.directory)
        if shard is not None:
            outputs = resolved(whole / shard.folder)
        named = os.fspath(state) if state else None
        remote = named if named is not None and is_remote(named) else None if named else manifest.state
        found = cls(
            outputs=outputs,
            state=resolved(placed_path(Path(named)) if named and not remote else outputs / "state.sqlite3"),
            whole=whole if shard is not None else None,
            remote=remote,
        )
        return found if shard is None else found.with_remote_of(shard)

    def of_the_whole(self, shard: Shard) -> Paths:
        """Of a shard's paths those of the whole, as far as its state goes."""
        assert self.whole is not None
        remote = self.remote and self.remote.removesuffix(f"/{shard.folder}")
        return replace(self, outputs=self.whole, state=self.whole / "state.sqlite3", whole=None, remote=remote)

    def with_remote_of(self, shard: Shard) -> Paths:
        """The home of a shard's state is below the one of the whole's."""
        return self if self.remote is None else replace(self, remote=f"{self.remote.rstrip('/')}/{shard.folder}")

"""What every reading of an answer of expression-v1 gives: entries, whose rows are made when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import msgspec

from hume_runner.frozen import frozen
from hume_runner.manifest.model import SourceKind
from hume_runner.services.table_shapes import Block, EntryError, Share

ROWS_A_BLOCK = 2048
NOBODY = "unknown"  # where nobody is told apart


@frozen
class MeasuredEntry:
    """One member of a job in the job's answer."""

    kind: SourceKind
    match: str
    make: Callable[[], Iterator[Block]]
    first_row: int = 0
    errors: tuple[EntryError, ...] = ()

    def blocks(self) -> Iterator[Block]:
        """The rows in the answer's order, at most some thousand in a block."""
        return self.make()


@frozen
class Before:
    """What the earlier parts of an item amount to, for one part.

    For audio: utterances so far, and whether the cuts at both ends fell in speech (None: the neighbour is not there).
    For video: faces so far, and how often their numbering began anew.
    """

    rows: int = 0
    ids: int = 0
    measurements: int = 0
    epoch: int = 0
    cut_before: bool | None = False
    cut_after: bool | None = False


def entry_of(share: Share, blocks: Callable[[], Iterator[Block]], first_row: int) -> MeasuredEntry:
    kind = cast(SourceKind, share.kind)
    errors = tuple(EntryError(file=None, message=str(message)) for message in share.detail.get("errors", ()))
    return MeasuredEntry(kind=kind, match=share.match, make=blocks, first_row=first_row, errors=errors)


def with_origin(block: Block, file_type: str, groups: Sequence[object] = ()) -> Block:
    origin: dict[str, Sequence[object]] = {
        "file": [None] * block.rows,
        "file_type": [file_type] * block.rows,
        "group_id": groups or [NOBODY] * block.rows,
    }
    return replace(block, columns={**origin, **block.columns})


def extra_json(extra: Mapping[str, Any]) -> str | None:
    return msgspec.json.encode(extra, order="sorted").decode() if extra else None

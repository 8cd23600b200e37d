"""Which of a manifest's items a run is about: all of them, a shard, the first so many, those that an expression names.

A shard is a run of its own with a state of its own; what it does not hold is another's. What a limit or an expression
leaves out stays as it is in the one state.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import field
from typing import Any

from hume_runner.errors import UsageError
from hume_runner.frozen import frozen
from hume_runner.planning.expression import Expression, parse

_SHARD = re.compile(r"([1-9][0-9]{0,5})/([1-9][0-9]{0,5})")


@frozen(kw_only=False)
class Shard:
    """Part `index` (from 1) of `of` parts."""

    index: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """`2/4`. Raises: UsageError."""
        found = _SHARD.fullmatch(text.strip())
        if found is None or int(found[1]) > int(found[2]):
            raise UsageError(
                f"--shard {text}: not a part of a whole", hint="write I/N, as --shard 2/4: the second of four"
            )
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.index}/{self.of}"

    @property
    def folder(self) -> str:
        """Where its outputs are, below the manifest's output directory."""
        return f"shards/{self.index}-of-{self.of}"

    def takes(self, kind: str, content: bytes) -> bool:
        """Whether an item belongs here, by its kind and the digest of its content.

        That is its key without the settings, so that an item stays in its shard when a setting changes; the same
        content listed twice is in one shard, and so is not paid twice.
        """
        return part_of(kind, content, self.of) == self.index


def part_of(kind: str, content: bytes, of: int) -> int:
    """Which of `of` parts, from 1, an item belongs to. Another answer would have arrays in use pay again."""
    digest = hashlib.sha256(b"hume_runner shard 1\n%b\n%b" % (kind.encode(), content)).digest()
    return int.from_bytes(digest[:8]) % of + 1


@frozen
class Selection:
    """What a run is about; by default everything.

    `limit` counts what the others leave, in the manifest's order.
    """

    shard: Shard | None = None
    limit: int | None = None
    where: Expression | None = field(default=None)

    @classmethod
    def of(cls, *, shard: str | None = None, limit: int | None = None, select: str | None = None) -> Selection:
        """As the command line says it. Raises: UsageError."""
        if limit is not None and limit < 1:
            raise UsageError(f"--limit {limit}: must be 1 or more", hint="leave it out for all items")
        return cls(
            shard=Shard.parse(shard) if shard is not None else None,
            limit=limit,
            where=parse(select) if select is not None else None,
        )

    @property
    def partial(self) -> bool:
        """Whether the state may hold listed items that are left out and stay as they are."""
        return self.limit is not None or self.where is not None

    @property
    def flags(self) -> list[str]:
        """As on the command line, in one order."""
        words: list[str] = []
        if self.shard is not None:
            words += ["--shard", str(self.shard)]
        if self.limit is not None:
            words += ["--limit", str(self.limit)]
        if self.where is not None:
            words += ["--select", self.where.text]
        return words

    def document(self) -> dict[str, Any]:
        """For `run.json` and saved plans; empty for everything."""
        told = {
            "shard": str(self.shard) if self.shard else None,
            "limit": self.limit,
            "select": self.where.text if self.where else None,
        }
        return {name: value for name, value in told.items() if value is not None}

    @classmethod
    def from_document(cls, told: Any) -> Selection:
        """What `document` wrote. Raises: UsageError, TypeError, ValueError."""
        limit = told.get("limit")
        return cls.of(shard=told.get("shard"), limit=None if limit is None else int(limit), select=told.get("select"))


EVERYTHING = Selection()

"""Which rows belong to which item: answers joined with the items they stand for."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from hume_runner.errors import MissingExtra, ResultsError
from hume_runner.results.base import Answer, AnswerMember, ItemRecord
from hume_runner.results.names import derived_id, shown_source

if TYPE_CHECKING:
    from pathlib import Path

    from hume_runner.services.table_shapes import Block, Entry, EntryError, Layout

_MAPPINGS = {"batch-v0": "hume_runner.services.rows_batch_v0"}
# APIs whose answers have no tables yet: items and failures are told all the same.
_WITHOUT_ROWS = frozenset({"expression-v1"})


class RowMapping(Protocol):
    """What an API's module of rows offers."""

    LAYOUTS: tuple[Layout, ...]

    def read_entries(self, path: Path) -> Iterator[Entry]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemRows:
    """Rows of one item in one table; `first_row` counts from 0 within the item and table."""

    item: ItemRecord
    answer: Answer
    block: Block
    first_row: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemError:
    """A failure that an answer tells about an item, or about one file inside it."""

    item: ItemRecord
    answer: Answer
    error: EntryError


class _NoRows:
    """The mapping of an API whose answers are not read."""

    LAYOUTS: tuple[Layout, ...] = ()

    def read_entries(self, path: Path) -> Iterator[Entry]:
        return iter(())


def row_mapping(api: str) -> RowMapping:
    """The row mapping of an API. Raises: MissingExtra, ResultsError for an API that nobody knows."""
    if api in _WITHOUT_ROWS:
        return _NoRows()
    if api not in _MAPPINGS:
        raise ResultsError(f"no tables are defined for answers of {api}", hint="the raw answers are in raw/")
    try:
        return cast(RowMapping, importlib.import_module(_MAPPINGS[api]))
    except ModuleNotFoundError as error:
        if error.name != "msgspec":
            raise
        raise MissingExtra("tables", "reading answers as tables") from error


def item_rows(answer: Answer) -> Iterator[ItemRows | ItemError]:
    """Yield all that one answer tells, item by item, in the answer's order.

    Content that was listed under several ids is told once for each. A source that no item stands for (a job that was
    started elsewhere) is told under an id made from its name.
    """
    members = _Members(answer)
    for entry in row_mapping(answer.api).read_entries(answer.path):
        items = members.take(entry.kind, entry.match)
        for error in entry.errors:
            for item in items:
                yield ItemError(item=item, answer=answer, error=error)
        first_rows: dict[str, int] = {}
        for block in entry.blocks():
            table = block.layout.name
            first_row = first_rows.get(table, 0)
            for item in items:
                yield ItemRows(item=item, answer=answer, block=block, first_row=first_row)
            first_rows[table] = first_row + block.rows


class _Members:
    """Finds the items that stand for a source of an answer."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._by_match: dict[tuple[str, str], list[AnswerMember]] = {}
        self._by_sha256: dict[str, list[AnswerMember]] = {}
        for member in answer.members:
            self._by_match.setdefault((member.kind, member.match), []).append(member)
            if member.url_sha256:
                self._by_sha256.setdefault(member.url_sha256, []).append(member)

    def take(self, kind: str, match: str) -> Sequence[ItemRecord]:
        """The items of the next source of that kind and name. A text without a position stands for all texts."""
        if kind == "text" and not match:
            texts = [member for member in self._answer.members if member.kind == "text"]
            return [item for member in texts for item in member.items] or [self._stray(kind, match)]
        found = self._by_match.get((kind, match))
        if found is None and kind == "url":
            found = self._by_sha256.get(hashlib.sha256(match.encode()).hexdigest())
        if not found:
            return [self._stray(kind, match)]
        # A name that stands in a job twice: the first source is the first member, and the last stays for the rest.
        return (found.pop(0) if len(found) > 1 else found[0]).items

    def _stray(self, kind: str, match: str) -> ItemRecord:
        return ItemRecord(
            id=derived_id(kind, match),
            kind=kind,
            source=shown_source(kind, match),
            status="done",
            job=self._answer.job or None,
            remote_id=self._answer.remote_id or None,
        )

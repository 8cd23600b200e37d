"""Which rows belong to which item: answers joined with the items they stand for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from hume_runner.errors import MissingExtra, ResultsError
from hume_runner.frozen import frozen
from hume_runner.registry import load, registered
from hume_runner.results.base import Answer, AnswerMember, ItemRecord, ResultSet
from hume_runner.results.names import derived_id, shown_source
from hume_runner.services.table_shapes import Block, Entry, EntryError, Layout, Reader, RowMapping
from hume_runner.services.unreadable import UNREADABLE


@frozen
class ItemRows:
    """Rows of one item in one table; `first_row` counts from 0 within the item and table."""

    item: ItemRecord
    answer: Answer
    block: Block
    first_row: int


@frozen
class ItemError:
    """A failure that an answer tells about an item, or about one file inside it. `unread`: that the answer itself
    cannot be read, and which one."""

    item: ItemRecord
    answer: Answer
    error: EntryError
    unread: str | None = None


def row_mapping(api: str) -> RowMapping:
    """The row mapping of an API. Raises: MissingExtra, ResultsError for an API that nobody knows."""
    found = registered(api)
    if found is None:
        raise ResultsError(f"no tables are defined for answers of {api}", hint="the raw answers are in raw/")
    try:
        return load(found.rows)
    except ModuleNotFoundError as error:
        if error.name != "msgspec":
            raise
        raise MissingExtra("tables", "reading answers as tables") from error


def layouts_of(results: ResultSet) -> tuple[Layout, ...]:
    """All tables that these results can have; of other packages, those of models that were asked for alone.

    Raises: what `row_mapping` does; UsageError for a package whose tables they are and that cannot be used.
    """
    mine, found = row_mapping(results.api).LAYOUTS, registered(results.api)
    models = results.settings.get("models")
    if found is None or found.more_layouts is None or not isinstance(models, Mapping):
        return mine
    return (*mine, *load(found.more_layouts)(models))


def all_rows(answers: Iterable[Answer]) -> Iterator[ItemRows | ItemError]:
    """Yield all that these answers tell, item by item, in their order.

    Content that was listed under several ids is told once for each. A source that no item stands for (a job that was
    started elsewhere) is told under an id made from its name. Raises: ResultsError for an answer that is unreadable.
    """
    readers: dict[str, Reader] = {}
    for answer in answers:
        if answer.api not in readers:
            readers[answer.api] = row_mapping(answer.api).reader()
        if answer.harm is not None:
            yield from _unread(answer, answer.harm)
            continue
        try:
            yield from _item_rows(answer, readers[answer.api])
        except (ResultsError, OSError) as error:
            if not any(member.items for member in answer.members):
                raise  # nobody to tell it under
            yield from _unread(answer, _why(error, answer.path))


def _unread(answer: Answer, why: str) -> Iterator[ItemError]:
    """An answer that cannot be read, told under each item that it was for; not of those that failed for it already."""
    message = f"{why}; the tables have no rows of it"
    for member in answer.members:
        for item in member.items:
            if item.status != "failed":
                yield ItemError(item=item, answer=answer, error=EntryError(file=None, message=message), unread=why)


def _why(error: Exception, path: Path) -> str:
    return f"{path.name}: {error.strerror or error}" if isinstance(error, OSError) else str(error)


def _item_rows(answer: Answer, read: Reader) -> Iterator[ItemRows | ItemError]:
    members = _Members(answer)
    told_by = f"{answer.path.name} of {answer.remote_id or answer.path.parent.name}"
    # Of a file that belongs to no job nobody knows what was sent: its members are what it says itself.
    loose = not (answer.job or answer.remote_id)
    for entry in read(answer.path, () if loose else answer.members):
        items = members.take(entry.kind, entry.match)
        for error in entry.errors:
            # Of a job, whoever fetched it was told.
            why = f"{told_by}: {error.message}" if loose and error.message.startswith(UNREADABLE) else None
            for item in items:
                yield ItemError(item=item, answer=answer, error=error, unread=why)
        # What failed at fetching as a whole has no rows, not even those before the place that cannot be read.
        items = [item for item in items if not (item.error or "").startswith(UNREADABLE)]
        try:
            yield from _entry_rows(answer, entry, items)
        except ResultsError as problem:
            # An answer that an earlier version took: its source alone ends here, the others have their rows.
            why = f"{told_by}: {problem}"
            for item in items:
                if item.status != "failed":
                    yield ItemError(
                        item=item, answer=answer, error=EntryError(file=None, message=str(problem)), unread=why
                    )


def _entry_rows(answer: Answer, entry: Entry, items: Sequence[ItemRecord]) -> Iterator[ItemRows]:
    first_rows: dict[str, int] = {}
    for block in entry.blocks() if items else ():
        table = block.layout.name
        first_row = first_rows.get(table, entry.first_row)
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
            return [item for member in texts for item in member.items] or self._stray(kind, match)
        found = self._by_match.get((kind, match))
        if found is None and kind == "url":
            found = self._by_sha256.get(hashlib.sha256(match.encode()).hexdigest())
        if not found:
            return self._stray(kind, match)
        # A name that stands in a job twice: the first source is the first member, and the last stays for the rest.
        return (found.pop(0) if len(found) > 1 else found[0]).items

    def _stray(self, kind: str, match: str) -> Sequence[ItemRecord]:
        """A source that no item stands for. Where all members are known, it belongs to an item that was measured again
        elsewhere or is not listed any more, or to whoever started the job: none of its rows is a result."""
        if self._answer.whole:
            return ()
        return [
            ItemRecord(
                id=derived_id(kind, match),
                kind=kind,
                source=shown_source(kind, match),
                status="done",
                job=self._answer.job or None,
                remote_id=self._answer.remote_id or None,
            )
        ]

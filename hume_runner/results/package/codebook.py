"""`codebook.md`: every table and column, in words, for people."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from hume_runner.results.package.base import Described, TableFile

_WORDS = {"double": "number", "int64": "whole number", "bool": "true or false", "string": "text"}


def codebook(described: Described) -> str:
    """The page, as Markdown."""
    return "\n".join(_lines(described)) + "\n"


def _lines(described: Described) -> Iterator[str]:
    yield f"# {described.name}: codebook"
    yield ""
    if described.description:
        yield described.description
        yield ""
    yield described.honest
    yield ""
    yield f"Cite as: {described.citation}"
    if described.measurers:
        yield ""
        yield "| measured by | licence | trained on | scale |"
        yield "| --- | --- | --- | --- |"
        for one in described.measurers:
            yield _row(one["measured_by"], one["licence"], one["trained_on"], one["scale"])
    seen: set[str] = set()
    for table in described.tables:
        if table.stem not in seen:
            seen.add(table.stem)
            yield from _table(table, [one.path for one in described.tables if one.stem == table.stem])


def _table(table: TableFile, paths: list[str]) -> Iterator[str]:
    yield ""
    yield f"## {table.stem}"
    yield ""
    yield f"A row is {table.row}. {', '.join(f'`{path}`' for path in paths)}"
    yield ""
    yield "| column | type | meaning |"
    yield "| --- | --- | --- |"
    for field in table.schema:
        told = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
        meaning = told.get("meaning") or f"score of {told.get('name', field.name)!r}"
        yield _row(f"`{field.name}`", _type(field), meaning)


def _type(field: pa.Field) -> str:
    if pa.types.is_map(field.type):
        return "scores by name"
    return "list" if pa.types.is_list(field.type) else _WORDS.get(str(field.type), str(field.type))


def _row(*cells: object) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

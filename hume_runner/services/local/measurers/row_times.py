"""Whether the times of a measurer's rows can be those of what it was given. Pure.

They are put on the source's clock afterwards, where one that cannot be would become one that looks right: what lies
before the beginning would begin with it. So they are looked at before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hume_runner.frozen import frozen

# How far rounding may take a time beyond the end of what was measured.
ROUNDED_MS = 10


@frozen
class Extent:
    """From when to when what was measured lasts, in ms; `last_ms` is None of what has no time, as a text."""

    first_ms: int = 0
    last_ms: int | None = None


def time_fault(rows: Iterable[tuple[str, Mapping[str, Any]]], extent: Extent) -> str | None:
    """Why the times of rows, each (table, values), cannot be; None where they can. Each table is in order by itself.

    In whole ms, as times are kept: what rounds to the same is the same.
    """
    before: dict[str, int] = {}
    for table, values in rows:
        begin, end, moment = values.get("begin_s"), values.get("end_s"), values.get("time_s")
        if begin is None is end is moment:
            continue
        begin_ms, end_ms, moment_ms = (None if one is None else round(one * 1000) for one in (begin, end, moment))
        if begin_ms is not None and end_ms is not None and end_ms < begin_ms:
            return f"gave a row of the table {table} that ends at {end:g} s, before it begins at {begin:g} s"
        for name, at, told in (("begin_s", begin_ms, begin), ("end_s", end_ms, end), ("time_s", moment_ms, moment)):
            if at is not None and (fault := _outside(at, extent)) is not None:
                return f"gave for {name} of the table {table} {told:g}, which is {fault}"
        at = next((one for one in (moment_ms, begin_ms, end_ms) if one is not None), None)
        if at is not None:
            if at < before.get(table, at):
                return f"gave a row of the table {table} at {at / 1000:g} s after one at {before[table] / 1000:g} s"
            before[table] = at
    return None


def _outside(at_ms: int, extent: Extent) -> str | None:
    if at_ms < extent.first_ms:
        return f"before the beginning of what it measured, {extent.first_ms / 1000:g} s"
    if extent.last_ms is not None and at_ms > extent.last_ms + ROUNDED_MS:
        return f"after the end of what it measured, {extent.last_ms / 1000:g} s"
    return None

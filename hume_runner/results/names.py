"""Names that are derived: ids for sources that nobody named, columns for labels, table files."""

from __future__ import annotations

from collections.abc import Iterable

from hume_runner.manifest.shown import masked_url
from hume_runner.services.table_shapes import column_name


def shown_source(kind: str, match: str) -> str:
    """What people see of a source that only the answer names: a URL without secrets, a file name, or `text N`."""
    if kind == "url":
        return masked_url(match)
    return f"text {match}" if kind == "text" else match


def derived_id(kind: str, match: str) -> str:
    """An id for a source that no manifest names: the URL without secrets, the file name, or `text-N`."""
    if kind == "text":
        return f"text-{match}" if match else "text"
    return shown_source(kind, match) or kind


class UniqueIds:
    """Gives every name once: the second `a.png` becomes `a.png-2`, always in the same way."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}

    def take(self, wanted: str) -> str:
        number = self._taken.get(wanted, 0) + 1
        name = wanted if number == 1 else f"{wanted}-{number}"
        while name in self._taken:
            number += 1
            name = f"{wanted}-{number}"
        self._taken[wanted] = number
        if name != wanted:
            self._taken[name] = 1
        return name


def label_columns(labels: Iterable[str]) -> dict[str, str]:
    """Label -> column, `label_wave` for "Wave"; labels whose columns would be the same get numbers, in given order."""
    unique = UniqueIds()
    return {label: unique.take(f"label_{column_name(label) or 'unnamed'}").replace("-", "_") for label in labels}

"""Names that are derived: ids for sources that nobody named, columns for labels, table files."""

from __future__ import annotations

from collections.abc import Iterable

from hume_runner.services.table_shapes import column_name
from hume_runner.settings import masked_url


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
    """Label -> column, `label_wave` for "Wave", each column once.

    The first label whose column has a name keeps it, as "Wave 2" keeps `label_wave_2`; others that would be called the
    same get the next numbers that are free, in given order.
    """
    wanted = {label: f"label_{column_name(label) or 'unnamed'}" for label in labels}
    spoken_for = set(wanted.values())
    given: set[str] = set()
    columns: dict[str, str] = {}
    for label, plain in wanted.items():
        column, number = plain, 1
        while column in given or (number > 1 and column in spoken_for):
            number += 1
            column = f"{plain}_{number}"
        given.add(column)
        columns[label] = column
    return columns

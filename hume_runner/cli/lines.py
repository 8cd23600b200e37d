"""Lines of `--json` that commands tell, one class each: its fields are the members of the line, in their order.

Here are those of every command; what one command alone tells is declared beside it in `cli/<command>.py`, and what runs
tell in `events.py`. `schemas/events-v1.schema.json` says what each holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from enum import Enum
from typing import Any, ClassVar, Final

from hume_runner.events import Event, document
from hume_runner.frozen import frozen


class Absent(Enum):
    """What stands in a field whose member the line goes without; None is told as null."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT


@frozen
class Line:
    """Something that a command tells programs. `event` is what the line is called."""

    event: ClassVar[str] = ""


@frozen
class Launch(Line):
    """The first line of every command."""

    event: ClassVar[str] = "launch"
    command: str
    version: str
    manifests: Sequence[str]
    places: Sequence[str] | Absent = ABSENT


@frozen
class Done(Line):
    """The last line of every command. Where it is missing, the command broke off."""

    event: ClassVar[str] = "done"
    manifest: str | None  # the one that it began with
    exit_code: int
    counts: Mapping[str, int]
    path: str | Absent | None = ABSENT
    errors: Sequence[Mapping[str, Any]] | Absent = ABSENT


def named(told: Line | Event) -> tuple[str, dict[str, Any]]:
    """What a line is called, and its members, without those that all lines begin with."""
    if isinstance(told, Line):
        members = ((one.name, getattr(told, one.name)) for one in fields(told))
        return told.event, {name: value for name, value in members if value is not ABSENT}
    return told.name, document(told)

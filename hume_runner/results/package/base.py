"""The values that every description of the outputs is made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hume_runner.frozen import frozen
from hume_runner.results.base import JobRecord
from hume_runner.results.outputs import work_ended
from hume_runner.services.credits import weights_of

if TYPE_CHECKING:
    import pyarrow as pa


@frozen
class TableFile:
    """One table on disk. `path` is relative to the output directory; `row`: what a row is; `mark`: of what has no
    place for its own."""

    stem: str
    format: str
    path: str
    size_bytes: int
    sha256: str
    schema: pa.Schema
    row: str
    bom: bool = False
    mark: str | None = None


@frozen
class Span:
    """When it was measured: the first and the last job with an answer of which that is known (Unix seconds), and how
    many answers came from files, of which nobody knows."""

    first: float | None = None
    last: float | None = None
    kept: int = 0

    @classmethod
    def of(cls, jobs: Iterable[JobRecord]) -> Span:
        first = last = None
        kept = 0
        for job in jobs:
            kept += job.kept and job.status == "done"
            if (moment := job.measured_at) is not None:
                first = moment if first is None else min(first, moment)
                last = moment if last is None else max(last, moment)
        return cls(first=first, last=last, kept=kept)


@frozen
class Described:
    """One run's outputs. `measured_by`: who measured and under which licence, where the service tells; `measured`:
    when; `told`: what people have to know of the scores; `run` is what `run.json` says, empty where nothing does."""

    name: str
    description: str | None
    api: str
    version: str
    simulated: bool | None
    told: str
    measurers: Sequence[Mapping[str, Any]] = ()
    tables: Sequence[TableFile] = ()
    run: Mapping[str, Any] = field(default_factory=dict)
    measured: Span = Span()

    @property
    def honest(self) -> str:
        """What the numbers are, in a sentence or two."""
        if self.simulated:
            return "Simulated: the emulator made these scores up, to rehearse. They measure nothing."
        return (_UNTOLD if self.simulated is None else "") + (self.told or _USUAL)

    @property
    def days(self) -> tuple[str, str]:
        """The first and the last day (UTC) on which it was measured, empty where that is not known.

        A run's own times are of no use where its jobs have theirs: the last one may have had nothing to do.
        """
        if self.measured.first is None or self.measured.last is None:
            ended = "" if self.measured.kept else str(work_ended(self.run) or "")[:10]
            return ended, ended
        return _day(self.measured.first), _day(self.measured.last)

    @property
    def abstract(self) -> str:
        """What the data are about, then what the numbers are."""
        about = (self.description or "").strip()
        return f"{about}{'' if about[-1:] in '.!?' else '.'} {self.honest}" if about else self.honest

    @property
    def citation(self) -> str:
        """How to name these data in a paper."""
        first, last = self.days
        by = "; ".join(_named(one) for one in self.measurers) or f"the service {self.api}"
        year = f" ({last[:4]})" if last else ""
        word = {True: "Simulated", False: "Measured", None: "Measured or simulated, which nobody told,"}[self.simulated]
        when = "" if not last else f" on {last}" if first == last else f" from {first} to {last}"
        if self.measured.kept:
            when += f"{' and' if when else ''} on days that are not known (answers from files)"
        return f"{self.name} [Data set]{year}. {word}{when} by {by}, with hume_runner {self.version}."


_UNTOLD = "Some answers came from files, and nobody said whether a service measured them or the emulator made them up. "
_USUAL = (
    "Scores say how strongly a model finds what people see or hear in an expression. They are not inferences of what "
    "anybody feels."
)


def _day(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).date().isoformat()


def _named(one: Mapping[str, Any]) -> str:
    weights = weights_of(str(one["sha256"]))
    told = "no weights" if weights is None else f"weights SHA-256 {weights[:8]}"
    return f"{one['name']} {one['version']} ({one['licence']}, {told})"

"""The values that every description of the outputs is made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFile:
    """One table on disk. `path` is relative to the output directory; `row`: what a row is."""

    stem: str
    format: str
    path: str
    size_bytes: int
    sha256: str
    schema: pa.Schema
    row: str
    bom: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """One run's outputs. `measured_by`: who measured and under which licence, where the service tells; `told`: what
    people have to know of the scores; `run` is what `run.json` says, empty where nothing does."""

    name: str
    description: str | None
    api: str
    version: str
    simulated: bool | None
    told: str
    measurers: Sequence[Mapping[str, Any]] = ()
    tables: Sequence[TableFile] = ()
    run: Mapping[str, Any] = field(default_factory=dict)

    @property
    def honest(self) -> str:
        """What the numbers are, in a sentence or two."""
        if self.simulated:
            return "Simulated: the emulator made these scores up, to rehearse. They measure nothing."
        return self.told or (
            "Scores say how strongly a model finds what people see or hear in an expression. They are not inferences "
            "of what anybody feels."
        )

    @property
    def abstract(self) -> str:
        """What the data are about, then what the numbers are."""
        about = (self.description or "").strip()
        return f"{about}{'' if about[-1:] in '.!?' else '.'} {self.honest}" if about else self.honest

    @property
    def citation(self) -> str:
        """How to name these data in a paper."""
        ended = str(self.run.get("ended_at") or "")
        by = "; ".join(_named(one) for one in self.measurers) or f"the service {self.api}"
        year = f" ({ended[:4]})" if ended else ""
        word = "Simulated" if self.simulated else "Measured"
        when = f" on {ended[:10]}" if ended else ""
        return f"{self.name} [Data set]{year}. {word}{when} by {by}, with hume_runner {self.version}."


def _named(one: Mapping[str, Any]) -> str:
    return f"{one['name']} {one['version']} ({one['licence']}, weights SHA-256 {str(one['sha256'])[:8]})"

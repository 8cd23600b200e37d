"""Whether a model can measure on this machine, as it is told to people."""

from __future__ import annotations

from dataclasses import dataclass

from hume_runner.errors import HumeRunnerError


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """One model: who measures if it is ready (`message`), what is lacking if it is not (`problem`, `error`),
    and the commands that get it, in their order (`steps`)."""

    model: str
    message: str = ""
    problem: str = ""
    error: HumeRunnerError | None = None
    steps: tuple[str, ...] = ()

"""Whether a model can measure on this machine, as it is told to people."""

from __future__ import annotations

from hume_runner.errors import HumeRunnerError
from hume_runner.frozen import frozen


@frozen
class Readiness:
    """One model: who measures if it is ready (`message`), what is lacking if it is not (`problem`, `error`),
    and the commands that get it, in their order (`steps`)."""

    model: str
    message: str = ""
    problem: str = ""
    error: HumeRunnerError | None = None
    steps: tuple[str, ...] = ()

"""A machine whose wall clock is set by somebody while the run goes on; its monotonic clock does not notice."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from hume_runner.wiring import Machine


@dataclass(frozen=True, slots=True, kw_only=True)
class SteppedMachine(Machine):
    """`steps`: so many seconds after it was made, the wall clock moves by so many seconds. `gates`: called, once each,
    when it is first asked for the time, which a run does right before it takes the lock."""

    steps: tuple[tuple[float, float], ...] = ()
    gates: list[Callable[[], None]] = field(default_factory=list)
    made_at: float = field(default_factory=time.monotonic)

    def now(self) -> float:
        while self.gates:
            self.gates.pop()()
        age_s = time.monotonic() - self.made_at
        return time.time() + sum(by_s for after_s, by_s in self.steps if age_s >= after_s)

"""A machine whose wall clock is set by somebody while the run goes on; its monotonic clock does not notice."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import field

from hume_runner.frozen import frozen
from hume_runner.machine import Machine
from tests.durability.disks import CountedDisk


@frozen
class SteppedMachine(Machine):
    """`steps`: so many seconds after it was made, or with the durable operation of that name, the wall clock moves by
    so many seconds. `gates`: called, once each, when it is first asked for the time, which a run does right before it
    takes the lock."""

    steps: tuple[tuple[float | str, float], ...] = ()
    gates: list[Callable[[], None]] = field(default_factory=list)
    made_at: float = field(default_factory=time.monotonic)

    def now(self) -> float:
        while self.gates:
            self.gates.pop()()
        return time.time() + sum(by_s for when, by_s in self.steps if self._is_over(when))

    def _is_over(self, when: float | str) -> bool:
        if isinstance(when, str):
            return isinstance(self.disk, CountedDisk) and when in self.disk.operations
        return time.monotonic() - self.made_at >= when

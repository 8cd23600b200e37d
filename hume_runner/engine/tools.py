"""What a run's loop acts with: handed in whole, so that a test's clock is as good as the machine's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field

from hume_runner import events
from hume_runner.engine.workers import Workers
from hume_runner.frozen import frozen
from hume_runner.state.disk import Disk
from hume_runner.state.keeping import Alone, Kept
from hume_runner.state.store import Store


@frozen
class Tools:
    """What a loop acts with. `clock` is monotonic, for all waiting; `wall` tells Unix seconds, for people and records;
    `server_time` the service's, None before its first answer. `end_soon` turns away what waits for its turn to be
    sent; `tell_others` is called when intents are recorded, before anything leaves, and with True where one is about to
    be recorded as lost by a time-out."""

    store: Store
    disk: Disk
    workers: Workers
    clock: Callable[[], float]
    wall: Callable[[], float]
    server_time: Callable[[], float | None]
    random: Callable[[], float]
    report: events.Report
    traffic: Callable[[], tuple[int, int]] = lambda: (0, 0)
    here: bool = False
    kept: Kept = field(default_factory=Alone)
    end_soon: Callable[[], None] = lambda: None
    tell_others: Callable[[bool], None] = lambda slow: None

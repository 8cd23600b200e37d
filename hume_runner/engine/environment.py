"""What a run works with, all of it chosen elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import field

from hume_runner import events
from hume_runner.engine.reactions.base import Patience
from hume_runner.engine.workers import Workers
from hume_runner.frozen import frozen
from hume_runner.manifest.model import Manifest
from hume_runner.planning.prepare import Plan
from hume_runner.services.base import Service
from hume_runner.sources.base import SourceItem
from hume_runner.sources.blocks import Block
from hume_runner.state.disk import Disk
from hume_runner.state.keeping import Keeper, OnThisDisk
from hume_runner.state.store import Store
from hume_runner.state.under_way import Meeting


@frozen
class Environment:
    """What a run works with. `simulated`: results from this endpoint may be the emulator's; `embedded`: they are.

    `room` tells how many pieces of work a cluster takes at one time; None where none is used.

    `here`: it is measured on this machine, for nothing, and `machines` are the names that endpoints have which are so.

    `clock` is the machine's time (Unix seconds), for people and records; `monotonic` counts seconds for all waiting;
    `server_time` is the service's time as well as it is known, None before its first answer.
    """

    service: Service
    expand: Callable[[Manifest], Iterator[SourceItem | Block]]
    disk: Disk
    workers: Workers
    clock: Callable[[], float]
    monotonic: Callable[[], float]
    random: Callable[[], float]
    new_id: Callable[[], str]
    server_time: Callable[[], float | None]
    simulated: bool
    embedded: bool
    patience: Patience
    report: events.Report
    keeper: Keeper = field(default_factory=OnThisDisk)
    here: bool = False
    room: Callable[[], int | None] = lambda: None
    account: Callable[[], str] = lambda: ""  # who pays at the endpoint; a digest, or empty where nobody can be told
    meetings: tuple[Meeting, ...] = ()  # where runs of one user see what others of theirs have under way
    awaited_s: Callable[[], float] = lambda: 0.0  # until it shows what runs that are gone sent of what is planned here
    tell_others: Callable[[bool], None] = lambda slow: None  # see `Tools`
    traffic: Callable[[], tuple[int, int]] = lambda: (0, 0)  # bytes (sent, received) so far
    machines: frozenset[str] = frozenset()
    mask: Callable[[str], str] = lambda text: text  # what a service said, before it is written anywhere
    sleep: Callable[[float], None] = lambda seconds: None  # while nothing is begun yet
    on_open: Callable[[Store], None] = lambda store: None  # called with the open state, before anything is planned
    on_plan: Callable[[Plan], None] = lambda plan: None  # called with the plan of a whole manifest, before it is kept
    end_soon: Callable[[], None] = lambda: None  # turns away what waits for its turn
    on_loop: Callable[[], None] = lambda: None  # called when the loop is about to start

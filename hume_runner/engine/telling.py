"""How far a run is, told now and then: so seldom that a million items cost nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hume_runner import events
from hume_runner.engine.view import View
from hume_runner.manifest.model import Manifest
from hume_runner.sources.base import SourceItem
from hume_runner.sources.blocks import Block
from hume_runner.state.reader import StateReader

EVERY_S = 1.0
# Links and texts are read by the ten thousand in a moment: no clock is asked for each.
_AT_ONCE = 2_000
# Counting a million items takes a second: it may take so large a part of the run's time.
_SHARE = 100


def told(
    items: Iterator[SourceItem | Block], manifest: Manifest, report: events.Report, clock: Callable[[], float]
) -> Iterator[SourceItem | Block]:
    """The same items; how many there were is told now and then. A file is read before the next one is asked for."""
    at_once = 1 if any(entry.kind == "file" for entry in manifest.sources) else _AT_ONCE
    read = looked = 0
    due = clock() + EVERY_S
    for item in items:
        yield item
        read += len(item) if isinstance(item, Block) else 1
        if read - looked < at_once:
            continue
        looked = read
        if clock() >= due:
            due = clock() + EVERY_S
            report(events.SourcesRead(items=read))
    if read > looked and clock() >= due:
        report(events.SourcesRead(items=read))


class Telling:
    """Tells of the loop: counts from the state, and what goes on. The last counts are told with the result, by the run.

    `traffic` gives bytes (sent, received) so far; `here`: a submission is measured on this machine.
    """

    def __init__(
        self,
        store: StateReader,
        report: events.Report,
        clock: Callable[[], float],
        traffic: Callable[[], tuple[int, int]],
        *,
        here: bool,
    ) -> None:
        self._store = store
        self._report = report
        self._clock = clock
        self._traffic = traffic
        self._here = here
        self._count_at = self._tell_at = clock()

    def look(self, view: View) -> None:
        """Tell what is due; where counting takes long, rarely."""
        now = self._clock()
        if now < self._tell_at:
            return
        self._tell_at = now + EVERY_S
        if now >= self._count_at:
            counts = self._store.counts()
            self._count_at = now + max(EVERY_S, _SHARE * (self._clock() - now))
            self._report(events.Counted(items=counts.items, jobs=counts.jobs))
        self._report(self._working(view))

    def wait_s(self, view: View) -> float:
        """How long the loop may wait until something is to be told: bytes go out and come in without a message."""
        busy = view.submitting or view.fetching or view.preparing
        return max(0.0, self._tell_at - self._clock()) if busy else 5.0

    def _working(self, view: View) -> events.Working:
        sent, received = self._traffic()
        submitting = len(view.submitting)
        return events.Working(
            preparing=len(view.preparing),
            uploading=0 if self._here else submitting,
            measuring=len(view.waiting) + (submitting if self._here else 0),
            fetching=len(view.fetching) + len(view.filing),
            sent_bytes=sent,
            received_bytes=received,
            asked_about=len(view.lost),
            certain_in_s=max(
                (max(0.0, round(lost.since + lost.wait_s - self._clock(), 1)) for lost in view.lost.values()),
                default=None,
            ),
        )

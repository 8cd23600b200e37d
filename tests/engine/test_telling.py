"""How far a run is, is told so seldom that it costs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hume_runner import events
from hume_runner.engine.telling import EVERY_S, Telling, told
from hume_runner.engine.view import Lost, Sent, View
from hume_runner.sources.base import SourceItem
from hume_runner.sources.blocks import Block
from hume_runner.state.rows import Counts
from hume_runner.state.store import Store
from tests.fakes import FakeClock, source_item


class Asked(FakeClock):
    """A clock that moves by itself, and knows how often it was asked."""

    def __init__(self, step: float) -> None:
        super().__init__(0.0)
        self.step = step
        self.times = 0

    def __call__(self) -> float:
        self.times += 1
        self.now += self.step
        return self.now


@pytest.mark.sweep
def test_a_million_sources_ask_the_clock_a_few_hundred_times() -> None:
    clock, said = Asked(0.01), list[events.Event]()
    one = source_item("a")
    items = (one for _ in range(1_000_000))
    given = sum(1 for _ in told(items, _manifest("url"), said.append, clock))
    assert given == 1_000_000
    assert clock.times < 1_000
    assert 1 <= len(said) <= clock.now / EVERY_S
    assert [cast(events.SourcesRead, event).items for event in said] == sorted(
        {cast(events.SourcesRead, event).items for event in said}
    )


def test_links_that_come_in_blocks_are_counted_one_by_one() -> None:
    clock, said = Asked(0.5), list[events.Event]()
    block = Block(
        ids=["a"] * 1_000,
        explicit_ids=True,
        values=["https://example.org/a"] * 1_000,
        file="l.csv",
        lines=range(2, 1_002),
        path="sources.urls[0]",
        cells=[()] * 1_000,
        labels={(): {}},
    )
    pieces: list[SourceItem | Block] = [block, *block.items(), *[block] * 7]
    assert list(told(iter(pieces), _manifest("url"), said.append, clock)) == pieces
    assert [cast(events.SourcesRead, event).items for event in said] == [4_000, 8_000]


def test_each_file_may_take_its_time_and_is_told_of() -> None:
    clock, said = Asked(1.5), list[events.Event]()
    read: list[int] = []

    def items() -> Iterator[Any]:
        for number in range(4):
            read.append(number)
            yield source_item(str(number), kind="file")

    seen = []
    for number, item in enumerate(told(items(), _manifest("file"), said.append, clock)):
        assert isinstance(item, SourceItem)
        seen.append(item.id)
        assert len(read) == number + 1  # none is taken before its turn
    assert seen == ["0", "1", "2", "3"]
    assert [cast(events.SourcesRead, event).items for event in said] == [1, 2, 3, 4]


def _manifest(kind: str) -> Any:
    return SimpleNamespace(sources=(SimpleNamespace(kind=kind),))


class _Store:
    """Counting it takes so many seconds."""

    def __init__(self, clock: FakeClock, takes_s: float) -> None:
        self._clock = clock
        self._takes_s = takes_s
        self.counted = 0

    def counts(self) -> Counts:
        self.counted += 1
        self._clock.now += self._takes_s
        return Counts(items={"total": 1}, jobs={})


@pytest.mark.parametrize(("takes_s", "most"), [(0.0, 101), (0.001, 101), (0.5, 4)])
def test_counting_takes_a_hundredth_of_the_time_at_the_most(takes_s: float, most: int) -> None:
    clock = FakeClock(0.0)
    store, said = _Store(clock, takes_s), list[events.Event]()
    telling = Telling(cast(Store, store), said.append, clock, lambda: (7, 9), here=False)
    while clock.now < 100:
        telling.look(View(most_in_flight=1, most_transfers=1))
        clock.now += 0.01
    assert 2 <= store.counted <= most
    assert sum(isinstance(event, events.Working) for event in said) >= 60


@pytest.mark.parametrize(("here", "uploading", "measuring"), [(False, 1, 0), (True, 0, 1)])
def test_what_is_sent_to_this_machine_is_measured_and_not_uploaded(here: bool, uploading: int, measuring: int) -> None:
    clock, said = FakeClock(0.0), list[events.Event]()
    telling = Telling(cast(Store, _Store(clock, 0.0)), said.append, clock, lambda: (7, 9), here=here)
    view = View(most_in_flight=1, most_transfers=1)
    telling.look(replace(view, submitting={1: Sent(at=0.0)}, preparing=frozenset({2})))
    (now,) = [event for event in said if isinstance(event, events.Working)]
    assert (now.preparing, now.uploading, now.measuring, now.fetching) == (1, uploading, measuring, 0)
    assert (now.sent_bytes, now.received_bytes) == (7, 9)


def test_the_loop_wakes_to_tell_while_bytes_go_out_and_sleeps_otherwise() -> None:
    clock = FakeClock(0.0)
    telling = Telling(cast(Store, _Store(clock, 0.0)), lambda event: None, clock, lambda: (0, 0), here=False)
    view = View(most_in_flight=1, most_transfers=1)
    telling.look(view)
    assert telling.wait_s(view) == 5.0
    assert telling.wait_s(replace(view, submitting={1: Sent(at=0.0)})) == EVERY_S


def test_what_nobody_knows_to_be_there_is_not_said_to_be_measured() -> None:
    said, clock = list[events.Event](), FakeClock(100.0)
    telling = Telling(cast(Store, _Store(clock, 0.0)), said.append, clock, lambda: (0, 0), here=False)
    lost = {number: Lost(since=90.0, wait_s=wait_s, next_at=101.0) for number, wait_s in ((1, 120.0), (2, 30.0))}
    telling.look(View(most_in_flight=4, most_transfers=1, lost=lost))
    (now,) = [event for event in said if isinstance(event, events.Working)]
    assert (now.measuring, now.asked_about, now.certain_in_s) == (0, 2, 110.0)

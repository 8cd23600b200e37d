"""The map from samples to the source's clock, against a plain list of when each sample sounds; and broken clocks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.media.clock import (
    AUDIBLE_HOLE,
    JITTER,
    MOST_SILENCE,
    Bridge,
    ClockMap,
    ClockWriter,
    Run,
    even,
)

# (hole before it, samples): small numbers, since nothing in a map depends on how large they are
PIECES = st.lists(st.tuples(st.integers(-3, 20), st.integers(1, 12)), min_size=1, max_size=6)


def built(pieces: Sequence[tuple[int, int]], start: int = 0) -> tuple[ClockMap, list[int]]:
    """A map of these pieces, and when each of its samples sounds."""
    clock, times, at = ClockMap(), [], start
    for hole, samples in pieces:
        at += hole
        clock = clock.append(samples, at)
        times += range(at, at + samples)
        at += samples
    return clock, times


@given(PIECES, st.integers(-5, 1000))
def test_a_map_tells_when_each_sample_sounds(pieces: list[tuple[int, int]], start: int) -> None:
    clock, times = built(pieces, start)
    assert [clock.at(sample) for sample in range(clock.samples)] == times
    assert [clock.behind(sample + 1) for sample in range(clock.samples)] == [at + 1 for at in times]
    assert (clock.start, clock.end) == (times[0], times[-1] + 1)
    assert ClockMap.of_json(json.loads(json.dumps(clock.to_json())), clock.samples) == clock


@given(PIECES, st.data())
def test_passages_keep_their_times_and_make_up_the_whole(pieces: list[tuple[int, int]], data: st.DataObject) -> None:
    clock, times = built(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, clock.samples), max_size=4)))
    edges = [0, *cuts, clock.samples]
    again = ClockMap()
    for begin, beyond in pairwise(edges):
        passage = clock.cut(begin, beyond - begin)
        assert passage.samples == beyond - begin
        assert [passage.at(sample) for sample in range(passage.samples)] == times[begin:beyond]
        again = again.then(passage)
    assert [again.at(sample) for sample in range(again.samples)] == times
    assert again == clock


@given(PIECES, st.integers(-50, 50))
def test_a_shift_moves_every_time(pieces: list[tuple[int, int]], by: int) -> None:
    clock, times = built(pieces)
    assert [clock.shift(by).at(sample) for sample in range(clock.samples)] == [at + by for at in times]


@given(st.lists(st.tuples(st.integers(-JITTER, 5 * MOST_SILENCE), st.integers(1, 3000)), min_size=1, max_size=30))
def test_what_arrives_lies_where_it_was_and_no_hole_costs_much(
    pieces: list[tuple[int, int]],
) -> None:
    writer, at, sent = ClockWriter(), 0, 0
    placed = []
    for number, (hole, samples) in enumerate(pieces):
        at += hole if number else 0
        silence = writer.silence_before(at)
        assert 0 <= silence <= MOST_SILENCE
        assert not silence or silence >= AUDIBLE_HOLE
        writer.reach(sent := sent + silence)
        writer.place(at)
        placed.append((sent, at))
        writer.reach(sent := sent + samples)
        at += samples
    clock = writer.map()
    assert clock.samples == sent
    for sample, when in placed:
        assert abs(clock.at(sample) - when) <= JITTER


def test_spans_are_never_turned_round_and_never_before_the_start() -> None:
    overlapping = ClockMap((Run(0, -1600), Run(16_000, 8_000)), 32_000)
    assert overlapping.ms(0, 100) == (0, 0)
    assert overlapping.ms(900, 1100) == (800, 800)
    assert even(16_000, 800).ms(0, 1000) == (50, 1050)


def test_speech_that_ends_where_a_hole_begins_ends_before_it() -> None:
    clock = even(16_000).append(16_000, 160_000)
    assert clock.ms(500, 1000) == (500, 1000)
    assert clock.ms(1000, 2000) == (10_000, 11_000)


# -- broken clocks ----------------------------------------------------------------------------------------------------

S = 1_000_000
Packet = tuple[int, int]  # track, time in us


def part(begin: int, seconds: int, *, lead: int = 0, gap: tuple[int, int] = (0, 0)) -> list[Packet]:
    """Pictures (0) and sound (1) in steps of 40 ms in file order; pictures come `lead` us earlier than their sound."""
    steps = range(0, seconds * S, 40_000)
    packets = [(at - lead, 0, at) for at in steps]
    packets += [(at, 1, at) for at in steps if not gap[0] * S <= at < gap[1] * S]
    return [(track, begin + at) for _, track, at in sorted(packets)]


def bridged(packets: Sequence[Packet], *, joinable: bool = True) -> list[tuple[int, int]]:
    bridge = Bridge(joinable=joinable)
    return [(track, at + bridge.offset(track, at, 40_000)) for track, at in packets]


@pytest.mark.parametrize("clock", [0, 1, 300, 95_000, 3, 12])
@pytest.mark.parametrize("lead", [0, 700_000])
def test_joined_parts_go_on_seamlessly(clock: int, lead: int) -> None:
    found = bridged(part(20 * S, 10, lead=lead) + part(clock * S, 10, lead=lead))
    for track in (0, 1):
        assert [at for one, at in found if one == track] == list(range(20 * S, 40 * S, 40_000))


@pytest.mark.parametrize("jump", [-9_000, -100, -5, 11, 100, 95_443])
@pytest.mark.parametrize("lead", [0, 300_000, 900_000])
def test_a_clock_that_is_set_in_the_middle_of_sound_and_pictures(jump: int, lead: int) -> None:
    whole = part(100_000 * S, 20, lead=lead)
    set_anew = [(track, at + (jump * S if at >= 100_008 * S else 0)) for track, at in whole]
    assert bridged(set_anew) == whole


@pytest.mark.parametrize("lead", [0, 900_000])
def test_a_clock_that_wraps(lead: int) -> None:
    wrap = 2**33 * S // 90_000
    whole = part(wrap - 5 * S, 10, lead=lead)
    assert bridged([(track, at % wrap) for track, at in whole]) == whole


def test_a_track_that_is_silent_for_long_comes_back_where_the_other_is() -> None:
    whole = part(0, 60, gap=(5, 40))
    assert bridged(whole) == whole


def test_where_a_part_ends_unevenly_the_next_one_keeps_sound_and_pictures_together() -> None:
    first = [(track, at) for track, at in part(0, 10) if track == 0 or at < 9 * S]
    second = [(1 - track, at) for track, at in part(0, 10)]  # its sound comes first
    found = bridged(first + second)
    late = [(track, at) for track, at in found[len(first) + 2 :]]
    assert late == [(track, at + 10 * S) for track, at in second[2:]]


def test_a_hole_is_a_hole_in_formats_that_say_so() -> None:
    whole = part(0, 10) + part(3600 * S, 10)
    assert bridged(whole, joinable=False) == whole
    back = part(3600 * S, 10) + part(0, 10)
    assert bridged(back, joinable=False)[-1] == (1, 3620 * S - 40_000)

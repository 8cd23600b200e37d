"""Where there is voice, and how its parts are packed. Samples count 16 to the millisecond."""

from __future__ import annotations

import itertools

import pytest

from hume_runner.services.local.measurers.voice import HOP, LONGEST, PAD, Pack, Span, fitted, overlap, packs, voiced

SECOND = 16_000


def _span(begin_s: float, end_s: float) -> Span:
    return Span(begin=round(begin_s * SECOND), end=round(end_s * SECOND))


def test_voice_begins_at_half_and_ends_after_a_tenth_of_a_second_below() -> None:
    likely = [0.1] * 10 + [0.6] * 20 + [0.4] * 5 + [0.1] * 2 + [0.5] * 3 + [0.1] * 10

    assert voiced(likely, len(likely) * HOP) == (Span(begin=10 * HOP, end=40 * HOP),)


def test_two_words_with_silence_between_are_two_spans() -> None:
    likely = [0.9] * 10 + [0.0] * 4 + [0.9] * 10

    assert voiced(likely, 24 * HOP - 100) == (Span(begin=0, end=10 * HOP), Span(begin=14 * HOP, end=24 * HOP - 100))


def test_a_click_is_no_voice() -> None:
    assert voiced([0.0] * 5 + [0.9] * 2 + [0.0] * 9, 16 * HOP) == ()


def test_a_pack_leaves_out_long_silence_and_keeps_some_around_voice() -> None:
    (pack,) = packs([_span(1, 2), _span(10, 11)], [0.0] * 700, 20 * SECOND)

    assert pack.spans == (_span(0.6, 2.4), _span(9.6, 11.4))


def test_spans_beside_each_other_are_one_and_nothing_is_heard_twice() -> None:
    (pack,) = packs([_span(0, 2), _span(2.3, 3)], [0.0] * 200, 3 * SECOND)

    assert pack.spans == (_span(0, 3),)


def test_packs_hold_what_the_recogniser_hears_at_a_time() -> None:
    spans = [_span(begin, begin + 7) for begin in range(0, 200, 10)]

    found = list(packs(spans, [0.0] * 7000, 200 * SECOND))

    assert all(pack.length <= LONGEST for pack in found)
    assert all(before.length + after.spans[0].length > LONGEST for before, after in itertools.pairwise(found))
    assert sum(pack.length for pack in found) == pytest.approx(20 * (7 * SECOND + 2 * PAD), abs=2 * PAD)


def test_voice_without_a_pause_is_cut_where_it_is_least_likely() -> None:
    likely = [0.9] * (100 * SECOND // HOP)
    likely[700] = 0.6

    found = list(packs([_span(0, 100)], likely, 100 * SECOND))

    spans = [span for pack in found for span in pack.spans]
    assert spans[0].end == 700 * HOP + HOP // 2
    assert all(before.end == after.begin for before, after in itertools.pairwise(spans))
    assert (spans[0].begin, spans[-1].end) == (0, 100 * SECOND)
    assert all(pack.length <= LONGEST for pack in found)


def test_times_in_a_pack_are_times_of_the_sound() -> None:
    pack = Pack(spans=(_span(5, 7), _span(100, 103)))

    assert pack.placed(0.5, 1.0) == (5.5, 6.0)
    assert pack.placed(2.5, 3.0) == (100.5, 101.0)
    assert pack.placed(1.9, 2.6) == (100.0, 100.6)  # its middle lies behind the join
    assert pack.placed(4.5, 9.0) == (102.5, 103.0)


def test_words_are_put_where_there_is_voice() -> None:
    voice = [_span(1, 2), _span(3, 4)]

    #                                 late   in between   into silence  late and without length
    assert fitted([(1.2, 1.4), (1.4, 1.6), (1.6, 2.7), (3.1, 3.1), (3.1, 3.9)], voice) == [
        (1.0, 1.4),
        (1.4, 1.6),
        (1.6, 2.0),
        (3.0, 3.1),
        (3.1, 4.0),
    ]


def test_voice_that_no_word_was_heard_in_is_not_given_to_one() -> None:
    assert fitted([(2.5, 2.8)], [_span(1, 3)]) == [(2.5, 3.0)]


def test_a_word_where_no_voice_is_stays() -> None:
    assert fitted([(5.0, 5.5)], [_span(1, 2)]) == [(5.0, 5.5)]


def test_words_never_go_back() -> None:
    times = fitted([(1.0, 1.9), (1.8, 1.8), (1.5, 1.7)], [_span(1, 2)])

    assert len(times) == 3
    assert all(before[1] <= after[0] and after[0] <= after[1] for before, after in itertools.pairwise(times))


def test_voice_between_two_moments_is_counted() -> None:
    assert overlap([_span(1, 2), _span(3, 4)], 1.5, 3.25) == pytest.approx(0.75)

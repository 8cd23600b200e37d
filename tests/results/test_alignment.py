from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.results.alignment import Pair, Rows, aligned, value
from hume_runner.services.table_shapes import Joined

BLANK = math.nan
INF = math.inf
Place = tuple[float, float]


def columns(places: Sequence[Sequence[float]]) -> tuple[array[float], ...]:
    return tuple(array("d", edge) for edge in zip(*places, strict=True))


def timed(*places: Place, **more: object) -> Rows:
    begin, end = columns(places)
    return Rows(count=len(places), seconds=(begin, end), **more)  # type: ignore[arg-type]


def frames(*moments: float, boxes: Sequence[Sequence[float]] = ()) -> Rows:
    rows = timed(*((moment, moment) for moment in moments))
    return Rows(count=rows.count, seconds=rows.seconds, box=columns(boxes) if boxes else None)  # type: ignore[arg-type]


def numbers(pairs: Sequence[Pair]) -> list[tuple[list[int], list[int]]]:
    return [([row for row, _ in pair.a], [row for row, _ in pair.b]) for pair in pairs]


def test_rows_of_the_same_times_go_together() -> None:
    places = [(0.0, 2.0), (2.5, 4.0), (4.0, 9.0)]

    by, pairs = aligned(timed(*places), timed(*places))

    assert by == "time"
    assert numbers(pairs) == [([0], [0]), ([1], [1]), ([2], [2])]


@pytest.mark.parametrize(
    ("joined", "numbers", "stands"),
    [
        ("mean", (1.8, 0.6, BLANK), 1.2),
        ("sum", (1.8, 0.6, 0.3), 2.7),
        ("sum", (1.8, 0.6, BLANK), BLANK),  # a sum that lacks something is too small
        ("first", (BLANK, 0.6, 0.3), BLANK),
        ("first", (1.8, 0.6, 0.3), 1.8),
        ("last", (1.8, 0.6, 0.3), 0.3),
        ("highest", (0.6, 1.8, BLANK), 1.8),
        ("lowest", (0.6, 1.8, BLANK), 0.6),
        ("highest", (BLANK, BLANK, BLANK), BLANK),
        # What is infinite is there, and too large: so is what is made of it.
        ("mean", (INF, 0.6, BLANK), INF),
        ("mean", (INF, 0.6, -INF), INF),
        ("sum", (INF, 0.6, -INF), INF),
        ("sum", (INF, 0.6, BLANK), BLANK),
        ("highest", (-INF, 0.6, BLANK), 0.6),
        ("lowest", (INF, 0.6, BLANK), 0.6),
        ("first", (INF, 0.6, 0.3), INF),
    ],
)
def test_what_adds_up_is_added_up_and_an_extreme_stays_one(
    joined: Joined, numbers: tuple[float, ...], stands: float
) -> None:
    rows = tuple((row, 1.0) for row in range(3))
    assert value(rows, array("d", numbers), joined) == pytest.approx(stands, nan_ok=True)


def test_a_mean_lies_among_what_it_is_the_mean_of() -> None:
    for number in (0.1, 0.2, 0.3, 1 / 3):
        for weights in ((0.1, 0.2, 0.3), (0.7,) * 10, (1 / 3, 1e-9)):
            assert value(tuple(enumerate(weights)), array("d", [number] * len(weights))) == number


def test_windows_that_overlap_each_other_find_their_own() -> None:
    windows = [(float(second), second + 4.0) for second in range(20)]

    assert numbers(aligned(timed(*windows), timed(*windows))[1]) == [([n], [n]) for n in range(20)]


def test_shorter_rows_are_averaged_beside_the_longer_one_in_which_they_lie() -> None:
    utterances, words = timed((0.0, 10.0), (10.0, 14.0)), timed((0.0, 4.0), (4.0, 9.5), (9.5, 13.0), (13.0, 14.0))

    _, pairs = aligned(utterances, words)

    assert numbers(pairs) == [([0], [0, 1]), ([1], [2, 3])]
    assert value(pairs[0].b, array("d", [1.0, 2.0, 9.0, 9.0])) == pytest.approx((4 * 1.0 + 5.5 * 2.0) / 9.5)
    assert numbers(aligned(words, utterances)[1]) == [([0, 1], [0]), ([2, 3], [1])]


def test_a_blank_value_does_not_count_in_a_mean() -> None:
    rows = ((0, 1.0), (1, 3.0))

    assert value(rows, array("d", [BLANK, 5.0])) == 5.0
    assert math.isnan(value(rows, array("d", [BLANK, BLANK])))


def test_what_shares_less_than_half_has_no_partner() -> None:
    assert aligned(timed((0.0, 5.0)), timed((3.5, 7.5)))[1] == []
    assert numbers(aligned(timed((0.0, 5.0)), timed((3.5, 7.5), (20.0, 21.0)))[1]) == []
    assert numbers(aligned(timed((0.0, 5.0)), timed((2.0, 6.0)))[1]) == [([0], [0])]


def test_single_rows_far_from_each_other_are_no_pair() -> None:
    assert aligned(timed((0.0, 1.0)), timed((50.0, 51.0)))[1] == []


def test_rows_at_one_place_go_one_with_one() -> None:
    # Two entities in one sentence, or two people who speak at once.
    rows = timed((0.0, 3.0), (0.0, 3.0), (0.0, 3.0))

    assert numbers(aligned(rows, rows)[1]) == [([n], [n]) for n in range(3)]


def test_rows_without_a_time_among_others_have_no_partner() -> None:
    assert numbers(aligned(timed((BLANK, BLANK), (0.0, 1.0)), timed((0.0, 1.0)))[1]) == [([1], [0])]


places = st.lists(
    st.tuples(st.integers(0, 400), st.integers(0, 60)).map(lambda at: (at[0] / 4, (at[0] + at[1]) / 4)),
    min_size=1,
    max_size=25,
)


@given(places, places)
def test_no_row_of_the_finer_side_counts_twice_and_all_partners_share_half(a: list[Place], b: list[Place]) -> None:
    _, pairs = aligned(timed(*a), timed(*b))

    used_a, used_b = [row for pair in pairs for row, _ in pair.a], [row for pair in pairs for row, _ in pair.b]
    assert len(set(used_a)) == len(used_a)
    assert len(set(used_b)) == len(used_b)
    assert all(min(len(pair.a), len(pair.b)) == 1 for pair in pairs)
    moments = all(begin == end for begin, end in (*a, *b))
    for x, y in ((a[left], b[right]) for pair in pairs for left, _ in pair.a for right, _ in pair.b):
        shared = min(x[1], y[1]) - max(x[0], y[0])
        assert shared * 2 >= min(x[1] - x[0], y[1] - y[0]) or (moments and abs(x[0] - y[0]) <= 0.25)


@given(places, places)
def test_the_other_way_round_gives_the_same_pairs(a: list[Place], b: list[Place]) -> None:
    def length(some: list[Place]) -> float:
        return sum(end - begin for begin, end in some) / len(some)

    if abs(length(a) - length(b)) < 1e-5:
        return  # of equally long rows those of A lead
    there, back = numbers(aligned(timed(*a), timed(*b))[1]), numbers(aligned(timed(*b), timed(*a))[1])
    assert there == [(left, right) for right, left in back]


def test_frames_go_with_the_nearest_that_has_none_nearer() -> None:
    three, five = frames(0.0, 1 / 3, 2 / 3, 1.0), frames(0.0, 0.2, 0.4, 0.6, 0.8, 1.0)

    assert numbers(aligned(three, five)[1]) == [([0], [0]), ([1], [2]), ([2], [3]), ([3], [5])]


def test_frames_farther_than_a_quarter_of_a_second_are_strangers() -> None:
    assert numbers(aligned(frames(0.0, 5.0), frames(0.2, 5.3))[1]) == [([0], [0])]


def test_faces_in_one_frame_go_with_the_box_that_overlaps_most() -> None:
    left, right = (0, 0, 10, 10), (50, 0, 10, 10)
    mine = frames(1.0, 1.0, boxes=[left, right])
    theirs = frames(1.0, 1.0, 1.0, boxes=[(52, 1, 10, 10), (200, 200, 10, 10), (1, 1, 10, 10)])

    assert numbers(aligned(mine, theirs)[1]) == [([0], [2]), ([1], [0])]


def test_faces_without_boxes_go_by_order_if_they_are_as_many() -> None:
    assert numbers(aligned(frames(1.0, 1.0), frames(1.0, 1.0))[1]) == [([0], [0]), ([1], [1])]
    assert aligned(frames(1.0, 1.0), frames(1.0, 1.0, 1.0))[1] == []


def test_frames_are_averaged_over_a_stretch_of_speech() -> None:
    _, pairs = aligned(timed((0.0, 1.0), (1.0, 2.0)), frames(0.0, 0.5, 1.0, 1.5, 2.0))

    assert [sorted(rows) for _, rows in numbers(pairs)] == [[0, 1], [2, 3, 4]]


def test_a_text_goes_by_its_characters_where_both_tell_them() -> None:
    begin_a, end_a = columns([(0, 12), (13, 30)])
    begin_b, end_b = columns([(0, 5), (6, 12), (13, 20), (21, 30)])
    sentences = Rows(count=2, characters=(begin_a, end_a), text=["x", "y"])
    words = Rows(count=4, characters=(begin_b, end_b), text=["a", "b", "c", "d"])

    by, pairs = aligned(sentences, words)

    assert by == "characters"
    assert numbers(pairs) == [([0], [0, 1]), ([1], [2, 3])]


def test_a_text_goes_by_its_words_where_nothing_else_is_told() -> None:
    mine = Rows(count=4, text=["Yes.", "No.", "Yes.", None])
    theirs = Rows(count=3, text=["no.", "Perhaps.", " YES. "])

    by, pairs = aligned(mine, theirs)

    assert by == "text"
    assert numbers(pairs) == [([0], [2]), ([1], [0])]


def test_rows_of_nowhere_go_by_their_number_if_they_are_as_many() -> None:
    assert aligned(Rows(count=3), Rows(count=3))[0] == "order"
    assert numbers(aligned(Rows(count=3), Rows(count=3))[1]) == [([0], [0]), ([1], [1]), ([2], [2])]
    assert aligned(Rows(count=3), Rows(count=2))[1] == []
    assert numbers(aligned(Rows(count=1, text=["a b"]), Rows(count=1, text=["a b c"]))[1]) == [([0], [0])]


def test_a_text_as_a_whole_stands_beside_the_mean_of_its_sentences() -> None:
    whole, sentences = Rows(count=1, text=["Yes. No. Perhaps."]), Rows(count=3, text=["Yes.", "No.", "Perhaps."])

    _, (pair,) = aligned(whole, sentences)

    assert pair == Pair(a=((0, 1.0),), b=((0, 1.0), (1, 1.0), (2, 1.0)))
    assert numbers(aligned(sentences, Rows(count=1))[1]) == [([0, 1, 2], [0])]
    assert numbers(aligned(Rows(count=1, text=["no."]), sentences)[1]) == [([0], [1])]


def test_files_of_an_archive_are_kept_apart() -> None:
    mine = timed((0.0, 1.0), (0.0, 1.0), file=["a.wav", "b.wav"])
    theirs = timed((0.0, 1.0), (0.0, 1.0), file=["b.wav", "c.wav"])

    assert numbers(aligned(mine, theirs)[1]) == [([1], [0])]


def test_one_file_is_itself_however_the_service_calls_it() -> None:
    mine, theirs = timed((0.0, 1.0), file=["1f3a.wav"]), timed((0.0, 1.0), file=["77bc.wav"])

    assert numbers(aligned(mine, theirs)[1]) == [([0], [0])]

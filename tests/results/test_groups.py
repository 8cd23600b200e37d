"""Groups of sources against SciPy and pandas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.results.aggregates import Moments
from hume_runner.results.by_source import SumsBySource
from hume_runner.results.groups import Compared, GroupSums, interval, pair_key
from hume_runner.results.read import DirectoryResults
from hume_runner.results.rows import ItemRows, all_rows
from tests.results.sample_answers import Outputs, face_rows, file_element, model, score_list

NAMES = ("Joy", "Fear")


def study(folder: Path, scores: dict[str, list[float]], labels: dict[str, dict[str, object]]) -> DirectoryResults:
    """A job a source; `scores`: item -> Joy of each row (Fear is half of it)."""
    outputs = Outputs(directory=folder, name="study")
    for number, (item, joys) in enumerate(scores.items(), start=1):
        rows = []
        for row, joy in zip(face_rows(len(joys)), joys, strict=True):
            emotions = [one | {"score": 0.1} for one in score_list(("Joy", "Fear"), 0)]
            emotions[0]["score"], emotions[1]["score"] = joy, joy / 2
            rows.append(row | {"emotions": emotions})
        outputs.item(item, "file", f"{item}.jpg", labels=labels[item])
        answer = [file_element(f"{item}.jpg", {"face": model({"unknown": rows})})]
        outputs.job(f"job-{number:06d}", f"r{number}", answer, [("file", f"{item}.jpg", [item])])
    outputs.write()
    return DirectoryResults(folder)


def compare_groups(results: DirectoryResults, label: str) -> list[Compared]:
    """How the groups of a label compare, score by score, in every table."""
    groups, sums = GroupSums(label), SumsBySource(above=0.5, spread=False, every=True)
    summed = [one for found in all_rows(results.answers()) if isinstance(found, ItemRows) for one in sums.add(found)]
    for one in (*summed, *sums.rest()):
        groups.add(one.item, one.table, one.sums)
    return groups.compared()


@pytest.mark.sweep
def test_means_and_intervals_are_those_of_scipy_over_sources_not_rows(tmp_path: Path) -> None:
    from scipy import stats

    scores = {"a": [0.1, 0.3], "b": [0.4] * 50, "c": [0.9], "d": [0.2, 0.5], "e": [0.7]}
    labels = {item: {"site": "north" if item < "d" else "south"} for item in scores}

    found = {one.score[1]: one for one in compare_groups(study(tmp_path, scores, labels), "site")}

    for group, items in (("north", "abc"), ("south", "de")):
        means = [float(np.mean(scores[item])) for item in items]
        told = found["Joy"].groups[group]
        assert (told.n, told.mean) == (len(items), pytest.approx(np.mean(means)))
        low, high = stats.t.interval(0.95, len(means) - 1, loc=np.mean(means), scale=stats.sem(means))
        assert (told.low, told.high) == (pytest.approx(low, rel=1e-3), pytest.approx(high, rel=1e-3))
    assert found["Fear"].groups["north"].mean == pytest.approx(found["Joy"].groups["north"].mean / 2)


@pytest.mark.sweep
def test_pairs_are_those_whose_ids_say_so(tmp_path: Path) -> None:
    from scipy import stats

    before = {"p1": 0.2, "p2": 0.5, "p3": 0.4, "p4": 0.9}
    after = {"p1": 0.3, "p2": 0.9, "p3": 0.4}
    scores = {f"{who}-pre": [joy] for who, joy in before.items()} | {f"{who}-post": [joy] for who, joy in after.items()}
    labels = {item: {"time": item.rpartition("-")[2]} for item in scores}

    (joy,) = [one for one in compare_groups(study(tmp_path, scores, labels), "time") if one.score[1] == "Joy"]

    (pairs,) = joy.pairs
    differences = [before[who] - after[who] for who in after]
    assert (pairs.groups, pairs.n) == (("post", "pre"), 3)
    assert pairs.mean == pytest.approx(np.mean(differences))
    low, high = stats.t.interval(0.95, 2, loc=np.mean(differences), scale=stats.sem(differences))
    assert (pairs.low, pairs.high) == (pytest.approx(low, rel=1e-3), pytest.approx(high, rel=1e-3))


@pytest.mark.parametrize(
    ("item", "label", "value", "key"),
    [
        ("p07-pre.wav", "time", "pre", "p07 wav"),
        ("p07_wave2", "wave", "2", "p07"),
        ("w2/p07", "wave", "2", "p07"),
        ("wave-2-p07", "wave", "2", "p07"),
        ("p07", "wave", "2", None),
        ("2-p07-2", "wave", "2", None),
        ("Prä-p07", "zeit", "prä", "p07"),
    ],
)
def test_what_is_left_of_an_id_without_the_labels_value(item: str, label: str, value: str, key: str | None) -> None:
    assert pair_key(item, label, value) == key


def test_a_single_source_has_no_interval_and_a_source_without_label_no_group(tmp_path: Path) -> None:
    scores = {"a": [0.1], "b": [0.4], "c": [0.9]}
    labels: dict[str, dict[str, object]] = {"a": {"site": 1}, "b": {"site": 2}, "c": {"site": None}}

    found = compare_groups(study(tmp_path, scores, labels), "site")[0]

    assert {name: (one.n, one.low) for name, one in found.groups.items()} == {"1": (1, None), "2": (1, None)}
    assert found.widest == 0.0


def test_groups_stand_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    scores = {f"s{number}": [0.5] for number in (10, 9, 2)}
    labels: dict[str, dict[str, object]] = {f"s{number}": {"dose": number} for number in (10, 9, 2)}

    assert list(compare_groups(study(tmp_path, scores, labels), "dose")[0].groups) == ["2", "9", "10"]


@pytest.mark.sweep
@given(st.lists(st.floats(-5, 5), min_size=2, max_size=12))
def test_intervals_are_students_whatever_the_numbers(numbers: list[float]) -> None:
    from scipy import stats

    moments = Moments()
    for number in numbers:
        moments.take(number)

    low, high = interval(moments)

    if 0 < max(numbers) - min(numbers) < 1e-130:  # their squares are none
        assert (low, high) == (None, None)
        return
    assert low is not None
    assert high is not None
    half = stats.t.ppf(0.975, len(numbers) - 1) * stats.sem(numbers)
    assert (high - low) / 2 == pytest.approx(half, rel=1e-6, abs=1e-15)

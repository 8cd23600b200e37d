"""`sources` against pandas, which reads the models' tables and knows nothing of us."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from hume_runner.results.options import TableOptions
from hume_runner.results.tables import write_tables
from tests.results import local_answers
from tests.results.sample_answers import Outputs, interviews

if TYPE_CHECKING:
    import pandas as pd  # pyarrow loads it when it makes a frame; each worker collects every test


def read(out: Path, stem: str) -> pd.DataFrame:
    return pq.read_table(out / f"{stem}.parquet").to_pandas()


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("interviews")
    write_tables(interviews(folder / "out", 9), folder / "t", options=TableOptions(long=True, above=0.3))
    return folder / "t"


@pytest.mark.sweep
@pytest.mark.parametrize("table", ["face", "prosody", "language"])
def test_means_and_the_rest_are_what_pandas_says(table: str, out: Path) -> None:
    rows, sources, long = read(out, table), read(out, "sources"), read(out, "sources_long")
    ours = sources[sources["table"] == table].set_index("item_id")
    emotions = [name for name in rows.columns if name.startswith("emotion_")]
    grouped = rows.groupby("item_id", sort=False)[emotions]

    assert list(ours.index) == list(grouped.groups) or set(ours.index) == set(grouped.groups)
    assert ours["n"].to_dict() == rows.groupby("item_id").size().to_dict()
    for item_id, means in grouped.mean().iterrows():
        told = dict(ours.loc[item_id, "mean"])
        assert {name: told[name] for name in emotions} == pytest.approx(means.to_dict())
        assert ours.loc[item_id, "strongest_mean"] == pytest.approx(means.max())
    for item_id, highest in grouped.max().iterrows():
        told = dict(ours.loc[item_id, "highest"])
        assert {name: told[name] for name in emotions} == highest.to_dict()
    for item_id, share in (rows.set_index("item_id")[emotions] >= 0.3).groupby("item_id").mean().iterrows():
        told = dict(ours.loc[item_id, "share_above"])
        assert {name: told[name] for name in emotions} == pytest.approx(share.to_dict())
    mine = long[(long["table"] == table) & (long["family"] == "emotion")]
    for item_id, spread in grouped.std().iterrows():
        told = mine[mine["item_id"] == item_id]["sd"].to_numpy()
        assert list(told) == pytest.approx(list(spread), nan_ok=True)


def test_measurements_that_are_no_scores_are_summed_up_too(tmp_path: Path) -> None:
    sources = {
        f"{name}.wav": {"acoustics": local_answers.sounding(seconds), **local_answers.spoken(seconds)}
        for name, seconds in (("a", 12), ("b", 90))
    }
    write_tables(local_answers.results(tmp_path / "out", sources), tmp_path / "t", options=TableOptions(long=True))

    rows, long = read(tmp_path / "t", "acoustics"), read(tmp_path / "t", "sources_long")
    found = long[(long["table"] == "acoustics") & (long["name"] == "pitch_median_hz")].set_index("item_id")
    by_source = rows.groupby("item_id")["pitch_median_hz"]
    assert found["mean"].to_dict() == pytest.approx(by_source.mean().to_dict())
    assert found["n"].to_dict() == by_source.count().to_dict()
    assert found["n"].max() < rows.groupby("item_id").size().max()
    sources = read(tmp_path / "t", "sources")
    assert set(sources[sources["table"] == "acoustics"]["measured_by"]) == set(rows["measured_by"])


@pytest.mark.sweep
def test_labels_are_columns_of_sources_and_where_asked_for_of_every_table(tmp_path: Path) -> None:
    results = interviews(tmp_path / "out", 5)
    write_tables(results, tmp_path / "plain")
    write_tables(results, tmp_path / "wide", options=TableOptions(labels=True))

    labels = [name for name in read(tmp_path / "plain", "items").columns if name.startswith("label_")]
    assert labels
    assert set(labels) <= set(read(tmp_path / "plain", "sources").columns)
    assert not set(labels) & set(read(tmp_path / "plain", "face").columns)
    items = read(tmp_path / "wide", "items").set_index("item_id")
    for stem in ("face", "prosody"):
        rows = read(tmp_path / "wide", stem)
        for label in labels:
            assert rows[label].tolist() == items.loc[rows["item_id"], label].tolist()


def test_no_sources_are_an_empty_table(tmp_path: Path) -> None:
    write_tables(Outputs(directory=tmp_path / "out").write(), tmp_path / "t")

    assert read(tmp_path / "t", "sources").empty


def test_what_is_left_of_a_recording_counts_in_no_mean_and_every_measurement_is_summed_up(tmp_path: Path) -> None:
    rows = [{"begin_s": float(t), "end_s": t + 1.0, "loudness_dbfs": -20.0, "pause_share": 0.25} for t in range(3)]
    rows.append({"begin_s": 3.0, "end_s": 3.02, "loudness_dbfs": -94.0, "pause_share": 1.0})
    rows.append({"begin_s": 4.0, "end_s": 4.6, "loudness_dbfs": -28.0, "pause_share": 0.25})
    found = local_answers.results(tmp_path / "out", {"a.wav": {"acoustics": rows}})

    write_tables(found, tmp_path / "t")

    (sound,) = read(tmp_path / "t", "sources").to_dict("records")
    assert sound["n"] == 5
    assert dict(sound["mean"]) == {"loudness_dbfs": pytest.approx(-22.0), "pause_share": 0.25}

"""`batching.pack_short_audio`: short recordings go together, with silence between, and their results come apart."""

from __future__ import annotations

from pathlib import Path

import hume_runner
from tests.expression.runs import Folder, measured_runs, metered
from tests.media_files import speech, write_wav

CLIPS = 6


def write_clips(folder: Folder) -> None:
    media = folder.path / "media"
    media.mkdir(parents=True)
    for number in range(CLIPS):
        write_wav(
            media / f"{number}.wav",
            speech([("pause", 0.3), ("speech", 0.8 + number / 10), ("pause", 0.3)], seed=number),
        )


def outcome(folder: Folder, *, joined: bool) -> None:
    folder.write({"files": ["media/*.wav"]}, models={"audio": {}}, batching={"pack_short_audio": joined})


def table(folder: Folder) -> dict[str, list[tuple[float, float, str]]]:
    """Windows by item: (begin, end, scores), as people read them."""
    folder.command("tables")
    rows = hume_runner.read_results(folder.outputs).tables["audio"].to_pylist()
    found: dict[str, list[tuple[float, float, str]]] = {}
    for row in rows:
        found.setdefault(row["item_id"], []).append((row["begin_s"], row["end_s"], str(row["expressions"])))
    return found


def test_clips_go_in_one_request_and_cost_what_they_last(folder: Folder) -> None:
    write_clips(folder)
    outcome(folder, joined=True)
    assert folder.run().code == 0
    (run,) = measured_runs(folder.url)
    assert metered([run]) < 10 * CLIPS / 2
    assert folder.summary()["bill"]["billable_seconds"] == run["metered_seconds"]
    assert {line["status"] for line in folder.results().values()} == {"done"}


def test_by_default_nothing_is_joined_because_it_changes_what_is_heard(folder: Folder) -> None:
    write_clips(folder)
    outcome(folder, joined=False)
    assert folder.run().code == 0
    assert len(measured_runs(folder.url)) == CLIPS


def test_the_results_of_each_clip_are_those_it_has_alone(folder: Folder, tmp_path: Path) -> None:
    write_clips(folder)
    outcome(folder, joined=True)
    folder.run()
    together = table(folder)
    alone = Folder(path=tmp_path / "alone", url=folder.url, key=folder.key)
    write_clips(alone)
    outcome(alone, joined=False)
    alone.run()
    assert together == table(alone)
    assert len(together) == CLIPS


def test_a_clip_that_cannot_be_read_fails_alone(folder: Folder) -> None:
    write_clips(folder)
    (folder.path / "media" / "bad.wav").write_bytes(b"RIFF\x10\0\0\0WAVEfmt ")
    outcome(folder, joined=True)
    assert folder.run().code == 3
    failed = [name for name, line in folder.results().items() if line["status"] == "failed"]
    assert failed == ["media/bad.wav"]
    assert len(measured_runs(folder.url)) == 1

"""A Dask cluster of real processes works for a run, whatever happens to its parts."""

from __future__ import annotations

import os
import signal

from tests.computing.case import Case
from tests.computing.dask_processes import Dask, until
from tests.media.ffmpeg_files import ffmpeg, tone


def noted(case: Case) -> int:
    notes = case.folder / "notes"
    return len(case.notes()) if notes.exists() else 0


def test_outputs_of_two_workers_are_those_of_this_machine_byte_for_byte(case: Case, dask: Dask) -> None:
    for name in ("a", "b"):
        dask.worker(name)
    ffmpeg(*tone(seconds=40), "-c:a", "aac", case.folder / "tone.m4a")
    ffmpeg(*tone(seconds=2), "-ar", 16000, "-ac", 1, "-c:a", "pcm_s16le", case.folder / "plain.wav")
    texts = [f"text {number}" for number in range(12)]
    models = {"letters": {}, "language": {}, "acoustics": {}}
    for out, flags in (("here", ()), ("there", ("--cluster", dask.address))):
        case.write(texts, ["*.m4a", "*.wav"], models=models, outputs={"directory": out, "tables": ["csv"]})
        ran = case.run(*flags)
        assert (ran.code, ran.err.count("warning")) == (0, 0), ran.err
    here, there = case.written("here"), case.written("there")
    assert set(here) > {"results.jsonl", "raw/response.json", "tables/letters.csv", "tables/acoustics.csv"}
    assert there == here
    assert {path.name for path in (case.folder / "there").iterdir()} == {
        path.name for path in (case.folder / "here").iterdir()
    }


def test_a_worker_killed_in_the_middle_costs_nothing_but_time(case: Case, dask: Dask) -> None:
    workers = [dask.worker(name) for name in ("a", "b")]
    texts = [f"note {number} sleep 0.1 at {case.folder / 'notes'}" for number in range(40)]
    case.write(texts)
    run = case.start("--cluster", dask.address)
    until(lambda: noted(case) >= 6)
    killed = {parent for _, parent, _ in case.notes()} & {worker.pid for worker in workers}
    assert len(killed) == 2  # both work
    os.kill(workers[0].pid, signal.SIGKILL)
    ran = case.ended(run)
    assert ran.code == 0, ran.err
    assert sorted(int(row["length"]) for row in case.table("letters")) == sorted(map(len, texts))
    assert sum(parent == workers[0].pid for _, parent, _ in case.notes()) < 40
    assert not (case.folder / "out" / "cluster").exists()

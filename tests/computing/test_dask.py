"""A Dask cluster of real processes works for a run, whatever happens to its parts."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from tests.computing.case import Case
from tests.computing.dask_processes import Dask, until
from tests.media.ffmpeg_files import ffmpeg, tone

Begun = Callable[[Case, Dask], subprocess.Popen[str]]


def noted(case: Case) -> int:
    notes = case.folder / "notes"
    return len(case.notes()) if notes.exists() else 0


@pytest.mark.sweep
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


@pytest.mark.sweep
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


@pytest.mark.sweep
def test_a_text_that_ends_what_works_on_it_fails_alone(case: Case, dask: Dask) -> None:
    workers = [dask.worker(name) for name in ("a", "b")]
    case.write(["x", "die", "y"])
    ran = case.run("--cluster", dask.address)
    assert ran.code == 3, ran.err
    [error] = case.table("errors")
    assert error["reason"] == "worker_died"
    assert "2 workers died of it, the last one so: it was ended by SIGKILL" in error["message"]
    assert len(case.table("letters")) == 2
    assert [worker.poll() for worker in workers] == [None, None]  # only what they had for it


@pytest.mark.sweep
def test_a_text_that_ends_its_workers_fails_after_two_and_leaves_the_third(case: Case, dask: Dask) -> None:
    workers = [dask.worker(name) for name in ("a", "b", "c")]
    dask.expect(3)
    texts = ["kill", *(f"text {number} sleep 0.1" for number in range(9))]
    case.write(texts)
    ran = case.run("--cluster", dask.address)
    assert ran.code == 3, ran.err
    [error] = case.table("errors")
    assert error["reason"] == "worker_died"
    assert "2 workers died of it" in error["message"]
    assert len(case.table("letters")) == 9
    until(lambda: sum(worker.poll() is not None for worker in workers) == 2)


@pytest.mark.sweep
def test_a_piece_that_takes_too_long_ends_and_the_others_do_not(case: Case, dask: Dask) -> None:
    dask.worker("a")
    case.write(["sleep 600", "One"], execution={"job_timeout": "2s"})
    ran = case.run("--cluster", dask.address)
    assert ran.code == 3, ran.err
    [error] = case.table("errors")
    assert (error["reason"], len(case.table("letters"))) == ("timed_out", 1)


@pytest.mark.sweep
def test_a_worker_that_joins_late_gets_work(case: Case, dask: Dask) -> None:
    dask.worker("early")
    case.write([f"note {number} sleep 0.3 at {case.folder / 'notes'}" for number in range(60)])
    run = case.start("--cluster", dask.address)
    until(lambda: noted(case) >= 2)
    late = dask.worker("late")
    ran = case.ended(run)
    assert ran.code == 0, ran.err
    assert sum(parent == late.pid for _, parent, _ in case.notes()) > 5


@pytest.mark.sweep
def test_a_worker_that_joins_late_and_is_not_fit_is_named_and_gets_nothing(case: Case, dask: Dask) -> None:
    dask.worker("early")
    case.write([f"note {number} sleep 0.2 at {case.folder / 'notes'}" for number in range(40)])
    run = case.start("--cluster", dask.address)
    until(lambda: noted(case) >= 2)
    late = dask.worker("late", environ={"LETTERS_VERSION": "2"})
    ran = case.ended(run)
    assert ran.code == 0, ran.err
    assert ran.err.count("works with letters@2#") == 1
    assert "it gets no work" in ran.err
    assert late.pid not in {parent for _, parent, _ in case.notes()}


@pytest.mark.sweep
def test_a_run_without_a_worker_for_a_while_goes_on_when_one_comes(case: Case, dask: Dask) -> None:
    first = dask.worker("first")
    texts = [f"note {number} sleep 0.1 at {case.folder / 'notes'}" for number in range(20)]
    case.write(texts)
    run = case.start("--cluster", dask.address)
    until(lambda: noted(case) >= 2)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    dask.worker("second")
    ran = case.ended(run)
    assert ran.code == 0, ran.err
    assert len(case.table("letters")) == 20


@pytest.mark.sweep
def test_a_run_whose_scheduler_goes_away_says_so_and_resumes(case: Case, dask: Dask) -> None:
    case.environ["HUME_RUNNER_CLUSTER_WAIT"] = "2"
    dask.worker("a")
    texts = [f"note {number} sleep 0.2 at {case.folder / 'notes'}" for number in range(20)]
    case.write(texts)
    run = case.start("--cluster", dask.address)
    until(lambda: noted(case) >= 3)
    os.kill(dask.scheduler.pid, signal.SIGKILL)
    ran = case.ended(run)
    assert ran.code == 5, ran.err
    assert f"the Dask scheduler at {dask.address} went away and did not come back within 2 s" in ran.err
    done = sum(one["status"] == "done" for one in case.results())
    assert done >= 1
    again = case.run()  # here
    assert again.code == 0, again.err
    assert len(case.table("letters")) == 20
    assert f"{20 - done} items" in again.err


@pytest.mark.sweep
def test_a_scheduler_that_comes_back_is_gone_on_with(case: Case, dask: Dask) -> None:
    dask.worker("a")
    case.write([f"note {number} sleep 0.2 at {case.folder / 'notes'}" for number in range(20)])
    run = case.start("--cluster", dask.address)
    until(lambda: noted(case) >= 3)
    os.kill(dask.scheduler.pid, signal.SIGKILL)
    dask.scheduler.wait()
    dask.start_scheduler()
    dask.worker("b")
    ran = case.ended(run)
    assert ran.code == 0, ran.err
    assert len(case.table("letters")) == 20


@pytest.mark.sweep
def test_an_interruption_ends_soon_and_leaves_nothing_behind(case: Case, dask: Dask) -> None:
    dask.worker("a")
    case.write([f"note {number} sleep 60 at {case.folder / 'notes'}" for number in range(8)])
    run = case.start("--cluster", dask.address)
    until(lambda: noted(case) >= 1)
    began = time.monotonic()
    os.kill(run.pid, signal.SIGINT)
    ran = case.ended(run)
    assert ran.code == 130, ran.err
    assert time.monotonic() - began < 30
    [(child, _, _)] = case.notes()
    until(lambda: not alive(child))  # nobody waits for it
    assert not (case.folder / "out" / "cluster").exists()


def working(case: Case, dask: Dask) -> subprocess.Popen[str]:
    """A run that is in the middle of its work."""
    dask.worker("a")
    case.write([f"note {number} sleep 0.2 at {case.folder / 'notes'}" for number in range(20)])
    run = case.start("--cluster", dask.address)
    until(lambda: noted(case) >= 3)
    return run


def waiting_for_workers(case: Case, dask: Dask) -> subprocess.Popen[str]:
    """A run that is connected, and waits for somebody whom it could check."""
    case.write([f"note {number} sleep 0.2 at {case.folder / 'notes'}" for number in range(20)])
    run = case.start("--cluster", dask.address)
    until(lambda: "Receive client connection" in dask.log("scheduler"))
    time.sleep(1)  # the scheduler itself was asked
    return run


def connecting(case: Case, dask: Dask) -> subprocess.Popen[str]:
    """A run whose scheduler takes its connection and is silent."""
    dask.worker("a")
    dask.expect(1)
    os.kill(dask.scheduler.pid, signal.SIGSTOP)
    case.write([f"note {number} sleep 0.2 at {case.folder / 'notes'}" for number in range(20)])
    run = case.start("--cluster", dask.address)
    until((case.folder / "out" / "cluster").exists)
    return run


_SILENT = "has not answered for 2 s, and its connection stands"


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("begun", "said"),
    [(working, _SILENT), (waiting_for_workers, _SILENT), (connecting, "no Dask scheduler answers at ")],
)
def test_a_scheduler_that_is_silent_ends_the_run_and_fails_nothing(
    case: Case, dask: Dask, begun: Begun, said: str
) -> None:
    case.environ["HUME_RUNNER_CLUSTER_WAIT"] = "2"
    run = begun(case, dask)
    os.kill(dask.scheduler.pid, signal.SIGSTOP)
    began = time.monotonic()
    ran = case.ended(run)
    assert ran.code == 5, ran.err
    assert said in ran.err
    assert "resumes" in ran.err or begun is connecting
    assert time.monotonic() - began < 30
    assert not (case.folder / "out" / "cluster").exists()
    again = case.run()  # here
    assert again.code == 0, again.err
    assert len(case.table("letters")) == 20


@pytest.mark.sweep
@pytest.mark.parametrize("begun", [working, waiting_for_workers, connecting])
def test_a_scheduler_that_was_silent_is_gone_on_with(case: Case, dask: Dask, begun: Begun) -> None:
    run = begun(case, dask)
    os.kill(dask.scheduler.pid, signal.SIGSTOP)
    time.sleep(8)  # more than one question that nobody answers
    os.kill(dask.scheduler.pid, signal.SIGCONT)
    dask.worker("late")
    ran = case.ended(run)
    assert ran.code == 0, ran.err
    assert len(case.table("letters")) == 20


@pytest.mark.sweep
@pytest.mark.parametrize("begun", [working, waiting_for_workers, connecting])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_run_whose_scheduler_is_silent(
    case: Case, dask: Dask, begun: Begun, number: int, code: int
) -> None:
    run = begun(case, dask)
    os.kill(dask.scheduler.pid, signal.SIGSTOP)
    time.sleep(1)
    began = time.monotonic()
    os.kill(run.pid, number)
    ran = case.ended(run)
    assert ran.code == code, ran.err
    assert time.monotonic() - began < 10


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True

"""Executors that hand back what nobody asked for, or nothing: no row of another piece, no traceback, and an end."""

from __future__ import annotations

import signal
import time

import pytest

from tests.computing.case import Case
from tests.services.local.test_local import tone_file
from tests.tiers import sampled

# Each does what it should for the call that asks a worker what it is.
STRANGE = """
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
import multiprocessing, os, threading

class Threads(Executor):
    def __init__(self):
        self._pool, self._max_workers = ThreadPoolExecutor(2), 2
    def shutdown(self, *args, **kwargs):
        self._pool.shutdown(wait=False)
    def submit(self, function, *args):
        return self._pool.submit(function, *args) if function.__name__ == "tell" else self.later(function, *args)

def changed(change):
    class Changed(Threads):
        def later(self, function, *args):
            return self._pool.submit(lambda: change(function(*args)))
    return Changed

nothing = changed(lambda answer: None)
text = changed(lambda answer: "x")
garbage = changed(lambda answer: b"garbage")
half = changed(lambda answer: answer[:len(answer) // 2])
cut = changed(lambda answer: answer[:-1])
empty = changed(lambda answer: b"")
other_scores = changed(lambda answer: answer.replace(b'length', b'lenght'))
other_version = changed(lambda answer: answer.replace(b"letters@1", b"letters@9"))

def swaps():
    last, lock = [], threading.Lock()
    def change(answer):
        with lock:
            last.append(answer)
            return last[-2] if len(last) > 1 else answer
    return changed(change)()

class Mixed(Threads):
    '''The work of one call under the name of another.'''
    seen = []
    def later(self, function, run, call, work, timeout_s):
        self.seen.append(work)
        return self._pool.submit(function, run, call, self.seen[0], timeout_s)

class NoFuture(Threads):
    def later(self, function, *args):
        return 42

class Never(Threads):
    def later(self, function, *args):
        return Future()

class Hangs(Threads):
    '''It works, and never says so.'''
    def later(self, function, *args):
        self._pool.submit(function, *args)
        return Future()

class Cancels(Threads):
    def later(self, function, *args):
        future = Future()
        future.cancel()
        future.set_running_or_notify_cancel()
        return future

def raising(error):
    class Raises(Threads):
        def later(self, function, *args):
            future = Future()
            future.set_exception(error)
            return future
    return Raises

exits = raising(SystemExit(0))

class SubmitExits(Threads):
    def later(self, function, *args):
        raise SystemExit(0)

class Poisoned(Threads):
    '''One piece is more than it takes.'''
    def later(self, function, run, call, work, timeout_s):
        if b"POISON" in work:
            return raising(ValueError("message of 5 bytes is larger than 4")).later(self, function)
        return self._pool.submit(function, run, call, work, timeout_s)

made = []
class LosesThenTakesNothing(Executor):
    '''The first one loses a worker that had begun; none that is made later gets a node.'''
    def __init__(self):
        made.append(self)
        self._pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
    def shutdown(self, *args, **kwargs):
        self._pool.shutdown(wait=False)
    def submit(self, function, *args):
        if self is made[0]:
            return self._pool.submit(function, *args)
        return raising(OSError("no node is free")).later(self, function)

class Blocks(Threads):
    def later(self, function, *args):
        threading.Event().wait()

class Wipes(Threads):
    '''What the run shares with its workers is gone before they begin.'''
    def later(self, function, run, *args):
        import shutil
        shutil.rmtree(run["folder"], ignore_errors=True)
        return self._pool.submit(function, run, *args)

pieces = []
def of_another_version(function, *args):
    '''A worker that is updated after its first piece, from when on it is not asked any more what it is.'''
    pieces.append(args)
    if len(pieces) == 1:
        return function(*args)
    os.environ["LETTERS_VERSION"] = "2"
    answers = []
    thread = threading.Thread(target=lambda: answers.append(function(*args)))
    thread.start()
    thread.join()
    return answers[0]

class Updated(Executor):
    def __init__(self):
        self._pool, self._max_workers = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")), 1
    def shutdown(self, *args, **kwargs):
        self._pool.shutdown(wait=False)
    def submit(self, function, *args):
        if function.__name__ == "tell":
            return self._pool.submit(function, *args)
        return self._pool.submit(of_another_version, function, *args)

class GivesNothing:
    def __call__(self):
        return None
no_executor = GivesNothing()
def is_interrupted():
    raise KeyboardInterrupt
first_is_no_future = type("First", (Threads,), {"submit": lambda self, function, *args: None})
first_exits = type("FirstExits", (Threads,), {"submit": lambda self, *args: raising(SystemExit(0)).later(self, *args)})
"""

TEXTS = [f"text number {'x' * number}" for number in range(6)]


@pytest.fixture
def strange(case: Case) -> Case:
    (case.folder / "strange.py").write_text(STRANGE)
    case.write(TEXTS)
    return case


@sampled(1)
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("nothing", "a NoneType, which no worker of ours returned"),
        ("text", "a str, which no worker of ours returned"),
        ("garbage", "7 bytes that no worker of hume_runner"),
        ("empty", "0 bytes that no worker of hume_runner"),
        ("half", "no answer to this piece"),
        ("cut", "damaged on its way"),
        ("other_scores", "damaged on its way"),
        ("other_version", "damaged on its way"),
        ("Mixed", "the answer to another piece of work"),
    ],
)
def test_what_is_no_answer_fails_the_items_that_it_was_for(strange: Case, kind: str, said: str) -> None:
    ran = strange.run("--cluster", f"strange:{kind}")
    assert ran.code == 3, ran.err
    errors = strange.table("errors")
    assert {error["reason"] for error in errors} == {"no_answer"}
    assert all(said in error["message"] for error in errors)
    _is_right(strange, len(errors))
    assert strange.run("--retry-failed").code == 0
    _is_right(strange, 0)


@pytest.mark.sweep
def test_an_answer_to_another_piece_is_never_taken_for_one(strange: Case) -> None:
    ran = strange.run("--cluster", "strange:swaps")
    assert ran.code in (0, 3), ran.err
    errors = strange.table("errors")
    assert all("the answer to another piece of work" in error["message"] for error in errors)
    _is_right(strange, len(errors))


def _is_right(case: Case, failed: int) -> None:
    """Each row is of the text whose it is said to be."""
    lengths = {f"sources.text[{number}]": len(text) for number, text in enumerate(TEXTS)}
    rows = case.table("letters")
    assert len(rows) == len(TEXTS) - failed
    assert all(int(row["length"]) == lengths[row["source"].partition(" ")[0]] for row in rows)


@pytest.mark.sweep
def test_media_are_prepared_by_no_answer_to_another_piece(case: Case) -> None:
    (case.folder / "strange.py").write_text(STRANGE)
    for number in range(1, 5):
        tone_file(case.folder / f"{number}.wav", number)
    case.write(files=["*.wav"], models={"acoustics": {"window": 100}})
    ran = case.run("--cluster", "strange:swaps")
    assert ran.code in (0, 3), ran.err
    rows = case.table("acoustics")
    errors = case.table("errors")
    assert {row["item_id"]: float(row["end_s"]) for row in rows} == {
        f"{number}.wav": float(number)
        for number in range(1, 5)
        if f"{number}.wav" not in {error["item_id"] for error in errors}
    }
    assert {error["reason"] for error in errors} <= {"no_answer"}


@pytest.mark.sweep
def test_who_measured_is_who_was_asked_to(strange: Case) -> None:
    strange.write(TEXTS[:2])
    ran = strange.run("--cluster", "strange:Updated")
    assert ran.code == 3, ran.err
    errors = strange.table("errors")
    assert len(errors) == 1
    assert {error["reason"] for error in errors} == {"other_measurer"}
    assert "letters@2#e3b0c442 measured it, and letters@1#e3b0c442 was asked to" in errors[0]["message"]


@pytest.mark.sweep  # some seconds longer than a piece may take
@pytest.mark.parametrize(("kind", "said"), [("Never", "nothing came back of it within "), ("Hangs", " within ")])
def test_a_future_that_never_ends_is_ended_by_job_timeout(strange: Case, kind: str, said: str) -> None:
    strange.write(TEXTS, execution={"job_timeout": "1s"})
    ran = strange.run("--cluster", f"strange:{kind}")
    assert ran.code == 3, ran.err
    errors = strange.table("errors")
    assert {error["reason"] for error in errors} == {"timed_out"}
    assert f"{said}execution.job_timeout, 1 s" in errors[0]["message"]


@pytest.mark.sweep
@sampled(3)
@pytest.mark.parametrize(
    ("kind", "code", "said"),
    [
        ("Cancels", 5, "breaks again and again: CancelledError: it cancels what it was given"),
        ("exits", 5, "breaks again and again: SystemExit: 0"),
        ("SubmitExits", 5, "breaks again and again: SystemExit: 0"),
        ("NoFuture", 64, "its submit() gives a int, which is no concurrent.futures.Future"),
        ("first_is_no_future", 64, "its submit() gives a NoneType, which is no concurrent.futures.Future"),
        ("first_exits", 64, "cannot run a function of this package: SystemExit: 0"),
        ("is_interrupted", 64, "does not start: KeyboardInterrupt"),
        ("no_executor", 64, "gives a NoneType, which is no concurrent.futures.Executor"),
    ],
)
def test_what_is_no_executor_ends_the_run_and_is_told(strange: Case, kind: str, code: int, said: str) -> None:
    ran = strange.run("--cluster", f"strange:{kind}")
    assert ran.code == code, ran.err
    assert said in ran.err
    assert strange.run().code == 0
    _is_right(strange, 0)


@pytest.mark.sweep
def test_a_piece_that_the_executor_does_not_take_fails_alone_and_says_why(strange: Case) -> None:
    strange.write([*TEXTS[:3], "POISON", *TEXTS[4:]])
    for again in ((), ("--retry-failed",)):
        ran = strange.run("--cluster", "strange:Poisoned", *again)
        assert ran.code == 3, ran.err
        [error] = strange.table("errors")
        assert error["reason"] == "not_taken"
        assert error["source"].startswith("sources.text[3]")
        assert (
            "--cluster strange:Poisoned does not take it: ValueError: message of 5 bytes is larger than 4"
            in (error["message"])
        )
        assert len(strange.table("letters")) == len(TEXTS) - 1
    assert strange.run("--retry-failed").code == 0


@pytest.mark.sweep
def test_what_is_too_much_at_one_time_is_measured_in_parts(strange: Case) -> None:
    strange.write([*TEXTS[:3], "POISON", *TEXTS[4:]], batching={"max_sources": 6})
    ran = strange.run("--cluster", "strange:Poisoned")
    assert ran.code == 3, ran.err
    [error] = strange.table("errors")
    assert error["source"].startswith("sources.text[3]")
    assert len(strange.table("letters")) == len(TEXTS) - 1


@pytest.mark.sweep
def test_after_a_lost_worker_an_executor_that_takes_nothing_any_more_ends_the_run(strange: Case) -> None:
    strange.write(["kill", "One", "Two"])
    ran = strange.run("--cluster", "strange:LosesThenTakesNothing")
    assert ran.code == 5, ran.err
    assert "LosesThenTakesNothing breaks again and again: OSError: no node is free" in ran.err
    assert "at the service" not in ran.out


@pytest.mark.sweep
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_one_signal_ends_a_run_whose_executor_blocks(strange: Case, number: int, code: int) -> None:
    process = strange.start("--cluster", "strange:Blocks")
    while not list(strange.folder.glob("out/cluster/run-*/seen-*")):
        time.sleep(0.05)
    time.sleep(0.5)  # until its pieces wait in submit()
    process.send_signal(number)
    assert strange.ended(process).code == code
    assert not (strange.folder / "out/cluster").exists()
    assert strange.run().code == 0


@pytest.mark.sweep  # some seconds longer than a piece may take
def test_waiting_in_submit_counts_to_job_timeout(strange: Case) -> None:
    strange.write(TEXTS[:2], execution={"job_timeout": "1s"})
    ran = strange.run("--cluster", "strange:Blocks")
    assert ran.code == 3, ran.err
    errors = strange.table("errors")
    assert {error["reason"] for error in errors} == {"timed_out"}
    assert "nothing came back of it within execution.job_timeout, 1 s" in errors[0]["message"]


@pytest.mark.sweep
def test_the_folder_that_all_share_is_told_when_it_vanishes(strange: Case) -> None:
    ran = strange.run("--cluster", "strange:Wipes")
    assert ran.code == 5, ran.err
    assert "which the run shares with its workers, is gone" in ran.err
    assert "interrupted" not in ran.err + ran.out
    assert "service" not in ran.err + ran.out
    assert strange.run().code == 0

"""An executor of somebody else's is a guest in the command's process: it neither holds it, nor writes into its result,
nor ends it as if all were done, and its processes go with it.

Each has an interpreter of its own: what threads, exit handlers and pools do as Python ends is what this is about.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.computing.case import Case
from tests.tiers import sampled

GUESTS = """
import atexit, asyncio, concurrent.futures, multiprocessing, os, signal, sys, tempfile, threading, time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor

def hang(*_):
    time.sleep(10**6)

class Threads(Executor):
    def __init__(self):
        self.pool, self._max_workers = ThreadPoolExecutor(2), 2
    def shutdown(self, *args, **kwargs):
        self.pool.shutdown(wait=False)
    def submit(self, function, *args):
        return self.pool.submit(function, *args) if function.__name__ == "tell" else self.later(function, *args)
    def later(self, function, *args):
        return self.pool.submit(function, *args)

class ThreadStays(Threads):
    def __init__(self):
        super().__init__()
        threading.Thread(target=threading.Event().wait).start()

class ThreadComputes(Threads):
    '''For ever, beside a process that is to be ended; from when all is measured, since it takes a core.'''
    def __init__(self):
        super().__init__()
        multiprocessing.get_context("spawn").Process(target=hang).start()
    def shutdown(self, *args, **kwargs):
        def compute():
            while True:
                pass
        threading.Thread(target=compute).start()

class HandlerStays(Threads):
    def __init__(self):
        super().__init__()
        atexit.register(threading.Event().wait)

class HandlerRaises(Threads):
    def __init__(self):
        super().__init__()
        atexit.register(lambda: 1 / 0)

class HandlerExits(Threads):
    def __init__(self):
        super().__init__()
        atexit.register(os._exit, 7)
        atexit.register(sys.exit, 8)

class PoolStays(Threads):
    '''A thread of a pool works for ever, and concurrent.futures joins it at the end.'''
    def later(self, function, *args):
        ThreadPoolExecutor(1).submit(hang)
        return self.pool.submit(function, *args)

class ProcessStays(Threads):
    def __init__(self):
        super().__init__()
        self.other = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
        self.other.submit(hang)

class RestartsProcesses(Threads):
    '''A pool that starts a process for each that is ended.'''
    def __init__(self):
        super().__init__()
        self.other = multiprocessing.get_context("spawn").Pool(1)
        self.other.apply_async(hang)
        threading.Thread(target=threading.Event().wait).start()

class Spawned(Executor):
    context = "spawn"
    def __init__(self):
        self.pool, self._max_workers = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(self.context)), 2
    def submit(self, function, *args):
        return self.pool.submit(function, *args)
    def shutdown(self, *args, **kwargs):
        self.pool.shutdown(*args, **kwargs)

class Forked(Spawned):
    context = "fork"

class Hangs(Spawned):
    asked = 0
    def submit(self, function, *args):
        Hangs.asked += 1
        return self.pool.submit(function, *args) if Hangs.asked == 1 else self.pool.submit(hang)

class Forks(Threads):
    '''A child of it goes on in our code, and would be a second run.'''
    asked = 0
    def later(self, function, *args):
        Forks.asked += 1
        if Forks.asked == 2:
            os.fork()
        return self.pool.submit(function, *args)

class Prints(Threads):
    def later(self, function, *args):
        print("from submit")
        os.write(1, b"from its descriptor\\n")
        sys.__stdout__.write("from the first stream\\n")
        sys.__stdout__.flush()
        os.system("echo from a program")
        return self.pool.submit(function, *args)
print("from the module")

def factory_exits():
    os._exit(0)

class SubmitExits(Threads):
    def later(self, function, *args):
        os._exit(0)

class ShutdownExits(Threads):
    def shutdown(self, *args, **kwargs):
        os._exit(0)

def ignores_signals():
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.SIG_IGN)
    return Hangs()

def alarm(raised):
    def later():
        def leave(*_):
            raise raised
        signal.signal(signal.SIGALRM, leave)
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        return Hangs()
    return later

class Own(BaseException):
    pass

alarm_exits, alarm_closes = alarm(SystemExit(0)), alarm(GeneratorExit())
alarm_cancels, alarm_own = alarm(asyncio.CancelledError()), alarm(Own("of ours\\nand two lines"))

def nowhere():
    tempfile.tempdir = "/nonexistent"
    return Threads()

class Nothing(Executor):
    pass

class Bytes(bytes):
    def __len__(self):
        raise SystemExit(2)
    startswith = __getitem__ = __len__

def changed(change):
    class Changed(Threads):
        def later(self, function, *args):
            return self.pool.submit(lambda: change(function(*args)))
    return Changed

other_bytes = changed(Bytes)
odd_name = changed(lambda answer: type("\\x1b[31m\\nX" * 1000, (), {})())

class NoMarks(Threads):
    def later(self, function, run, *args):
        import shutil
        shutil.rmtree(os.path.join(run["folder"], "calls"), ignore_errors=True)
        return self.pool.submit(function, run, *args)
"""
MARK = "HUME_RUNNER_TEST_GUEST"


@pytest.fixture
def guests(case: Case) -> Case:
    (case.folder / "guests.py").write_text(GUESTS)
    case.write(["One", "Three", "Seven"])
    case.environ[MARK] = str(case.folder)
    return case


def start(case: Case, kind: str, *words: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "hume_runner", "run", "m.yaml", "--no-progress", "--cluster", f"guests:{kind}"]
    environ = {**os.environ, **case.environ}
    return subprocess.Popen(
        [*argv, *words],
        cwd=case.folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str], within_s: float = 60) -> tuple[int, str, str]:
    try:
        out, err = process.communicate(timeout=within_s)
    finally:
        process.kill()
    assert "Traceback" not in err, err
    return process.returncode, out, err


def living(case: Case) -> list[int]:
    """Processes that the case's command started, or that those did."""
    mark, found = f"{MARK}={case.folder}".encode(), []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def are_gone(case: Case, within_s: float = 10) -> bool:
    until = time.monotonic() + within_s
    while (left := living(case)) and time.monotonic() < until:
        time.sleep(0.1)
    for one in left:
        with contextlib.suppress(OSError):
            os.kill(one, signal.SIGKILL)
    return not left


@pytest.mark.sweep  # two seconds each
@sampled(2)
@pytest.mark.parametrize(
    "kind",
    [
        "ThreadStays",
        "ThreadComputes",
        "ProcessStays",
        "RestartsProcesses",
        "PoolStays",
        "HandlerStays",
        "HandlerRaises",
        "HandlerExits",
    ],
)
def test_a_run_ends_soon_after_its_last_word_whatever_an_executor_left(guests: Case, kind: str) -> None:
    process = start(guests, kind, "--json")
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["event"] == "done":
            break
    said = time.monotonic()
    code, _, err = ended(process)
    assert time.monotonic() - said < 6  # two, and what a machine that does more takes
    assert code == 0, err
    assert are_gone(guests)


@pytest.mark.sweep  # a pool starts, and each signal is waited for
@sampled(2)
@pytest.mark.parametrize(
    ("kind", "numbers", "code"),
    [
        ("Hangs", (signal.SIGINT,), 130),
        ("Hangs", (signal.SIGTERM, signal.SIGTERM), 143),
        ("Hangs", (signal.SIGHUP,), 143),
        ("ignores_signals", (signal.SIGINT,), 130),
        ("ignores_signals", (signal.SIGTERM,), 143),
    ],
)
def test_signals_end_a_run_whose_workers_never_end(
    guests: Case, kind: str, numbers: tuple[signal.Signals, ...], code: int
) -> None:
    process = start(guests, kind)
    while not list(guests.folder.glob("out/cluster/run-*/seen-*")):
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(1)  # until its pieces are handed over
    for number in numbers:
        process.send_signal(number)
        time.sleep(0.3)
    assert ended(process, 20)[0] == code
    assert are_gone(guests)
    assert guests.run().code == 0


@pytest.mark.sweep  # a pool starts
@pytest.mark.parametrize("kind", ["Spawned", "Forked"])
def test_the_workers_of_a_run_that_is_killed_end_with_it(guests: Case, kind: str) -> None:
    guests.write(["note sleep 600 at notes"] * 2)
    process = start(guests, kind)
    while not (guests.folder / "notes").exists():
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(0.5)  # both of them work
    assert len(living(guests)) > 1
    process.kill()
    process.communicate()
    assert are_gone(guests)


@pytest.mark.sweep
def test_what_an_executor_writes_is_no_line_of_the_result(guests: Case) -> None:
    code, out, err = ended(start(guests, "Prints", "--json"))
    assert code == 0, err
    events = [json.loads(line)["event"] for line in out.splitlines()]
    assert (events[0], events[-1]) == ("launch", "done")
    for words in ("submit", "its descriptor", "the first stream", "a program", "the module"):
        assert f"from {words}" in err


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize(
    ("kind", "code", "said"),
    [
        ("factory_exits", 64, "does not start: WantedToLeave: it ends the process that asks it, with exit code 0"),
        ("SubmitExits", 5, "breaks again and again: WantedToLeave: it ends the process that asks it"),
        ("alarm_exits", 64, "code of another package ended the command: SystemExit: 0"),
        ("alarm_closes", 64, "code of another package ended the command: GeneratorExit"),
        ("alarm_cancels", 64, "code of another package ended the command: CancelledError"),
        ("alarm_own", 64, "code of another package ended the command: Own: of ours and two lines"),
        ("Nothing", 64, "gives a Nothing, which has no submit() of its own"),
        ("NoMarks", 5, "which the run shares with its workers, is gone or not whole"),
        ("nowhere", 64, "/nonexistent, which is the folder for temporary files, takes none"),
    ],
)
def test_what_would_end_the_run_is_an_error_with_its_code(guests: Case, kind: str, code: int, said: str) -> None:
    ran = ended(start(guests, kind, "--json"))
    assert ran[0] == code, ran[2]
    assert said in ran[2]
    assert json.loads(ran[1].splitlines()[-1])["exit_code"] == code
    assert are_gone(guests)
    assert guests.run().code == 0


@pytest.mark.sweep
def test_a_child_that_an_executor_forks_is_no_second_run(guests: Case) -> None:
    code, out, err = ended(start(guests, "Forks", "--json"))
    assert code == 0, err
    assert [json.loads(line)["event"] for line in out.splitlines()].count("done") == 1
    assert guests.run().code == 0  # nobody holds the state
    assert are_gone(guests)


@pytest.mark.sweep
def test_an_executor_that_exits_as_it_is_shut_down_changes_no_code(guests: Case) -> None:
    code, out, err = ended(start(guests, "ShutdownExits", "--json"))
    assert code == 0, err
    assert json.loads(out.splitlines()[-1])["event"] == "done"


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("kind", "named"), [("other_bytes", "a Bytes, "), ("odd_name", "a \\u001b[31m X\\u001b[31m X")]
)
def test_an_answer_of_a_class_of_theirs_is_none_and_named_in_a_line(guests: Case, kind: str, named: str) -> None:
    code, _, err = ended(start(guests, kind))
    assert code == 3, err
    assert named in err
    assert max(map(len, err.splitlines())) < 500
    assert {error["reason"] for error in guests.table("errors")} == {"no_answer"}


@pytest.mark.sweep
@pytest.mark.parametrize(
    "raised",
    ["GeneratorExit", "KeyboardInterrupt", "__import__('asyncio').CancelledError", "type('O', (BaseException,), {})"],
)
def test_a_module_that_raises_what_is_no_exception_does_not_load(guests: Case, raised: str) -> None:
    (guests.folder / "guests.py").write_text(f"raise {raised}()\n")
    code, _, err = ended(start(guests, "make"))
    assert code == 64, err
    assert "guests does not load: " in err

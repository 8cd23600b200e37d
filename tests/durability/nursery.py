"""A small process that has everything imported and forks one child a run: `python -m tests.durability.nursery`.

It has no threads, so a fork copies nothing half-done, and a child costs milliseconds. Speaks JSON, one line a message.
`{"run": [CHILD, ...], "at_once": 6}` answers `{"codes": [...]}`. `{"together": [CHILD, ...]}` lets all of them go at
the same moment, when each has done all that it does before it takes the lock; `hold` and `remove` see `children`.
A code below zero is the signal that ended it.

A CHILD of either API is `{"argv", "key", "out"}` and, as wanted:
`disk`: what goes wrong at which durable operation, see `disks.make_disk`; `mutant`: a safeguard that is taken away;
`signals`: `[[seconds, number], ...]` that it gets after so many seconds; `closed`: `{"stdout": 100}`, a pipe whose
reader leaves after so many bytes; `clock`: `[[when, by_s], ...]`, steps of its wall clock after so many seconds or
with a durable operation, which its monotonic one does not follow;
`settle_s`, `slow_s`, `late_s`: patience; `environ`; `runs`, for a machine of its own.
What it says goes to the files OUT.stdout and OUT.stderr, the names of its durable operations to OUT.trace.
"""

from __future__ import annotations

import contextlib
import gc
import heapq
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

# What a run of either API imports on its way.
import av
import av.codec.context
import av.filter
import av.video.codeccontext
import requests.adapters  # noqa: F401
from filelock import FileLock  # noqa: F401

import hume_runner.api.functions
import hume_runner.api.measurers
import hume_runner.cli.progress
import hume_runner.cli.run
import hume_runner.cli.signals
import hume_runner.engine.run
import hume_runner.http.access
import hume_runner.http.json_stream
import hume_runner.http.retry
import hume_runner.http.transport
import hume_runner.http.upload
import hume_runner.manifest.load
import hume_runner.manifest.schema
import hume_runner.media.archives
import hume_runner.media.audio
import hume_runner.media.cache
import hume_runner.media.cuts
import hume_runner.media.frames
import hume_runner.media.stills
import hume_runner.registry
import hume_runner.results.finish
import hume_runner.services.batch_v0.client
import hume_runner.services.batch_v0.service
import hume_runner.services.expression_v1.client
import hume_runner.services.expression_v1.service
import hume_runner.sources  # noqa: F401
from hume_runner.cli.console import Console
from hume_runner.cli.main import main
from hume_runner.settings import Settings
from tests.durability.clocks import SteppedMachine
from tests.durability.disks import CountedDisk, make_disk
from tests.durability.mutants import MUTANTS

LONGEST_RUN_S = 60
STUCK_S = 10  # without any child's end, those that are left wait for one another


def live(child: Mapping[str, Any], gates: Sequence[Callable[[], None]] = ()) -> int:
    """One run, in the process of its own that this is; returns its exit code. `gates`: see `SteppedMachine`."""
    signal.alarm(LONGEST_RUN_S)
    disk = make_disk(child.get("disk"))
    if child.get("mutant"):
        disk = MUTANTS[child["mutant"]](disk)
    machine = SteppedMachine(
        disk=disk,
        environ={"HUME_API_KEY": child["key"], **child.get("environ", {})},
        settings=Settings(
            settle_s=child.get("settle_s", 0.2),
            settle_slow_s=child.get("slow_s"),
            late_s=child.get("late_s", 0.5),
            runs=Path(child.get("runs") or os.environ["HUME_RUNNER_RUNS"]),
        ),
        steps=tuple((when, by_s) for when, by_s in child.get("clock", ())),
        gates=list(gates),
    )
    out = child["out"]
    with _stream(child, "stdout") as stdout, _stream(child, "stderr") as stderr:
        os.dup2(stdout.fileno(), 1)
        os.dup2(stderr.fileno(), 2)
        sys.stdout, sys.stderr = stdout, stderr
        try:
            code = main(child["argv"], Console(out=stdout, err=stderr), machine)
        except BaseException as error:
            Path(out + ".escaped").write_text(repr(error))
            raise
        finally:
            if isinstance(disk, CountedDisk):
                Path(out + ".trace").write_text("\n".join(disk.operations))
        _let_go(stdout, stderr)
    return code


def _stream(child: Mapping[str, Any], name: str) -> TextIO:
    """A file that keeps all that is said; or a pipe, whose reader leaves early and keeps nothing."""
    path = Path(f"{child['out']}.{name}")
    patience = child.get("closed", {}).get(name)
    if patience is None:
        return path.open("w")
    path.write_text("")
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.close(writing)
        while patience > 0 and (block := os.read(reading, patience)):
            patience -= len(block)
        os._exit(0)
    os.close(reading)
    return os.fdopen(writing, "w")


def _let_go(*streams: TextIO) -> None:
    """What could not be written is gone; closing must not complain about it."""
    for stream in streams:
        with contextlib.suppress(OSError):
            stream.flush()


@dataclass(frozen=True, slots=True)
class Gate:
    """Where children wait for one another: each says on one pipe that it is there, and all read the end of another."""

    arrived: tuple[int, int]
    opens: tuple[int, int]

    def wait(self) -> None:
        os.write(self.arrived[1], b".")
        os.read(self.opens[0], 1)

    def open(self, children: int) -> None:
        """Once all are there, or somebody surely does not come any more."""
        until = time.monotonic() + LONGEST_RUN_S / 3
        while children > 0 and select.select([self.arrived[0]], [], [], max(0.0, until - time.monotonic()))[0]:
            children -= len(os.read(self.arrived[0], children))
        for end in (*self.opens, *self.arrived):
            os.close(end)


def fork(child: Mapping[str, Any], gate: Gate | None = None) -> int:
    pid = os.fork()
    if pid:
        return pid
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    code = 99
    try:
        if gate is not None:
            os.close(gate.opens[1])
        code = live(child, [gate.wait] if gate is not None else [])
    except BaseException as error:
        Path(child["out"] + ".stderr").write_text(f"escaped: {error!r}")
    finally:
        os._exit(code)


def run(children: Sequence[Mapping[str, Any]], at_once: int) -> list[int]:
    codes: dict[int, int] = {}
    running: dict[int, int] = {}
    due: list[tuple[float, int, int]] = []  # when, whom, which signal
    for number, child in enumerate(children):
        pid = fork(child)
        running[pid] = number
        for seconds, wanted in child.get("signals", ()):
            heapq.heappush(due, (time.monotonic() + seconds, pid, wanted))
        while len(running) >= at_once:
            _wait(running, codes, due)
    while running:
        _wait(running, codes, due)
    return [codes[number] for number in range(len(children))]


def together(children: Sequence[Mapping[str, Any]], hold: Path | None, remove: Sequence[Path]) -> list[int]:
    gate = Gate(os.pipe(), os.pipe())
    running = {}
    due: list[tuple[float, int, int]] = []
    for number, child in enumerate(children):
        pid = fork(child, gate)
        running[pid] = number
        due += [(time.monotonic() + seconds, pid, wanted) for seconds, wanted in child.get("signals", ())]
    heapq.heapify(due)
    gate.open(len(children))
    codes: dict[int, int] = {}
    until = time.monotonic() + STUCK_S
    while running:
        if hold is not None and (len(running) == 1 or time.monotonic() > until):
            hold.touch()
            hold = None
        for path in remove if hold is not None else ():
            path.unlink(missing_ok=True)
        before = len(running)
        _wait(running, codes, due, longest_s=0.002 if remove and hold is not None else 1.0)
        if len(running) < before:
            until = time.monotonic() + STUCK_S
    return [codes[number] for number in range(len(children))]


def _wait(
    running: dict[int, int], codes: dict[int, int], due: list[tuple[float, int, int]], longest_s: float = 1.0
) -> None:
    """Until a child ended or a signal was sent."""
    pid, status = os.waitpid(-1, os.WNOHANG)
    if pid:
        codes[running.pop(pid)] = os.waitstatus_to_exitcode(status)
    elif due and due[0][0] <= time.monotonic():
        _, whom, wanted = heapq.heappop(due)
        if whom in running:  # not waited for yet, so the number still belongs to it
            os.kill(whom, wanted)
    else:
        longest = min(longest_s, max(0.0, due[0][0] - time.monotonic())) if due else longest_s
        signal.sigtimedwait({signal.SIGCHLD}, longest)


def serve(lines: TextIO, answers: TextIO) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})  # waited for, in `_wait`
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # as the installed command does; a child may get it at once
    for line in lines:
        match json.loads(line):
            case {"run": children, "at_once": at_once}:
                codes = run(children, at_once)
            case {"together": children, "hold": hold, "remove": remove}:
                codes = together(children, Path(hold) if hold else None, [Path(path) for path in remove])
        answers.write(json.dumps({"codes": codes}) + "\n")
        answers.flush()


if __name__ == "__main__":
    av.logging.set_level(None)
    gc.freeze()  # or each child's first collection copies every page
    serve(sys.stdin, sys.stdout)

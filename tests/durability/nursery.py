"""A small process that has everything imported and forks one child a run: `python -m tests.durability.nursery`.

It has no threads, so a fork copies nothing half-done, and a child costs milliseconds. Speaks JSON, one line a message.
`{"run": [CHILD, ...], "at_once": 6}` answers `{"codes": [...]}`, `{"together": [CHILD, ...]}` lets all of them go at
the same moment, `{"race": [CHILD, ...]}` kills each after its `seconds`. A code below zero is the signal that ended it.
A CHILD is `{"argv", "key", "disk", "mutant", "settle_s", "late_s", "environ", "out"}`; what it says goes to the files
OUT.stdout and OUT.stderr, the names of its durable operations to OUT.trace.
"""

from __future__ import annotations

import gc
import io
import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# What a run imports on its way.
import requests.adapters  # noqa: F401
from filelock import FileLock  # noqa: F401

import hume_runner.cli.progress
import hume_runner.cli.run
import hume_runner.cli.signals
import hume_runner.client.batch_v0
import hume_runner.client.json_stream
import hume_runner.client.retry
import hume_runner.client.transport
import hume_runner.engine.run
import hume_runner.manifest.load
import hume_runner.manifest.schema
import hume_runner.results.finish
import hume_runner.services.batch_v0
import hume_runner.services.registry
import hume_runner.sources  # noqa: F401
from hume_runner.cli.console import Console
from hume_runner.cli.main import main
from hume_runner.settings import Settings
from hume_runner.wiring import Machine
from tests.durability.disks import CountedDisk, make_disk
from tests.durability.mutants import MUTANTS

LONGEST_RUN_S = 60


def live(child: Mapping[str, Any]) -> int:
    """One run, in the process of its own that this is; returns its exit code."""
    signal.alarm(LONGEST_RUN_S)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # as the installed command does
    disk = make_disk(child.get("disk"))
    if child.get("mutant"):
        disk = MUTANTS[child["mutant"]](disk)
    machine = Machine(
        disk=disk,
        environ={"HUME_API_KEY": child["key"], **child.get("environ", {})},
        settings=Settings(settle_s=child.get("settle_s", 0.2), late_s=child.get("late_s", 0.5)),
    )
    out = child["out"]
    with Path(out + ".stdout").open("w") as stdout, Path(out + ".stderr").open("w") as stderr:
        os.dup2(stdout.fileno(), 1)
        os.dup2(stderr.fileno(), 2)
        sys.stdout, sys.stderr = stdout, stderr
        code = main(child["argv"], Console(out=stdout, err=stderr), machine)
    if isinstance(disk, CountedDisk):
        Path(out + ".trace").write_text("\n".join(disk.operations))
    return code


def fork(child: Mapping[str, Any], gate: tuple[int, int] | None = None) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 99
    try:
        if gate is not None:
            os.close(gate[1])
            os.read(gate[0], 1)
        code = live(child)
    except BaseException as error:
        Path(child["out"] + ".stderr").write_text(f"escaped: {error!r}")
    finally:
        os._exit(code)


def run(children: Sequence[Mapping[str, Any]], at_once: int) -> list[int]:
    codes: dict[int, int] = {}
    running: dict[int, int] = {}
    for number, child in enumerate(children):
        running[fork(child)] = number
        while len(running) >= at_once:
            _reap(running, codes)
    while running:
        _reap(running, codes)
    return [codes[number] for number in range(len(children))]


def _reap(running: dict[int, int], codes: dict[int, int]) -> None:
    pid, status = os.wait()
    codes[running.pop(pid)] = os.waitstatus_to_exitcode(status)


def together(children: Sequence[Mapping[str, Any]]) -> list[int]:
    gate = os.pipe()
    running = {fork(child, gate): number for number, child in enumerate(children)}
    os.close(gate[0])
    os.close(gate[1])
    codes: dict[int, int] = {}
    while running:
        _reap(running, codes)
    return [codes[number] for number in range(len(children))]


def race(children: Sequence[Mapping[str, Any]]) -> list[int]:
    codes: dict[int, int] = {}
    running: dict[int, int] = {}
    due: list[tuple[float, int]] = []
    for number, child in enumerate(children):
        pid = fork(child)
        running[pid] = number
        due.append((time.monotonic() + child["seconds"], pid))
    for when, pid in sorted(due):
        time.sleep(max(0.0, when - time.monotonic()))
        # Not waited for yet, so the number still belongs to it.
        os.kill(pid, signal.SIGKILL)
    while running:
        _reap(running, codes)
    return [codes[number] for number in range(len(children))]


def serve(lines: io.TextIOBase, answers: io.TextIOBase) -> None:
    for line in lines:
        match json.loads(line):
            case {"run": children, "at_once": at_once}:
                codes = run(children, at_once)
            case {"together": children}:
                codes = together(children)
            case {"race": children}:
                codes = race(children)
        answers.write(json.dumps({"codes": codes}) + "\n")
        answers.flush()


if __name__ == "__main__":
    gc.freeze()  # or each child's first collection copies every page
    serve(sys.stdin, sys.stdout)  # type: ignore[arg-type]

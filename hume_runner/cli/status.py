"""`hume-runner status`: where a manifest stands, from its state file alone; works while a run goes on."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar

from hume_runner.amounts import counted
from hume_runner.cli.console import Console
from hume_runner.cli.lines import ABSENT, Absent, Line
from hume_runner.cli.manifests import project, shard_flag
from hume_runner.frozen import frozen

if TYPE_CHECKING:
    from hume_runner.api import Holder, JobStatus, Project, Seen, Status

_WATCH_EVERY_S = 2.0


@frozen
class Standing(Line):
    """Where a manifest stands. `lock`: who runs it; `items`, `jobs`: numbers by state."""

    event: ClassVar[str] = "status"
    name: str
    state: str
    simulated: bool | None
    lock: Mapping[str, Any] | None
    items: Mapping[str, int]
    jobs: Mapping[str, int]
    job_list: Sequence[Mapping[str, Any]] | Absent = ABSENT


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("manifest", metavar="MANIFEST")
    shard_flag(parser)
    parser.add_argument("--jobs", action="store_true", help="list every job")
    parser.add_argument("--watch", action="store_true", help="repeat until the run ends")


def run(args: argparse.Namespace, console: Console) -> int:
    found = project(args, console)
    if args.watch:
        _watch(found, console, jobs=args.jobs)
    else:
        with found.look() as seen:
            _tell(seen.status, seen, console, jobs=args.jobs)
    return 0


def _tell(status: Status, seen: Seen, console: Console, *, jobs: bool) -> None:
    if console.json:
        console.counts = status.items
        console.event(_standing(status, [_job(job) for job in seen.jobs()] if jobs else ABSENT))
    else:
        for line in _lines(status, seen, jobs=jobs):
            console.result(line)
    console.out.flush()


def _watch(found: Project, console: Console, *, jobs: bool) -> None:
    """Until the run ends. A terminal shows a picture that changes; elsewhere what did not change is not said again."""
    redraws = not console.json and console.can_draw(console.out)
    shown: list[str] = []
    try:
        if redraws:
            console.draw(lambda width: [console.for_people(line, console.out)[:width] for line in shown], console.out)
        while not console.out.broken:
            with found.look() as seen:
                status = seen.status
                if status.lock is None:
                    console.stop_drawing()
                    _tell(status, seen, console, jobs=jobs)
                    return
                before = list(shown)
                shown[:] = () if console.json else _lines(status, seen, jobs=jobs)
                if console.json or (not redraws and shown != before):
                    _tell(status, seen, console, jobs=jobs)
            time.sleep(_WATCH_EVERY_S)
    finally:
        console.stop_drawing()


def _standing(status: Status, job_list: Sequence[Mapping[str, Any]] | Absent) -> Standing:
    return Standing(
        name=status.name,
        state=str(status.state),
        simulated=status.simulated,
        lock=asdict(status.lock) if status.lock else None,
        items=dict(status.items),
        jobs=dict(status.jobs),
        job_list=job_list,
    )


def _job(job: JobStatus) -> dict[str, Any]:
    return {
        "key": job.key,
        "remote_id": job.remote_id,
        "status": job.status,
        "sources": job.sources,
        "error": job.error,
    }


def _lines(status: Status, seen: Seen, *, jobs: bool) -> Iterator[str]:
    """What a person reads; jobs are streamed."""
    items = status.items
    if not items["total"] and (isinstance(status.state, str) or not status.state.exists()):
        yield f"{status.name}: nothing ran yet, there is no state at {status.state}"
        return
    if status.lock is not None and not items["total"]:
        # A state that a run has just made: what it lists is known once it is planned.
        yield f"{status.name}: {_phase(status.lock) or 'planning'}"
        yield f"  a run is on: process {status.lock.pid} on {status.lock.host}"
        return
    yield f"{status.name}: {items['done']:,} of {counted(items['total'], 'item')} measured"
    if status.simulated:
        yield "  SIMULATED SCORES: the emulator measured nothing"
    if status.simulated is None and items["done"]:
        yield "  measured or simulated: nobody said of the answers from files"
    for kind, numbers in (("items", items), ("jobs", seen.told_jobs)):
        parts = [
            f"{number:,} {_words(name, status, here=seen.here)}"
            for name, number in numbers.items()
            if number and name != "total"
        ]
        yield f"  {kind:<6} {', '.join(parts) or 'none'}"
    if seen.left_out:
        besides = counted(seen.left_out, "item")
        yield f"  left out {besides} that the manifest lists as well: `hume-runner run MANIFEST` goes on with them"
    if status.lock:
        phase = _phase(status.lock)
        doing = f", {phase}" if phase else ""
        yield f"  a run is on: process {status.lock.pid} on {status.lock.host}{doing}"
    if items["ambiguous"] and not seen.here:
        who = "this run" if status.lock else "the next run"
        yield f"  ambiguous: the answer to a submission was lost; {who} asks the service"
    for reason, number in list(seen.failures().items())[:5]:
        yield f"  failed   {number:,} × {reason}"
    for remote_id, number in seen.duplicates():
        yield f"  paid twice: {remote_id} carries the same as job-{number:06d}"
    for remote_id, number in seen.perhaps_paid_twice():
        yield f"  perhaps paid twice: {remote_id} may be the same as job-{number:06d}"
    if jobs:
        for job in seen.jobs():
            error = f"  {job.error}" if job.error else ""
            remote = job.remote_id or "-"
            yield f"  {job.name} {job.status:<10} {remote:<36} {counted(job.sources, 'source'):>12}{error}"


def _phase(holder: Holder) -> str:
    """What a run does at the moment; empty where nothing tells, and where it works on its jobs, which are counted."""
    from hume_runner.cli.run_shown import PHASES

    return "" if holder.phase == "working" else PHASES.get(holder.phase, "")


def _words(name: str, status: Status, *, here: bool) -> str:
    """A count's name for people. Where this machine measures, no service works on while no run does."""
    if here and name in ("in_flight", "ambiguous", "submitting", "submitted"):
        return "being measured" if status.lock else "broken off (a run goes on)"
    return name.replace("_", " ")

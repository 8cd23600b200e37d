"""`hume-runner status`: where a manifest stands, from its state file alone; works while a run goes on."""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hume_runner.amounts import counted
from hume_runner.cli.console import Console
from hume_runner.cli.manifests import shard_flag

if TYPE_CHECKING:
    from hume_runner.api import JobStatus, Seen, Status

_WATCH_EVERY_S = 2.0


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("manifest", metavar="MANIFEST")
    shard_flag(parser)
    parser.add_argument("--jobs", action="store_true", help="list every job")
    parser.add_argument("--watch", action="store_true", help="repeat until the run ends")


def run(args: argparse.Namespace, console: Console) -> int:
    from hume_runner.cli.manifests import project

    found = project(args, console)
    while True:
        with found.look() as seen:
            status = seen.status
            if console.json:
                console.counts = status.items
                jobs = {"job_list": [_job(job) for job in seen.jobs()]} if args.jobs else {}
                console.event("status", **_members(status), **jobs)
            else:
                _print(status, seen, console, jobs=args.jobs)
        console.out.flush()
        if not args.watch or status.lock is None or console.out.broken:
            return 0
        time.sleep(_WATCH_EVERY_S)


def _members(status: Status) -> dict[str, Any]:
    return {
        "name": status.name,
        "state": str(status.state),
        "simulated": status.simulated,
        "lock": asdict(status.lock) if status.lock else None,
        "items": dict(status.items),
        "jobs": dict(status.jobs),
    }


def _job(job: JobStatus) -> dict[str, Any]:
    return {
        "key": job.key,
        "remote_id": job.remote_id,
        "status": job.status,
        "sources": job.sources,
        "error": job.error,
    }


def _print(status: Status, seen: Seen, console: Console, *, jobs: bool) -> None:
    from hume_runner.services.base import job_name

    items = status.items
    if not items["total"] and (isinstance(status.state, str) or not status.state.exists()):
        console.result(f"{status.name}: nothing ran yet, there is no state at {status.state}")
        return
    console.result(f"{status.name}: {items['done']:,} of {counted(items['total'], 'item')} measured")
    if status.simulated:
        console.result("  SIMULATED SCORES: the emulator measured nothing")
    for kind, numbers in (("items", items), ("jobs", status.jobs)):
        parts = [f"{number} {name.replace('_', ' ')}" for name, number in numbers.items() if number and name != "total"]
        console.result(f"  {kind:<6} {', '.join(parts) or 'none'}")
    if status.lock:
        console.result(f"  a run is on: process {status.lock.pid} on {status.lock.host}")
    if items["ambiguous"]:
        console.result("  ambiguous: the answer to a submission was lost; the next run asks the service")
    for reason, number in list(seen.failures().items())[:5]:
        console.result(f"  failed   {number} × {reason}")
    for remote_id, number in seen.duplicates():
        console.result(f"  paid twice: {remote_id} carries the same as job-{number:06d}")
    for remote_id, number in seen.perhaps_paid_twice():
        console.result(f"  perhaps paid twice: {remote_id} may be the same as job-{number:06d}")
    if jobs:
        for job in seen.jobs():
            error = f"  {job.error}" if job.error else ""
            remote = job.remote_id or "-"
            console.result(f"  {job_name(job.number)} {job.status:<10} {remote:<36} {job.sources:>4}{error}")

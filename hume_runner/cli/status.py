"""`hume-runner status`: where a manifest stands, from its state file alone; works while a run goes on."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from hume_runner.cli.console import Console

if TYPE_CHECKING:
    from hume_runner.manifest.model import Manifest
    from hume_runner.state.lock import Holder
    from hume_runner.state.store import Store
    from hume_runner.wiring import Paths

_WATCH_EVERY_S = 2.0


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("manifest", metavar="MANIFEST")
    parser.add_argument("--jobs", action="store_true", help="list every job")
    parser.add_argument("--watch", action="store_true", help="repeat until the run ends")


def run(args: argparse.Namespace, console: Console) -> int:
    from hume_runner import wiring
    from hume_runner.cli.manifests import load
    from hume_runner.state.lock import StateLock

    manifest = load(args, console)
    paths = wiring.Paths.of(manifest, args.state)
    while True:
        # Before the state is open here: to look at the lock opens and closes the file, see `state.pinned`.
        holder = StateLock(paths.state).held()
        with wiring.peek(paths, manifest) as store:
            facts = _facts(manifest, paths, store, holder)
            if console.json:
                console.document({**facts, **({"job_list": list(_jobs(store))} if args.jobs else {})})
            else:
                _print(facts, store, console, jobs=args.jobs)
        console.out.flush()
        if not args.watch or facts["lock"] is None or console.out.broken:
            return 0
        time.sleep(_WATCH_EVERY_S)


def _facts(manifest: Manifest, paths: Paths, store: Store, holder: Holder | None) -> dict[str, Any]:
    from dataclasses import asdict

    counts = store.counts()
    return {
        "name": manifest.name,
        "state": str(paths.state),
        "simulated": store.any_simulated(),
        "lock": asdict(holder) if holder else None,
        "items": dict(counts.items),
        "jobs": dict(counts.jobs),
    }


def _jobs(store: Store) -> Any:
    from hume_runner.settings import mask_secrets

    for job in store.jobs():
        yield {
            "key": job.key,
            "remote_id": job.remote_id,
            "status": str(job.status),
            "sources": job.sources,
            "error": mask_secrets(job.error) if job.error else None,
        }


def _print(facts: dict[str, Any], store: Store, console: Console, *, jobs: bool) -> None:
    from hume_runner.services.base import job_name

    items = facts["items"]
    console.result(f"{facts['name']}: {items['done']} of {items['total']} items measured")
    if facts["simulated"]:
        console.result("  SIMULATED SCORES: the emulator measured nothing")
    for kind in ("items", "jobs"):
        parts = [
            f"{number} {name.replace('_', ' ')}" for name, number in facts[kind].items() if number and name != "total"
        ]
        console.result(f"  {kind:<6} {', '.join(parts) or 'none'}")
    if facts["lock"]:
        console.result(f"  a run is on: process {facts['lock']['pid']} on {facts['lock']['host']}")
    if items["ambiguous"]:
        console.result("  ambiguous: the answer to a submission was lost; the next run asks the service")
    for reason, number in list(store.failures().items())[:5]:
        console.result(f"  failed   {number} × {reason}")
    for remote_id, number in store.duplicates():
        console.result(f"  paid twice: {remote_id} carries the same as job-{number:06d}")
    if jobs:
        for row, job in zip(store.jobs(), _jobs(store), strict=True):
            error = f"  {job['error']}" if job["error"] else ""
            remote = job["remote_id"] or "-"
            console.result(f"  {job_name(row.number)} {job['status']:<10} {remote:<36} {job['sources']:>4}{error}")

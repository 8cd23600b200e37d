"""`hume-runner adopt`: bring jobs that were started elsewhere under this state."""

from __future__ import annotations

import argparse

from hume_runner.cli.console import Console


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("manifest", metavar="MANIFEST")
    parser.add_argument("remote_ids", nargs="+", metavar="REMOTE_ID", help="the service's names for the jobs")


def run(args: argparse.Namespace, console: Console) -> int:
    from hume_runner import wiring
    from hume_runner.cli.manifests import load

    manifest = load(args, console)
    adopted = wiring.adopt_jobs(
        manifest, wiring.Paths.of(manifest, args.state), args.remote_ids, machine=wiring.Machine.this()
    )
    for one in adopted:
        if console.json:
            console.document(
                {
                    "event": "adopted" if one.job else "skipped",
                    "remote_id": one.remote_id,
                    "job": one.job,
                    "items": one.items,
                    "unmatched": one.unmatched,
                    "why": one.why,
                }
            )
        elif one.job is None:
            console.result(f"{one.remote_id}: not adopted: {one.why}")
        else:
            rest = f"; {one.unmatched} of its sources are not waited for here" if one.unmatched else ""
            console.result(f"{one.remote_id}: adopted as job-{one.job:06d} with {one.items} items{rest}")
    if any(one.job for one in adopted):
        console.note(f"next: hume-runner run {args.manifest}")
    return 0

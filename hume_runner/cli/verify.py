"""`hume-runner verify`: are the outputs still what the run wrote? With --remote: does the service know the jobs?"""

from __future__ import annotations

import argparse
from collections import Counter
from typing import TYPE_CHECKING

from hume_runner.cli.console import Console
from hume_runner.errors import HumeRunnerError, UsageError

if TYPE_CHECKING:
    from hume_runner.manifest.model import Manifest
    from hume_runner.state.store import Store
    from hume_runner.wiring import Paths


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("manifest", metavar="MANIFEST")
    parser.add_argument("--remote", action="store_true", help="ask the service about every job as well")
    parser.add_argument(
        "--repair", action="store_true", help="fetch again what costs nothing, and make again what is derived"
    )


def run(args: argparse.Namespace, console: Console) -> int:
    from hume_runner import wiring
    from hume_runner.cli.main import print_error
    from hume_runner.cli.manifests import load
    from hume_runner.results.verify import Verdict, verify
    from hume_runner.state.store import Store

    manifest = load(args, console)
    paths = wiring.Paths.of(manifest, args.state)
    if not paths.state.exists():
        raise UsageError(f"{paths.state}: there is nothing to verify yet", hint=f"hume-runner run {args.manifest}")
    counts: Counter[str] = Counter()
    if console.json:
        console.document({"event": "launch", "command": "verify", "manifests": [args.manifest]})
    failed = _repair(manifest, paths, console) if args.repair else None
    with Store.peek(paths.state, name=manifest.name) as store:
        for checked in verify(store, paths.outputs, paths.state):
            counts[checked.verdict] += 1
            if console.json:
                console.document(
                    {"event": "file", "path": checked.path, "verdict": str(checked.verdict), "why": checked.why}
                )
            elif checked.verdict is not Verdict.SAME or console.verbose:
                console.result(f"{checked.verdict} {checked.path}{f'  ({checked.why})' if checked.why else ''}")
        strange = _remote(manifest, paths, store, console) if args.remote else 0
    bad = counts[Verdict.MISSING] + counts[Verdict.CHANGED] + counts[Verdict.UNREADABLE]
    code = failed.exit_code if failed else 3 if bad or strange else 0
    if console.json:
        console.document({"event": "done", "exit_code": code, "counts": {str(k): v for k, v in counts.items()}})
    else:
        console.result(
            f"{counts[Verdict.SAME]} same, {counts[Verdict.MISSING]} missing, {counts[Verdict.CHANGED]} changed, "
            f"{counts[Verdict.UNREADABLE]} unreadable, {counts[Verdict.UNKNOWN]} not ours"
        )
        if failed:
            print_error(failed, console)
        elif bad:
            console.note(
                "next: restore the files from a backup; the next run makes run.json"
                if args.repair
                else f"next: `hume-runner verify {args.manifest} --repair` fetches again what costs nothing to have"
            )
    return code


def _repair(manifest: Manifest, paths: Paths, console: Console) -> HumeRunnerError | None:
    from hume_runner import wiring
    from hume_runner.cli.progress import RunProgress

    with RunProgress(console, manifest.name) as progress:
        return wiring.repair(manifest, paths, machine=wiring.Machine.this(), report=progress, warn=console.error)


def _remote(manifest: Manifest, paths: Paths, store: Store, console: Console) -> int:
    """Tell what the service says of our jobs; return how many do not agree with the state."""
    from hume_runner import wiring

    strange = 0
    with wiring.Endpoint(manifest, paths, wiring.Machine.this()) as endpoint:
        for job, says in endpoint.compare_remote(store):
            strange += not says.agrees
            if console.json:
                console.document(
                    {
                        "event": "job",
                        "job": job.number,
                        "remote_id": job.remote_id,
                        "agrees": says.agrees,
                        "says": says.words,
                    }
                )
            elif not says.agrees or console.verbose:
                sign = "=" if says.agrees else "*"
                console.result(f"{sign} job-{job.number:06d} {job.remote_id}: {says.words}")
    return strange

"""What a plan of a long list of links is made of: processor time of each step, in µs a link.

    python benchmarks/plan_steps.py [LINKS]

Each step is timed in this process, with the steps before it where it cannot be had without them; of three rounds the
quickest counts. The start of Python and what the command line does are not among them.
"""

from __future__ import annotations

import csv
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from figures import Figure, report
from million_urls import write

from hume_runner import wiring
from hume_runner.machine import Machine
from hume_runner.manifest.load import load_manifest
from hume_runner.manifest.model import Manifest
from hume_runner.planning.prepare import Options, Plan
from hume_runner.planning.scan import NothingCached, scan_sources
from hume_runner.planning.staged import PlainBlock
from hume_runner.sources import expand_in_blocks
from hume_runner.state.paths import Paths
from hume_runner.state.reader import StateReader
from hume_runner.state.staging import Scan

LINKS = 300_000
ROUNDS = 3


class Discards(Scan):
    """Takes the rows, and does nothing with them."""

    def add_block(self, block: PlainBlock) -> None:
        self.count += len(block)

    def finish(self) -> None:
        return


class Steps:
    """Processor time by step, each the least of all rounds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def time(self, step: str, work: Callable[[], object], *, without: float = 0.0) -> float:
        begun = time.process_time()
        work()
        took = time.process_time() - begun
        self.seconds[step] = min(took - without, self.seconds.get(step, 1e9))
        return took


def take(steps: Steps, manifest: Manifest, listing: Path) -> None:
    """All steps once."""

    def parse() -> None:
        with listing.open(newline="", encoding="utf-8") as file:
            deque(csv.reader(file), maxlen=0)

    with wiring.endpoint(manifest, Paths.of(manifest, None), Machine.this()) as endpoint:

        def scan(into: Scan) -> None:
            scan_sources(manifest, expand_in_blocks(manifest), endpoint.service, NothingCached(), into)

        read = steps.time("read the list and check its rows", lambda: deque(expand_in_blocks(manifest), maxlen=0))
        steps.time("  of it the csv module, which goes over it twice", lambda: (parse(), parse()))
        with Discards() as nowhere:
            rows = steps.time("identity, keys, labels as JSON", lambda: scan(nowhere), without=read)
        with Scan() as scanned, StateReader.empty("steps") as store:
            steps.time("digest, scratch file, repeated ids", lambda: scan(scanned), without=rows)
            options = Options(retry_failed=False, real_endpoint=True, now=time.time())
            with Plan(manifest, scanned, store, endpoint.service, options) as plan:
                steps.time("repeated keys, compare with the state", plan.decide)
                steps.time("pack the jobs", plan.count)


def main() -> int:
    links = int(sys.argv[1]) if len(sys.argv) > 1 else LINKS
    steps = Steps()
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), "long", links, "https://batch.example.org")
        for _ in range(ROUNDS):
            take(steps, load_manifest(path), path.with_suffix(".csv"))
    figures = [Figure(what=step, value=took / links * 1e6, unit="µs") for step, took in steps.seconds.items()]
    return report(f"a plan of {links:,} links", figures)


if __name__ == "__main__":
    sys.exit(main())

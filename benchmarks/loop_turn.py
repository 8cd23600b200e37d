"""What one turn of the loop costs with many planned jobs: it must not depend on how many there are.

    python benchmarks/loop_turn.py [JOBS]

Half of the jobs wait for nothing, half are one after another in chains. A turn is what the loop asks of the state, and
the decision what to start.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from statistics import median
from time import perf_counter

from figures import Figure, report

from hume_runner.engine.view import View, next_actions
from hume_runner.services.jobs import Draft, Member, PlanItem
from hume_runner.state.disk import Disk
from hume_runner.state.store import Store

JOBS, FEW, TURNS = 100_000, 1_000, 300


def drafts(jobs: int) -> Iterator[Draft]:
    for number in range(jobs):
        digest = sha256(str(number).encode())
        item = PlanItem(
            key=digest.digest(),
            id=str(number),
            kind="text",
            value="x",
            path=None,
            size_bytes=1,
            content_sha256=digest.hexdigest(),
        )
        yield Draft(members=(Member(item=item, position=0),), size_bytes=1, after=1 if number % 2 else None)


def turn_ms(folder: Path, jobs: int) -> float:
    """The median turn, with nothing at hand and everything at hand taken already: where most is looked at."""
    with Store.create_or_open(folder / f"{jobs}.sqlite3", disk=Disk(), name="turns", lineage="turns") as store:
        with store._transaction("jobs"):
            store._insert_jobs(drafts(jobs))
        took = []
        for turn in range(TURNS):
            began = perf_counter()
            queue = [*store.freed(), *(number for number, _ in store.planned(32, beyond=jobs * (turn % 2)))]
            next_actions(View(most_in_flight=20, most_transfers=8, queue=queue), 0.0)
            store.any_planned()
            took.append((perf_counter() - began) * 1000)
    return median(took)


def main() -> int:
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else JOBS
    with tempfile.TemporaryDirectory() as folder:
        few, many = turn_ms(Path(folder), FEW), turn_ms(Path(folder), jobs)
    return report(
        "One turn of the loop",
        [
            Figure(what=f"one turn with {FEW:,} planned jobs", value=few, unit="ms"),
            Figure(what=f"one turn with {jobs:,} planned jobs", value=many, hold=1.0, unit="ms"),
        ],
    )


if __name__ == "__main__":
    sys.exit(main())

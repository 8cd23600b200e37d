"""Kill a run at random until it has died often enough, run it again to its end, and count what was lost or paid twice.

    python -m benchmarks.soak [--kills 1000] [--seed N] [--at-once 8]

Each case is one manifest of three jobs (links, files, text) at a stand-in service that runs in a process of its own
and also loses the answers of one submission in ten. Half of the kills come at a random durable operation, half at a
random moment; a case dies up to four times before it may finish. Exits 1 if any promise broke.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.durability.case import (
    Case,
    Reference,
    accepted_by_key,
    broken_at_the_crash,
    broken_promises,
    make_case,
)
from tests.durability.children import Nursery
from tests.durability.service import ServiceProcess

KILLED = -9
_A_BATCH = 24
# The longest that a run of three jobs takes here, so that a random moment falls anywhere in it.
_RUN_S = 0.8


class Soak:
    """Counts, for `run`."""

    def __init__(self, service: ServiceProcess, nursery: Nursery, folder: Path, seed: int, at_once: int) -> None:
        self._service = service
        self._nursery = nursery
        self._folder = folder
        self._chance = random.Random(seed)
        self._at_once = at_once
        self._cases = 0
        self.counts: Counter[str] = Counter()
        self.broken: list[str] = []

    def run(self, kills: int) -> None:
        """Batches of cases until so many kills have happened."""
        reference = self._unbroken()
        self._service.inject(
            [
                {"route": "POST /v0/batch/jobs", "probability": 0.1, "action": {"drop": "after"}},
                {"route": "POST /v0/batch/jobs", "probability": 0.03, "action": {"status": 503}},
            ]
        )
        while self.counts["kills"] < kills:
            cases = [self._new_case() for _ in range(_A_BATCH)]
            for _ in range(self._chance.randint(1, 4)):
                self._kill(cases, len(reference.operations))
                self._judge_crashed(cases, reference)
            codes = self._nursery.run([case.child() for case in cases], at_once=self._at_once)
            self._judge(cases, codes, reference)

    def _unbroken(self) -> Reference:
        case = self._new_case()
        [code] = self._nursery.run([case.child()])
        if code:
            raise SystemExit(f"the unbroken run failed: {case.said()}")
        return Reference.of(case, accepted_by_key(self._service)[case.owner])

    def _new_case(self) -> Case:
        self._cases += 1
        return make_case(self._folder / f"{self._cases:05d}", self._service.url, self._service.new_key())

    def _kill(self, cases: list[Case], operations: int) -> None:
        at_operation: list[dict[str, Any]] = []
        at_moment: list[dict[str, Any]] = []
        for case in cases:
            if self._chance.random() < 0.5:
                disk = {
                    "kind": "kill",
                    "at": self._chance.randint(1, operations),
                    "moment": self._chance.choice(["before", "after"]),
                }
                at_operation.append(case.child(disk=disk))
            else:
                at_moment.append(case.child(seconds=self._chance.uniform(0.0, _RUN_S)))
        codes = self._nursery.run(at_operation, at_once=self._at_once)
        while at_moment:
            codes += self._nursery.race(at_moment[: self._at_once])
            del at_moment[: self._at_once]
        self.counts["kills"] += codes.count(KILLED)
        self.counts["finished before their kill"] += codes.count(0)
        for code in set(codes) - {KILLED, 0}:
            self.broken.append(f"a run that was to be killed ended with {code}")

    def _judge_crashed(self, cases: list[Case], reference: Reference) -> None:
        log = accepted_by_key(self._service)
        for case in cases:
            self.broken += [
                f"{case.folder.name} after a kill: {wrong}"
                for wrong in broken_at_the_crash(case, log.get(case.owner, ()), reference)
            ]

    def _judge(self, cases: list[Case], codes: list[int], reference: Reference) -> None:
        log = accepted_by_key(self._service)
        for case, code in zip(cases, codes, strict=True):
            accepted = log.get(case.owner, ())
            self.counts["runs finished"] += code == 0
            self.counts["jobs planned"] += sum(reference.work.values())
            self.counts["jobs accepted by the service"] += len(accepted)
            known = {remote for _, _, remote in case.jobs()}
            self.counts["remote ids lost"] += sum(job["job_id"] not in known for job in accepted)
            self.counts["jobs paid twice"] += max(0, len(accepted) - sum(reference.work.values()))
            self.broken += [
                f"{case.folder.name}: {wrong}" for wrong in broken_promises(case, code, accepted, reference)
            ]


def soak(kills: int, seed: int, at_once: int) -> Soak:
    """Run it in a temporary folder that goes with it."""
    with (
        tempfile.TemporaryDirectory(prefix="hume-runner-soak-") as folder,
        ServiceProcess(Path(folder) / "service", keys=kills + 2 * _A_BATCH) as service,
        Nursery() as nursery,
    ):
        found = Soak(service, nursery, Path(folder), seed, at_once)
        found.run(kills)
        return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=1000, metavar="N")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), metavar="N")
    parser.add_argument("--at-once", type=int, default=8, metavar="N")
    args = parser.parse_args()
    started = time.monotonic()
    found = soak(args.kills, args.seed, args.at_once)
    counts = found.counts
    for name in (
        "kills",
        "finished before their kill",
        "runs finished",
        "jobs planned",
        "jobs accepted by the service",
        "remote ids lost",
        "jobs paid twice",
    ):
        print(f"{name:<30} {counts[name]:>6}")
    print(f"{'broken promises':<30} {len(found.broken):>6}")
    print(f"seed {args.seed}, {time.monotonic() - started:.0f} s")
    for line in found.broken:
        print(line)
    return 1 if found.broken else 0


if __name__ == "__main__":
    sys.exit(main())

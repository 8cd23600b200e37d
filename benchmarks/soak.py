"""Random histories of random manifests over both APIs, and what they lost or paid for twice.

    python -m benchmarks.soak [--rounds 1000] [--minutes N] [--seed N] [--at-once 8] [--only BATCH]

Each round is one manifest with a key of its own: runs of the real program in processes of their own, at two stand-in
services that make requests go wrong, are killed, interrupted, run out of disk or readers; the manifest is edited back
and forth, states are put back, deleted and copied, clocks are set. At its end it is run until it is finished, and the
service's own log and answers say what must be there. Exits 1 if a promise broke; the round's steps are printed then,
and `--seed N --only BATCH` makes them again.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.durability.children import Nursery
from tests.durability.oracle import (
    Answers,
    Log,
    entries_of,
    known_ids,
    logs,
    make_media,
    paid_again,
    wrong_bill,
    wrong_outputs,
)
from tests.durability.rounds import LATE, Api, History, Place
from tests.durability.service import ServiceProcess

A_BATCH = 24
MOST_ENDINGS = 7
ASKS = 9
# What a run that was disturbed may end with; a negative code is the signal that ended it.
FAIR = {0, 3, 5, 6, 9, 10, 130, 143, -9, -2, -15, -1}
COLUMNS = (
    *("rounds", "runs", "kills", "signals", "faults", "edits", "restored", "copied", "asked", "adopted"),
    *("reported twice", "repacked", "lost", "paid twice", "pending with exit 0", "wrong outputs", "stuck", "bugs"),
)
_ROUTES = (
    *("POST /v0/batch/jobs", "GET /v0/batch/jobs", "GET /v0/batch/jobs/{id}/predictions"),
    *("POST /v1/expression/audio/file", "POST /v1/expression/video/file", "GET /v1/expression/run"),
)
_ACTIONS: tuple[dict[str, Any], ...] = (
    *({"drop": "before"}, {"drop": "after"}, {"delay": LATE}, {"truncate": 0.5}),
    *({"status": status} for status in (500, 502, 503, 504)),
    {"status": 429, "headers": {"Retry-After": "0.1"}},
)


class Soak:
    """Counts and complaints, for `run`."""

    def __init__(
        self,
        folder: Path,
        services: Sequence[ServiceProcess],
        nursery: Nursery,
        *,
        seed: int,
        at_once: int,
    ) -> None:
        self._folder = folder
        self._services = services
        self._nursery = nursery
        self._seed = seed
        self._at_once = at_once
        self._media = make_media(folder / "media")
        self._answers = Answers(services[0], nursery, self._media, folder / "answers")
        self.counts: Counter[str] = Counter()
        self._wrong: dict[tuple[int, str], tuple[History, list[str]]] = {}

    def run(self, batch: int, rounds: int) -> None:
        """So many rounds side by side."""
        chance = random.Random(f"{self._seed}-{batch}")
        home = self._folder / f"batch-{batch}"
        endpoints = (self._services[0].url, self._services[1].url)
        histories = []
        for number in range(rounds):
            api: Api = chance.choice(["batch-v0", "batch-v0", "expression-v1"])
            histories.append(
                History(
                    home / str(number),
                    api,
                    self._services[0].new_key(),
                    endpoints,
                    self._media,
                    random.Random(f"{self._seed}-{batch}-{number}"),
                )
            )
        for _ in range(chance.randint(3, 6)):
            faults = self._faults(chance)
            for service in self._services:
                service.inject(faults)
            children = [(history, history.step()) for history in histories]
            self._excuse([history for history in histories if history.lost_state])
            flat = [(history, child) for history, mine in children for child in mine]
            codes = self._nursery.run([child for _, child in flat], at_once=self._at_once)
            for (history, child), code in zip(flat, codes, strict=True):
                self._judge_run(batch, history, child, code)
            for history in histories:
                history.after_step(known_ids)
        for service in self._services:
            service.inject([])
        self._end(batch, histories)
        if not any(where[0] == batch for where in self._wrong):
            shutil.rmtree(home)

    def _faults(self, chance: random.Random) -> list[dict[str, Any]]:
        return [
            {"route": route, "probability": round(chance.uniform(0.02, 0.15), 3), "action": chance.choice(_ACTIONS)}
            for route in _ROUTES
            for _ in range(chance.randint(0, 2))
        ]

    def _judge_run(self, batch: int, history: History, child: dict[str, Any], code: int) -> None:
        said = _said(child)
        history.told[-1] += f" -> {code}"
        if code not in FAIR or "Traceback" in said or "escaped" in said:
            self.counts["bugs"] += 1
            self._complain(batch, history, f"a run ended with {code}: {said[-1500:]}")
        self.counts["asked"] += code == ASKS

    def _excuse(self, histories: Sequence[History]) -> None:
        """Their states went away right now, before they are run again."""
        if not histories:
            return
        found = [logs(service) for service in self._services]
        for history in histories:
            history.excused.update(*(entries_of(history, log) for log in found))
            history.lost_state = False

    def _end(self, batch: int, histories: Sequence[History]) -> None:
        """Undisturbed runs of every place until it is finished.

        A question is answered with `adopt` of what no state names, where the API knows that, and then by consent.
        """
        waiting: list[tuple[History, Place, list[str]]] = []
        for history in histories:
            for place in history.places:
                history.write(place)
                waiting.append((history, place, []))
        adopted: set[Path] = set()
        for _ in range(MOST_ENDINGS):
            # A copied folder is run after its original: at the same moment both would pay, and neither could know.
            now = [one for at, one in enumerate(waiting) if one[0] not in [other[0] for other in waiting[:at]]]
            children = [history.child(place, *flags) for history, place, flags in now]
            before = [logs(service) for service in self._services]
            codes = self._nursery.run(children, at_once=self._at_once)
            after = [logs(service) for service in self._services]
            for (history, place, flags), child, code in zip(now, children, codes, strict=True):
                if "--pay-again" in flags:
                    for earlier, later in zip(before, after, strict=True):
                        history.agreed += paid_again(history, self._answers, earlier, later)
                said = _said(child)
                history.told.append(f"{place.path.name}: ends, {' '.join(flags)} -> {code}")
                waiting.remove((history, place, flags))
                if code == 0:
                    self._judge_outputs(batch, history, place)
                elif code == 3 and "--retry-failed" not in flags:
                    waiting.append((history, place, [*flags, "--retry-failed"]))
                elif code == ASKS:
                    self.counts["asked"] += 1
                    elsewhere = "jobs are open elsewhere" in said
                    if elsewhere:
                        history.wanted = _turned(history)
                        for one in history.places:
                            history.write(one)
                        waiting.insert(0, (history, place, flags))  # before its copy turns back to another host
                    elif place.path not in adopted and self._adopt(batch, history, place, after):
                        adopted.add(place.path)
                        waiting.append((history, place, flags))
                    else:
                        waiting.append((history, place, ["--pay-again"]))
                else:
                    self.counts["stuck"] += 1
                    self._complain(batch, history, f"its last run ended with {code}: {said[-1500:]}")
                history.after_step(known_ids)
            if not waiting:
                break
        for history, place, _ in waiting:
            self.counts["stuck"] += 1
            self._complain(batch, history, f"{place.path.name} does not finish")
        found = [logs(service) for service in self._services]
        for history in histories:
            self.counts["rounds"] += 1
            self.counts.update(history.counts)
            self.counts["reported twice"] += len(history.reported)
            for log in found:
                bill = wrong_bill(history, self._answers, log)
                self.counts["lost"] += len(bill.lost)
                self.counts["paid twice"] += len(bill.twice)
                self.counts["repacked"] += len(bill.repacked)
                for wrong in bill.lost:
                    self._complain(batch, history, wrong)
                for wrong in bill.twice:
                    self._complain(batch, history, f"paid twice: {wrong}")

    def _adopt(self, batch: int, history: History, place: Place, logs: Sequence[Log]) -> bool:
        """Bring all that is at the service and in no state under this place's; whether anything was."""
        if history.api != "batch-v0":
            return False
        at = entries_of(history, logs[history.wanted.elsewhere])
        taken = 0
        for remote in sorted(at.keys() - history.seen - history.reported):
            words = [sys.executable, "-m", "hume_runner", "adopt", str(place.manifest), remote]
            ran = subprocess.run(
                words, env={**os.environ, "HUME_API_KEY": history.key}, capture_output=True, text=True, check=False
            )
            taken += "adopted as" in ran.stdout
            history.told.append(f"{place.path.name}: adopt {remote} -> {ran.returncode}")
            if ran.returncode not in (0, 64) or "Traceback" in ran.stderr:
                self.counts["bugs"] += 1
                self._complain(batch, history, f"adopt ended with {ran.returncode}: {ran.stderr[-800:]}")
        self.counts["adopted"] += taken
        return taken > 0

    def _judge_outputs(self, batch: int, history: History, place: Place) -> None:
        for wrong in wrong_outputs(history, place, self._answers):
            self.counts["pending with exit 0" if " is pending" in wrong else "wrong outputs"] += 1
            self._complain(batch, history, f"{place.path.name}: {wrong}")

    def _complain(self, batch: int, history: History, wrong: str) -> None:
        where = f"seed {self._seed}, batch {batch}, {history.places[0].path.parent} ({history.api}, {history.key})"
        self._wrong.setdefault((batch, where), (history, []))[1].append(wrong)

    @property
    def broken(self) -> list[str]:
        """A text for each round that broke a promise: where it is, what broke, and all its steps."""
        return [
            "\n".join([where, *(f"  ! {one}" for one in wrong), *(f"    {step}" for step in history.told)])
            for (_, where), (history, wrong) in self._wrong.items()
        ]


def _turned(history: History) -> Any:
    return replace(history.wanted, elsewhere=not history.wanted.elsewhere)


def _said(child: dict[str, Any]) -> str:
    return "".join(
        Path(f"{child['out']}.{name}").read_text()
        for name in ("stdout", "stderr", "escaped")
        if Path(f"{child['out']}.{name}").exists()
    )


def soak(
    *,
    rounds: int,
    seed: int,
    at_once: int,
    only: int | None = None,
    keep: Path | None = None,
    minutes: float | None = None,
) -> Soak:
    """Run it in a temporary folder that goes with it, or in `keep`, where broken rounds stay.

    `only`: one batch of the seed's. `minutes`: no batch is begun after so many.
    """
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="hume-runner-soak-") as temporary:
        folder = keep or Path(temporary)
        with (
            ServiceProcess(Path(temporary) / "a", keys=rounds + A_BATCH + 10) as first,
            ServiceProcess(Path(temporary) / "b", keys=rounds + A_BATCH + 10) as second,
            Nursery() as nursery,
        ):
            found = Soak(folder, (first, second), nursery, seed=seed, at_once=at_once)
            batches = -(-rounds // A_BATCH)
            for batch in range(batches) if only is None else (only,):
                if minutes is not None and time.monotonic() - started > 60 * minutes:
                    break
                found.run(batch, min(A_BATCH, rounds - batch * A_BATCH))
            return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=1000, metavar="N")
    parser.add_argument("--minutes", type=float, metavar="N", help="begin nothing more after so many")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), metavar="N")
    parser.add_argument("--at-once", type=int, default=8, metavar="N")
    parser.add_argument("--only", type=int, metavar="BATCH", help="only this batch of the seed's")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave the folders of broken rounds here")
    args = parser.parse_args()
    started = time.monotonic()
    print(f"seed {args.seed}", flush=True)
    found = soak(
        rounds=args.rounds,
        seed=args.seed,
        at_once=args.at_once,
        only=args.only,
        keep=args.keep,
        minutes=args.minutes,
    )
    for name in COLUMNS:
        print(f"{name:<22} {found.counts[name]:>6}")
    print(f"{'seconds':<22} {time.monotonic() - started:>6.0f}")
    for line in found.broken:
        print(line)
    return 1 if found.broken else 0


if __name__ == "__main__":
    sys.exit(main())

"""Long lists: the time and peak memory of a plan, and of a run that finds everything measured already.

    python benchmarks/million_urls.py [ITEMS_TO_PLAN] [ITEMS_TO_RUN]

Times are told as multiples of the floor, taken in turns with them: a script that reads the same list, hashes each URL
with SHA-256 and inserts it into SQLite under a unique key, with nothing set. Of three of each the quickest counts.

The default is 1,000,000 and 100,000. The smaller number is really run, against `hume-runner emulate` in a process of
its own with no processing time, which takes most of this benchmark's minutes. For the larger one, the state of a run
that ended well is written as the engine writes it, without a service and without answers.
"""

from __future__ import annotations

import csv
import json
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from figures import Figure, report
from processes import Ended, emulator, runner, timed

from hume_runner import wiring
from hume_runner.api.planned import planned
from hume_runner.machine import Machine
from hume_runner.manifest.load import load_manifest
from hume_runner.services.jobs import Outcome
from hume_runner.state.paths import Paths
from hume_runner.state.store import Store

PLANNED, RUN = 1_000_000, 100_000
ROUNDS = 3
RUN_LIMIT_S = 900.0


def write(folder: Path, name: str, items: int, endpoint: str) -> Path:
    """A manifest of one csv list with an id, a URL and a label a line."""
    with (folder / f"{name}.csv").open("w", encoding="utf-8") as file:
        file.write("id,url,wave\n")
        file.writelines(f"clip-{n:07d},https://media.example.org/{name}/{n:07d}.mp4,{n % 5}\n" for n in range(items))
    path = folder / f"{name}.yaml"
    path.write_text(
        f"version: 1\nname: {name}\n"
        f"service: {{api: batch-v0, endpoint: '{endpoint}'}}\n"
        f"sources: {{urls: [{{from: {name}.csv}}]}}\n"
        "models: {burst: {}}\n"
        "transcription: null\n"
        "execution: {requests_per_second: 500, max_jobs_in_flight: 50}\n"
        f"outputs: {{directory: results-{name}}}\n",
        encoding="utf-8",
    )
    return path


def floor(listing: Path) -> None:
    """The least that a program does that is to know a list of URLs by their content."""
    with tempfile.TemporaryDirectory() as folder, listing.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        next(rows)
        db = sqlite3.connect(Path(folder) / "floor.sqlite3")
        db.execute("CREATE TABLE urls (key BLOB NOT NULL UNIQUE, id TEXT NOT NULL, url TEXT NOT NULL)")
        db.executemany(
            "INSERT INTO urls VALUES (?, ?, ?)", ((sha256(url.encode()).digest(), name, url) for name, url, _ in rows)
        )
        db.commit()
        db.close()


def the_floor(listing: Path) -> Ended:
    return timed([sys.executable, __file__, "--floor", str(listing)], limit_s=300)


def quickest(rounds: int, *works: Callable[[], Ended]) -> list[Ended]:
    """Each in turns, so often; the one that took least of each."""
    turns = [[work() for work in works] for _ in range(rounds)]
    return [min(ended, key=lambda one: one.seconds) for ended in zip(*turns, strict=True)]


def long(folder: Path, items: int) -> list[Figure]:
    """Plan a long list; then run it with a state in which every item is measured."""
    path = write(folder, "long", items, "https://batch.example.org")
    listing = path.with_suffix(".csv")

    def plan() -> Ended:
        ended = runner("plan", path, "--format", "json", limit_s=300)
        found = json.loads(ended.out)["summary"]["new"]
        if found != items:
            raise RuntimeError(f"{found} of {items} items are planned")
        return ended

    least, planned = quickest(ROUNDS, lambda: the_floor(listing), plan)
    subprocess.run([sys.executable, __file__, "--finish", str(path)], check=True)
    runner(path, "--no-progress", limit_s=300)  # writes what a finished run leaves beside its state
    _, again = quickest(ROUNDS, lambda: the_floor(listing), lambda: runner(path, "--no-progress", limit_s=300))
    return [
        Figure(
            what=f"the floor: {items:,} URLs read, hashed, inserted under a unique key", value=least.seconds, unit="s"
        ),
        Figure(what=f"plan of {items:,} URLs from a list ÷ the floor", value=planned.seconds / least.seconds, hold=1.5),
        Figure(what="  the same in processor time", value=planned.cpu_s / least.cpu_s),
        Figure(what="  its time", value=planned.seconds, unit="s"),
        Figure(what="  peak memory", value=planned.peak_mb, hold=120, unit="MB"),
        Figure(
            what=f"no-op run of {items:,} measured items ÷ the floor", value=again.seconds / least.seconds, hold=1.0
        ),
        Figure(what="  its time", value=again.seconds, unit="s"),
        Figure(what="  peak memory", value=again.peak_mb, hold=150, unit="MB"),
    ]


def finish(path: Path) -> None:
    """Write the state that a run of the manifest would leave, had a service measured every item."""
    machine = Machine.this()
    manifest = load_manifest(path)
    paths = Paths.of(manifest, None)
    paths.outputs.mkdir()
    now = machine.now()
    with (
        wiring.endpoint(manifest, paths, machine) as endpoint,
        Store.create_or_open(paths.state, disk=machine.disk, name=manifest.name, lineage="benchmark") as store,
    ):
        with planned(manifest, store, endpoint, retry_failed=False, now=now) as plan:
            plan.apply(store)
        number = 0
        while numbers := store.planned(1, beyond=number):
            number, _ = numbers[0]
            job = store.load_job(number)
            submission = endpoint.service.prepare(job)
            store.record_submitting(
                number,
                nonce=f"{number:032x}",
                sha256=submission.sha256,
                request=submission.request,
                matches=submission.matches,
                endpoint=endpoint.name,
                clock_offset=None,
                now=now,
            )
            store.record_accepted(number, f"remote-{number}", created_at=now, simulated=False, now=now)
            outcomes = [Outcome(position=position, ok=True) for position in range(len(job.members))]
            store.record_finished(number, answers=[], outcomes=outcomes, times={}, simulated=False, now=now)


def finished(folder: Path, items: int) -> list[Figure]:
    with emulator(folder / "data", "--processing-time", "0s", "--max-concurrent-jobs", "8") as served:
        path = write(folder, "done", items, served.url)
        first = runner(path, "--no-progress", limit_s=RUN_LIMIT_S)
        before = served.requests()
        again = runner(path, "--no-progress", limit_s=120)
        sent = sum(served.requests().values()) - sum(before.values())
    return [
        Figure(
            what=f"run of {items:,} URLs in jobs of 100, the emulator's work included", value=first.seconds, unit="s"
        ),
        Figure(what="  peak memory", value=first.peak_mb, unit="MB"),
        Figure(
            what=f"no-op run of {items:,} finished items",
            value=again.seconds,
            hold=5,
            unit="s",
        ),
        Figure(what="  peak memory", value=again.peak_mb, unit="MB"),
        Figure(what="  requests sent", value=sent, hold=0),
    ]


def main() -> int:
    if sys.argv[1:2] == ["--floor"]:
        floor(Path(sys.argv[2]))
        return 0
    if sys.argv[1:2] == ["--finish"]:
        finish(Path(sys.argv[2]))
        return 0
    to_plan, to_run = (int(text) for text in (sys.argv[1:] + [str(PLANNED), str(RUN)][len(sys.argv) - 1 :])[:2])
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        return report("long lists", [*long(folder, to_plan), *finished(folder, to_run)])


if __name__ == "__main__":
    sys.exit(main())

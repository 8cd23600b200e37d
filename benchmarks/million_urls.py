"""Long lists: the time and peak memory of a plan, and of a run that finds everything measured already.

    python benchmarks/million_urls.py [ITEMS_TO_PLAN] [ITEMS_TO_RUN]

The default is 1,000,000 and 100,000. The smaller number is really run, against `hume-runner emulate` in a process of
its own with no processing time, which takes most of this benchmark's minutes. For the larger one, the state of a run
that ended well is written as the engine writes it, without a service and without answers.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from figures import Figure, report
from processes import emulator, runner

from hume_runner import wiring
from hume_runner.manifest.load import load_manifest
from hume_runner.services.base import Outcome
from hume_runner.state.store import Store

PLANNED, RUN = 1_000_000, 100_000
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


def long(folder: Path, items: int) -> list[Figure]:
    """Plan a long list; then run it with a state in which every item is measured."""
    path = write(folder, "long", items, "https://batch.example.org")
    ended = runner("plan", path, "--format", "json", limit_s=300)
    summary = json.loads(ended.out)["summary"]
    if summary["new"] != items:
        raise RuntimeError(f"{summary['new']} of {items} items are planned")
    subprocess.run([sys.executable, __file__, "--finish", str(path)], check=True)
    runner(path, "--no-progress", limit_s=300)  # writes what a finished run leaves beside its state
    again = runner(path, "--no-progress", limit_s=300)
    return [
        Figure(what=f"plan {items:,} URLs from a list", value=ended.seconds, hold=60, unit="s"),
        Figure(what="  peak memory", value=ended.peak_mb, hold=250, unit="MB"),
        Figure(what=f"no-op run of {items:,} measured items", value=again.seconds, hold=30, unit="s"),
        Figure(what="  peak memory", value=again.peak_mb, hold=250, unit="MB"),
    ]


def finish(path: Path) -> None:
    """Write the state that a run of the manifest would leave, had a service measured every item."""
    machine = wiring.Machine.this()
    manifest = load_manifest(path)
    paths = wiring.Paths.of(manifest, None)
    paths.outputs.mkdir()
    now = machine.now()
    with (
        wiring.Endpoint(manifest, paths, machine) as endpoint,
        Store.create_or_open(paths.state, disk=machine.disk, name=manifest.name, lineage="benchmark") as store,
    ):
        with wiring.planned(manifest, store, endpoint, retry_failed=False, now=now) as plan:
            plan.apply()
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
    if sys.argv[1:2] == ["--finish"]:
        finish(Path(sys.argv[2]))
        return 0
    to_plan, to_run = (int(text) for text in (sys.argv[1:] + [str(PLANNED), str(RUN)][len(sys.argv) - 1 :])[:2])
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        return report("long lists", [*long(folder, to_plan), *finished(folder, to_run)])


if __name__ == "__main__":
    sys.exit(main())

"""Long lists: the time and peak memory of a plan, and of a run that finds everything measured already.

    python benchmarks/million_urls.py [ITEMS_TO_PLAN] [ITEMS_TO_FINISH]

The default is 1,000,000 and 100,000. The finished manifest is really run, against `hume-runner emulate` in a process of
its own with no processing time, which takes most of this benchmark's minutes.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from figures import Figure, report
from processes import emulator, runner

PLANNED, FINISHED = 1_000_000, 100_000
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


def planned(folder: Path, items: int) -> list[Figure]:
    path = write(folder, "long", items, "https://batch.example.org")
    ended = runner("plan", path, "--format", "json", limit_s=300)
    summary = json.loads(ended.out)["summary"]
    if summary["new"] != items:
        raise RuntimeError(f"{summary['new']} of {items} items are planned")
    return [
        Figure(what=f"plan {items:,} URLs from a list", value=ended.seconds, hold=60, unit="s"),
        Figure(what="  peak memory", value=ended.peak_mb, hold=250, unit="MB"),
    ]


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
            hold=5 if items <= FINISHED else 30,
            unit="s",
        ),
        Figure(what="  peak memory", value=again.peak_mb, unit="MB"),
        Figure(what="  requests sent", value=sent, hold=0),
    ]


def main() -> int:
    to_plan, to_finish = (int(text) for text in (sys.argv[1:] + [str(PLANNED), str(FINISHED)][len(sys.argv) - 1 :])[:2])
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        return report("long lists", [*planned(folder, to_plan), *finished(folder, to_finish)])


if __name__ == "__main__":
    sys.exit(main())

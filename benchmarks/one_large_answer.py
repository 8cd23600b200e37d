"""Peak memory of everything that reads an answer, for one source whose answer is large, each in a process of its own.

`fetch` is the check of an answer that was just fetched, with the standard library alone. The bound is twice the answer
for the whole process, interpreter and libraries included.

    python benchmarks/one_large_answer.py [MEGABYTES]
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from figures import Figure, report
from tables_vs_json_load import scores

from hume_runner.services.batch_v0.names import EXPRESSIONS_48

MEGABYTES = 188


def write_answer(path: Path, megabytes: int) -> None:
    """One source, one file, one model, one group."""
    rng = random.Random(20)
    rows = [
        json.dumps(
            {"frame": row, "time": row / 3, "prob": 0.99, "box": {"x": 1.5, "y": 2.5, "w": 90.0, "h": 99.0},
             "emotions": scores(rng, EXPRESSIONS_48), "facs": None, "descriptions": None}, separators=(",", ":")
        )
        for row in range(500)
    ]  # fmt: skip
    url = "https://example.org/long.mp4"
    with path.open("w") as stream:
        stream.write(f'[{{"source":{{"type":"url","url":"{url}"}},"results":{{"predictions":[{{"file":"long.mp4",')
        stream.write('"file_type":"video","models":{"face":{"metadata":null,"grouped_predictions":[{"id":"face_0",')
        stream.write('"predictions":[' + rows[0])
        while stream.tell() < megabytes * 1_000_000:
            stream.write("," + ",".join(rows))
        stream.write(']}]}}}],"errors":[]}}]')


def fetch(answer: Path, _out: Path) -> None:
    from hume_runner.services.batch_v0.answers import read_outcomes
    from hume_runner.services.jobs import Job

    read_outcomes(Job(number=1, key="k", nonce="n", members=(), size_bytes=0), answer, {})


def tables(answer: Path, out: Path) -> None:
    from hume_runner.results.read import LooseResults
    from hume_runner.results.tables import write_tables

    write_tables(LooseResults([answer], out), out)


def page(answer: Path, out: Path) -> None:
    from hume_runner.results.read import LooseResults
    from hume_runner.results.report.page import write_report

    write_report(LooseResults([answer], out), out / "report.html")


TASKS: dict[str, Callable[[Path, Path], None]] = {"fetch": fetch, "tables": tables, "report": page}


def child(task: str, answer: str, out: str) -> None:
    start = time.perf_counter()
    TASKS[task](Path(answer), Path(out))
    seconds = time.perf_counter() - start
    # Not ru_maxrss: that is inherited from the process that started this one.
    with Path("/proc/self/status").open() as status:
        peak_kb = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    print(json.dumps({"s": seconds, "peak_mb": peak_kb * 1024 / 1e6}))


def main() -> int:
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
        return 0
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else MEGABYTES
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "predictions.json"
        write_answer(answer, megabytes)
        size_mb = answer.stat().st_size / 1e6
        for task in TASKS:
            command = [sys.executable, __file__, "--child", task, str(answer), folder]
            found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
            figures.append(Figure(what=f"{task}: peak", value=found["peak_mb"], hold=2 * size_mb, unit="MB"))
            figures.append(Figure(what=f"{task}: time", value=found["s"], unit="s"))
    return report(f"One source whose answer has {size_mb:.0f} MB", figures)


if __name__ == "__main__":
    sys.exit(main())

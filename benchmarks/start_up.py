"""How much longer `hume-runner --version` takes than an interpreter that does nothing.

python benchmarks/start_up.py
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from figures import Figure, report

ROUNDS = 15


def seconds(*arguments: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> int:
    pairs = []
    for _ in range(ROUNDS):  # in turns, so that other load falls on both alike
        empty = seconds("-c", "pass")
        pairs.append(seconds("-m", "hume_runner", "--version") - empty)
    what = "`--version` beyond `python -c pass`, median"
    return report("start-up", [Figure(what=what, value=statistics.median(pairs), hold=0.10, unit="s")])


if __name__ == "__main__":
    sys.exit(main())

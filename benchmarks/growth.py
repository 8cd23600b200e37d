"""How the cost of each command grows with the number of items: processor time ~ items to the power of what is printed.

    python benchmarks/growth.py [--full] [ITEMS …]

10,000, 100,000 and 300,000 texts are measured here (`local`); `--full` goes on to 1,000,000, which takes half an hour.
The run is in two halves, the second of which resumes. The exponent is that of the line through the points, both
logarithmic; what a process costs before it has seen an item makes it smaller, most of all at the small sizes, and
a quadratic step would make it 2.
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from figures import Figure, report
from processes import Ended, runner, timed

USUAL, FULL = (10_000, 100_000, 300_000), (10_000, 100_000, 1_000_000)
LIMIT_S = 3600.0
WORDS = ("fine", "awful", "a joy", "strange", "over", "late", "loud", "too much for me")
RESULTS = "import sys, hume_runner\nprint(len(hume_runner.read_results(sys.argv[1]).items))"


def write(folder: Path, items: int) -> Path:
    with (folder / "texts.csv").open("w", encoding="utf-8") as file:
        file.write("id,text,wave\n")
        file.writelines(f"t-{n:07d},I was number {n} and it was {WORDS[n % 8]}.,{n % 5}\n" for n in range(items))
    path = folder / "texts.yaml"
    path.write_text(
        "version: 1\nname: texts\nservice: {api: local}\nsources: {text: [{from: texts.csv}]}\n"
        "models: {language: {granularity: utterance}}\noutputs: {directory: out}\n",
        encoding="utf-8",
    )
    return path


def costs(items: int) -> dict[str, float]:
    """Processor seconds of each step, with its children, in the order in which a study goes."""
    with tempfile.TemporaryDirectory() as name:
        path = write(Path(name), items)

        def command(*arguments: object) -> Ended:
            return runner(*arguments, limit_s=LIMIT_S)

        def results() -> Ended:
            ended = timed([sys.executable, "-c", RESULTS, str(path.parent / "out")], limit_s=LIMIT_S)
            if int(ended.out) < items:
                raise RuntimeError(f"{ended.out} rows of {items} items")
            return ended

        steps: dict[str, Callable[[], Ended]] = {
            "plan": lambda: command("plan", path),
            "run, the first half": lambda: command(path, "--no-progress", "--limit", items // 2),
            "resume, the rest": lambda: command(path, "--no-progress"),
            "run with nothing to do": lambda: command(path, "--no-progress"),
            "status": lambda: command("status", path),
            "state export": lambda: command("state", "export", path),
            "results, read in Python": results,
            "tables": lambda: command("tables", path, "--format", "csv"),
            "report": lambda: command("report", path),
        }
        found = {step: work().cpu_s for step, work in steps.items()}
        done = json.loads((path.parent / "out" / "run.json").read_text())["counts"]["items"]["done"]
        if done != items:
            raise RuntimeError(f"{done} of {items} items are measured")
    return found


def exponent(items: Sequence[int], seconds: Sequence[float]) -> float:
    """Of the least squares line through the logarithms."""
    across, up = [math.log(number) for number in items], [math.log(second) for second in seconds]
    middle, height = sum(across) / len(across), sum(up) / len(up)
    steep = sum((x - middle) * (y - height) for x, y in zip(across, up, strict=True))
    return steep / sum((x - middle) ** 2 for x in across)


def main() -> int:
    given = [int(text) for text in sys.argv[1:] if text != "--full"]
    sizes = given or (FULL if "--full" in sys.argv else USUAL)
    found = {}
    for items in sizes:
        found[items] = costs(items)
        print(f"{items:,}: " + ", ".join(f"{step} {cost:.1f} s" for step, cost in found[items].items()), flush=True)
    figures = []
    for step in found[sizes[0]]:
        seconds = [found[items][step] for items in sizes]
        figures.append(Figure(what=f"{step}: exponent", value=exponent(sizes, seconds), hold=1.05))
        figures.append(
            Figure(what="  processor time for each of the most items", value=1e6 * seconds[-1] / sizes[-1], unit="µs")
        )
    return report(f"Growth from {sizes[0]:,} to {sizes[-1]:,} items", figures)


if __name__ == "__main__":
    sys.exit(main())

"""`tables` against a plain `json.load` of the same answers, each in a process of its own.

They take turns, and of each the quickest counts. Prints both times, their ratio and the peak memory of each. What
`hume-runner[tables]` installs is all that the processes find: pyarrow imports pandas and numpy wherever they are.

    python benchmarks/tables_vs_json_load.py [MEGABYTES] [FILES]
"""

from __future__ import annotations

import json
import random
import resource
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from figures import Figure, report

from hume_runner.results.read import LooseResults
from hume_runner.results.tables import write_tables
from hume_runner.services.batch_v0.names import EXPRESSIONS_48, EXPRESSIONS_53, SENTIMENT, TOXICITY

ROUNDS = 3


def single(rng: random.Random) -> float:
    """A score as the service prints it: a 32-bit number as a double."""
    return float(struct.unpack("f", struct.pack("f", rng.random()))[0])


def scores(rng: random.Random, names: tuple[str, ...]) -> list[dict[str, object]]:
    return [{"name": name, "score": single(rng)} for name in names]


def source(rng: random.Random, number: int, rows: int) -> dict[str, object]:
    face = [
        {"frame": row * 10, "time": row / 3, "prob": single(rng), "box": dict.fromkeys("xywh", single(rng) * 500),
         "emotions": scores(rng, EXPRESSIONS_48), "facs": None, "descriptions": None}
        for row in range(rows)
    ]  # fmt: skip
    language = [
        {
            "text": f"word{row}",
            "position": {"begin": row * 5, "end": row * 5 + 4},
            "time": {"begin": row, "end": row + 1},
            "confidence": 0.9,
            "speaker_confidence": None,
            "emotions": scores(rng, EXPRESSIONS_53),
            "sentiment": scores(rng, SENTIMENT),
            "toxicity": scores(rng, TOXICITY),
        }
        for row in range(rows)
    ]
    models = {
        "face": {"metadata": None, "grouped_predictions": [{"id": "face_0", "predictions": face}]},
        "language": {
            "metadata": {"confidence": 0.97, "detected_language": "en"},
            "grouped_predictions": [{"id": "unknown", "predictions": language}],
        },
    }
    name = f"{number}.mp4"
    predictions = [{"file": name, "file_type": "video", "models": models}]
    return {"source": {"type": "url", "url": f"https://example.org/{name}"}, "results": {"predictions": predictions}}


def write_answers(folder: Path, megabytes: int, files: int) -> list[Path]:
    """Answers of about that size in all, with compact separators as a service sends them."""
    rng = random.Random(20)
    paths = []
    rows = 200
    for number in range(files):
        path = folder / f"predictions-{number}.json"
        with path.open("w") as stream:
            stream.write("[")
            count = 0
            while stream.tell() < megabytes * 1_000_000 / files:
                element = source(rng, number * 10_000 + count, rows)
                stream.write(("," if count else "") + json.dumps(element, separators=(",", ":")))
                count += 1
            stream.write("]")
        paths.append(path)
    return paths


def convert(out: str, *files: str) -> None:
    write_tables(LooseResults([Path(file) for file in files], Path(out)), Path(out))


def load(_out: str, *files: str) -> None:
    for file in files:
        with Path(file).open() as stream:
            json.load(stream)


class _Bare:
    """First of the finders: there are no modules of these names."""

    @staticmethod
    def find_spec(name: str, _path: object, _target: object = None) -> None:
        if name in ("numpy", "pandas"):
            raise ModuleNotFoundError(name=name)


def child(task: str, *arguments: str) -> None:
    sys.meta_path.insert(0, _Bare)
    start, used = time.perf_counter(), time.process_time()
    {"convert": convert, "load": load}[task](*arguments)
    seconds, cpu_s = time.perf_counter() - start, time.process_time() - used
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"s": seconds, "cpu_s": cpu_s, "peak_mb": peak_mb}))


def measure(task: str, *arguments: str) -> dict[str, float]:
    command = [sys.executable, __file__, "--child", task, *arguments]
    result: dict[str, float] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return result


def main() -> int:
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
        return 0
    megabytes, files = map(int, (sys.argv[1:] + ["100", "4"][len(sys.argv) - 1 :])[:2])
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(path) for path in write_answers(Path(folder), megabytes, files)]
        size = sum(Path(path).stat().st_size for path in paths) / 1e6
        rounds = [(measure("load", folder, *paths), measure("convert", folder, *paths)) for _ in range(ROUNDS)]
    plain, tables = (min(ended, key=lambda one: one["s"]) for ended in zip(*rounds, strict=True))
    return report(
        f"Tables of {size:.0f} MB of answers in {files} files",
        [
            Figure(what="tables, time ÷ plain json.load of the same", value=tables["s"] / plain["s"], hold=0.7),
            Figure(what="  the same in processor time", value=tables["cpu_s"] / plain["cpu_s"]),
            Figure(what="  their time", value=tables["s"], unit="s"),
            Figure(what="  peak memory", value=tables["peak_mb"], unit="MB"),
            Figure(what="  peak memory of json.load", value=plain["peak_mb"], unit="MB"),
        ],
    )


if __name__ == "__main__":
    sys.exit(main())

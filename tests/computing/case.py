"""A manifest that measures with a measurer of a test's own, run by the command itself in a process of its own."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hume_runner.services.local.measurers.found import GROUP
from tests.commands import Ran
from tests.warm import WarmPopen

ROOT = Path(__file__).parents[2]

# It counts letters, does to its process what a text says, and notes which process had the text and under which parent.
MEASURER = """
import os, pathlib, signal, time
from hume_runner.services.local.measurers.base import Card, Row, WeightFile
from hume_runner.services.table_shapes import Column, Layout

class Letters:
    model, reads, modules = "letters", "text", ()
    layouts = (Layout(name="letters", row="one text",
                      columns=(Column(name="length", type="integer", meaning="letters"),)),)
    schema = {"type": "object", "additionalProperties": False, "description": "Counts letters.", "properties": {}}
    def card(self, options):
        version, weight = os.environ.get("LETTERS_VERSION", "1"), os.environ.get("LETTERS_WEIGHT")
        files = (WeightFile(name="letters/table.bin", sha256=weight),) if weight else ()
        return Card(name="letters", version=version, licence="MIT", trained_on="nothing", scale="as it is",
                    limits="counts only", files=files)
    def open(self, options, files):
        return Session()

class Session:
    def measure(self, passages):
        for number, passage in enumerate(passages):
            act(passage.text)
            yield number, Row(layout="letters", values={"length": len(passage.text)})

def act(text):
    what, _, where = text.partition(" at ")
    where = where.strip()
    if "note" in what:
        with open(where, "a") as file:
            file.write(f"{os.getpid()} {os.getppid()} {what}\\n")
    if "sleep" in what:
        time.sleep(float(what.rpartition("sleep ")[2].split()[0]))
    if "once" in what:
        mark = pathlib.Path(where)
        if mark.exists():
            return
        mark.write_text("died")
    if "die" in what:
        os.kill(os.getpid(), signal.SIGKILL)
    if "kill" in what:
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(600)

LETTERS = Letters()
"""


@dataclass(slots=True)
class Case:
    """A folder with a manifest; `out` is where a run writes."""

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        packages = self.folder / "packages"
        info = packages / "letters-1.dist-info"
        info.mkdir(parents=True)
        (packages / "letters_measurer.py").write_text(MEASURER)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: letters\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[{GROUP}]\nletters = letters_measurer:LETTERS\n")
        self.environ["PYTHONPATH"] = os.pathsep.join(
            [str(ROOT), str(packages), *filter(None, [os.environ.get("PYTHONPATH")])]
        )
        self.environ["HUME_RUNNER_CLUSTER_WAIT"] = "20"

    def write(self, texts: Sequence[str] = (), files: Sequence[str] = (), **more: Any) -> None:
        """One text a job, unless `more` says otherwise."""
        sources = {name: list(given) for name, given in (("text", texts), ("files", files)) if given}
        document = {
            "version": 1,
            "name": "elsewhere",
            "service": {"api": "local"},
            "sources": sources,
            "models": {"letters": {}},
            "batching": {"max_sources": 1},
            "outputs": {"directory": "out", "tables": ["csv"]},
            **more,
        }
        (self.folder / "m.yaml").write_text(json.dumps(document))

    def start(self, *words: str) -> subprocess.Popen[str]:
        """`hume-runner run` without waiting for it."""
        return WarmPopen(
            [sys.executable, "-m", "hume_runner", "run", "m.yaml", "--no-progress", *words],
            cwd=self.folder,
            env={**os.environ, **self.environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ended(self, process: subprocess.Popen[str]) -> Ran:
        """How it ended: never with a traceback."""
        out, err = process.communicate()
        assert "Traceback" not in err, err
        assert "distributed." not in err, err  # what a library logs is no message of ours
        return Ran(code=process.returncode, out=out, err=err)

    def run(self, *words: str) -> Ran:
        return self.ended(self.start(*words))

    def python(self, script: str) -> str:
        """What a script of a user says, which has to end well."""
        (self.folder / "script.py").write_text(script)
        environ = {**os.environ, **self.environ}
        ended = subprocess.run(
            [sys.executable, "script.py"], cwd=self.folder, env=environ, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout + ended.stderr

    # -- what there is afterwards

    def results(self, out: str = "out") -> list[dict[str, Any]]:
        lines = (self.folder / out / "results.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def table(self, name: str, out: str = "out") -> list[dict[str, str]]:
        with (self.folder / out / "tables" / f"{name}.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    def written(self, out: str = "out") -> dict[str, bytes]:
        """All that a run wrote but its state, by name; what names a run or a moment, and the order of jobs, aside."""
        found: dict[str, list[bytes]] = {}
        base = self.folder / out
        for path in sorted(base.rglob("*")):
            name = str(path.relative_to(base))
            if path.is_dir() or name.startswith("state.sqlite3") or name in _OF_THE_RUN:
                continue
            name = re.sub(r"^raw/[^/]+", "raw", name)
            found.setdefault(name, []).append(_timeless(path.read_bytes()))
        return {name: b"\0".join(sorted(bodies)) for name, bodies in found.items()}

    def notes(self) -> list[tuple[int, int, str]]:
        """(process, its parent, text) of each text that was noted, as often as it was measured."""
        lines = (self.folder / "notes").read_text().splitlines()
        return [(int(own), int(parent), what) for own, parent, what in (line.split(" ", 2) for line in lines)]


# They tell the run, or hashes of files that name its jobs.
_OF_THE_RUN = {"run.json", "datapackage.json", "ro-crate-metadata.json"}
# Remote ids, and numbers of jobs: media that are prepared side by side become jobs in the order in which they are done.
_NAMES = re.compile(rb"\b[0-9a-f]{10}\b|\bjob-[0-9]{6}\b")


def _timeless(body: bytes) -> bytes:
    lines = _NAMES.sub(b"<name>", body).split(b"\n")
    return b"\n".join(sorted(lines))  # rows stand in the order of their jobs

"""A folder with a manifest, the commands run on it, and the emulator's own view of what arrived."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import wave
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from hume_runner.emulator.server import Emulator
from hume_runner.machine import Machine
from hume_runner.settings import Settings
from hume_runner.state.disk import Disk
from hume_runner.stores.opening import Opens, open_store
from tests.commands import Ran, call
from tests.emulator.api import Api
from tests.warm import WarmPopen

JOBS = "POST /v0/batch/jobs"


class Project:
    """`manifest` is plain data, written anew before every command, so that a test edits it as a person would."""

    def __init__(self, folder: Path, emulator: Emulator) -> None:
        self.folder = folder
        self.emulator = emulator
        self.path = folder / "manifest.yaml"
        self.out = folder / "out"
        self.environ = {"HUME_API_KEY": emulator.api_key}
        self.settle_s = 0.2
        self.open_store: Opens = open_store
        self.manifest: dict[str, Any] = {
            "version": 1,
            "name": "trial",
            "service": {"api": "batch-v0", "endpoint": emulator.url},
            "sources": {
                "urls": ["https://example.org/one.mp4"],
                "files": ["media/*"],
                "text": [{"text": "Hello.", "id": "hello"}, "Goodbye."],
            },
            "models": {"language": {"granularity": "sentence"}, "prosody": {}},
            "outputs": {"directory": "out"},
            "execution": {"requests_per_second": 1000, "retry": {"attempts": 3, "max_wait": "100ms"}},
        }
        (folder / "media").mkdir(parents=True)
        self.add_file("one.wav", tone(1))

    def of_texts(self, *texts: str) -> None:
        """The manifest: these alone, measured sentence by sentence, with a table and a report."""
        self.manifest["sources"] = {"text": [*texts]}
        self.manifest["models"] = {"language": {"granularity": "sentence"}}
        self.manifest["outputs"] = {"directory": "out", "tables": ["csv"], "report": True}

    def one_by_one(self, jobs: int) -> None:
        """The manifest: so many jobs, one at the service at a time: whoever stops early leaves some unsent."""
        self.manifest["sources"] = {"text": [f"Sentence number {number}." for number in range(jobs)]}
        self.manifest["models"] = {"language": {}}
        self.manifest["batching"] = {"max_sources": 1}
        self.manifest["execution"] |= {"max_jobs_in_flight": 1, "transfer_workers": 1}

    def add_file(self, name: str, content: bytes) -> Path:
        path = self.folder / "media" / name
        path.write_bytes(content)
        return path

    def write(self, path: Path | None = None) -> Path:
        path = path or self.path
        text = yaml.safe_dump(self.manifest, sort_keys=False, allow_unicode=True)
        # A process that was started before may be reading it.
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
        return path

    def call(self, command: str, *words: str) -> Ran:
        """One command on the manifest as it is now, in this process."""
        return self.plain_call(command, str(self.write()), *words)

    def plain_call(self, *words: str) -> Ran:
        return call(*words, machine=self.machine() if words[0] == "run" else None)

    def machine(self, disk: Disk | None = None) -> Machine:
        """What a run here takes from the machine."""
        return Machine(
            disk=disk or Disk(),
            environ=self.environ,
            settings=Settings(settle_s=self.settle_s, late_s=self.settle_s, runs=Path(os.environ["HUME_RUNNER_RUNS"])),
            open_store=self.open_store,
        )

    def run(self, *words: str) -> Ran:
        return self.call("run", *words)

    def plan(self, *words: str) -> Any:
        ran = self.call("plan", "--format", "json", *words)
        assert ran.code == 0, ran.err
        return ran.json

    def start(self, *words: str) -> subprocess.Popen[str]:
        """A command in a process of its own."""
        self.write()
        return WarmPopen(
            [sys.executable, "-m", "hume_runner", *words],
            cwd=self.folder,
            env={**os.environ, **self.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    # -- what there is afterwards

    def results(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.out / "results.jsonl").read_text(encoding="utf-8").splitlines()]

    def run_json(self) -> dict[str, Any]:
        return json.loads((self.out / "run.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]

    def requests(self) -> Mapping[str, int]:
        """What arrived at the emulator, by route."""
        return self.emulator.requests()["by_route"]  # type: ignore[no-any-return]

    def sent_texts(self) -> list[str]:
        """All that arrived, sorted."""
        return sorted(text for request in self.job_requests() for text in request["text"])

    def statuses(self) -> dict[str, str]:
        """Of the items, by id."""
        return {line["id"]: line["status"] for line in self.results()}

    def assert_resumes(self, jobs: int) -> None:
        """The next run finishes, and no item was ever sent twice."""
        ran = self.run()
        assert ran.code == 0, ran.err
        assert self.emulator.requests()["jobs_accepted"] == jobs
        assert set(self.statuses().values()) == {"done"}

    def job_requests(self) -> Sequence[Mapping[str, Any]]:
        """The requests of all jobs at the emulator, oldest first, as it echoes them."""
        with Api(self.emulator.url, self.emulator.api_key) as api:
            jobs = api.call("GET", "/v0/batch/jobs", params={"sort_by": "created", "direction": "asc"}).json()
        return [job["request"] for job in jobs]


def tone(number: int, seconds: float = 0.25) -> bytes:
    """Sound, in which the emulator finds some words where it is long; other numbers give other bytes."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        steps = range(round(8000 * seconds))
        file.writeframes(b"".join(((step * number * 37) % 9000).to_bytes(2, "little") for step in steps))
    return buffer.getvalue()

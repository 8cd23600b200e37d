"""A manifest for the Expression Measurement API and its folder, run against an emulator that says what was paid."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import yaml

from hume_runner.machine import Machine
from hume_runner.settings import Settings
from hume_runner.state.disk import Disk
from tests.commands import Ran, call
from tests.databases import answered

AUDIO = "POST /v1/expression/audio/file"
VIDEO = "POST /v1/expression/video/file"
RUNS = "GET /v1/expression/run"

QUICK = {"requests_per_second": 1000, "retry": {"attempts": 3, "max_wait": "100ms"}}


@dataclass(slots=True, kw_only=True)
class Folder:
    """A manifest, its media and its results. `url` is the service's; the key lies in a file beside the manifest."""

    path: Path
    url: str
    key: str
    settle_s: float = 0.3
    environ: dict[str, str] = field(default_factory=dict)
    runs: Path | None = None  # of a machine of its own

    @property
    def manifest(self) -> Path:
        return self.path / "manifest.yaml"

    @property
    def outputs(self) -> Path:
        return self.path / "out"

    @property
    def state(self) -> Path:
        return self.outputs / "state.sqlite3"

    def write(self, sources: Mapping[str, Any], **sections: Any) -> Folder:
        """The manifest: both models, quick retries; `sections` say otherwise."""
        document = {
            "version": 1,
            "name": "expression",
            "service": {"api": "expression-v1", "endpoint": self.url, "api_key": {"file": "key"}}
            | sections.pop("service", {}),
            "sources": dict(sources),
            "models": sections.pop("models", {"audio": {}, "video": {}}),
            "execution": {**QUICK, **sections.pop("execution", {})},
            "outputs": {"directory": "out"} | sections.pop("outputs", {}),
            **sections,
        }
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / "key").write_text(self.key)
        self.manifest.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        return self

    def run(self, *flags: str, disk: Disk | None = None) -> Ran:
        """`hume-runner run` in this process, on a disk that may fail."""
        runs = self.runs or Path(os.environ["HUME_RUNNER_RUNS"])
        settings = Settings(settle_s=self.settle_s, late_s=0.5, runs=runs)
        machine = Machine(disk=disk or Disk(), environ=self.environ, settings=settings)
        return self._command("run", str(self.manifest), "--no-progress", *flags, machine=machine)

    def command(self, name: str, *flags: str) -> Ran:
        """Another command on this manifest."""
        return self._command(name, str(self.manifest), *flags)

    def _command(self, *words: str, machine: Machine | None = None) -> Ran:
        ran = call(*words, machine=machine)
        assert "Traceback" not in ran.err, ran.err
        return ran

    # -- what a run leaves behind -----------------------------------------------------------------------------------

    def results(self) -> dict[str, dict[str, Any]]:
        """The lines of `results.jsonl` by id."""
        with (self.outputs / "results.jsonl").open(encoding="utf-8") as file:
            return {line["id"]: line for line in map(json.loads, file)}

    def summary(self) -> dict[str, Any]:
        return json.loads((self.outputs / "run.json").read_bytes())  # type: ignore[no-any-return]

    def raw(self) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """(request.json, response.json) of every request that was answered."""
        return [
            (json.loads((folder / "request.json").read_bytes()), json.loads((folder / "response.json").read_bytes()))
            for folder in sorted((self.outputs / "raw").iterdir())
        ]

    def ask(self, question: str) -> list[Any]:
        """The state's answer to an SQL question."""
        return answered(self.state, question)

    def jobs(self) -> dict[str, int]:
        """How many jobs are in which state."""
        return dict(self.ask("SELECT status, count(*) FROM jobs GROUP BY status ORDER BY status"))

    def forget_seal(self) -> None:
        """For a test that changes the state on purpose."""
        Path(f"{self.state}.seal").unlink()


def from_service(url: str, path: str, body: Any = None) -> Any:
    """An answer of the emulator to whoever runs it."""
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url + path, data=data), timeout=30) as answer:
        return json.loads(answer.read())


def upload_still(url: str, key: str, content: bytes) -> None:
    """An upload of somebody else with the same key."""
    mark = "a-boundary"
    disposition = 'form-data; name="file"; filename="a.jpg"'
    head = f"--{mark}\r\nContent-Disposition: {disposition}\r\nContent-Type: image/jpeg\r\n\r\n"
    body = head.encode() + content + f"\r\n--{mark}--\r\n".encode()
    headers = {"X-Hume-Api-Key": key, "Content-Type": f"multipart/form-data; boundary={mark}"}
    route = VIDEO.partition(" ")[2]
    with urlopen(Request(url + route, data=body, headers=headers), timeout=30) as answer:
        answer.read()


def measured_runs(url: str) -> list[dict[str, Any]]:
    """Every upload that was measured, and billed, in order: the service's own log."""
    return [run for run in from_service(url, "/_emulator/runs") if run["status"] == "ended"]


def metered(runs: Iterable[Mapping[str, Any]]) -> float:
    return sum(run["metered_seconds"] for run in runs)


def times_measured(runs: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """How often each file was measured, by its SHA-256."""
    return Counter(file["sha256"] for run in runs for file in run["files"])

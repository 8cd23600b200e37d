"""A run that measures on this machine is killed at a durable operation, or interrupted: it goes on where it was."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import wave
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.durability.children import Nursery, not_killed
from tests.tiers import Tier, only_swept

MANIFEST = """\
version: 1
name: pieces
service: {api: local}
sources:
  files: [media/*.wav]
  text: [One is glad., Two is sad., Three cannot say., Four is glad as well.]
models: {acoustics: {window: 0.5}, language: {}}
batching: {max_sources: 2}
execution: {workers: 2}
outputs: {directory: out, tables: [jsonl]}
"""


class Study:
    """A folder with a manifest of four texts in two pieces and two recordings."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "out"
        (folder / "media").mkdir(parents=True)
        (folder / "manifest.yaml").write_text(MANIFEST)
        for number in range(2):
            samples = (9000 * np.sin(np.arange(16_000) * (number + 2) / 40)).astype("<i2")
            with wave.open(str(folder / "media" / f"{number}.wav"), "wb") as file:
                file.setnchannels(1)
                file.setsampwidth(2)
                file.setframerate(16_000)
                file.writeframes(samples.tobytes())

    def child(self, name: str = "run", **how: Any) -> dict[str, Any]:
        argv = ["run", str(self.folder / "manifest.yaml"), "--no-progress"]
        return {"argv": argv, "key": "", "out": str(self.folder / name), **how}

    def found(self) -> Mapping[str, list[dict[str, Any]]]:
        """All that was measured, without what differs from run to run."""
        tables = {}
        for path in sorted((self.out / "tables").glob("*.jsonl")):
            rows = [json.loads(line) for line in path.read_text().splitlines()]
            for row in rows:
                for name in ("job", "remote_id", "raw"):
                    row.pop(name, None)
            tables[path.name] = sorted(rows, key=lambda row: (row["item_id"], row.get("row", 0)))
        return tables

    def twice(self) -> int:
        """Pieces that were measured more than once and kept."""
        db = sqlite3.connect(self.out / "state.sqlite3")
        try:
            (items,) = db.execute("SELECT count(*) FROM members WHERE outcome = 'done'").fetchone()
        finally:
            db.close()
        return int(items) - 6


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Mapping[str, Any], Sequence[str]]:
    """What a run that nobody breaks leaves, and its durable operations."""
    study = Study(tmp_path_factory.mktemp("unbroken") / "study")
    with Nursery() as nursery:
        assert nursery.run([study.child()]) == [0]
    found = study.found()
    assert {name: len(rows) for name, rows in found.items()} == {
        "acoustics.jsonl": 4,
        "errors.jsonl": 0,
        "items.jsonl": 6,
        "language.jsonl": 4,
        "sources.jsonl": 6,
    }
    return found, (study.folder / "run.trace").read_text().splitlines()


@only_swept
@pytest.mark.parametrize("moment", [pytest.param("before", marks=pytest.mark.sweep), "after"])
def test_a_run_killed_at_any_durable_operation_ends_as_if_nobody_had(
    moment: str, tier: Tier, tmp_path: Path, nursery: Nursery, unbroken: tuple[Mapping[str, Any], Sequence[str]]
) -> None:
    found, operations = unbroken
    assert len(operations) > 20
    places = tier.of(range(1, len(operations) + 1), 3)[1:]  # each run starts processes that load libraries
    studies = [Study(tmp_path / str(at)) for at in places]
    kills = [
        study.child(disk={"kind": "kill", "at": at, "moment": moment})
        for at, study in zip(places, studies, strict=True)
    ]
    assert not_killed(kills, nursery.run(kills)) == {}
    assert nursery.run([study.child("again") for study in studies]) == [0] * len(studies)
    assert [study.folder.name for study in studies if study.found() != found] == []
    assert [study.folder.name for study in studies if study.twice()] == []


@pytest.mark.sweep  # the second run measures twenty minutes of sound
@pytest.mark.timeout(400)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_soon_leaves_no_process_and_goes_on(number: signal.Signals, tmp_path: Path) -> None:
    """Recordings that take long to measure are given up and measured by the next run."""
    study = Study(tmp_path / "study")
    for index in range(4):
        samples = np.random.default_rng(index).integers(-9000, 9000, 280 * 16_000).astype("<i2")
        with wave.open(str(study.folder / "media" / f"long-{index}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16_000)
            file.writeframes(samples.tobytes())
    text = (study.folder / "manifest.yaml").read_text()
    (study.folder / "manifest.yaml").write_text(text.replace("window: 0.5", "window: 0.1, step: 0.05"))
    command = [sys.executable, "-m", "hume_runner", "run", str(study.folder / "manifest.yaml"), "--no-progress"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as run:
        workers = _wait_for_workers(run.pid)
        run.send_signal(number)
        began = time.monotonic()
        code = run.wait(60)
    assert code == 128 + number
    assert time.monotonic() - began < 30
    assert not [pid for pid in workers if _alive(pid)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0


def _wait_for_workers(parent: int) -> list[int]:
    """The worker processes, once there is one that has worked for a while."""
    for _ in range(2400):
        children = Path(f"/proc/{parent}/task/{parent}/children")
        found = {int(pid) for task in Path(f"/proc/{parent}/task").iterdir() for pid in _children(task)}
        if found and any(_cpu_s(pid) > 0.6 for pid in found):
            return sorted(found)
        assert children.exists(), "the run is over already"
        time.sleep(0.05)
    raise AssertionError("no worker began to measure")


def _children(task: Path) -> list[str]:
    try:
        return (task / "children").read_text().split()
    except OSError:
        return []


def _cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False

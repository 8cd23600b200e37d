"""Machines that share a state in a store, and nothing else: each has a folder of its own."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import yaml

import hume_runner
from hume_runner.api import Project, RunResult
from hume_runner.api.running import run_project
from hume_runner.emulator.server import Emulator
from hume_runner.events import Event, Submitted
from hume_runner.machine import Machine
from hume_runner.settings import Settings
from hume_runner.state.disk import Disk
from hume_runner.state.remote.copies import Remote, read_all
from hume_runner.wiring import driver

KEY = "shared-key"
QUICK = Settings(
    settle_s=0.3, settle_slow_s=0.3, late_s=0.3, lease_s=0.6, heartbeat_s=0.1, half_open_s=0.3, store_patience_s=2.0
)

_PLAIN = {"detach": False, "retry_failed": False, "pay_again": False, "saved_plan": None, "cluster": None}


@dataclass(kw_only=True)
class Study:
    """A manifest of texts, and where its state is. `limit` texts go in one job."""

    folder: Path
    place: str
    url: str
    texts: int = 6
    api: str = "batch-v0"
    sections: dict[str, Any] = field(default_factory=dict)

    def manifest(self, machine: str) -> dict[str, Any]:
        return {
            "version": 1,
            "name": "study",
            "service": {"api": self.api, "endpoint": self.url},
            "sources": {"text": [f"This is sentence number {n}." for n in range(self.texts)]},
            "models": {"language": {}},
            "batching": {"max_sources": 1},
            "execution": {"requests_per_second": 500},
            "outputs": {"directory": str(self.folder / machine)},
            **({"state": self.place} if self.place else {}),
            **self.sections,
        }

    def project(self, machine: str, settings: Settings = QUICK, disk: Disk | None = None) -> Project:
        here = Machine(disk=disk or Disk(), environ={"HUME_API_KEY": KEY}, settings=settings)
        return Project.open(self.manifest(machine), machine=here)

    def run(self, machine: str, **options: Any) -> RunResult:
        told: list[Any] = []
        project = self.project(machine, options.pop("settings", QUICK), options.pop("disk", None))
        return run_project(
            project,
            on_event=options.pop("on_event", told.append),
            control=options.pop("control", hume_runner.Cancel()),
            **_PLAIN | options,
        )

    def vanish(self, machine: str) -> None:
        """The disk of a machine is gone."""
        shutil.rmtree(self.folder / machine)


class Vanished(BaseException):
    """The machine is gone, as far as this process can be a machine."""


def vanish_after(submissions: int) -> Callable[[Event], None]:
    count = 0

    def on_event(event: Event) -> None:
        nonlocal count
        count += isinstance(event, Submitted)
        if count >= submissions:
            raise Vanished

    return on_event


class EndsBeforeItHears(Disk):
    """At its first commit that says what the service accepted, once the journal has `answers`."""

    def __init__(self, study: Study, answers: int, scratch: Path) -> None:
        super().__init__()
        self._study = study
        self._answers = answers
        self._scratch = scratch

    def commit(self, db: sqlite3.Connection, what: str) -> None:
        if what == "accepted":
            until = time.monotonic() + 30
            target = self._scratch / "looked.sqlite3"
            while len(pulled(self._study.project("looks"), target).answers) < self._answers:
                assert time.monotonic() < until
                target.unlink(missing_ok=True)
            raise Vanished
        super().commit(db, what)


def written(study: Study, machine: str) -> str:
    """The path of its manifest, for commands."""
    path = study.folder / f"{machine}.yaml"
    path.write_text(yaml.safe_dump(study.manifest(machine)), encoding="utf-8")
    return str(path)


def accepted(emulator: Emulator) -> int:
    counted: int = requests.get(f"{emulator.url}/_emulator/requests", timeout=10).json()["jobs_accepted"]
    return counted


def measured(emulator: Emulator) -> int:
    counted: int = requests.get(f"{emulator.url}/_emulator/requests", timeout=10).json()["uploads_measured"]
    return counted


def rows(state: Path) -> list[str]:
    """Everything that a state file holds."""
    with contextlib.closing(sqlite3.connect(state)) as db:
        return [line for line in db.iterdump() if "sqlite_stat" not in line]


def pulled(project: Project, target: Path) -> Remote:
    """What anybody reads from the store, as a file."""
    return read_all(lambda: driver(project.paths, project.machine), target, project.manifest.name)

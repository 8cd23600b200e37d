"""Pulls for tests: the places of a pull as a test names them, and what was told."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from hume_runner.http.download import DownloadLimits
from hume_runner.http.retry import RetryPolicy
from hume_runner.services.local.model_files import File
from hume_runner.services.local.places import Places
from hume_runner.services.local.pull import Step, pull
from hume_runner.services.local.weights import Weights
from hume_runner.settings import ModelSettings

QUICK = RetryPolicy(attempts=3, sleep=lambda _seconds: None)
BRIEF = DownloadLimits(read_timeout_s=0.3, connect_timeout_s=5.0)
WHOLE = {"tiny/model.bin", "tiny/.verified.json"}


@dataclass
class Puller:
    """A folder for models, and what was told while they were pulled."""

    root: Path
    mirror: str | None = None
    folder: Path | None = None
    allow_hosts: tuple[str, ...] = ()
    environ: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    steps: list[Step] = field(default_factory=list)

    @property
    def weights(self) -> Weights:
        return Weights(self.root)

    def __call__(self, *files: File) -> tuple[File, ...]:
        settings = ModelSettings(root=self.root, mirror=self.mirror)
        with Places(
            settings,
            environ=self.environ,
            wheels=self.root,
            folder=self.folder,
            allow_hosts=self.allow_hosts,
            retry=QUICK,
            limits=BRIEF,
        ) as places:
            return pull(files, weights=self.weights, places=places, tell=self.steps.append)

    def told(self, kind: str) -> list[tuple[str, str]]:
        return [(step.place, step.why) for step in self.steps if step.kind == kind]

    def there(self) -> set[str]:
        """Files below the root, but the lock."""
        found = (path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if path.is_file())
        return {name for name in found if name != ".lock"}

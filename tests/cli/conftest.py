from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hume_runner.emulator.server import Emulator
from tests.cli.project import Project


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(processing_time_s=0.01) as emulator:
        yield emulator


@pytest.fixture
def project(tmp_path: Path, emulator: Emulator) -> Project:
    return Project(tmp_path / "project", emulator)

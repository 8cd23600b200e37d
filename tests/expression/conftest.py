"""An emulator of each test's own: it counts what it measures, and tests make it fail."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hume_runner.emulator.server import Emulator
from tests.durability.children import Nursery
from tests.expression.runs import Folder


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(processing_time_s=0.005) as emulator:
        yield emulator


@pytest.fixture
def folder(tmp_path: Path, emulator: Emulator) -> Folder:
    return Folder(path=tmp_path / "case", url=emulator.url, key=emulator.api_key)


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """For tests that end runs in the middle, or have many of them at a time."""
    with Nursery() as nursery:
        yield nursery

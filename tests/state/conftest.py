"""A state as a run of the fake service left it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Three items in three jobs: one submitted, two planned."""
    world = World(tmp_path)
    world.service.most = 1
    world.service.processing_s = 1000.0
    world.run(max_jobs_in_flight=1, interrupts=[1.0])
    return world

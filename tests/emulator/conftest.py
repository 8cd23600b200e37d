"""A running emulator and a session that carries its key."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hume_runner.emulator.server import Emulator
from tests.emulator.api import Api


@pytest.fixture(scope="session")
def shared_emulator() -> Iterator[Emulator]:
    """One for all tests that neither inject faults nor count."""
    with Emulator(processing_time_s=0.01) as emulator:
        yield emulator


@pytest.fixture
def api(shared_emulator: Emulator) -> Iterator[Api]:
    with Api(shared_emulator.url, shared_emulator.api_key) as api:
        yield api


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator(processing_time_s=0.01) as emulator:
        yield emulator


@pytest.fixture
def own_api(emulator: Emulator) -> Iterator[Api]:
    """For tests that change or count what the server does."""
    with Api(emulator.url, emulator.api_key) as api:
        yield api

"""A running emulator and a session that carries its key."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hume_runner.emulator.server import Emulator
from tests.emulator.api import Api


def session_with(emulator: Emulator) -> Iterator[Api]:
    with Api(emulator.url, emulator.api_key) as api:
        yield api


@pytest.fixture
def api(shared_emulator: Emulator) -> Iterator[Api]:
    """For tests that neither inject faults nor count."""
    yield from session_with(shared_emulator)


@pytest.fixture
def own_api(emulator: Emulator) -> Iterator[Api]:
    """For tests that change or count what the server does."""
    yield from session_with(emulator)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where environments with the vendor's packages are kept."""
    given = os.environ.get("HUME_RUNNER_TEST_CACHE")
    return Path(given) if given else tmp_path_factory.getbasetemp() / "official-packages"


@pytest.fixture
def served() -> Iterator[dict[str, str]]:
    """Where a separate emulator process listens."""
    command = [sys.executable, "-m", "hume_runner", "emulate", "--processing-time", "50ms"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hume_runner.emulator.server import Emulator
from tests.media_files import speech, write_wav
from tests.object_stores import S3Server
from tests.state.remote.machines import KEY, Study


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    emulator = Emulator(api_keys=[KEY], processing_time_s=0.02)
    emulator.start()
    yield emulator
    emulator.stop()


@pytest.fixture
def quick_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """For commands: the key, and a machine that takes others for gone soon."""
    monkeypatch.setenv("HUME_API_KEY", KEY)
    for name, value in (("LEASE", "0.6"), ("HEARTBEAT", "0.1"), ("HALF_OPEN", "0.3"), ("STORE_PATIENCE", "2")):
        monkeypatch.setenv(f"HUME_RUNNER_{name}", value)


@pytest.fixture
def study(tmp_path: Path, s3: S3Server, emulator: Emulator) -> Study:
    return Study(folder=tmp_path, place=f"s3://{s3.bucket()}/study", url=emulator.url)


@pytest.fixture
def recordings(study: Study) -> Study:
    """Four recordings for a service that gives an answer once."""
    for number in range(4):
        write_wav(study.folder / f"{number}.wav", speech([("speech", 1.0 + number / 10)]))
    study.api = "expression-v1"
    study.sections = {
        "sources": {"files": [str(study.folder / "*.wav")]},
        "models": {"audio": {}},
        "batching": {},
    }
    return study

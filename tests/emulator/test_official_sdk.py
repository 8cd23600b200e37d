"""The vendor's own packages work against `hume-runner emulate` unchanged.

Each lives in an environment of its own, made once under $HUME_RUNNER_TEST_CACHE (else under the run's temporary
folder) from the package index. Without an index this fails in CI and is skipped elsewhere.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from tests.emulator.api import wav

SCRIPTS = Path(__file__).parent / "official"
pytestmark = pytest.mark.timeout(400)


def interpreter_with(version: str, cache: Path) -> Path:
    """The Python of an environment that holds `hume` of this version."""
    home = cache / f"hume-{version}-py{sys.version_info.major}.{sys.version_info.minor}"
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    complete = home / "complete"
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{home}.lock"):
        if not complete.exists():
            venv.create(home, with_pip=True, clear=True)
            command = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", f"hume=={version}"]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
            if done.returncode != 0:
                reason = f"pip could not install hume=={version}: {done.stderr.strip()[-500:]}"
                if os.environ.get("CI"):
                    pytest.fail(reason)
                pytest.skip(reason)
            complete.touch()
    return python


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
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


def run(script: str, version: str, cache: Path, served: dict[str, str], folder: Path) -> Any:
    (folder / "a.wav").write_bytes(wav(3))
    command = [interpreter_with(version, cache), SCRIPTS / script, served["url"], served["api_key"], folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_current_official_package_does_everything(cache: Path, served: dict[str, str], tmp_path: Path) -> None:
    seen = run("use_hume_0_13.py", "0.13.13", cache, served, tmp_path)
    assert set(seen["states"].values()) == {"COMPLETED"}
    assert seen["listed"] == seen["submitted"][:3]
    assert len(seen["errors"]) == 1
    assert seen["text_files"] == ["1", "2"]
    assert seen["names"] == 53
    assert seen["file_names"] == ["a.wav", "b.txt"]
    assert "url-0-a.mp4/csv/a.mp4/face.csv" in seen["archive"]
    assert seen["written"]


def test_the_legacy_official_package_does_everything(cache: Path, served: dict[str, str], tmp_path: Path) -> None:
    seen = run("use_hume_0_3.py", "0.3.7", cache, served, tmp_path)
    assert seen["states"] == ["COMPLETED", "COMPLETED", "FAILED"]
    assert seen["rehydrated"] == "COMPLETED"
    assert seen["sources"] == 2
    assert seen["file_models"] == ["language"]
    assert "url-0-a.mp4/csv/a.mp4/prosody.csv" in seen["archive"]
    assert "invalid" in seen["wrong_key"].lower()
    assert seen["unknown_job"].startswith("Could not find a job with ID")

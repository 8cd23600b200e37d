"""The vendor's packages, each in an environment of its own, run against a separate emulator process.

An environment is made once under $HUME_RUNNER_TEST_CACHE (else under the run's temporary folder) from the package
index. Without an index this fails in CI and is skipped elsewhere.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

SCRIPTS = Path(__file__).parent / "official"


def interpreter_with(requirement: str, cache: Path) -> Path:
    """The Python of an environment that holds the package: `NAME==VERSION`."""
    home = cache / f"{requirement.replace('==', '-')}-py{sys.version_info.major}.{sys.version_info.minor}"
    python = home / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    complete = home / "complete"
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{home}.lock"):
        if not complete.exists():
            venv.create(home, with_pip=True, clear=True)
            command = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", requirement]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
            if done.returncode != 0:
                reason = f"pip could not install {requirement}: {done.stderr.strip()[-500:]}"
                if os.environ.get("CI"):
                    pytest.fail(reason)
                pytest.skip(reason)
            complete.touch()
    return python


def run_script(script: str, requirement: str, cache: Path, served: dict[str, str], folder: Path) -> Any:
    """What a script of `official/` prints as JSON, given the emulator's URL and key and a folder with its media."""
    command = [interpreter_with(requirement, cache), SCRIPTS / script, served["url"], served["api_key"], folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)

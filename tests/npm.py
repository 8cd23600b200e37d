"""Programs from npm that tests speak to: installed into a cache once, and run on node."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from filelock import FileLock


def cache(temporary: Path) -> Path:
    """Where such programs are kept: `HUME_RUNNER_TEST_CACHE`, or a folder of this test run."""
    given = os.environ.get("HUME_RUNNER_TEST_CACHE")
    return Path(given) if given else temporary / "npm"


def installed(cache: Path, package: str, version: str) -> tuple[str, Path]:
    """Node, and the package's folder. Skips where there is no node or npm, but fails under CI."""
    home = cache / f"{package}-{version}"
    node, npm = shutil.which("node"), shutil.which("npm")
    problem = "" if node and npm else "node and npm are not installed"
    home.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{home}.lock"):
        if not problem and not (home / "complete").exists():
            command = [npm, "install", "--no-audit", "--no-fund", "--silent", "--prefix", home, f"{package}@{version}"]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
            problem = "" if done.returncode == 0 else f"npm cannot install {package}: {done.stdout}{done.stderr}"
            if not problem:
                (home / "complete").touch()
    if problem:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(problem)
    return str(node), home / "node_modules" / package

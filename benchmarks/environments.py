"""Virtual environments that a benchmark makes below the cache directory: of an SDK, and of what a user installs.

Beside what development needs, imports take longer: some packages look for others, and load what they find.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def python_with(*requirements: str) -> str:
    """The interpreter of an environment with these, which is made once."""
    folder = _place("-".join(requirements).replace("==", "-"))
    if not (folder / "complete").exists():
        print(f"installing {' '.join(requirements)} into {folder} …", file=sys.stderr)
        venv.create(folder, clear=True, with_pip=True)
        _install(folder, *requirements)
        (folder / "complete").touch()
    return str(folder / "bin" / "python")


@cache
def python_of_a_user(*extras: str) -> str:
    """The interpreter of an environment with this checkout as it is now, these extras, and nothing else."""
    folder = _place("-".join(("runner", *extras)))
    print(f"installing this checkout into {folder} …", file=sys.stderr)
    venv.create(folder, clear=True, with_pip=True)
    _install(folder, f"{ROOT}[{','.join(extras)}]" if extras else str(ROOT))
    return str(folder / "bin" / "python")


def _place(name: str) -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hume-runner-benchmarks" / name


def _install(folder: Path, *requirements: str) -> None:
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *requirements], check=True)

"""Processes that are killed while they write."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from tests import warm

_ROOT = Path(__file__).parents[1]


def killed_writer(code: str, environ: Mapping[str, str] | None = None) -> None:
    """Run Python code that imports our package, and end the process as SIGKILL does, with nothing cleaned up."""
    program = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        f"sys.path.insert(0, {str(_ROOT)!r})\n{code}\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = warm.run([sys.executable, "-c", program], check=False, env=environ, capture_output=True, text=True)
    assert ended.returncode == -9, ended.stderr

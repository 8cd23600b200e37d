"""SciPy, as a second opinion on statistics; the package itself does without."""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest


def scipy_stats() -> Any:
    """`scipy.stats`. In CI its absence fails the test; elsewhere it skips it."""
    if find_spec("scipy") is None:
        if os.environ.get("CI"):
            raise ModuleNotFoundError("scipy is not installed")
        pytest.skip("scipy is not installed")
    return import_module("scipy.stats")

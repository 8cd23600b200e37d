"""What a test needs and not every machine has."""

from __future__ import annotations

import os
import sys

import pytest

linux_only = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux's account of memory")


def lacking(what: str) -> None:
    """Skip the test, and say what for; under CI let it fail: there, nothing may be missing."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)

"""A project with an emulator of its own, as the commands' tests have it; and a browser for pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.cli.conftest import emulator, project
from tests.results.browser import chromium

__all__ = ["browser", "emulator", "project"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, for all tests of a file: it takes a second to start."""
    with chromium() as running:
        yield running

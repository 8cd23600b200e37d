from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hume_runner.results.report.page import write_report
from tests.results.browser import chromium
from tests.results.study_answers import study


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, for all tests of a file: it takes a second to start."""
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a study with groups and two waves."""
    directory = tmp_path_factory.mktemp("study")
    return write_report(study(directory / "out"), directory / "report.html")

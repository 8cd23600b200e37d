from __future__ import annotations

from pathlib import Path

import pytest

from hume_runner.emulator.server import Emulator
from tests.expression.runs import Folder


@pytest.fixture
def folder(tmp_path: Path, emulator: Emulator) -> Folder:
    return Folder(path=tmp_path / "case", url=emulator.url, key=emulator.api_key)

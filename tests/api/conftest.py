from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

import hume_runner
from hume_runner.api import Project

TEXTS = ["I could not be happier.", "Leave me alone.", "So it goes."]


def written(folder: Path, **more: Any) -> Path:
    """A manifest of three texts that this machine measures, in its folder."""
    members = {
        "version": 1,
        "name": "three-texts",
        "service": {"api": "local"},
        "sources": {"text": TEXTS},
        "models": {"language": {}},
        "outputs": {"directory": "out"},
    }
    path = folder / "three.yaml"
    path.write_text(yaml.safe_dump({**members, **more}), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that ran, not to be changed."""
    folder = tmp_path_factory.mktemp("measured")
    assert hume_runner.run(written(folder)).exit_code == 0
    return folder


@pytest.fixture
def study(measured: Path, tmp_path: Path) -> Project:
    """The same, for one test alone."""
    shutil.copytree(measured, tmp_path, dirs_exist_ok=True)
    return Project.open(tmp_path / "three.yaml")

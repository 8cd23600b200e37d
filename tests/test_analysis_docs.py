"""Every block of docs/analysis.md, run on outputs of a run with the emulator."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hume_runner.emulator.server import Emulator
from tests.cli.project import Project

PROJECT = Path(__file__).parents[1]
PAGE = (PROJECT / "docs" / "analysis.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(python|r)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `results/interviews`, as the page has it: two waves of the same people."""
    where = tmp_path_factory.mktemp("study")
    with Emulator(processing_time_s=0.01) as emulator:
        project = Project(where / "project", emulator)
        project.manifest["name"] = "interviews"
        urls = [
            {"url": f"https://example.org/p{who:02d}-w{wave}.mp4", "labels": {"wave": wave, "site": "north"}}
            for who in range(1, 4)
            for wave in (1, 2)
        ]
        urls[0]["id"] = "p01"
        project.manifest["sources"] = {"urls": urls}
        project.manifest["models"] = {"face": {"facs": {}}, "prosody": {}}
        project.manifest["outputs"] = {"directory": str(where / "results" / "interviews"), "tables": ["parquet", "csv"]}
        ran = project.run()
    assert ran.code == 0, ran.err
    return where


def test_the_page_has_blocks() -> None:
    assert len(BLOCKS) >= 7


@pytest.mark.sweep
@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_block_runs_as_it_is_printed(number: int, folder: Path) -> None:
    language, text = BLOCKS[number]
    if language == "r" and shutil.which("Rscript") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("Rscript is not installed")
    command = [sys.executable, "-c", text] if language == "python" else ["Rscript", "-e", text]

    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() or "savefig" in text

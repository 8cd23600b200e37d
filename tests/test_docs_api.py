"""CONTRIBUTING.md: the API that it registers from outside is run by the command line, as its launcher says."""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SECTION = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("### An API from outside")[2]
WORDS, ROWS, LAUNCHER = re.findall(r"^```python\n(.*?)^```", SECTION, flags=re.DOTALL | re.MULTILINE)
TEXTS = ["One.", "Three words here.", "Two words.", "Two of them again."]
STUDY = f"""\
version: 1
name: study
service: {{api: words}}
sources: {{text: {TEXTS}}}
models: {{count: {{}}}}
outputs: {{directory: out, tables: [csv], report: true}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    texts = {"words.py": WORDS, "word_rows.py": ROWS, "launch.py": LAUNCHER, "study.yaml": STUDY}
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def launched(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    # An interpreter of its own: the launcher is what is shown.
    command = [sys.executable, "launch.py", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.sweep
def test_the_api_that_is_written_down_runs_by_its_launcher(folder: Path) -> None:
    ran = launched(folder, "study.yaml")
    assert ran.returncode == 0, ran.stderr
    with (folder / "out" / "tables" / "counts.csv").open(encoding="utf-8", newline="") as file:
        counted = [float(row["words"]) for row in csv.DictReader(file)]
    assert sorted(counted) == sorted(len(text.split()) for text in TEXTS)
    assert launched(folder, "verify", "study.yaml").returncode == 0


def test_without_its_launcher_the_command_line_does_not_know_it(folder: Path) -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "hume_runner", "validate", "study.yaml"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 65


@pytest.mark.sweep  # mypy reads all that it stands on
def test_what_is_written_down_is_typed(folder: Path) -> None:
    command = [sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "words.py", "word_rows.py"]
    environ = {**os.environ, "MYPYPATH": str(ROOT), "MYPY_CACHE_DIR": str(folder / "cache")}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout

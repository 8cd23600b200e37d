"""docs/shards.md: what it says is run, what it shows is read."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from hume_runner.cli.main import COMMANDS
from tests import warm

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "shards.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)

STUDY = """\
version: 1
name: study
service: {api: local}
sources:
  text:
    - {from: texts.csv, column: text}
models: {language: {}}
outputs: {tables: [jsonl]}
"""


def blocks(language: str) -> list[str]:
    return [text for found, text in BLOCKS if found == language]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study of its own, and `hume-runner` on the path."""
    (tmp_path / "study.yaml").write_text(STUDY)
    rows = [
        f"I feel number {n}.,{n % 2 + 1},{('Bern', 'Chur')[n % 2]},{20 + n},{str(n == 0).lower()}" for n in range(12)
    ]
    (tmp_path / "texts.csv").write_text("\n".join(["text,wave,site,age,pilot", *rows]) + "\n")
    command = tmp_path / "bin" / "hume-runner"
    command.parent.mkdir()
    warm.program(command)
    return tmp_path


def shell(text: str, study: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PATH": f"{study / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), **more}
    return subprocess.run(
        ["bash", "-e", "-c", text], cwd=study, env=environ, capture_output=True, text=True, check=False
    )


def done(study: Path, place: str = "") -> int:
    lines = (study / "results" / "study" / place / "results.jsonl").read_text().splitlines()
    return sum(json.loads(line)["status"] == "done" for line in lines)


@pytest.mark.sweep
def test_the_ways_to_run_a_part_run_as_they_are_written(study: Path) -> None:
    few, selections = (text for text in blocks("sh") if "--limit" in text or "--select" in text)
    assert "--limit 5" in few
    ran = shell(few.splitlines()[1], study)
    assert (ran.returncode, done(study)) == (0, 5), ran.stderr
    for line in selections.splitlines():
        ran = shell(line, study)
        assert ran.returncode == 0, ran.stderr
    ran = shell(few, study)
    assert (ran.returncode, done(study)) == (0, 12), ran.stderr


@pytest.mark.sweep
def test_the_merge_and_what_looks_at_a_part_run_as_they_are_written(study: Path) -> None:
    for part in (1, 2):
        assert shell(f"hume-runner run study.yaml --shard {part}/2", study).returncode == 0
    assert sum(done(study, f"shards/{part}-of-2") for part in (1, 2)) == 12
    merge = next(text for text in blocks("sh") if text.startswith("hume-runner state merge"))
    ran = shell(merge, study)
    assert (ran.returncode, done(study)) == (0, 12), ran.stderr
    assert "nothing to do, 12 items are measured" in ran.stderr
    assert shell(merge, study).returncode == 0
    (status,) = (text.splitlines()[0] for text in blocks("sh") if "ctl study.yaml" in text)
    assert shell(status, study).returncode == 0


@pytest.mark.sweep
def test_every_command_that_is_named_exists() -> None:
    named = set(re.findall(r"hume-runner (\w+)", PAGE))
    assert named <= set(COMMANDS), named - set(COMMANDS)

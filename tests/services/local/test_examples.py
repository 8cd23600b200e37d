"""The examples that measure on this machine run as they are, and so does the demo."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.needed import lacking

PROJECT = Path(__file__).parents[3]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the examples, whose results lie beside their folder."""
    shutil.copytree(PROJECT / "manifests", tmp_path / "manifests", ignore=shutil.ignore_patterns("results"))
    return tmp_path


def run(checkout: Path, *manifests: str) -> str:
    command = [sys.executable, "-m", "hume_runner", "run", *manifests]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def items(results: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (results / "results.jsonl").read_text().splitlines()]


@pytest.mark.sweep
def test_the_demo_rehearses_and_measures_a_survey(checkout: Path) -> None:
    told = re.search(r"^DEMO_MANIFESTS = (.*)$", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    assert told is not None
    run(checkout, *told[1].split())
    assert {item["simulated"] for item in items(checkout / "results/quickstart")} == {True}
    results = checkout / "results/local-survey"
    measured = items(results)
    assert {item["id"] for item in measured} == {f"v0{number}" for number in range(1, 7)}
    assert {(item["status"], item["simulated"]) for item in measured} == {("done", False)}
    assert measured[0]["labels"] == {"place": "north", "month": "May"}
    with (results / "tables/language.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) > len(measured)  # sentences
    best = {row["item_id"]: strongest(row) for row in rows}
    assert (best["v01"], best["v06"]) == ("gratitude", "remorse")
    assert "goemotions-small@1" in rows[0]["measured_by"]
    assert (results / "report.html").exists()


def strongest(row: dict[str, str]) -> str:
    scores = {name.removeprefix("goemotions_"): float(value) for name, value in row.items() if name[:3] == "goe"}
    return max(scores, key=lambda name: scores[name])


@pytest.mark.sweep
def test_the_interviews_are_measured_without_any_weights(checkout: Path) -> None:
    if find_spec("numpy") is None:
        lacking("the extra `local` is not installed")
    run(checkout, "manifests/local-interviews.yaml")
    results = checkout / "results/local-interviews"
    measured = {item["id"]: item for item in items(results)}
    assert {name: item["status"] for name, item in measured.items()} == {
        "ana": "done",
        "media/interview-2.wav": "done",
    }
    (answer,) = (results / name for name in measured["ana"]["raw"] if name.endswith("response.json"))
    pitches = re.findall(r'"pitch_median_hz": ?([0-9.]+)', answer.read_text())
    assert pitches
    assert all(90 < float(pitch) < 150 for pitch in pitches)  # the script draws it around 118 Hz


@pytest.mark.sweep
def test_what_the_interviews_offer_in_comments_is_valid(checkout: Path) -> None:
    """The lines that a reader may take in are lines of a manifest."""
    path = checkout / "manifests/local-interviews.yaml"
    text = re.sub(r"^  # (\w+: \{)", r"  \1", path.read_text(), flags=re.MULTILINE)
    assert set(yaml.safe_load(text)["models"]) == {"acoustics", "speech", "language", "ner"}
    path.write_text(text)
    command = [sys.executable, "-m", "hume_runner", "validate", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

"""Every block of docs/analysis.md, run on what was measured here, and with other names on outputs of the emulator."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
import sys
import wave
from array import array
from pathlib import Path

import pytest

import hume_runner
from hume_runner.emulator.server import Emulator
from tests.cli.project import Project

PROJECT = Path(__file__).parents[1]
PAGE = (PROJECT / "docs" / "analysis.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(python|r)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


# The names that the page gives for another service, in place of its own.
NAMES = dict(re.findall(r"^\| `(\w+)` \| `(\w+)`", PAGE, re.MULTILINE))


def a_tone(path: Path, seconds: float) -> str:
    """A recording of a tone that falls silent at the end."""
    loud = [int(9_000 * math.sin(2 * math.pi * 220 * n / 16_000)) for n in range(int(16_000 * seconds))]
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(array("h", [*loud, *[0] * 320]).tobytes())
    return path.name


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `results/interviews`, measured here, as the page has it: two waves of the same people."""
    where = tmp_path_factory.mktemp("study")
    media = [a_tone(where / f"{who}.wav", 2) for who in ("p01", "p02", "p03", "p04")]
    labels = [{"wave": wave, "site": "north"} for wave in (1, 2)]
    manifest = {
        "version": 1,
        "name": "interviews",
        "service": {"api": "local"},
        "sources": {
            "files": [{"path": name, "id": name[:3], "labels": labels[n % 2]} for n, name in enumerate(media)],
            "text": [
                {"text": text, "id": f"t{n}", "labels": labels[n % 2]}
                for n, text in enumerate(("I am happy.", "Leave me alone.", "What a day!", "He is very sad."))
            ],
        },
        "models": {"language": {}, "acoustics": {}},
        "outputs": {"directory": "results/interviews", "tables": ["parquet", "csv"]},
    }
    path = where / "interviews.yaml"
    path.write_text(json.dumps(manifest), encoding="utf-8")
    assert hume_runner.run(path).exit_code == 0
    return where


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same from a service."""
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


def test_the_page_has_blocks_and_names_for_another_service() -> None:
    assert len(BLOCKS) >= 8
    assert set(NAMES) == {"language", "goemotions_joy", "goemotions_sadness"}


@pytest.mark.sweep
@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_block_runs_as_it_is_printed(number: int, request: pytest.FixtureRequest) -> None:
    language, text = BLOCKS[number]
    # Action units are of that service alone.
    prints(language, text, request.getfixturevalue("there" if "facs_" in text else "here"))


@pytest.mark.sweep
@pytest.mark.parametrize("number", [n for n, (_, text) in enumerate(BLOCKS) if re.search("|".join(NAMES), text)])
def test_a_block_runs_with_the_names_of_another_service(number: int, there: Path) -> None:
    language, text = BLOCKS[number]
    prints(language, re.sub("|".join(NAMES), lambda match: NAMES[match[0]], text), there)


def prints(language: str, text: str, folder: Path) -> None:
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

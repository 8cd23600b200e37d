"""Commands of pages that have no test of their own, run where the page has them run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.test_documented_commands import in_blocks, parts
from tests.tiers import sampled

PROJECT = Path(__file__).parents[1]


def commands(page: str, program: str) -> list[str]:
    """The commands `hume-runner PROGRAM …` that are typed on a page."""
    text = (PROJECT / "docs" / page).read_text(encoding="utf-8")
    found = [one for one in in_blocks(text) if one.startswith(f"hume-runner {program} ")]
    assert found, page
    return found


def ran(command: str, folder: Path) -> str:
    (words,) = parts(command)
    done = subprocess.run(
        [sys.executable, "-m", "hume_runner", *words[1:]],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examples, rehearsed: two runs of texts, and pictures by both services."""
    folder = tmp_path_factory.mktemp("study")
    shutil.copytree(PROJECT / "manifests" / "media", folder / "media")
    shutil.copytree(PROJECT / "manifests" / "lists", folder / "lists")
    for name, granularity in (("first", "sentence"), ("second", "text")):
        write(
            folder / f"{name}.yaml",
            "local",
            {"text": ["I am glad.", "Go away."]},
            {"language": {"granularity": granularity}},
        )
        ran(f"hume-runner {name}.yaml", folder)
    ran("hume-runner first.yaml --output-dir results/march", folder)
    ran("hume-runner second.yaml --output-dir results/june", folder)
    pictures = {"files": ["media/*.png"]}
    write(folder / "old.yaml", "batch-v0", pictures, {"face": {}})
    write(folder / "new.yaml", "expression-v1", pictures, {"video": {}})
    for name in ("old", "new"):
        ran(f"hume-runner {name}.yaml", folder)
    shutil.copy(PROJECT / "manifests" / "interviews.yaml", folder)
    return folder


def write(path: Path, api: str, sources: object, models: object) -> None:
    service = {"api": api} if api == "local" else {"api": api, "endpoint": "emulator"}
    manifest = {"version": 1, "name": path.stem, "service": service, "sources": sources, "models": models}
    path.write_text(yaml.safe_dump(manifest), encoding="utf-8")


@pytest.mark.sweep
@pytest.mark.parametrize("command", commands("compare.md", "compare"))
def test_a_comparison_runs_as_it_is_printed(command: str, study: Path) -> None:
    ran(command, study)
    if "--out" in command:
        assert (study / command.rsplit(maxsplit=1)[-1]).stat().st_size > 10_000


@pytest.mark.sweep
@pytest.mark.parametrize("to", ["interviews-v1.yaml", "interviews-local.yaml"])
def test_a_manifest_moves_as_it_is_printed(to: str, study: Path) -> None:
    (migrate,) = [one for one in commands("from-v0-to-v1.md", "migrate") if one.endswith(to)]
    ran(migrate, study)
    assert (study / to).exists()
    for plan in commands("from-v0-to-v1.md", "plan"):
        if to in plan:
            assert "bill" in ran(plan, study)
    ran(f"hume-runner validate {to}", study)


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("command", [one for one in commands("models.md", "models") if "pull" not in one])
def test_models_are_listed_and_verified_as_it_is_printed(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUME_RUNNER_MODELS", str(tmp_path / "models"))
    (words,) = parts(command)
    done = subprocess.run(
        [sys.executable, "-m", "hume_runner", *words[1:]], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == (0 if "list" in command else 3), done.stderr  # there are none in that folder
    assert "whisper" in done.stdout + done.stderr


@pytest.mark.sweep
def test_the_emulator_starts_as_it_is_printed(tmp_path: Path) -> None:
    (command,) = commands("emulator.md", "emulate")
    environ = {**os.environ, "PYTHONPATH": str(PROJECT)}
    words = [sys.executable, "-m", "hume_runner", *command.split()[1:]]
    with subprocess.Popen(words, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        process.terminate()
        assert process.wait(timeout=30) == 0
    assert told["url"].startswith("http://127.0.0.1:")
    assert told["api_key"].startswith("emulated-")

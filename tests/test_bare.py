"""The package with nothing but what it needs: an environment of its own, without any extra."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tomllib
import venv
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

PROJECT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """`python` of an environment that has what pyproject.toml requires without extras, and nothing else."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder / "venv", with_pip=False)
    site = folder / "site"
    site.mkdir()
    with (PROJECT / "pyproject.toml").open("rb") as file:
        waiting = list(tomllib.load(file)["project"]["dependencies"])
    seen: set[str] = set()
    while waiting:
        requirement = Requirement(waiting.pop())
        name = requirement.name.lower()
        if name in seen or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        seen.add(name)
        found = metadata.distribution(name)
        waiting += found.requires or []
        for top in {file.parts[0] for file in found.files or () if file.parts[0] not in ("..", "__pycache__")}:
            (site / top).unlink(missing_ok=True)
            (site / top).symlink_to(found.locate_file(top))
    (site / "hume_runner").symlink_to(PROJECT / "hume_runner")
    (site / "schemas").symlink_to(PROJECT / "schemas")
    assert {"pyyaml", "requests", "rich"} <= seen
    assert not {"numpy", "pyarrow", "msgspec", "jinja2"} & seen
    return ["env", f"PYTHONPATH={site}", str(folder / "venv" / "bin" / "python"), "-m", "hume_runner"]


def called(python: list[str], *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "HUME_"))}
    return subprocess.run(
        [*python, *words], cwd=folder, env=environ, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def survey(tmp_path: Path) -> Path:
    shutil.copytree(PROJECT / "manifests", tmp_path / "manifests")
    return tmp_path


@pytest.mark.sweep
def test_the_survey_is_measured_and_what_is_not_written_is_told(python: list[str], survey: Path) -> None:
    ran = called(python, "manifests/local-survey.yaml", folder=survey)
    assert ran.returncode == 0, ran.stderr
    assert "6 of 6 measured" in ran.stdout
    [told] = [line for line in ran.stderr.splitlines() if line.startswith("not written: ")]
    assert "outputs.tables and outputs.report" in told
    assert f"pip install -e '{PROJECT}[tables,report]'" in told
    outputs = survey / "results" / "local-survey"
    lines = [json.loads(line) for line in (outputs / "results.jsonl").read_text().splitlines()]
    assert [line["status"] for line in lines] == ["done"] * 6
    answer = json.loads((outputs / lines[0]["raw"][-1]).read_text())
    assert answer["sources"][0]["tables"]["language"][0]["goemotions"]
    assert not (outputs / "tables").exists()
    for words in (["plan"], ["verify"], ["status"], ["validate"]):
        assert called(python, *words, "manifests/local-survey.yaml", folder=survey).returncode == 0
    for extra, words in (
        ("tables", ["tables"]),
        ("tables", ["tables", "--psych-ds", "--out", "dataset"]),
        ("report", ["report"]),
        ("figures", ["report", "--figures", "figures"]),
        ("figures", ["report", "--figures", "figures", "--figure-format", "csv"]),
    ):
        refused = called(python, *words[:1], "manifests/local-survey.yaml", *words[1:], folder=survey)
        assert (refused.returncode, refused.stdout) == (64, ""), refused.stderr
        assert f"pip install -e '{PROJECT}[{extra}]'" in refused.stderr


@pytest.mark.sweep
def test_tables_that_were_made_elsewhere_do_not_stop_a_run(python: list[str], survey: Path) -> None:
    from hume_runner.cli.main import main

    manifest = survey / "manifests" / "local-survey.yaml"
    assert main([str(manifest)]) == 0  # with everything
    table = survey / "results" / "local-survey" / "tables" / "language.csv"
    before = table.read_bytes()
    manifest.write_text(manifest.read_text().replace("granularity: sentence", "granularity: text"))
    ran = called(python, str(manifest), folder=survey)
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr
    assert "tables/csv is not up to date any more" in ran.stderr
    assert table.read_bytes() == before
    assert main([str(manifest)]) == 0
    assert table.read_bytes() != before


@pytest.mark.sweep
def test_what_a_service_would_be_paid_for_is_refused_before_it(python: list[str], tmp_path: Path) -> None:
    hosted = {"version": 1, "name": "hosted", "service": {"api": "batch-v0"}, "sources": {"text": ["One"]}}
    hosted |= {"models": {"language": {}}, "outputs": {"tables": ["csv"]}}
    (tmp_path / "m.yaml").write_text(json.dumps(hosted))
    ran = called(python, "m.yaml", folder=tmp_path)
    assert ran.returncode == 64
    assert "outputs.tables in m.yaml needs the extra 'tables'" in ran.stderr


@pytest.mark.sweep
def test_a_missing_extra_that_measures_is_told_before_the_run_that_it_would_end(
    python: list[str], tmp_path: Path
) -> None:
    local = {"version": 1, "name": "here", "service": {"api": "local"}, "sources": {"files": ["a.wav"]}}
    (tmp_path / "m.yaml").write_text(json.dumps({**local, "models": {"acoustics": {}}}))
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    for command, code in (("validate", 0), ("plan", 64)):
        told = called(python, command, "m.yaml", folder=tmp_path)
        assert told.returncode == code, told.stderr
        assert "models.acoustics" in told.stderr
        assert f"pip install -e '{PROJECT}[local]'" in told.stderr
    assert called(python, "run", "m.yaml", folder=tmp_path).returncode == 64

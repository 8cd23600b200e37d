"""The wheel, installed where nothing of the checkout is, runs a manifest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MANIFEST = """
version: 1
name: elsewhere
service: {api: batch-v0, endpoint: emulator}
sources: {text: [Hello.]}
models: {language: {}}
outputs: {directory: results}
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
        cwd=folder,
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.mark.sweep
def test_the_wheel_carries_the_schemas_the_page_and_the_types_and_no_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "hume_runner/_schemas/manifest-v1.schema.json" in names
    assert "hume_runner/py.typed" in names
    assert "hume_runner/results/report/page.html.jinja" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests", "benchmarks", "manifests"))]


@pytest.mark.sweep
def test_the_wheel_installed_elsewhere_runs_a_manifest(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "manifest.yaml").write_text(MANIFEST)
    # -P and a path of its own: the checkout must not be found, whatever is installed for development.
    ran = subprocess.run(
        [sys.executable, "-P", "-m", "hume_runner", "run", "manifest.yaml", "--json"],
        cwd=tmp_path / "work",
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout.splitlines()[-1])["exit_code"] == 0
    assert (tmp_path / "work" / "results" / "results.jsonl").exists()
    where = subprocess.run(
        [sys.executable, "-P", "-c", "import hume_runner; print(hume_runner.__file__)"],
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(where.stdout.strip()).is_relative_to(site)

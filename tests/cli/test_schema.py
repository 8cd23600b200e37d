from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from hume_runner.cli.console import Console
from hume_runner.cli.main import main

PROJECT = Path(__file__).parents[2]
PUBLISHED = PROJECT / "schemas" / "manifest-v1.schema.json"


def test_the_schema_is_printed_as_it_is_published() -> None:
    out = io.StringIO()
    assert main(["schema"], Console(out=out, err=io.StringIO())) == 0
    assert out.getvalue() == PUBLISHED.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package as pip installs it from a wheel, away from the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    for command in (
        ["build", "--wheel", "--no-isolation", "--outdir", str(folder), str(PROJECT)],
        ["pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(folder / "site")],
    ):
        wheels = [str(path) for path in folder.glob("*.whl")]
        done = subprocess.run(
            [sys.executable, "-m", *command, *wheels], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


def elsewhere(installed: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # -P: the current folder is not searched. PYTHONPATH comes before an editable install.
    return subprocess.run(
        [sys.executable, "-P", "-m", "hume_runner", *arguments],
        cwd=installed,
        env={"PYTHONPATH": str(installed / "site"), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.sweep
def test_an_installed_wheel_finds_its_schema(installed: Path) -> None:
    (wheel,) = installed.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert "hume_runner/_schemas/manifest-v1.schema.json" in archive.namelist()
    # Without the wheel's copy the command must fail: nothing else may be found from here.
    assert not (installed / "site" / "schemas").exists()
    done = elsewhere(installed, "schema")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == PUBLISHED.read_text(encoding="utf-8")


@pytest.mark.sweep
def test_an_installed_wheel_validates(installed: Path) -> None:
    manifest = installed / "m.yaml"
    manifest.write_text("version: 1\nname: x\nservice: {api: batch-v0}\nmodels: {face: {}}\nsources: {text: [Hi.]}\n")
    done = elsewhere(installed, "validate", "m.yaml")
    assert (done.returncode, done.stdout) == (0, "m.yaml: ok, 1 item (1 text)\n")

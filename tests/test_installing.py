"""What brings a missing extra is true for every way in which the package came here."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from hume_runner import installing
from hume_runner.errors import MissingExtra

PROJECT = Path(__file__).parents[1]
REQUIRES = (
    "pyyaml>=6",
    'pyarrow>=18; extra == "tables"',
    "msgspec>=0.19; extra == 'tables'",
    'av>=18; extra == "local"',
)


@pytest.fixture
def origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in front of all others with the metadata of an installation; returns its direct_url.json."""
    folder = tmp_path / "site" / "hume_runner-0.1.0.dist-info"
    folder.mkdir(parents=True)
    requires = "".join(f"Requires-Dist: {line}\n" for line in REQUIRES)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: hume-runner\nVersion: 0.1.0\n{requires}")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.chdir(tmp_path)
    return folder / "direct_url.json"


def test_a_checkout_names_itself_and_is_a_dot_for_those_who_stand_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    assert installing.extras("local") == "pip install -e '.[local]'"
    monkeypatch.chdir(PROJECT / "tests")
    assert installing.extras("tables", "report") == f"pip install -e {shlex.quote(f'{PROJECT}[tables,report]')}"
    assert str(PROJECT) in installing.newer()


def test_a_wheel_that_is_still_there_is_named(origin: Path, tmp_path: Path) -> None:
    wheel = tmp_path / "with blanks" / "hume_runner-0.1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    wheel.touch()
    origin.write_text(json.dumps({"url": wheel.as_uri(), "archive_info": {}}))
    assert installing.extras("tables") == f"pip install '{wheel}[tables]'"


def test_a_wheel_that_is_gone_leaves_the_names_of_what_is_missing(origin: Path, tmp_path: Path) -> None:
    origin.write_text(json.dumps({"url": (tmp_path / "gone.whl").as_uri(), "archive_info": {}}))
    assert installing.extras("tables") == "pip install 'pyarrow>=18' 'msgspec>=0.19'"
    assert installing.extras("tables", "local") == "pip install 'pyarrow>=18' 'msgspec>=0.19' 'av>=18'"


def test_git_is_named_with_what_was_asked_for(origin: Path) -> None:
    vcs = {"vcs": "git", "requested_revision": "v0.1.0", "commit_id": "abc"}
    origin.write_text(json.dumps({"url": "https://example.org/hume-runner.git", "vcs_info": vcs}))
    wanted = "hume-runner[local] @ git+https://example.org/hume-runner.git@v0.1.0"
    assert installing.extras("local") == f"pip install {shlex.quote(wanted)}"
    assert installing.newer().endswith("this one came from git+https://example.org/hume-runner.git@v0.1.0")


@pytest.mark.parametrize(
    "told", [None, "", "[]", "{", '{"url": 3}', '{"vcs_info": {}}', '{"url": "x", "vcs_info": 1}', '{"url": ["x"]}']
)
def test_what_came_from_an_index_or_nobody_knows_where_is_told_by_packages(origin: Path, told: str | None) -> None:
    if told is not None:
        origin.write_text(told)
    assert installing.extras("tables") == "pip install 'pyarrow>=18' 'msgspec>=0.19'"
    assert "install a newer hume_runner" in installing.newer()


def test_the_bare_name_is_never_offered_to_an_index() -> None:
    found = [
        f"{path.relative_to(PROJECT)}: {line.strip()}"
        for path in (*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md"), *PROJECT.glob("hume_runner/**/*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if "pip install" in line and ("install hume-runner" in line or "hume-runner[" in line) and " @ " not in line
    ]
    assert found == []


def test_the_line_is_one_line() -> None:
    assert "\n" not in MissingExtra("local", "x").hint


@pytest.mark.sweep
def test_what_pip_wrote_is_what_is_read(tmp_path: Path) -> None:
    """The wheel, installed by pip into an environment of its own: pip takes the line that is told there."""
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(PROJECT)],
        check=True,
        capture_output=True,
        cwd=tmp_path,
    )
    (wheel,) = tmp_path.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    install = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check"]
    subprocess.run([*install, str(wheel)], check=True, cwd=tmp_path)
    code = "from hume_runner import installing; print(installing.extras('tables', 'report'))"
    told = subprocess.run([python, "-c", code], check=True, cwd=tmp_path, capture_output=True, text=True).stdout.strip()
    assert told == f"pip install '{wheel}[tables,report]'"
    pip, verb, what = shlex.split(told)
    assert (pip, verb) == ("pip", "install")
    done = subprocess.run([*install, "--dry-run", what], cwd=tmp_path, check=False)
    assert done.returncode == 0

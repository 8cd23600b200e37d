"""A study in a folder that nobody may write, as on an archive's disk: it can be looked at, and is left as it was."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from hume_runner.state.lock import StateLock
from tests.cli.project import Project
from tests.writers import killed_writer

_PR_CAPBSET_DROP = 24
_CAP_DAC_OVERRIDE = 1

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="takes away what root may do, as Linux has it")

LOOKING: list[Sequence[str]] = [
    ("status",),
    ("status", "--json", "--jobs"),
    ("verify",),
    ("plan",),
    ("plan", "--out", "OUT/plan.json"),
    ("tables", "--out", "OUT/tables"),
    ("report", "--out", "OUT/report.html"),
    ("state export",),
]


def without_privilege() -> None:
    """For a child: from its program on, rights of files hold for root as well."""
    if os.geteuid() == 0:
        ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, _CAP_DAC_OVERRIDE, 0, 0, 0)


def words(project: Project, out: Path, command: Sequence[str]) -> list[str]:
    first, *rest = command
    out.mkdir(exist_ok=True)
    told = [*first.split(), str(project.path), *(word.replace("OUT", str(out)) for word in rest)]
    return [sys.executable, "-m", "hume_runner", *told]


def call(project: Project, out: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words(project, out, command),
        cwd=Path(__file__).parents[2],
        env={**os.environ, "HUME_API_KEY": project.emulator.api_key},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=without_privilege,
    )


def status(project: Project, out: Path) -> dict[str, Any]:
    lines = map(json.loads, call(project, out, "status", "--json").stdout.splitlines())
    return next(line for line in lines if line["event"] == "status")


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def closed(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)


def opened(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


@pytest.fixture
def finished(project: Project) -> Iterator[Project]:
    assert project.run().code == 0
    yield project
    opened(project.folder)


@pytest.fixture
def archived(finished: Project) -> Project:
    closed(finished.folder)
    tried = subprocess.run(
        [sys.executable, "-c", f"open({str(finished.out / 'new')!r}, 'w')"],
        preexec_fn=without_privilege,
        capture_output=True,
        check=False,
    )
    assert tried.returncode != 0, "the folder can be written: nothing is shown here"
    return finished


@pytest.mark.sweep
@pytest.mark.parametrize("command", LOOKING)
def test_what_only_looks_works_where_nothing_can_be_written(
    archived: Project, tmp_path: Path, command: tuple[str, ...]
) -> None:
    before = files(archived.folder)
    ran = call(archived, tmp_path / "elsewhere", *command)
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr
    assert files(archived.folder) == before


@pytest.mark.sweep
def test_all_of_it_works_on_a_file_system_that_is_mounted_for_reading(finished: Project, tmp_path: Path) -> None:
    """In a mount namespace of its own, where that is allowed; the test above needs no such right."""
    before = files(finished.folder)
    script = "\n".join(
        [
            "set -e",
            f"mount --bind '{finished.folder}' '{finished.folder}'",
            f"mount -o remount,bind,ro '{finished.folder}'",
            f"if touch '{finished.folder}/new' 2>/dev/null; then exit 77; fi",
            *(" ".join(f"'{word}'" for word in words(finished, tmp_path / "elsewhere", one)) for one in LOOKING),
        ]
    )
    if subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("nothing may be mounted here")
    ran = subprocess.run(
        ["unshare", "-m", "sh", "-c", script],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "HUME_API_KEY": finished.emulator.api_key},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert files(finished.folder) == before


@pytest.mark.sweep
def test_a_plan_of_recordings_that_would_be_prepared_writes_nothing(project: Project, tmp_path: Path) -> None:
    project.manifest["service"]["api"] = "expression-v1"
    project.manifest["models"] = {"audio": {}}
    project.manifest["sources"] = {"files": ["media/*"]}
    project.write()
    closed(project.folder)
    before = files(project.folder)
    ran = call(project, tmp_path / "elsewhere", "plan")
    opened(project.folder)
    assert ran.returncode == 0, ran.stderr
    assert files(project.folder) == before


@pytest.mark.sweep
def test_doctor_says_that_nothing_can_be_written_and_what_the_state_holds(archived: Project, tmp_path: Path) -> None:
    ran = call(archived, tmp_path / "elsewhere", "doctor")
    assert ran.returncode == 10
    assert "Traceback" not in ran.stdout + ran.stderr
    assert "cannot write" in ran.stdout + ran.stderr
    assert "4 of 4 items measured" in ran.stdout + ran.stderr


@pytest.mark.sweep
@pytest.mark.parametrize("command", ["run", "tables", "report"])
def test_what_has_to_write_ends_with_one_clear_line(archived: Project, tmp_path: Path, command: str) -> None:
    ran = call(archived, tmp_path / "elsewhere", command)
    assert ran.returncode == 10, ran.stderr
    first, following, *more = ran.stderr.splitlines()
    assert "Permission denied" in first
    assert following.strip().startswith("next:")
    assert more == []


@pytest.mark.sweep
@pytest.mark.parametrize("with_index", [True, False])
def test_what_a_killed_run_left_in_its_log_is_read_as_well(finished: Project, tmp_path: Path, with_index: bool) -> None:
    state = finished.out / "state.sqlite3"
    killed_writer(
        f"import sqlite3\ndb = sqlite3.connect({str(state)!r}, isolation_level=None)\n"
        "db.execute('PRAGMA wal_autocheckpoint = 0')\n"
        "db.execute(\"INSERT INTO requests VALUES ('only in the log', 7)\")"
    )
    if not with_index:
        state.with_name("state.sqlite3-shm").unlink()
    closed(finished.folder)
    before = files(finished.folder)
    ran = call(finished, tmp_path / "elsewhere", "state export")
    assert ran.returncode == 0, ran.stderr
    assert {"kind": "only in the log", "count": 7} in json.loads(ran.stdout)["requests"]
    assert files(finished.folder) == before


@pytest.mark.sweep
def test_a_run_of_somebody_who_may_write_is_seen(archived: Project, tmp_path: Path) -> None:
    opened(archived.folder)
    with StateLock(archived.out / "state.sqlite3"):
        archived.out.chmod(0o555)
        (archived.out / "state.sqlite3.lock").chmod(0o444)
        seen = status(archived, tmp_path / "elsewhere")
        archived.out.chmod(0o755)
    assert seen["lock"]["pid"] == os.getpid()
    assert status(archived, tmp_path / "elsewhere")["lock"] is None


@pytest.mark.sweep
def test_a_damaged_state_is_refused_there_as_anywhere(finished: Project, tmp_path: Path) -> None:
    state = finished.out / "state.sqlite3"
    content = bytearray(state.read_bytes())
    content[5000:9000] = bytes(4000)
    state.write_bytes(content)
    closed(finished.folder)
    ran = call(finished, tmp_path / "elsewhere", "status")
    assert ran.returncode == 10
    assert "damaged" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.sweep
def test_nothing_of_the_copy_stays_in_the_temporary_folder(
    finished: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    state = finished.out / "state.sqlite3"
    state.with_name("state.sqlite3-wal").write_bytes(b"no log at all, but something")
    closed(finished.folder)
    assert call(finished, tmp_path / "elsewhere", "status").returncode == 0
    assert list(temporary.iterdir()) == []

"""What a run derives from its answers is current after every run, whatever happened to it before."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hume_runner.results import derived
from tests import warm
from tests.cli.project import Project
from tests.tiers import Tier, only_swept, sampled

# Kills its own process at the n-th rename below the output directory: just before it, or at the first look that is
# taken at the folder or the file after it, which is before its mark.
_KILLED = """
import os, signal, sys
out, when, left = sys.argv[1], sys.argv[2], int(sys.argv[3])
renamed = False
def hook(event, arguments):
    global left, renamed
    if event == "open" and renamed and str(arguments[0]).startswith(out):
        os.kill(os.getpid(), signal.SIGKILL)
    target = os.fspath(arguments[1]) if event == "os.rename" else ""
    if str(target).startswith(out) and "/raw/" not in str(target) and "sqlite" not in str(target):
        left -= 1
        if left < 0 and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        renamed = left < 0
sys.addaudithook(hook)
from hume_runner.cli.main import main
sys.exit(main(sys.argv[4:]))
"""


@pytest.fixture
def study(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("HUME_API_KEY", project.emulator.api_key)
    project.of_texts("first")
    assert project.run().code == 0
    return project


def kill_at(project: Project, when: str, rename: int) -> int:
    project.write()
    child = warm.run(
        [sys.executable, "-c", _KILLED, str(project.out), when, str(rename), "run", str(project.path), "-q"],
        env={**os.environ, **project.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        timeout=120,
        check=False,
    )
    return child.returncode


def assert_current(project: Project, fresh: Path) -> None:
    """Every table is what the answers give now, byte for byte."""
    assert project.call("tables", "--format", "csv", "--out", str(fresh)).code == 0
    names = sorted(path.name for path in fresh.iterdir())
    assert sorted(path.name for path in (project.out / "tables").glob("*.csv")) == names
    for name in names:
        assert (project.out / "tables" / name).read_bytes() == (fresh / name).read_bytes(), name


@only_swept
@pytest.mark.parametrize("when", ["before", "after"])
def test_after_a_kill_at_any_output_the_next_run_makes_all_of_them_current(
    study: Project, when: str, tier: Tier, tmp_path: Path
) -> None:
    survived = killed = 0
    for rename in range(0, 30, 1 if tier.all else 4):
        study.manifest["sources"]["text"].append(f"text number {rename}")
        code = kill_at(study, when, rename)
        assert code in (0, -signal.SIGKILL)
        killed += code != 0
        survived += code == 0
        assert study.run_json()["schema"] == 1  # whole at every moment
        assert study.run().code == 0
        assert len(study.results()) == len(study.manifest["sources"]["text"])
        assert_current(study, tmp_path / f"fresh-{rename}")
        assert study.results()[-1]["id"] in (study.out / "report.html").read_text(encoding="utf-8")
        assert study.call("verify").code == 0
        if survived:
            break
    assert killed >= (6 if tier.all else 2)
    assert survived == 1


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def _edit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    seen = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))  # as an editor that keeps the date


@pytest.mark.sweep
@sampled(3)
@pytest.mark.parametrize("name", ["results.jsonl", "tables/language.csv", "tables/errors.csv", "report.html"])
@pytest.mark.parametrize("harm", [Path.unlink, _cut, _edit])
def test_a_file_that_was_harmed_is_made_again(study: Project, name: str, harm: Callable[[Path], None]) -> None:
    path = study.out / name
    before = path.read_bytes()
    harm(path)
    assert study.call("verify").code == 3
    assert study.run().code == 0
    # The report speaks of the run that wrote it.
    assert path.read_bytes() == before or name == "report.html"
    assert study.call("verify").code == 0


@pytest.mark.sweep
def test_current_outputs_are_left_alone(study: Project) -> None:
    paths = [study.out / name for name in ("results.jsonl", "tables/items.csv", "report.html")]
    before = [path.stat().st_mtime_ns for path in paths]
    assert study.run().code == 0
    assert [path.stat().st_mtime_ns for path in paths] == before


@pytest.mark.sweep
def test_other_code_writes_its_outputs_anew(study: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    path = study.out / "tables" / "items.csv"
    before = path.stat().st_ino, path.stat().st_mtime_ns
    monkeypatch.setattr(derived, "__version__", "99.0")
    assert study.run().code == 0
    assert (path.stat().st_ino, path.stat().st_mtime_ns) != before


@pytest.mark.sweep
def test_tables_made_by_hand_are_known_to_verify_and_kept_current_by_runs(study: Project) -> None:
    assert study.call("tables", "--format", "jsonl", "--long").code == 0
    ran = study.call("verify")
    assert ran.code == 0
    assert "0 changed, 0 unreadable, 0 not ours" in ran.out
    study.manifest["sources"]["text"].append("second")
    assert study.run().code == 0
    assert len((study.out / "tables" / "items.jsonl").read_text().splitlines()) == 2
    assert (study.out / "tables" / "language_long.jsonl").exists()
    assert study.call("verify").code == 0


@pytest.mark.sweep
def test_tables_made_by_hand_and_removed_are_not_made_again(study: Project) -> None:
    assert study.call("tables", "--format", "jsonl").code == 0
    for path in (study.out / "tables").glob("*.jsonl"):
        path.unlink()
    assert study.run().code == 0
    assert not list((study.out / "tables").glob("*.jsonl"))
    assert study.call("verify").code == 0


@pytest.mark.sweep
def test_a_report_made_by_hand_is_known_to_verify(study: Project) -> None:
    assert study.call("report").code == 0
    assert study.call("verify").code == 0
    inode = (study.out / "report.html").stat().st_ino
    assert study.run().code == 0
    assert (study.out / "report.html").stat().st_ino == inode


@pytest.mark.sweep
def test_tables_are_made_while_another_process_holds_the_state(study: Project) -> None:
    from hume_runner.state.lock import StateLock

    with StateLock(study.out / "state.sqlite3"):
        assert study.call("tables", "--format", "jsonl").code == 0
    assert (study.out / "tables" / "items.jsonl").exists()

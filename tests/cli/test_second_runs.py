"""A second run, by real processes and signals: whatever ends it, the first one's state and outputs stay."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from hume_runner.state.lock import OutputsLock, StateLock
from tests.cli.project import JOBS, Project
from tests.tiers import sampled
from tests.waiting import until

# Scanning so many takes long enough to be met at it, before the lock and after it.
MANY = 20_000


@pytest.fixture
def lines(project: Project) -> Path:
    path = project.folder / "lines.txt"
    path.write_text("".join(f"Line number {number}.\n" for number in range(MANY)))
    return path


def slow_manifest(project: Project, name: str = "trial") -> Path:
    """Another manifest of the same output directory, with a source that takes its time."""
    before = project.manifest
    project.manifest = {**before, "name": name, "sources": {"text": [{"from": "lines.txt"}]}}
    try:
        return project.write(project.folder / "slow.yaml")
    finally:
        project.manifest = before


def reads(process: subprocess.Popen[str], path: Path) -> bool:
    for handle in Path(f"/proc/{process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since it was listed
            if os.path.realpath(handle) == str(path):
                return True
    return False


@contextmanager
def second_run(project: Project, manifest: Path, lines: Path) -> Iterator[subprocess.Popen[str]]:
    """A run that stands still in its scan before the lock, when there was no state yet; on leaving it goes on."""
    process = project.start("run", str(manifest), "--no-progress")
    try:
        until(lambda: reads(process, lines), process)
        process.send_signal(signal.SIGSTOP)
        assert not (project.out / "state.sqlite3").exists()
        yield process
    finally:
        process.send_signal(signal.SIGCONT)


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_a_second_run_plans_leaves_the_first_ones_state(
    project: Project, lines: Path, number: int, code: int
) -> None:
    with second_run(project, slow_manifest(project), lines) as second:
        assert project.run().code == 0
        results = (project.out / "results.jsonl").read_bytes()
    lock = StateLock(project.out / "state.sqlite3")
    until(lambda: (holder := lock.holder()) is not None and holder.pid == second.pid, second)
    second.send_signal(number)
    _, err = second.communicate(timeout=60)
    assert second.returncode == code, err
    assert (project.out / "results.jsonl").read_bytes() == results
    paid = project.requests()[JOBS]
    assert project.run().code == 0
    assert project.requests()[JOBS] == paid
    assert {line["status"] for line in project.results()} == {"done"}


@pytest.mark.sweep
def test_a_second_manifest_that_is_refused_leaves_the_first_ones_state(project: Project, lines: Path) -> None:
    with second_run(project, slow_manifest(project, name="other"), lines) as second:
        assert project.run().code == 0
    _, err = second.communicate(timeout=60)
    assert second.returncode == 10
    assert "belongs to the manifest 'trial', not to 'other'" in err
    assert project.run().code == 0


@pytest.mark.sweep
def test_a_source_that_vanished_while_a_second_run_waited_leaves_the_first_ones_state(
    project: Project, lines: Path
) -> None:
    with second_run(project, slow_manifest(project), lines) as second:
        assert project.run().code == 0
        lines.unlink()
    _, err = second.communicate(timeout=60)
    assert second.returncode in (65, 66), err
    assert project.run().code == 0
    assert {line["status"] for line in project.results()} == {"done"}


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_a_first_run_plans_leaves_no_state(
    project: Project, lines: Path, number: int, code: int
) -> None:
    process = project.start("run", str(slow_manifest(project)), "--no-progress")
    state = project.out / "state.sqlite3"
    until(state.exists, process)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert not list(project.out.glob("state.sqlite3*[!k]")), "only the locks' files stay"
    assert project.run().code == 0
    assert lines.exists()


# -- one output directory -----------------------------------------------------------------------------------------


@pytest.mark.sweep
def test_a_second_manifest_with_a_state_of_its_own_cannot_write_into_the_same_outputs(project: Project) -> None:
    assert project.run().code == 0
    results = (project.out / "results.jsonl").read_bytes()
    paid = project.requests()[JOBS]
    project.manifest["name"] = "other"
    (project.folder / "linked").symlink_to(project.out)
    for words in ((), ("--output-dir", str(project.folder / "linked"))):
        ran = project.run("--state", str(project.folder / "other.sqlite3"), *words)
        assert ran.code == 64
        assert "'trial'" in ran.err
        assert "'other'" in ran.err
        assert "outputs.directory of its own" in ran.err
    assert not (project.folder / "other.sqlite3").exists()
    assert (project.out / "results.jsonl").read_bytes() == results
    assert project.requests()[JOBS] == paid
    elsewhere = ("--state", str(project.folder / "other.sqlite3"), "--output-dir", str(project.folder / "elsewhere"))
    assert project.run(*elsewhere).code == 0


def test_adopting_into_another_manifest_s_outputs_is_refused(project: Project) -> None:
    assert project.run().code == 0
    remote_id = project.results()[0]["remote_id"]
    project.manifest["name"] = "other"
    ran = project.plain_call("adopt", str(project.write()), remote_id, "--state", str(project.folder / "other.sqlite3"))
    assert ran.code == 64
    assert "'trial'" in ran.err


def test_outputs_that_a_run_holds_are_refused_with_6(project: Project) -> None:
    project.out.mkdir()
    with OutputsLock(project.out):
        ran = project.run("--state", str(project.folder / "other.sqlite3"))
    assert ran.code == 6
    assert "holds the output directory: process" in ran.err
    assert not (project.folder / "other.sqlite3").exists()


def test_two_manifests_whose_directories_are_one_by_a_link_are_refused_together(project: Project) -> None:
    first = project.write()
    project.out.mkdir()
    (project.folder / "linked").symlink_to(project.out)
    project.manifest |= {"name": "other", "outputs": {"directory": "linked"}}
    second = project.write(project.folder / "second.yaml")
    ran = project.plain_call("run", str(first), str(second))
    assert ran.code == 64
    assert "share the output directory" in ran.err


# -- what looks at the lock -----------------------------------------------------------------------------------------


@pytest.mark.sweep
def test_whoever_asks_by_a_link_is_told_of_the_run_and_releases_nothing(project: Project) -> None:
    assert project.run().code == 0
    (project.folder / "linked").symlink_to(project.out)
    state = project.out / "state.sqlite3"
    for words in (
        ("--output-dir", str(project.folder / "linked")),
        ("--state", str(project.folder / "linked" / state.name)),
    ):
        with StateLock(state):
            status = project.plain_call("status", str(project.path), "--json", *words)
            assert any((line.get("lock") or {}).get("pid") == os.getpid() for line in status.lines)
            unlock = project.plain_call("state", "unlock", str(project.path), *words)
            assert unlock.code == 6
            assert "a run is on" in project.plain_call("doctor", str(project.path), *words).out
        assert project.plain_call("state", "unlock", str(project.path), *words).code == 0


@pytest.mark.sweep
def test_a_lost_job_that_the_manifest_lists_no_more_is_dropped_and_counts_as_no_failed_one(project: Project) -> None:
    project.manifest["models"] = {"language": {}}
    project.manifest["sources"] = {"text": ["An older text."]}
    assert project.run().code == 0
    project.emulator.advance(60)
    # Lost as the last one, so that nothing after it shows whether the service has it.
    project.manifest["sources"] = {"text": ["An older text.", "Hello."]}
    project.emulator.make_difficult({"submissions": {"times": 1, "answer": "cut", "accepted": "never"}})
    project.emulator.inject([{"route": "GET /v0/batch/jobs", "nth": [*range(3, 60)], "action": {"status": 404}}])
    assert project.run().code == 9
    project.emulator.make_difficult({})
    project.emulator.inject([])
    project.manifest["sources"] = {"text": ["An older text.", "Goodbye."]}
    ran = project.run()
    assert ran.code == 0, ran.err
    counts = project.run_json()["counts"]
    assert counts["items"]["done"] == counts["items"]["total"] == 2
    assert {name: number for name, number in counts["jobs"].items() if number} == {"done": 2}
    assert "failed" not in project.call("status").out
    jobs = project.call("status", "--json", "--jobs").json["job_list"]
    assert [job["error"] for job in jobs if job["error"]] == ["the manifest does not list what it carried any more"]

"""`ctl`: a run in a process of its own is paused, slowed down, drained, and asked where it stands."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.project import JOBS, Project
from tests.commands import Ran
from tests.published import check

TEXTS = [f"Number {n}." for n in range(60)]


@pytest.fixture
def processing_time_s() -> float:
    return 0.4  # long enough to say something to a run that waits for it


@pytest.fixture
def busy(project: Project) -> Iterator[tuple[Project, subprocess.Popen[str]]]:
    """A run of sixty jobs, two at a time, that listens."""
    project.manifest["models"] = {"language": {}}
    project.manifest["sources"] = {"text": TEXTS}
    project.manifest["batching"] = {"max_sources": 1}
    project.manifest["execution"]["max_jobs_in_flight"] = 2
    process = project.start("run", "manifest.yaml", "--no-progress")
    until = time.monotonic() + 60
    while not (project.out / "state.sqlite3.ctl").exists():
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.02)
    yield project, process
    if process.poll() is None:
        process.kill()
    process.communicate(timeout=30)


def ctl(project: Project, *words: str) -> Ran:
    return project.plain_call("ctl", str(project.path), *words)


def settled(project: Project) -> int:
    """Submissions, once none is on its way any more."""
    before = -1
    while (now := project.requests().get(JOBS, 0)) != before:
        before = now
        time.sleep(1.2)
    return now


def test_a_run_is_paused_and_goes_on(busy: tuple[Project, subprocess.Popen[str]]) -> None:
    project, process = busy
    ran = ctl(project, "pause")
    assert ran.code == 0, ran.err
    assert ran.out.startswith("paused: process ")
    sent = settled(project)
    assert 0 < sent < 60
    assert process.poll() is None
    told = ctl(project, "status", "--json").lines[1]
    check(told, "events")
    assert (told["run"]["phase"], told["run"]["pid"], told["run"]["at_the_service"]) == ("paused", process.pid, 0)
    assert ctl(project, "set", "max_jobs_in_flight=50", "transfer_workers=12", "requests_per_second=500").code == 0
    ran = ctl(project, "resume", "--json")
    assert ran.lines[1]["run"]["max_jobs_in_flight"] == 50
    assert ran.lines[1]["run"]["transfer_workers"] == 12
    assert ran.lines[1]["run"]["requests_per_second"] == 500
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "paused: nothing more is submitted" in err
    assert "from now on: max_jobs_in_flight 50, transfer_workers 12" in err
    assert project.requests()[JOBS] == 60
    assert not (project.out / "state.sqlite3.ctl").exists()


@pytest.mark.sweep
def test_draining_ends_a_run_as_the_first_ctrl_c_does_however_often(
    busy: tuple[Project, subprocess.Popen[str]],
) -> None:
    project, process = busy
    found: list[Ran] = []
    threads = [threading.Thread(target=lambda: found.append(ctl(project, "drain"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "finishing what is on its way" in err
    assert any(ran.code == 0 and "draining" in ran.out for ran in found)
    assert "left" not in err.splitlines()[0]
    sent = project.requests()[JOBS]
    assert sent < 60
    assert project.run().code == 0
    assert project.requests()[JOBS] == 60


@pytest.mark.sweep
def test_a_slower_pace_is_kept(busy: tuple[Project, subprocess.Popen[str]]) -> None:
    project, _ = busy
    assert ctl(project, "set", "requests_per_second=0.5").code == 0
    time.sleep(0.5)
    before = project.requests()[JOBS]
    time.sleep(3)
    assert project.requests()[JOBS] - before <= 3


@pytest.mark.sweep
def test_a_faster_pace_reaches_what_waits_for_its_turn(busy: tuple[Project, subprocess.Popen[str]]) -> None:
    project, process = busy
    assert ctl(project, "set", "requests_per_second=0.0001").code == 0
    settled(project)
    assert ctl(project, "set", "requests_per_second=1000", "max_jobs_in_flight=50").code == 0
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert project.requests()[JOBS] == 60


@pytest.mark.sweep
@pytest.mark.parametrize("pace", ["0.0001", "1e-300"])
def test_draining_does_not_wait_for_what_waits_for_its_turn(
    busy: tuple[Project, subprocess.Popen[str]], pace: str
) -> None:
    project, process = busy
    assert ctl(project, "set", f"requests_per_second={pace}", "max_jobs_in_flight=50").code == 0
    sent = settled(project)
    assert sent < 60
    assert ctl(project, "drain").code == 0
    out, err = process.communicate(timeout=60)
    assert (process.returncode, "left at once" in err) == (130, False), err
    assert "without an answer" not in out  # what was not sent is known not to be there
    assert project.requests()[JOBS] == sent
    project.manifest["execution"]["max_jobs_in_flight"] = 50
    assert project.run().code == 0
    assert project.requests()[JOBS] == 60


def test_what_cannot_be_set_is_refused_and_changes_nothing(busy: tuple[Project, subprocess.Popen[str]]) -> None:
    project, process = busy
    for word, told in (
        ("requests_per_secnd=5", "did you mean requests_per_second?"),
        ("max_failures=3", "is not changed while a run goes on"),
        ("transfer_workers=0", "not a whole number from 1 to 256"),
        ("transfer_workers=1.5", "not a whole number"),
        ("requests_per_second=nan", "not a number"),
        ("requests_per_second=-1", "not a number"),
        ("transfer_workers", "write KEY=VALUE"),
    ):
        ran = ctl(project, "set", word)
        assert (ran.code, told in ran.err) == (64, True), (word, ran.err)
    assert ctl(project, "set").code == 64
    assert ctl(project, "pause", "transfer_workers=3").code == 64
    status = ctl(project, "status", "--json").lines[1]["run"]
    assert (status["max_jobs_in_flight"], status["transfer_workers"]) == (2, 8)
    # Who speaks to the socket without our command is held to the same.
    hostile = [
        {"command": "set", "settings": {"transfer_workers": True}},
        {"command": "set", "settings": {"transfer_workers": 10**400}},
        {"command": "set", "settings": {"job_timeout": 1}},
        {"command": "set", "settings": []},
        {"command": "shutdown"},
        {"command": {"a": 1}},
        {},
    ]
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(str(project.out / "state.sqlite3.ctl"))
        lines = client.makefile("rb")
        for words in hostile:
            client.sendall(json.dumps(words).encode() + b"\n")
            assert json.loads(lines.readline())["ok"] is False
    assert process.poll() is None
    assert ctl(project, "status", "--json").lines[1]["run"]["transfer_workers"] == 8


@pytest.mark.sweep
def test_without_a_run_it_is_said_so(project: Project) -> None:
    project.write()
    ran = ctl(project, "status")
    assert (ran.code, "no run is on" in ran.err) == (64, True)
    assert project.run().code == 0
    assert ctl(project, "drain").code == 64


@pytest.mark.sweep
def test_a_killed_run_leaves_a_socket_that_stops_nobody(busy: tuple[Project, subprocess.Popen[str]]) -> None:
    project, process = busy
    assert ctl(project, "pause").code == 0
    settled(project)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    assert (project.out / "state.sqlite3.ctl").exists()
    ran = ctl(project, "status")
    assert (ran.code, "the last one was killed" in ran.err) == (64, True)
    assert project.call("verify").code in (0, 3)
    project.manifest["execution"]["max_jobs_in_flight"] = 50
    assert project.run().code == 0
    assert project.requests()[JOBS] == 60
    assert not (project.out / "state.sqlite3.ctl").exists()


def test_this_machines_models_have_no_such_pace(project: Project, tmp_path: Path) -> None:
    from hume_runner.api.commanding import Commands

    commands = Commands("local", None, None)  # type: ignore[arg-type]
    told = commands({"command": "set", "settings": {"transfer_workers": 3}})
    assert (told["ok"], "local sends nothing" in told["error"]) == (False, True)


@pytest.mark.parametrize(
    "answer",
    [
        b'{"ok": true}\n',
        b'{"ok": true, "pid": "1", "phase": 2}\n',
        b'{"ok": false}\n',
        b'{"ok": false, "error": 5}\n',
        b"[]\n",
    ],
)
def test_what_listens_in_a_runs_place_and_is_none_is_told(project: Project, answer: bytes) -> None:
    project.write()
    project.out.mkdir()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(project.out / "state.sqlite3.ctl"))
        other.listen()
        found: list[Ran] = []
        asking = threading.Thread(target=lambda: found.append(ctl(project, "status")))
        asking.start()
        client, _ = other.accept()
        client.makefile("rb").readline()
        client.sendall(answer)
        client.close()
        asking.join(60)
    [ran] = found
    assert (ran.code, "what listens here is no run of hume-runner" in ran.err) == (64, True), ran.err


@pytest.mark.sweep
def test_what_is_in_the_sockets_place_is_told_and_left_alone(project: Project) -> None:
    project.out.mkdir()
    place = project.out / "state.sqlite3.ctl"
    place.write_text("mine")
    ran = project.run()
    assert ran.code == 0
    [line] = [line for line in ran.err.splitlines() if "ctl" in line]
    assert f"{place}: the name is in use by something else; remove it" in line
    ran = ctl(project, "status")
    assert (ran.code, f"{place}: this is no socket of a run" in ran.err) == (64, True), ran.err
    assert place.read_text() == "mine"

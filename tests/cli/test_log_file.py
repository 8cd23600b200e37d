"""-v, -vv and --log-file: what is said with times, each request, and everything in a file."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest

from tests.cli.project import JOBS, Project

AT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
LINE = re.compile(rf"{AT} (begin|note|detail|event|request|error|result|end) +\S.*|    .*")
REQUEST = re.compile(r"(GET|POST) (/v0/batch/jobs[^ ?]*) at 127\.0\.0\.1:\d+: (\d{3}), \d+ ms")


@pytest.mark.sweep
def test_lines_have_times_only_where_more_is_said(project: Project) -> None:
    said = project.run("-v", "--no-progress").err.splitlines()
    assert said
    assert all(re.match(r"\d\d:\d\d:\d\d \S", line) for line in said)
    assert not any(REQUEST.search(line) for line in said)
    project.manifest["sources"]["text"].append("More.")
    assert not re.search(r"\d\d:\d\d:\d\d ", project.run().err)


def test_twice_verbose_says_each_request_without_its_query(project: Project) -> None:
    ran = project.run("-vv", "--no-progress")
    told = [found.groups() for line in ran.err.splitlines() if (found := REQUEST.search(line))]
    assert ("POST", "/v0/batch/jobs", "200") in told
    assert any(path.endswith("/predictions") for _, path, _ in told)
    # As many as arrived, and nothing else.
    assert len(told) == sum(project.requests().values())
    assert "?" not in "".join(path for _, path, _ in told)
    assert project.emulator.api_key not in ran.err


def test_a_request_without_an_answer_is_told_as_such(project: Project) -> None:
    project.emulator.inject([{"route": "GET /v0/batch/jobs", "nth": [1], "action": {"drop": "before"}}])
    ran = project.run("-vv", "--no-progress")
    assert ran.code == 0, ran.err
    assert re.search(r"GET /v0/batch/jobs at 127\.0\.0\.1:\d+: no answer, \d+ ms", ran.err)


def test_the_log_holds_everything_in_order_and_is_for_its_owner_alone(project: Project, tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    old = os.umask(0)
    try:
        ran = project.run("-q", "--log-file", str(log))
    finally:
        os.umask(old)
    assert (ran.code, ran.err) == (0, "")
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    lines = log.read_text(encoding="utf-8").splitlines()
    assert all(LINE.fullmatch(line) for line in lines), lines
    levels = [line.split()[1] for line in lines if line[:1] != " "]
    assert (levels[0], levels[-1]) == ("begin", "end")
    assert {"note", "event", "request"} <= set(levels)
    assert lines[-1].endswith("exit code 0")
    assert any('event   submitted {"job": "job-000001", "remote_id": ' in line for line in lines)
    assert sum(" request " in line for line in lines) == sum(project.requests().values())


def test_a_log_is_appended_to_and_keeps_its_mode(project: Project, tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    log.write_text("before\n")
    log.chmod(0o640)
    project.run("--log-file", str(log))
    project.call("status", "--log-file", str(log))
    lines = log.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "before"
    assert [line.split(": ")[-1] for line in lines if " begin " in line] == ["run", "status"]
    assert stat.S_IMODE(log.stat().st_mode) == 0o640


@pytest.mark.sweep
def test_the_log_and_the_lines_keep_secrets(project: Project, tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    key = project.emulator.api_key
    quoted = {"message": f"the key {key} cannot read https://example.org/a.mp4?sig=canary\x1b[31m"}
    project.emulator.inject([{"route": JOBS, "action": {"status": 400, "body": quoted}}])
    ran = project.run("-vv", "--log-file", str(log))
    assert ran.code == 3
    told = log.read_text(encoding="utf-8") + ran.err
    assert "cannot read https://example.org/a.mp4?…" in told
    assert key not in told
    assert "canary" not in told
    assert "\x1b" not in told


def test_errors_and_next_steps_are_in_the_log(project: Project, tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    project.manifest["sources"] = {"files": ["absent.wav"]}
    assert project.run("--log-file", str(log)).code == 66
    text = log.read_text(encoding="utf-8")
    assert re.search(r" error +\S+manifest\.yaml:.*there is no file 'absent\.wav'", text)
    assert text.splitlines()[-1].endswith("exit code 66")


@pytest.mark.parametrize("place", ["folder", "nowhere/run.log", "pipe"])
def test_a_log_that_cannot_be_written_is_bad_usage(project: Project, tmp_path: Path, place: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    ran = project.run("--log-file", str(tmp_path / place))
    assert ran.code == 64
    assert "cannot write the log" in ran.err
    assert project.requests() == {}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device here")
def test_a_log_on_a_full_disk_costs_its_lines_and_is_told_once(project: Project, tmp_path: Path) -> None:
    from hume_runner.cli.log_file import LogFile

    log = LogFile(str(tmp_path / "run.log"), str)
    log._file.close()
    log._file = open("/dev/full", "w", encoding="utf-8")  # noqa: SIM115, PTH123
    log.write("note", "lost")
    log.write("note", "lost as well")
    assert log.broken is not None
    log.close()

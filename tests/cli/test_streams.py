"""Streams that fail: real pipes, `head` itself, a full device, descriptors that are closed or do not block."""

from __future__ import annotations

import errno
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from hume_runner.cli.streams import Canvas, SafeStream
from tests import warm
from tests.cli.project import JOBS, Project
from tests.tiers import sampled

ROOT = Path(__file__).parents[2]
ITEMS = 6


@pytest.fixture
def one_by_one(project: Project) -> Project:
    project.one_by_one(ITEMS)
    project.write()
    return project


def shell(project: Project, line: str, **how: Any) -> subprocess.CompletedProcess[str]:
    """A line for bash, in which `hume-runner` is this checkout's."""
    warm.program(project.folder / "hume-runner")
    # A stream that is closed cannot be handed on to a program that is forked elsewhere.
    called = f"{sys.executable} -m hume_runner" if "&-" in line else "./hume-runner"
    command = f'hume-runner() {{ {called} "$@"; }}\n{line}'
    return subprocess.run(
        ["bash", "-c", command],
        cwd=project.folder,
        env={**os.environ, **project.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **how,
    )


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize(
    "line",
    [
        "hume-runner run manifest.yaml --json | head -3 > seen",
        "hume-runner run manifest.yaml -v --no-progress 2>&1 | head -2 > seen",
        "hume-runner run manifest.yaml -v --no-progress 2> >(head -2 > seen)",
    ],
)
def test_a_reader_that_goes_away_stops_the_run_in_good_order(one_by_one: Project, line: str) -> None:
    ran = shell(one_by_one, f"{line}; echo ${{PIPESTATUS[0]}} > code")
    assert (one_by_one.folder / "code").read_text() == "143\n", ran.stderr
    assert "Traceback" not in ran.stderr
    jobs = one_by_one.call("status", "--json").json["jobs"]
    # What was on its way was waited for; the rest was never sent.
    assert jobs["submitting"] == jobs["ambiguous"] == 0
    assert jobs["planned"] > 0
    assert one_by_one.run_json()["exit_code"] == 143
    one_by_one.assert_resumes(ITEMS)


@pytest.mark.sweep
def test_a_reader_that_leaves_before_anything_is_sent_keeps_it_from_being_sent(one_by_one: Project) -> None:
    ran = shell(one_by_one, "hume-runner run manifest.yaml --json | head -1 > seen; echo ${PIPESTATUS[0]}")
    assert ran.stdout == "143\n", ran.stderr
    assert "interrupted before anything was sent" in ran.stderr
    assert JOBS not in one_by_one.requests()
    one_by_one.assert_resumes(ITEMS)


@pytest.mark.sweep
def test_a_run_that_was_complete_when_its_reader_left_keeps_its_code(one_by_one: Project) -> None:
    one_by_one.run()
    ran = shell(one_by_one, "hume-runner run manifest.yaml | true; echo ${PIPESTATUS[0]}")
    assert (ran.stdout, "Traceback" in ran.stderr) == ("0\n", False)


@pytest.mark.sweep
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("flags", ["", "--json", "-v"])
def test_closed_streams_hold_nothing_up(one_by_one: Project, closed: str, flags: str) -> None:
    ran = shell(one_by_one, f"hume-runner run manifest.yaml {flags} {closed}; echo $? > code")
    assert (one_by_one.folder / "code").read_text() == "0\n", ran.stderr
    one_by_one.assert_resumes(ITEMS)


@pytest.mark.sweep
@sampled(1)
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device here")
@pytest.mark.parametrize(
    ("flags", "code", "all_sent"), [("", 64, True), ("-v 2>/dev/full", 64, True), ("--json", 64, False)]
)
def test_a_full_device_behind_the_result_is_told_and_stops_only_who_is_read_by_a_machine(
    one_by_one: Project, flags: str, code: int, all_sent: bool
) -> None:
    ran = shell(one_by_one, f"hume-runner run manifest.yaml {flags} >/dev/full; echo $? > code")
    if "2>" not in flags:
        assert "standard output cannot be written: No space left on device" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert (one_by_one.emulator.requests()["jobs_accepted"] == ITEMS) == all_sent
    assert (one_by_one.folder / "code").read_text() == f"{code}\n", ran.stderr
    if "--json" in flags:  # one story, and nobody is asked to begin again what takes no more
        assert ran.stderr.splitlines() == [
            "standard output cannot be written: No space left on device",
            "next: send it to another place, and run the same command again",
        ]
    one_by_one.assert_resumes(ITEMS)


@pytest.mark.sweep
def test_a_disk_that_fills_up_while_a_run_tells_ends_it_in_good_order(one_by_one: Project) -> None:
    one_by_one.write()
    script = (
        "import sys\n"
        "from hume_runner.cli.console import Console\n"
        "from hume_runner.cli.main import main\n"
        "class Full:\n"
        "    encoding, left = 'utf-8', 12\n"
        "    def isatty(self): return False\n"
        "    def fileno(self): raise OSError\n"
        "    def write(self, text):\n"
        "        self.left -= 1\n"
        "        if self.left < 0: raise OSError(28, 'No space left on device')\n"
        "        return len(text)\n"
        "    def flush(self): pass\n"
        "sys.exit(main(['run', 'manifest.yaml', '--json'], Console(out=Full(), err=sys.stderr)))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script],
        cwd=one_by_one.folder,
        env={**os.environ, **one_by_one.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 64, ran.stderr
    assert one_by_one.run_json()["exit_code"] == 64
    assert 0 < one_by_one.emulator.requests()["jobs_accepted"] < ITEMS
    one_by_one.assert_resumes(ITEMS)


def test_a_stand_in_whose_address_reaches_nobody_ends(one_by_one: Project) -> None:
    ran = shell(one_by_one, "hume-runner emulate >/dev/full; echo $?")
    assert ran.stdout == "64\n", ran.stderr


@pytest.mark.sweep
@sampled(1)
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device here")
@pytest.mark.parametrize("command", ["status", "plan", "validate", "doctor", "state export", "--version", "--help"])
def test_a_result_that_cannot_be_written_is_no_success(one_by_one: Project, command: str) -> None:
    one_by_one.run()
    name = "" if command.startswith("--") else "manifest.yaml"
    ran = shell(one_by_one, f"hume-runner {command} {name} >/dev/full; echo $? >&2")
    *said, code = ran.stderr.splitlines()
    assert said[-2:] == [
        "standard output cannot be written: No space left on device",
        "next: send it to another place, and run the same command again",
    ]
    assert code == "64"


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("command", ["status --jobs", "plan --items", "validate", "state export", "schema", "--help"])
def test_readers_of_what_only_tells_may_leave_when_they_like(one_by_one: Project, command: str) -> None:
    one_by_one.run()
    name = "" if command in ("schema", "--help") else "manifest.yaml"
    ran = shell(one_by_one, f"hume-runner {command} {name} | true; echo ${{PIPESTATUS[0]}}")
    assert (ran.stdout, ran.stderr) == ("0\n", "")


@pytest.mark.sweep
def test_a_pipe_that_does_not_block_gets_every_line_whole(one_by_one: Project) -> None:
    one_by_one.run()
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    texts = [f"number {number} with some words, so that a pipe is soon full of them" for number in range(2_000)]
    one_by_one.manifest["sources"] = {"text": texts}
    one_by_one.write()
    command = [sys.executable, "-m", "hume_runner", "plan", "manifest.yaml", "--format", "json", "--items"]
    with warm.WarmPopen(
        command, cwd=one_by_one.folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=writing
    ) as process:
        os.close(writing)
        time.sleep(0.5)  # so that the pipe is full and says EAGAIN
        with os.fdopen(reading, "rb") as file:
            items = json.loads(file.read())["items"]
            assert sum(item["action"] == "new" for item in items) == len(texts)
        assert process.wait() == 0


@pytest.mark.sweep
def test_a_reader_that_stopped_reading_does_not_keep_a_signal_from_ending_the_run(one_by_one: Project) -> None:
    reading, writing = os.pipe()
    # A pipe of one page that is full: the run waits for its reader.
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writing, True)
    with warm.WarmPopen(
        [sys.executable, "-m", "hume_runner", "run", "manifest.yaml", "--json"],
        cwd=one_by_one.folder,
        env={**os.environ, **one_by_one.environ, "PYTHONPATH": str(ROOT)},
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        os.close(writing)
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=90)
        assert process.returncode == 143, said
        assert "Traceback" not in said
    os.close(reading)
    one_by_one.assert_resumes(ITEMS)


@pytest.mark.sweep
def test_a_terminal_that_is_closed_ends_the_run_in_good_order(one_by_one: Project) -> None:
    # Slow enough that each step is drawn, however busy the machine is.
    one_by_one.emulator.inject([{"route": "POST /v0/batch/jobs", "action": {"delay": "700ms"}}])
    ours, its = pty.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", sys.executable, "-m", "hume_runner", "run", "manifest.yaml"],
        cwd=one_by_one.folder,
        env={**os.environ, **one_by_one.environ, "PYTHONPATH": str(ROOT)},
        stdin=its,
        stdout=its,
        stderr=its,
    )
    os.close(its)
    shown = b""
    while not re.search(rb"[1-4] of 6 jobs", shown):
        shown += os.read(ours, 4096)
    os.close(ours)
    assert process.wait(timeout=90) == 143
    one_by_one.emulator.inject([])
    assert one_by_one.run_json()["exit_code"] == 143
    one_by_one.assert_resumes(ITEMS)


@pytest.mark.sweep
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-16", "utf-8"])
def test_json_stays_json_whatever_the_encoding_of_standard_output(project: Project, encoding: str) -> None:
    name = "caf\N{LATIN SMALL LETTER E WITH ACUTE} \N{GRINNING FACE}.wav"
    (project.folder / "media" / "one.wav").rename(project.folder / "media" / name)
    project.manifest["sources"] = {"files": ["media/*.wav"]}
    project.write()
    ran = subprocess.run(
        [sys.executable, "-m", "hume_runner", "plan", "manifest.yaml", "--format", "json", "--items"],
        cwd=project.folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout.decode(encoding))["items"][0]["id"] == f"media/{name}"


# -- the stream itself -------------------------------------------------------------------------------------------------


def test_it_tells_once_and_is_quiet_afterwards() -> None:
    told: list[SafeStream] = []
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", encoding="utf-8") as file:
        stream = SafeStream(file, on_broken=told.append)
        for _ in range(3):
            stream.write("line\n")
            stream.flush()
    assert told == [stream]
    assert stream.reader_is_gone


def test_a_stream_that_was_closed_is_broken_and_no_error() -> None:
    closed = io.StringIO()
    closed.close()
    stream = SafeStream(closed)
    stream.write("line\n")
    stream.flush()
    assert stream.broken is not None
    assert stream.broken.errno == errno.EBADF


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1fb\x1b[2Jc\x07\n", "a\\u001fb\\u001b[2Jc\\u0007\n"),
        ("\x7f\x9b31m\x00\n", "\\u007f\\u009b31m\\u0000\n"),
        ("gpj.\u202efdp\u2028\n", "gpj.\\u202efdp\\u2028\n"),
        (
            "over\rwritten\r\n\tgr\u00fc\u00df \u4f60 \U0001f600\n",
            "over\\u000dwritten\r\n\tgr\u00fc\u00df \u4f60 \U0001f600\n",
        ),
    ],
)
def test_control_characters_from_outside_are_seen_and_not_obeyed(text: str, shown: str) -> None:
    place = io.StringIO(newline="")
    stream = SafeStream(place)
    stream.write(text)
    stream.writelines([text])
    stream.flush()
    assert place.getvalue() == shown + shown
    assert "\x1b[2K" in drawn("\x1b[2K")


def drawn(text: str) -> str:
    place = io.StringIO()
    canvas = Canvas(SafeStream(place))
    canvas.write(text)
    canvas.flush()
    return place.getvalue()


@pytest.mark.sweep
def test_a_name_with_control_characters_is_shown_by_every_command(project: Project) -> None:
    project.add_file("a\x1f\x1b[31m\x9b\u202e.wav", b"no sound at all")
    project.manifest["sources"] = {"files": ["media/*"]}
    project.write()
    for command in (
        ["plan", "--items"],
        ["plan", "--format", "json", "--items"],
        ["run"],
        ["run", "--json"],
        ["status"],
    ):
        ran = project.call(*command)
        assert not re.search("[\0-\x08\x0b-\x1f\x7f-\x9f\u202e]", ran.out + ran.err), command
        if "--items" in command:
            assert "media/a\\u001f\\u001b[31m\\u009b\\u202e.wav" in ran.out, command

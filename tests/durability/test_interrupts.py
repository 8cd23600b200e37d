"""SIGINT, SIGTERM and SIGHUP, once and twice, to a real process; the state resumes and nothing is doubled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.durability.case import Case, Reference, accepted_by_key, broken_promises, make_case
from tests.durability.children import ROOT, Nursery
from tests.durability.service import ServiceProcess

SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)]


def start(case: Case) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "hume_runner", str(case.manifest), "--no-progress"],
        cwd=ROOT,
        env={**os.environ, "HUME_API_KEY": case.key, "HUME_RUNNER_SETTLE": "0.2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until(happened: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 30
    while not happened():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def assert_resumes(case: Case, service: ServiceProcess, nursery: Nursery, reference: Reference) -> None:
    service.inject([])
    [code] = nursery.run([case.child()])
    assert broken_promises(case, code, accepted_by_key(service)[case.owner], reference) == []


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_one_signal_finishes_what_is_on_its_way_and_submits_no_more(
    number: signal.Signals, code: int, tmp_path: Path, nursery: Nursery, reference: Reference
) -> None:
    with ServiceProcess(tmp_path / "service", keys=1) as service:
        # The first two submissions are on their way for a while, the third waits for a free worker.
        service.inject([{"route": "POST /v0/batch/jobs", "action": {"delay": "1s"}}])
        case = make_case(tmp_path / "case", service.url, service.new_key())
        process = start(case)
        wait_until(lambda: service.requests()["by_route"].get("POST /v0/batch/jobs", 0) == 2, process)
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
        assert process.returncode == code, said
        assert "Traceback" not in said
        # What was on its way was waited for: its names are known.
        assert [(status, remote is None) for _, status, remote in case.jobs()] == [
            ("submitted", False),
            ("submitted", False),
            ("planned", True),
        ]
        assert_resumes(case, service, nursery, reference)


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_second_signal_leaves_at_once(
    number: signal.Signals, code: int, tmp_path: Path, nursery: Nursery, reference: Reference
) -> None:
    with ServiceProcess(tmp_path / "service", keys=1) as service:
        service.inject([{"route": "POST /v0/batch/jobs", "action": {"delay": "60s"}}])
        case = make_case(tmp_path / "case", service.url, service.new_key())
        process = start(case)
        wait_until(lambda: service.requests()["by_route"].get("POST /v0/batch/jobs", 0) == 2, process)
        process.send_signal(number)
        assert process.stderr is not None
        while "once more leaves at once" not in (line := process.stderr.readline()):
            assert line, "ended without a word"
        process.send_signal(number)
        # Long before the submissions that it does not wait for any more.
        _, said = process.communicate(timeout=30)
        assert process.returncode == code, said
        assert "Traceback" not in said
        assert [status for _, status, _ in case.jobs()] == ["submitting", "submitting", "planned"]
        assert_resumes(case, service, nursery, reference)

"""SIGINT, SIGTERM and SIGHUP, once and twice, to a real process; the state resumes and nothing is doubled."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.durability.case import Case, Reference, accepted_by_key, broken_promises, make_case, measured_earlier
from tests.durability.children import ROOT, Nursery, came_too_late
from tests.durability.conftest import MakeCase
from tests.durability.disks import Moment
from tests.durability.service import ServiceProcess
from tests.tiers import sampled
from tests.waiting import until
from tests.warm import WarmPopen

SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)]


def start(case: Case) -> subprocess.Popen[str]:
    return WarmPopen(
        [sys.executable, "-m", "hume_runner", str(case.manifest), "--no-progress"],
        cwd=ROOT,
        env={**os.environ, "HUME_API_KEY": case.key, "HUME_RUNNER_SETTLE": "0.2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def assert_resumes(case: Case, service: ServiceProcess, nursery: Nursery, reference: Reference) -> None:
    service.inject([])
    [code] = nursery.run([case.child()])
    assert broken_promises(case, code, accepted_by_key(service)[case.owner], reference) == []


@sampled(1)
@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_one_signal_finishes_what_is_on_its_way_and_submits_no_more(
    number: signal.Signals, code: int, tmp_path: Path, nursery: Nursery, reference: Reference
) -> None:
    with ServiceProcess(tmp_path / "service", keys=1) as service:
        # The first two submissions are on their way for a while, the third waits for a free worker.
        service.inject([{"route": "POST /v0/batch/jobs", "action": {"delay": "1s"}}])
        case = make_case(tmp_path / "case", service.url, service.new_key())
        process = start(case)
        until(lambda: service.requests()["by_route"].get("POST /v0/batch/jobs", 0) == 2, process)
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


@pytest.mark.sweep
@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_a_second_signal_leaves_at_once(
    number: signal.Signals, code: int, tmp_path: Path, nursery: Nursery, reference: Reference
) -> None:
    with ServiceProcess(tmp_path / "service", keys=1) as service:
        case = make_case(tmp_path / "case", service.url, service.new_key())
        measured_earlier(service.url, case.key)  # else nothing shows that a list reaches back to the first ones
        service.advance(10)
        service.inject([{"route": "POST /v0/batch/jobs", "action": {"delay": "60s"}}])
        process = start(case)
        until(lambda: service.requests()["by_route"].get("POST /v0/batch/jobs", 0) == 3, process)
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


@pytest.mark.sweep
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(("number", "code"), SIGNALS[:2])
@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_signal_at_any_durable_operation_ends_with_its_code_and_resumes(
    number: signal.Signals,
    code: int,
    times: int,
    moment: Moment,
    new_case: MakeCase,
    service: ServiceProcess,
    nursery: Nursery,
    reference: Reference,
) -> None:
    # Each case of the product visits every sixth operation, each at its own offset: together they visit all, twice.
    every, first = 6, 3 * SIGNALS.index((number, code)) + times
    places = range(first, len(reference.operations) + 1, every)
    cases = [new_case(f"{at:02d}") for at in places]
    disks = [{"kind": "signal", "at": at, "moment": moment, "number": int(number), "times": times} for at in places]
    children = [case.child(disk=disk) for case, disk in zip(cases, disks, strict=True)]
    for case, child, ended in zip(cases, children, nursery.run(children), strict=True):
        # The last of several may come when the command is over; then the system ends the process with it.
        late = (times > 1 and ended == -number) or (ended == 0 and came_too_late(child))
        assert ended == code or late, (case.folder.name, case.said())
        assert "Traceback" not in case.said()
        assert "Exception ignored" not in case.said()
    codes = nursery.run([case.child() for case in cases])
    log = accepted_by_key(service)
    wrong = {
        case.folder.name: broken_promises(case, ended, log.get(case.owner, ()), reference)
        for case, ended in zip(cases, codes, strict=True)
    }
    assert {name: said for name, said in wrong.items() if said} == {}


def wait_until_it_listens(process: subprocess.Popen[str]) -> None:
    """Return once the process handles SIGTERM by itself: from there on signals are ours to handle."""
    status = Path(f"/proc/{process.pid}/status")
    if not status.exists():
        pytest.skip("no way to see what a process handles")
    until(lambda: bool(_handled(status) >> (signal.SIGTERM - 1) & 1), process)


def _handled(status: Path) -> int:
    line = next(line for line in status.read_text().splitlines() if line.startswith("SigCgt:"))
    return int(line.split()[1], 16)


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("delay_s", [0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.45])
def test_a_signal_at_any_time_ends_with_its_code_and_resumes(
    delay_s: float, new_case: MakeCase, service: ServiceProcess, nursery: Nursery, reference: Reference
) -> None:
    case = new_case("case")
    number, code = SIGNALS[int(delay_s * 100) % 2]
    process = start(case)
    wait_until_it_listens(process)
    time.sleep(delay_s)
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode in (code, -number, 0), said  # 0: it was over already
    assert "Traceback" not in said
    [ended] = nursery.run([case.child()])
    assert broken_promises(case, ended, accepted_by_key(service).get(case.owner, ()), reference) == []


@pytest.mark.sweep
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_a_signal_that_was_ignored_when_the_run_began_stays_ignored(
    number: signal.Signals, new_case: MakeCase, service: ServiceProcess, reference: Reference
) -> None:
    """`nohup hume-runner …`, or a job that a script put into the background."""
    case = new_case("case")
    before = signal.signal(number, signal.SIG_IGN)
    try:
        process = start(case)
    finally:
        signal.signal(number, before)
    wait_until_it_listens(process)
    process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0, said

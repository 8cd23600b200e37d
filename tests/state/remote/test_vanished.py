"""Machines that vanish, sleep, or meet: real processes, a real store, and a host that waits for whole requests."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from hume_runner.emulator.server import Emulator
from tests.object_stores import S3Server
from tests.state.remote.machines import KEY, Study, accepted
from tests.state.remote.proxies import Landed, StoreProxy, host_proxy, store_proxy
from tests.state.remote.zygote import Child, Zygote

ENVIRON = {
    "HUME_API_KEY": KEY,
    "HUME_RUNNER_LEASE": "1",
    "HUME_RUNNER_HEARTBEAT": "0.25",
    "HUME_RUNNER_HALF_OPEN": "0.6",
    "HUME_RUNNER_STORE_PATIENCE": "5",
    "HUME_RUNNER_SETTLE": "0.8",
    "HUME_RUNNER_LATE": "1",
}


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote() as zygote:
        yield zygote


class Lab:
    """Machines whose ways to the store can be watched and cut."""

    def __init__(self, study: Study, s3: S3Server, zygote: Zygote) -> None:
        self.study = study
        self._s3 = s3
        self._zygote = zygote

    def start(self, machine: str, proxy: StoreProxy, *words: str) -> Child:
        path = self.study.folder / f"{machine}.yaml"
        path.write_text(yaml.safe_dump(self.study.manifest(machine)), encoding="utf-8")
        runs = str(self.study.folder / f"runs-{machine}")  # which nobody on another machine sees
        environ = {**ENVIRON, **self._s3.environ, "AWS_ENDPOINT_URL": proxy.url, "HUME_RUNNER_RUNS": runs}
        out = self.study.folder / f"run-{machine}"
        out.with_suffix(".code").unlink(missing_ok=True)
        return self._zygote.start(["run", str(path), *words], environ=environ, out=out)


@pytest.fixture
def lab(study: Study, s3: S3Server, zygote: Zygote) -> Lab:
    return Lab(study, s3, zygote)


def wait_for(emulator: Emulator, jobs: int, child: Child) -> None:
    until = time.monotonic() + 60
    while accepted(emulator) < jobs:
        assert not child.over, child.said
        assert time.monotonic() < until
        time.sleep(0.01)


def vanish_with_its_disk(lab: Lab, s3: S3Server, emulator: Emulator, texts: int, after: int) -> None:
    lab.study.texts = texts
    log: list[Landed] = []
    with store_proxy(s3.url, log) as proxy:
        child = lab.start("a", proxy)
        wait_for(emulator, after, child)
        child.signal(signal.SIGKILL)
        assert child.wait(20)
        shutil.rmtree(lab.study.folder / "a")
        paid = accepted(emulator)
        assert after <= paid < texts
        other = lab.start("b", proxy)
        assert other.wait(100)
        assert other.code == 0, other.said
    assert accepted(emulator) == texts  # it paid for the rest alone


@pytest.mark.sweep
def test_a_runner_that_vanishes_with_its_disk_is_gone_on_from(lab: Lab, s3: S3Server, emulator: Emulator) -> None:
    vanish_with_its_disk(lab, s3, emulator, texts=60, after=18)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_after_300_of_1000_submissions_another_machine_pays_for_700(lab: Lab, s3: S3Server, emulator: Emulator) -> None:
    vanish_with_its_disk(lab, s3, emulator, texts=1_000, after=300)


@pytest.mark.sweep
@pytest.mark.parametrize("moment", ["before", "after"])
def test_an_owner_that_sleeps_through_its_lease_sends_nothing_when_it_wakes(
    lab: Lab, s3: S3Server, emulator: Emulator, moment: str
) -> None:
    """It is stopped while it asks whether the lock is still its own: before the store hears of that, and after."""
    lab.study.texts = 20
    log: list[Landed] = []
    with (
        host_proxy(emulator.url) as host,
        store_proxy(s3.url, log) as sleepers,
        store_proxy(s3.url, log) as way,
    ):
        host.idle_s, lab.study.url = 0.6, host.url
        child: list[Child] = []

        def stop() -> None:
            child[0].signal(signal.SIGSTOP)

        sleepers.plan = {30: (moment, stop)}
        child.append(lab.start("a", sleepers))
        until = time.monotonic() + 60
        while sleepers.count < 30:
            assert time.monotonic() < until
            time.sleep(0.02)
        other = lab.start("b", way)
        assert other.wait(90)
        assert other.code == 0, other.said
        paid = accepted(emulator)
        assert paid == 20
        child[0].signal(signal.SIGCONT)
        assert child[0].wait(60)
        # What it had asked for was given up while it slept, or is answered: by who has the state now.
        assert child[0].code in (5, 6), child[0].said
        assert child[0].code == 5 or "another run has taken the state" in child[0].said
        assert accepted(emulator) == 20
        # What it wanted to write found its place taken; what had landed before may land again, covered by a snapshot.
        first = min(one.ended for one in log if one.epoch == 2 and one.kind != "lock")
        landed = {one.key for one in log if one.ended <= first}
        assert not [one for one in log if one.epoch == 1 and one.kind != "seal" and one.key not in landed]


@pytest.mark.sweep
def test_two_that_begin_together_have_one_owner(lab: Lab, s3: S3Server, emulator: Emulator, tmp_path: Path) -> None:
    lab.study.texts = 10
    log: list[Landed] = []
    with store_proxy(s3.url, log) as one, store_proxy(s3.url, log) as other:
        children = [lab.start("a", one), lab.start("b", other)]
        for child in children:
            assert child.wait(90)
        codes = sorted(child.code for child in children if child.code is not None)
    # The second one came while the first was at work, or after it.
    assert codes in ([0, 6], [0, 0]), [child.said for child in children]
    assert accepted(emulator) == 10

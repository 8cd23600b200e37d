"""Rounds of attack on a remote state: real runners, a real store, a real service, and everything that can go wrong."""

from __future__ import annotations

import random
import shutil
import signal
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import yaml

from hume_runner.errors import StateError, StoreError
from hume_runner.machine import Machine
from hume_runner.settings import Settings
from hume_runner.state.disk import Disk
from hume_runner.state.paths import Paths
from hume_runner.state.reader import StateReader
from hume_runner.state.remote.copies import read_all
from hume_runner.wiring import driver
from tests.object_stores import S3Server
from tests.state.remote.proxies import HostProxy, Landed, StoreProxy, store_proxy
from tests.state.remote.zygote import Child, Zygote

KEY = "key-of-the-attacked"
LEASE_S, HEARTBEAT_S, HALF_OPEN_S, SETTLE_S = 1.2, 0.3, 0.6, 2.0
ENVIRON = {
    "HUME_API_KEY": KEY,
    "HUME_RUNNER_LEASE": str(LEASE_S),
    "HUME_RUNNER_HEARTBEAT": str(HEARTBEAT_S),
    "HUME_RUNNER_HALF_OPEN": str(HALF_OPEN_S),
    "HUME_RUNNER_STORE_PATIENCE": "4",
    "HUME_RUNNER_SETTLE": str(SETTLE_S),
    "HUME_RUNNER_SETTLE_SLOW": str(SETTLE_S),
    "HUME_RUNNER_LATE": "1",
}
# A runner whose round is lost, unreachable or over ends so; anything else is a fault of its own.
ENDINGS = {0, 5, 6, 9, None}
_CALM_RUNS = 12


@dataclass(kw_only=True)
class Outcome:
    """What a round broke: numbers, and words for people."""

    twice: int = 0
    lost: int = 0
    writers: int = 0
    unfinished: int = 0
    odd: list[str] = field(default_factory=list)
    did: Counter[str] = field(default_factory=Counter)

    @property
    def red(self) -> bool:
        return bool(self.twice or self.lost or self.writers or self.unfinished or self.odd)


class Round:
    """One study that two to four machines run at one time and one after another, with faults from `seed`."""

    def __init__(
        self, seed: int, folder: Path, s3: S3Server, host: HostProxy, zygote: Zygote, *, conditions: bool = True
    ) -> None:
        self._random = random.Random(seed)
        self._seed = seed
        self._folder = folder
        self._s3 = s3
        self._host = host
        self._zygote = zygote
        self._conditions = conditions
        self._bucket = s3.bucket()
        self._place = f"s3://{self._bucket}/state"
        self._texts = self._random.randint(6, 14)
        self._log: list[Landed] = []
        self._outcome = Outcome()
        self._runs = 0
        self._lasting: list[threading.Timer] = []

    def run(self) -> Outcome:
        chance = self._random
        self._host.idle_s = HALF_OPEN_S
        lost = {n for n in range(1, 200) if chance.random() < 0.06}
        late = {n for n in range(1, 200) if chance.random() < 0.04}
        before = self._host.posts
        self._host.after = lambda method, path, number: (
            "lost" if number - before in lost else "late" if number - before in late else None
        )
        with ExitStack() as stack:
            self._attack(stack)
            self._host.after = lambda method, path, number: None
            self._finish(stack)
            for timer in self._lasting:
                timer.join()
            try:
                self._judge()
            except (StateError, StoreError, FileNotFoundError) as error:
                self._outcome.odd.append(f"what is left cannot be read: {error}")
        return self._outcome

    # -- the attack

    def _attack(self, stack: ExitStack) -> None:
        chance = self._random
        machines = [f"m{n}" for n in range(chance.randint(2, 4))]
        going: list[tuple[Child, str]] = []
        for turn in range(chance.randint(2, 5)):
            name = chance.choice(machines)
            if any(one == name and not child.over for child, one in going):
                name = f"x{turn}"
            child = self._start(stack, name, attacked=True)
            going.append((child, name))
            if chance.random() < 0.5:
                child.wait(chance.uniform(0.3, 4.0))
            else:
                time.sleep(chance.uniform(0.0, 0.7))
            used = {machine for one, machine in going if not one.over}
            for one, machine in going:
                if one.over and one.code is None and machine not in used and chance.random() < 0.6:
                    shutil.rmtree(self._folder / machine, ignore_errors=True)  # the disk went with it
                    self._outcome.did["disks lost"] += 1
        for child, _ in going:
            if not child.wait(40):
                child.signal(signal.SIGKILL)
                child.wait(10)
                self._outcome.did["ended by hand"] += 1
            elif child.code not in ENDINGS:
                self._outcome.odd.append(f"a runner ended with {child.code}: {child.said[-1500:]}")

    def _start(self, stack: ExitStack, machine: str, *, attacked: bool) -> Child:
        chance = self._random
        proxy: StoreProxy = stack.enter_context(store_proxy(self._s3.url, self._log))
        proxy.conditions = self._conditions
        self._runs += 1
        path = self._folder / f"{machine}.yaml"
        path.write_text(yaml.safe_dump(self._manifest(machine)), encoding="utf-8")
        environ = {**ENVIRON, **self._s3.environ, "AWS_ENDPOINT_URL": proxy.url}
        clock = (chance.uniform(0, 2), chance.choice([-86_400.0, 3_600.0, 7e6])) if attacked else None
        clock = clock if chance.random() < 0.3 else None
        # The plan stands before the first request: the runner is told of by then.
        holder: list[Child] = []
        if attacked:
            proxy.plan = self._plan(proxy, holder)
        child = self._zygote.start(
            ["run", str(path), "--no-progress"], environ=environ, out=self._folder / f"run{self._runs}", clock=clock
        )
        holder.append(child)
        self._outcome.did["runs"] += 1
        self._outcome.did["clocks set"] += clock is not None
        return child

    def _plan(self, proxy: StoreProxy, holder: list[Child]) -> dict[int, Any]:
        chance = self._random
        proxy.late_s = chance.uniform(0.1, 4.0)
        plan: dict[int, Any] = {}
        faults = ("500", "500 after", "reset after", "late", "slow")
        rate = chance.choice([0.0, 0.05, 0.15])
        for number in range(1, 400):
            if chance.random() < rate:
                plan[number] = chance.choice(faults)
        # Without conditions it is those who sleep and wake that nothing stops.
        end = chance.random() if self._conditions else 0.5
        if end < 0.45:
            plan[chance.randint(1, 90)] = (chance.choice(["before", "after"]), lambda: self._kill(holder))
        elif end < 0.8:
            latest = 90 if self._conditions else 45
            plan[chance.randint(1, latest)] = (chance.choice(["before", "after"]), lambda: self._stop(holder))
        return plan

    def _kill(self, holder: list[Child]) -> None:
        if holder:
            holder[0].signal(signal.SIGKILL)
            self._outcome.did["kills"] += 1

    def _stop(self, holder: list[Child]) -> None:
        """It sleeps through its lease, and wakes up in the middle of what it was doing."""
        if holder:
            child = holder[0]
            child.signal(signal.SIGSTOP)
            self._outcome.did["stopped"] += 1
            wake = threading.Timer(
                LEASE_S + HALF_OPEN_S + 0.3 + 2.5 * (self._seed % 3), child.signal, (signal.SIGCONT,)
            )
            wake.start()
            self._lasting.append(wake)

    def _manifest(self, machine: str) -> dict[str, Any]:
        return {
            "version": 1,
            "name": "attacked",
            "service": {"api": "batch-v0", "endpoint": self._host.url},
            "sources": {"text": self._sources()},
            "models": {"language": {}},
            "batching": {"max_sources": 1},
            "execution": {"requests_per_second": 500, "transfer_workers": 3, "look_back": 0},
            "outputs": {"directory": str(self._folder / machine)},
            "state": self._place,
        }

    def _sources(self) -> list[str]:
        return [f"Round {self._seed}: this is sentence {n}." for n in range(self._texts)]

    # -- the end

    def _finish(self, stack: ExitStack) -> None:
        for _ in range(_CALM_RUNS):
            child = self._start(stack, "calm", attacked=False)
            if not child.wait(60):
                child.signal(signal.SIGKILL)
                child.wait(10)
            if child.code == 0:
                return
            if child.code == 9:
                self._outcome.did["rounds that ask a person"] += 1  # nothing proves what became of one: it is asked
                return
            if child.code not in ENDINGS:
                self._outcome.odd.append(f"the last run ended with {child.code}: {child.said[-1500:]}")
                return
        self._outcome.unfinished += 1
        self._outcome.odd.append(f"never finished: {child.said[-1500:]}")

    def _judge(self) -> None:
        jobs = self._jobs()
        contents = Counter(text for _, text in jobs)
        self._outcome.twice = sum(contents.values()) - len(contents)
        known = self._known()
        self._outcome.lost = sum(remote_id not in known for remote_id, _ in jobs)
        self._outcome.writers = self._two_writers()

    def _jobs(self) -> list[tuple[str, str]]:
        """(id, text) of all that the service took in this round."""
        wanted = set(self._sources())
        jobs = requests.get(
            f"{self._host.url}/v0/batch/jobs",
            params={"limit": 1_000_000},
            headers={"X-Hume-Api-Key": KEY},
            timeout=60,
        ).json()
        return [(job["job_id"], text) for job in jobs for text in job["request"].get("text") or [] if text in wanted]

    def _known(self) -> set[str]:
        """The ids that the next runner reads."""
        paths = Paths(outputs=self._folder, state=self._folder / "x", remote=self._place)
        machine = Machine(disk=Disk(), environ={}, settings=Settings(lease_s=20))
        target = self._folder / "judged.sqlite3"
        read_all(lambda: driver(paths, machine), target, "attacked")
        with StateReader.peek(target) as store:
            twice = {remote_id for remote_id, _ in store.duplicates()}
            return twice | {job.remote_id for job in store.jobs() if job.remote_id}

    def _two_writers(self) -> int:
        """Writes of an owner that took effect after a later one's had begun to."""
        found = 0
        covers = self._s3.body(self._bucket, "state/head")
        upto = tuple(yaml.safe_load(covers)["covers"])
        writes = [one for one in self._log if one.kind in ("entry", "head")]
        for one in writes:
            if one.kind == "entry" and (one.epoch, int(one.key.split("?")[0].rpartition("/")[2])) <= upto:
                # One that is covered may land once more, and is not read.
                again = [other for other in writes if other.key == one.key and other.ended < one.began]
                if again:
                    continue
            # Between a claim and the seal an entry of the old owner may land: it is read. A head may not.
            later = [other for other in writes if other.epoch > one.epoch and other.ended < one.began]
            broken = [other for other in later if one.kind == "head" or other.kind == "entry"]
            if broken:
                self._outcome.odd.append(f"{one} lands after {broken[0]}")
                found += 1
        return found

"""Any sequence of crashes, lost answers, edits and runs submits what the manifest asks for exactly once."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hume_runner.services.jobs import Job, SubmitResult
from hume_runner.services.lost import Candidate
from hume_runner.state.lifecycle import JobStatus
from hume_runner.state.reader import StateReader
from tests.durability.disks import CountedDisk, Moment
from tests.fakes import FakeService, World, source_item
from tests.tiers import examples


class Crash(BaseException):
    """The process is gone."""


class CrashingDisk(CountedDisk):
    """Ends the run right before or after one durable operation."""

    def __init__(self, at: int, moment: Moment) -> None:
        super().__init__()
        self._at = at
        self._moment = moment

    def _do(self, what: str, act: Callable[[], None]) -> None:
        mine = self._number(what) == self._at
        if mine and self._moment == "before":
            raise Crash
        act()
        if mine:
            raise Crash


@dataclass(slots=True)
class Fragile(FakeService):
    """Tells jobs by what was sent alone, as real services do; the script "crash" takes a job and ends the run."""

    def _send(self, job: Job, matches: Mapping[int, str]) -> SubmitResult:
        if self.script and self.script[0] == "crash":
            self.script.pop(0)
            self.take(job, matches)
            raise Crash
        return super(Fragile, self)._send(job, matches)

    def find(self, job: Job, *, since: float) -> tuple[Candidate, ...]:
        return tuple(
            Candidate(remote_id=one.remote_id, matches=one.matches, created_at=one.created_at, simulated=True)
            for one in self.remote.values()
            if one.matches == job.matches and one.created_at >= since
        )


@dataclass(frozen=True)
class Run:
    """A run that may crash: at a durable operation, and with these answers to its submissions."""

    crash: tuple[int, Moment] | None
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Edit:
    """The manifest's item `slot` gets this content; None removes it."""

    slot: int
    content: int | None


@dataclass(frozen=True)
class Settings:
    """Other models for everything."""

    fps: int


moments = st.sampled_from(["before", "after"])
answers = st.sampled_from(["accept", "lose answer", "lose request", "crash"])
steps = st.lists(
    st.one_of(
        st.builds(
            Run,
            crash=st.none() | st.tuples(st.integers(1, 40), moments),
            answers=st.lists(st.sampled_from(["accept", "lose answer", "lose request", "crash"]), max_size=4).map(
                tuple
            ),
        ),
        st.builds(Edit, slot=st.integers(0, 4), content=st.none() | st.integers(0, 2)),
        st.builds(Settings, fps=st.integers(1, 2)),
    ),
    min_size=1,
    max_size=10,
)
CRASH_AFTER_POST = Run(crash=None, answers=("crash",))


@settings(max_examples=examples(120), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=steps, most=st.integers(1, 3))
@example(steps=[CRASH_AFTER_POST, Edit(slot=0, content=None)], most=2)
@example(steps=[CRASH_AFTER_POST, Edit(slot=0, content=2)], most=2)
@example(steps=[CRASH_AFTER_POST, Settings(fps=2)], most=2)
@example(steps=[CRASH_AFTER_POST, Settings(fps=2), CRASH_AFTER_POST, Settings(fps=1)], most=1)
def test_whatever_happens_each_current_content_is_submitted_exactly_once(
    steps: list[Run | Edit | Settings], most: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        service = world.service = Fragile(world.clock, most=most)
        manifest: dict[int, int] = {0: 0, 1: 0, 2: 0}
        models = {"face": {"fps_pred": 1}}
        for step in [*steps, Run(crash=None, answers=())]:
            match step:
                case Edit(slot, content):
                    manifest = {at: was for at, was in manifest.items() if at != slot}
                    if content is not None:
                        manifest[slot] = content
                case Settings(fps):
                    models = {"face": {"fps_pred": fps}}
                case Run(crash, answers):
                    world.sources = [
                        source_item(f"{slot}-{content}", id=f"s{slot}", explicit=True)
                        for slot, content in sorted(manifest.items())
                    ]
                    world.disk = CrashingDisk(*(crash or (0, "before")))
                    service.script = list(answers)
                    try:
                        result = world.run(settings={"models": models})
                    except Crash:
                        continue
                    if not answers:
                        assert result.exit_code == 0
                    assert_paid_once(world, service, finished=result.exit_code == 0)


def assert_paid_once(world: World, service: FakeService, *, finished: bool) -> None:
    paid = Counter(key for job in service.remote.values() for key in job.content)
    assert set(paid.values()) <= {1}
    with StateReader.peek(world.state) as store:
        known = {row.remote_id for row in store.jobs() if row.remote_id}
        waiting = list(store.jobs(JobStatus.SUBMITTING, JobStatus.AMBIGUOUS))
        statuses = {str(item.status) for item in store.items()}
    if finished:
        assert set(service.remote) == known
        assert not waiting
        assert statuses <= {"done"}

"""Consent to pay again is for what the service takes from that run: if it was refused or killed, the next one asks."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from hume_runner.engine.run import RunOptions
from hume_runner.errors import NotFound
from hume_runner.services.jobs import Refused
from hume_runner.services.lost import Candidate
from hume_runner.state.disk import Disk
from tests.fakes import Scripted, World
from tests.tiers import Tier, only_swept, sampled

BUSY = Refused(reason="busy", message="too many requests", temporary=True)
GONE = NotFound("it has gone")
NO = Refused(reason="bad_request", message="no", temporary=False)
AGAIN = RunOptions(pay_again=True)


class Killed(BaseException):
    pass


class Dies(Disk):
    """A process that is killed right after what it makes durable for the nth time."""

    def __init__(self, nth: int) -> None:
        self.nth = nth
        self.counted = 0

    def commit(self, db: sqlite3.Connection, what: str) -> None:
        if self.counted >= self.nth:
            raise Killed
        super().commit(db, what)
        self.counted += 1
        if self.counted >= self.nth:
            raise Killed


# -- how `a` comes to be in doubt: each leaves a state with which a run ends with 9, and `b` beyond doubt


def lost_submission(world: World) -> None:
    world.service.conclusive = False
    world.service.script = ["lose request"]
    world.run()


def lost_answer(world: World) -> None:
    world.run()
    for answer in (world.state.parent / "raw").glob("*/predictions.json"):
        answer.unlink()
    world.service.fetches = [GONE]


def suspect(world: World) -> None:
    world.service.suspected["a"] = (Candidate(remote_id="before", matches={}, created_at=None, gone=True),)


def stray(world: World) -> None:
    folder = world.state.parent / "raw" / "stray"
    folder.mkdir(parents=True)
    (folder / "predictions.json").write_text("{}")


DOUBTS: dict[str, Callable[[World], None]] = {
    "a lost submission": lost_submission,
    "a lost answer": lost_answer,
    "a suspect": suspect,
    "a stray": stray,
}


def world_in_doubt(folder: Path, doubt: str) -> World:
    world = World(folder, ["a"])
    DOUBTS[doubt](world)
    ran = world.run()
    assert ran.exit_code == 9
    return world


def sent(world: World) -> int:
    return Counter(item for job in world.service.submitted for item in job)["a"]


def paid(world: World) -> int:
    return sum(len(one.content) for one in world.service.remote.values())


def taken_by_state(world: World) -> bool:
    """Whether the item is at the service, or measured, as far as the state knows."""
    return world.items()["a"] in ("done", "in_flight")


REFUSALS: dict[str, Sequence[Scripted]] = {
    "busy for ever": [BUSY] * 20,
    "busy, then lost": [BUSY, "lose request", *[BUSY] * 20],
    "refused for good": [NO],
}


@sampled(6)
@pytest.mark.parametrize("edited", [False, True], ids=["the same", "edited"])
@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("doubt", DOUBTS)
def test_whoever_was_refused_is_asked_again_in_any_order(
    tmp_path: Path, doubt: str, refusal: str, edited: bool
) -> None:
    world = world_in_doubt(tmp_path, doubt)
    world.service.script = list(REFUSALS[refusal])
    agreed(world, doubt)
    before = paid(world)
    if edited:
        world.sources.append("b")
    # One that tells nothing of what it is about may be what is listed since.
    beyond_doubt = edited and doubt != "a stray"
    for _ in range(2):
        asked = world.run(options=RunOptions(retry_failed=True))
        assert (asked.exit_code, paid(world)) == (9, before + beyond_doubt)
        assert not taken_by_state(world)
    again = world.run(options=RunOptions(pay_again=True, retry_failed=True))
    assert (again.exit_code, world.items()["a"], paid(world)) == (0, "done", before + 1 + edited)
    assert (world.run().exit_code, paid(world)) == (0, before + 1 + edited)


def agreed(world: World, doubt: str) -> None:
    """A run with consent, and then the service is as ever."""
    world.service.fetches = [GONE] if doubt == "a lost answer" else []
    with contextlib.suppress(Killed):
        world.run(options=AGAIN)
    world.service.fetches, world.service.script = [], []


@only_swept
@pytest.mark.parametrize(
    ("doubt", "answer"),
    [*((doubt, "accept") for doubt in DOUBTS), *((doubt, "busy") for doubt in DOUBTS), ("a suspect", "lose answer")],
)
def test_who_agreed_and_was_killed_is_asked_again_unless_the_service_has_it(
    tmp_path: Path, doubt: str, answer: str, tier: Tier
) -> None:
    """At every moment: the plain run that follows sends nothing of it."""
    unbroken = run_killed(tmp_path / "whole", doubt, answer, nth=10_000)[1]
    assert unbroken.counted > 3
    for nth in tier.of(range(1, min(unbroken.counted, 24) + 1), 3):
        world, _ = run_killed(tmp_path / str(nth), doubt, answer, nth=nth)
        had, tries = paid(world), sent(world)
        plain = world.run()
        assert (paid(world), sent(world)) == (had, tries), nth
        assert plain.exit_code == (0 if taken_by_state(world) else 9), (nth, plain.error)


def run_killed(folder: Path, doubt: str, answer: str, *, nth: int) -> tuple[World, Dies]:
    """The run with consent, on such a disk, and what is left of it."""
    world = world_in_doubt(folder, doubt)
    world.service.script = [BUSY] * 20 if answer == "busy" else [answer]
    disk = Dies(nth)
    world.disk = disk
    agreed(world, doubt)
    world.disk = Disk()
    return world, disk

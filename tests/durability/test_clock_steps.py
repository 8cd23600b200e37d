"""The machine's time is set by hours while an answer is lost: nothing is paid twice, and nobody is asked more."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.durability import test_lost_answers as batch
from tests.durability.children import Nursery
from tests.durability.lost import Trial, Waited, broken, broken_anywhere, hosts
from tests.expression import test_lost_at_difficult_hosts as expression
from tests.tiers import Tier, only_swept, sampled

STEPS_S = (-2 * 3600, -60, 60, 2 * 3600, 24 * 3600, -400 * 24 * 3600)
BEFORE, ON_THE_WAY, LATER = "before it is sent", "on its way", "before it is looked for"
HOSTS = ("easy", "no Date")
WAYS = {
    "batch-v0": ("cut before", "cut after", "killed before", "killed after"),
    "expression-v1": ("cut, never arrived", "cut, measured", "killed, never arrived", "killed, measured"),
}
PLACES = {
    "batch-v0": (batch.FIRST, batch.LAST, batch.ALONE),
    "expression-v1": (expression.FIRST, expression.LAST, expression.ALONE, expression.STOP),
}


class Cell(NamedTuple):
    """One lost answer. `at`: when the time is set, by `step_s` seconds; it is right again in the run after."""

    api: str
    difficulty: str
    lost: str
    place: str
    step_s: float
    at: str


def everything() -> list[Cell]:
    return [
        Cell(api, *rest)
        for api in WAYS
        for rest in itertools.product(HOSTS, WAYS[api], PLACES[api], STEPS_S, (BEFORE, ON_THE_WAY, LATER))
    ]


def covering() -> list[Cell]:
    """Every step at every moment, with each way, place and host in turn."""
    return [
        Cell(
            api,
            HOSTS[n % 7 == 6],
            WAYS[api][n % len(WAYS[api])],
            PLACES[api][(n + n // 4) % len(PLACES[api])],
            step_s,
            at,
        )
        for api in WAYS
        for n, (at, step_s) in enumerate(itertools.product((BEFORE, ON_THE_WAY, LATER), STEPS_S))
    ]


def clock_of(cell: Cell, name: str) -> list[tuple[float | str, float]]:
    """The steps of the run of this name: the one that is killed, or the one that looks."""
    killed = cell.lost.startswith("killed")
    sends, looks = name == ("killed" if killed else "run"), name == "run"
    match cell.at:
        case "before it is sent":
            return [(0.0, cell.step_s)] if sends else []
        case "on its way":
            return [("commit submitting", cell.step_s)] if sends else []
        case _:
            return [(0.0 if killed else "commit lost", cell.step_s)] if looks else []


def prepare(folder: Path, cell: Cell, host: Any) -> Trial:
    made: Trial
    if cell.api == "batch-v0":
        made = batch.prepare(folder, batch.Cell(cell.difficulty, cell.lost, cell.place), host)
    else:
        made = expression.prepare(folder, expression.Cell(cell.difficulty, cell.lost, cell.place), host)
    child: Callable[..., dict[str, Any]] = made.child
    # How long it waited is told by the same clock.
    waits: tuple[Waited, ...] = ("short", "none", "long")
    expected = [one._replace(waited=waited) for waited in waits for one in made.expected]
    if cell.difficulty == "no Date":  # then nothing tells the time, and to ask is right
        asked = [one._replace(accepted=min(1, one.accepted), asked=True) for one in expected]
        expected += [*asked, *(one._replace(found=False) for one in asked)]
    return replace(
        made,
        label=str(cell),
        child=lambda *, name, **how: child(name=name, clock=clock_of(cell, name), **how),
        expected=tuple(expected),
    )


@only_swept
def test_no_step_of_the_clock_makes_a_lost_answer_paid_twice(tier: Tier, tmp_path: Path, nursery: Nursery) -> None:
    assert broken(tier.of(covering(), 5), prepare, tmp_path, nursery) == []


@pytest.mark.sweep
@sampled(2)
@pytest.mark.parametrize("difficulty", [{}, {"date": {"missing": True}}], ids=["easy", "no Date"])
@pytest.mark.parametrize("api", list(WAYS))
def test_a_clock_that_is_a_month_ahead_hides_nothing_that_was_paid_before(
    api: str, difficulty: dict[str, Any], tmp_path: Path, nursery: Nursery
) -> None:
    with hosts(1, processing_time_s=0.01) as (host,):
        cell = Cell(api, "easy", WAYS[api][0], PLACES[api][0], 0, BEFORE)
        trial = prepare(tmp_path / "study", cell, host)
        host.make_difficult(difficulty)
        manifest = tmp_path / "study" / "manifest.yaml"
        manifest.write_text(manifest.read_text().replace("look_back: 0", "look_back: 7d"))
        assert nursery.run([trial.child(name="first")]) == [0]
        paid = trial.taken()
        for path in trial.outputs.glob("state.sqlite3*"):
            path.unlink()
        child = {**trial.child(name="ahead"), "clock": [(0.0, 30 * 24 * 3600)]}
        assert nursery.run([child]) == [0 if api == "batch-v0" else 9], (tmp_path / "study/ahead.stderr").read_text()
        assert trial.taken() == paid


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_no_step_of_the_clock_makes_a_lost_answer_paid_twice_in_the_whole_table(
    tmp_path: Path, nursery: Nursery
) -> None:
    assert broken_anywhere(everything(), prepare, tmp_path, nursery) == []

"""Runs that lose the answer to one submission, many at a time, and what became of it, in four columns.

How long a run waited is told apart by patience, not by a stopwatch: where nothing is to be waited for, patience is so
long that a run that waited would not end; where it waits the short time, the long one is. So no figure depends on how
busy the machine is.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from hume_runner.emulator.server import Emulator
from tests.databases import answered
from tests.durability.children import Nursery

KEY = "lost"
Waited = Literal["none", "short", "long"]
# The nursery's `settle_s` and `slow_s` for a run that is expected to wait so long.
PATIENCE: dict[Waited, tuple[float, float]] = {"none": (25.0, 30.0), "short": (0.8, 25.0), "long": (0.4, 1.6)}


class Became(NamedTuple):
    """What became of a lost submission by the end of the run that lost it, or, where that was killed, of the next.

    `accepted`: how often the host took it, all told; `found`: whether it was told by a look; `waited`: nothing, or
    until the patience after a cut or after a time-out was over; `asked`: whether a person has to decide.
    """

    accepted: int
    found: bool
    waited: Waited
    asked: bool

    def __str__(self) -> str:
        told = "found" if self.found else "not found"
        return f"accepted {self.accepted}, {told}, waited {self.waited}, {'asked' if self.asked else 'not asked'}"


class Outcome(NamedTuple):
    """Of one lost submission, as a table has it. `waits`: as long as its way of being lost asks for, or (None) that
    depends on the moment."""

    accepted: int
    found: bool
    waits: bool | None
    asked: bool

    def became(self, waited: Iterable[Waited]) -> list[Became]:
        """`waited`: what a wait may last, where it waits at all."""
        lasts: Iterable[Waited] = waited if self.waits else ("none",)
        if self.waits is None:
            lasts = ("none", "short", "long")
        return [Became(self.accepted, self.found, lasted, self.asked) for lasted in lasts]


# More than one where a host's list depends on the moment: whether another came after the lost one by then.
May = Outcome | tuple[Outcome, ...]


def outcomes_of(may: May) -> tuple[Outcome, ...]:
    return (may,) if isinstance(may, Outcome) else may


def covering(difficulties: Iterable[str], ways: Iterable[str], places: Iterable[str]) -> list[tuple[str, str, str]]:
    """Each difficulty with two places, and with each way of losing an answer in turn."""
    ways, places = list(ways), list(places)
    return [
        (difficulty, ways[(5 * row + 3 * column) % len(ways)], places[(row + column) % len(places)])
        for row, difficulty in enumerate(difficulties)
        for column in range(2)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One run at one host. `child` makes a run of it for the nursery.

    `taken`: what the host has taken, one entry a submission, the same for the same content; `others` of them are not
    the lost one. `expected`: what may become of it; more than one thing only where the host's list depends on the
    moment. `finally_accepted`: how often the lost one is accepted once everything is done. `cure`: what ends the
    difficulty; `consent`: it takes `--pay-again` as well.
    """

    label: str
    host: Emulator
    outputs: Path
    child: Callable[..., dict[str, Any]]
    taken: Callable[[], Sequence[str]]
    expected: tuple[Became, ...]
    others: int
    finally_accepted: int = 1
    killed: bool = False
    consent: bool = False
    cure: Callable[[Emulator], None] = field(default=lambda host: host.make_difficult({}))

    def ask(self, question: str) -> list[Any]:
        return answered(self.outputs / "state.sqlite3", question)

    @property
    def pending(self) -> list[str]:
        return [status for (status,) in self.ask("SELECT status FROM jobs WHERE status != 'done'")]

    @property
    def accepted(self) -> int:
        """How often the lost one was: every other submission is accepted once, or that is a finding of its own."""
        return len(self.taken()) - self.others

    @property
    def patience(self) -> dict[str, float]:
        """For the nursery."""
        settle_s, slow_s = PATIENCE[self.expected[0].waited]
        return {"settle_s": settle_s, "slow_s": slow_s}

    def became(self, code: int) -> Became:
        """As the state and the host tell it. Raises: AssertionError where nothing was lost at all."""
        lost = self.ask("SELECT job, at, attempt FROM attempts WHERE event = 'lose' ORDER BY attempt")
        assert len(lost) == 1, f"{len(lost)} submissions were lost"
        ((number, lost_at, attempt),) = lost
        decided = self.ask(
            f"SELECT event, at FROM attempts WHERE job = {number} AND attempt > {attempt} ORDER BY attempt"
        )
        event, at = decided[0] if decided else ("", self._ended_at())
        settle_s, slow_s = self.patience.values()
        waited_s = at - lost_at + 0.3  # recorded a moment after it began, however long that was on a busy machine
        waited: Waited = "none" if waited_s < settle_s else "short" if waited_s < slow_s else "long"
        return Became(
            accepted=self.accepted,
            found=event not in ("", "miss") or bool(self._gone(number)) or ": measured as " in said(self, "run"),
            waited=waited,
            asked=code == 9,
        )

    def _gone(self, number: int) -> list[Any]:
        return self.ask(f"SELECT remote_id FROM duplicates WHERE job = {number}")

    def _ended_at(self) -> float:
        told = json.loads((self.outputs / "run.json").read_bytes())["ended_at"]
        return datetime.fromisoformat(told).timestamp()


def wrong(trials: Sequence[Trial], nursery: Nursery, *, at_once: int = 12) -> list[str]:
    """What did not become as expected, a line a finding. Whoever asked is run again when its host is an easy one."""
    killed = [trial for trial in trials if trial.killed]
    disk = {"kind": "kill", "at": {"name": "commit lost"}, "moment": "before"}
    codes = nursery.run([trial.child(name="killed", disk=disk) for trial in killed], at_once=at_once)
    found = [f"{trial.label}: not killed, but {code}" for trial, code in zip(killed, codes, strict=True) if code != -9]
    children = [trial.child(name="run", **trial.patience) for trial in trials]
    asking = []
    for trial, code in zip(trials, nursery.run(children, at_once=at_once), strict=True):
        found += [f"{trial.label}: {line}" for line in _findings(trial, code)]
        if code != 0:
            asking.append(trial)
    for trial in asking:
        trial.cure(trial.host)
    children = [trial.child(name="again", settle_s=0.3, slow_s=0.3) for trial in asking]
    for trial, child in zip(asking, children, strict=True):
        child["argv"] += ["--pay-again"] * trial.consent
    again = nursery.run(children, at_once=at_once)
    for trial, code in zip(asking, again, strict=True):
        if code != 0 or trial.pending or trial.accepted != trial.finally_accepted:
            found.append(
                f"{trial.label}: at an easy host, exit code {code}, accepted {trial.accepted}, left {trial.pending}: "
                + said(trial, "again")
            )
    return found


def _findings(trial: Trial, code: int) -> Iterator[str]:
    try:
        became = trial.became(code)
    except (AssertionError, OSError, sqlite3.Error) as error:
        yield f"exit code {code}: {error!r}: {said(trial, 'run')}"
        return
    if became not in trial.expected:
        yield f"{became}; expected: {' or '.join(map(str, trial.expected))}: {said(trial, 'run')}"
    if code not in (0, 9):
        yield f"exit code {code}: {said(trial, 'run')}"
    if code == 0 and (trial.pending or trial.accepted < 1):
        yield f"exit code 0 with {trial.pending} left"
    told = json.loads((trial.outputs / "run.json").read_bytes())["paid_twice"]
    if len(told) != max(0, trial.accepted - 1):
        yield f"accepted {trial.accepted} times, and {len(told)} were told"
    if trial.finally_accepted == 1 and len(set(trial.taken())) < len(trial.taken()):
        yield "PAID TWICE"


def said(trial: Trial, name: str) -> str:
    out = Path(trial.child(name=name)["out"] + ".stderr")
    return out.read_text()[-400:] if out.exists() else "(said nothing)"


Cell = TypeVar("Cell")
Prepare = Callable[[Path, Cell, Emulator], Trial]


def broken(cells: Sequence[Cell], prepare: Prepare[Cell], folder: Path, nursery: Nursery) -> list[str]:
    """What did not become as a table of such cells says, each at a host of its own."""
    with hosts(len(cells), processing_time_s=0.01) as made:
        return wrong(
            [prepare(folder / str(n), cell, host) for n, (cell, host) in enumerate(zip(cells, made, strict=True))],
            nursery,
        )


def broken_anywhere(cells: Sequence[Cell], prepare: Prepare[Cell], folder: Path, nursery: Nursery) -> list[str]:
    """The same of a whole table, so many at a time."""
    return [
        line
        for start in range(0, len(cells), 48)
        for line in broken(cells[start : start + 48], prepare, folder / str(start), nursery)
    ]


@contextlib.contextmanager
def hosts(count: int, **how: Any) -> Iterator[list[Emulator]]:
    """So many easy hosts."""
    with ExitStack() as stack:
        yield [stack.enter_context(Emulator(api_keys=[KEY], **how)) for _ in range(count)]

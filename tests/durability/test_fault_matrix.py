"""Every fault against every operation of the batch API: what it costs, how the run ends, and what the state says."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hume_runner.emulator.server import Emulator
from tests.durability.case import Case, make_case, measured_earlier
from tests.durability.children import Nursery
from tests.durability.faults import ACTIONS
from tests.tiers import sampled

KEY = "matrix"
SUBMIT, LIST, DETAILS = "POST /v0/batch/jobs", "GET /v0/batch/jobs", "GET /v0/batch/jobs/{id}"
PREDICTIONS, ARTIFACTS = f"{DETAILS}/predictions", f"{DETAILS}/artifacts"
ROUTES = {"submit": SUBMIT, "list": LIST, "details": DETAILS, "predictions": PREDICTIONS, "artifacts": ARTIFACTS}


class Cell(NamedTuple):
    """How a run with a fault ends: requests that submit, jobs that the service accepted, exit code, jobs by state."""

    posts: int
    accepted: int
    exit_code: int
    jobs: str


def faults(operation: str, action: dict[str, Any], *, always: bool) -> list[dict[str, Any]]:
    """The action on one operation: the first time that matters, or always."""
    # The first three lists are those before anything is sent.
    selector: dict[str, Any] = {} if always else {"nth": [4 if operation == "list" else 1]}
    wanted = [{"route": ROUTES[operation], **selector, "action": action}]
    if operation == "details":  # asked for only where there is no list
        wanted.append({"route": LIST, "action": {"status": 404}})
    return wanted


def outcome(case: Case, code: int, emulator: Emulator, *, earlier: int) -> Cell:
    log = emulator.requests()
    said = case.said()
    assert "Traceback" not in said
    assert code in (0, 3) or "next: " in said, said
    states = Counter(status for _, status, _ in case.jobs())
    return Cell(
        posts=log["by_route"].get(SUBMIT, 0) - earlier,
        accepted=log["jobs_accepted"] - earlier,
        exit_code=code,
        jobs=" ".join(f"{number} {status}" for status, number in sorted(states.items())),
    )


def run_row(
    folder: Path, nursery: Nursery, action: dict[str, Any], *, always: bool, again: bool, max_sources: int
) -> tuple[dict[str, Cell], dict[str, Cell]]:
    """How a run ends with the action on each operation, and how the same command ends once the fault is gone."""
    with ExitStack() as stack:
        emulators = {
            operation: stack.enter_context(Emulator(api_keys=[KEY], processing_time_s=0.02)) for operation in ROUTES
        }
        for operation, emulator in emulators.items():
            if not always:
                # Without another job in the account nothing shows that a list reaches back to the first one.
                measured_earlier(emulator.url, KEY)
                emulator.advance(60)
            emulator.inject(faults(operation, action, always=always))
        cases = {
            operation: make_case(folder / operation, emulator.url, KEY, attempts=2, max_sources=max_sources)
            for operation, emulator in emulators.items()
        }

        def run(*flags: str) -> dict[str, Cell]:
            codes = nursery.run([case.child(flags=flags) for case in cases.values()])
            return {
                operation: outcome(case, code, emulators[operation], earlier=not always)
                for (operation, case), code in zip(cases.items(), codes, strict=True)
            }

        first = run()
        if not again:
            return first, {}
        for emulator in emulators.values():
            emulator.inject([])
        # What a service refused for good is tried again only when asked for.
        return first, run("--retry-failed", "--pay-again")


def the_others(cell: Cell) -> dict[str, Cell]:
    return dict.fromkeys(("list", "details", "predictions", "artifacts"), cell)


# -- once: three jobs of two sources --------------------------------------------------------------------------------

ALL_DONE = Cell(3, 3, 0, "3 done")
SENT_AGAIN = Cell(4, 3, 0, "3 done")
HARMLESS = {"submit": ALL_DONE, **the_others(ALL_DONE)}
REFUSED_ONCE = {"submit": SENT_AGAIN, **the_others(ALL_DONE)}
ONCE: dict[str, dict[str, Cell]] = {
    # A refused job goes again in halves.
    "400": {"submit": Cell(5, 4, 0, "4 done 1 failed"), **the_others(ALL_DONE)},
    "408": REFUSED_ONCE,
    "429": REFUSED_ONCE,
    # Unknown, looked for, not found, sent again.
    "413": {"submit": Cell(5, 4, 0, "4 done 1 failed"), **the_others(ALL_DONE)},
    "500": REFUSED_ONCE,
    "coded 500": REFUSED_ONCE,
    "502": REFUSED_ONCE,
    "503": REFUSED_ONCE,
    "504": REFUSED_ONCE,
    "drop before": REFUSED_ONCE,
    "html": REFUSED_ONCE,
    "redirect": REFUSED_ONCE,
    # Unknown, looked for, found.
    "drop after": HARMLESS,
    "truncate": HARMLESS,
    "truncate unannounced": HARMLESS,
    "corrupt": HARMLESS,
    "delay": HARMLESS,
    "slow": HARMLESS,
}


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("action", ONCE)
def test_a_fault_that_happens_once_costs_nothing_twice(action: str, tmp_path: Path, nursery: Nursery) -> None:
    first, _ = run_row(tmp_path, nursery, ACTIONS[action], always=False, again=False, max_sources=2)
    assert first == ONCE[action]


# -- always: one job of six sources, so that nothing depends on which of several jobs is asked about first -------------

DONE = Cell(1, 1, 0, "1 done")
UNREACHABLE = Cell(1, 1, 5, "1 submitted")  # submitted and paid; the same command fetches it later
NO_MORE = Cell(1, 1, 7, "1 submitted")
TRIED_TWICE = Cell(2, 0, 5, "1 planned")
REFUSED = Cell(1, 0, 7, "1 planned")
NOT_ASKED = Cell(0, 0, 7, "1 planned")  # the first request, before anything is uploaded, tells that the key is bad
NOT_SENT = Cell(0, 0, 5, "1 planned")  # a service that does not tell what it has already is sent nothing
# A job alone: nothing shows what the list would show of it, so a person decides.
ASKED = Cell(1, 0, 9, "1 ambiguous")
UNAVAILABLE = {"submit": TRIED_TWICE, **the_others(UNREACHABLE), "list": NOT_SENT}
UNDECIDED = {"submit": ASKED, **the_others(UNREACHABLE), "list": NOT_SENT}
FOUND_BY_ASKING = {"submit": DONE, **the_others(UNREACHABLE), "list": NOT_SENT}
ALWAYS: dict[str, dict[str, Cell]] = {
    # A list that answers 400 or 404 is none: the jobs are asked about one by one.
    "400": {"submit": Cell(11, 0, 3, "11 failed"), **the_others(UNREACHABLE), "list": DONE},
    "401": {"submit": REFUSED, **the_others(NO_MORE), "list": NOT_ASKED},
    "402": {"submit": REFUSED, **the_others(UNREACHABLE), "list": NOT_SENT},
    "403": {"submit": REFUSED, **the_others(NO_MORE), "list": NOT_ASKED},
    # A host without a list is asked job by job; a job that it does not know belongs to another key.
    # Artifacts that are not there after all tries are done without: a host may keep none.
    "404": {"submit": REFUSED, **the_others(UNREACHABLE), "list": DONE, "details": NO_MORE, "artifacts": DONE},
    # Without a code of its own it is a proxy that speaks.
    "408": UNDECIDED,
    "429": UNAVAILABLE,
    "413": {"submit": Cell(11, 0, 3, "11 failed"), **the_others(UNREACHABLE), "list": NOT_SENT},
    "500": UNDECIDED,
    "coded 500": UNDECIDED,
    "502": UNDECIDED,
    "503": UNAVAILABLE,
    "504": UNDECIDED,
    "drop before": UNDECIDED,
    "html": UNDECIDED,
    "redirect": UNDECIDED,
    "drop after": FOUND_BY_ASKING,
    "truncate": FOUND_BY_ASKING,
    "truncate unannounced": FOUND_BY_ASKING,
    "corrupt": FOUND_BY_ASKING,
    "delay": {"submit": DONE, **the_others(DONE)},
    "slow": {"submit": DONE, **the_others(DONE)},
}


@pytest.mark.sweep
@pytest.mark.parametrize("action", ALWAYS)
def test_a_fault_that_stays_ends_the_run_and_the_same_command_finishes_it_later(
    action: str, tmp_path: Path, nursery: Nursery
) -> None:
    first, second = run_row(tmp_path, nursery, ACTIONS[action], always=True, again=True, max_sources=100)
    assert first == ALWAYS[action]
    for operation, cell in second.items():
        assert (cell.accepted, cell.exit_code) == (1, 0), operation


@pytest.mark.sweep
@pytest.mark.parametrize("action", ["401", "402", "403", "404"])
def test_a_key_that_is_refused_in_the_middle_of_a_run_stops_it(action: str, tmp_path: Path, nursery: Nursery) -> None:
    first, second = run_row(tmp_path, nursery, ACTIONS[action], always=False, again=True, max_sources=100)
    if action in ("401", "403"):
        assert first == {"submit": REFUSED, **the_others(NO_MORE)}
    else:
        assert first == {"submit": REFUSED, **the_others(DONE)}
    assert {(cell.accepted, cell.exit_code) for cell in second.values()} == {(1, 0)}


def test_every_fault_has_its_row() -> None:
    assert set(ALWAYS) == set(ACTIONS)
    assert set(ONCE) | {"401", "402", "403", "404"} == set(ACTIONS)

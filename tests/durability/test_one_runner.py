"""Many runners are released at the same moment on one state, and one works."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tests.durability.case import Case, Reference, accepted_by_key, broken_promises, make_case
from tests.durability.children import Nursery
from tests.durability.service import ServiceProcess

RUNNERS = 8
LOCKED = 6


def release(case: Case, nursery: Nursery, *, mutant: str | None = None) -> list[int]:
    return nursery.together([case.child(name=f"runner-{n}", mutant=mutant) for n in range(RUNNERS)])


def intruders(case: Case, codes: Sequence[int], accepted: int) -> list[str]:
    """What went wrong among the runners, in words; nothing if exactly one worked."""
    wrong = []
    if accepted != 3:
        wrong.append(f"{accepted} jobs were accepted")
    worked = 0
    for number, code in enumerate(codes):
        said = case.said(f"runner-{number}")
        if code == LOCKED:
            if not re.search(r"another run holds the state: process \d+ on \S+ since \d{4}-", said):
                wrong.append(f"does not say who holds the state: {said}")
        elif code != 0:
            wrong.append(f"exit code {code}: {said[-300:]}")
        elif "nothing to do" not in said:
            worked += 1
    if worked != 1:
        wrong.append(f"{worked} runners worked")
    return wrong


def test_of_eight_runners_one_works_and_the_others_say_who_holds_the_state(
    tmp_path: Path, nursery: Nursery, reference: Reference
) -> None:
    # Slow enough that all have asked for the lock before the first is done.
    with ServiceProcess(tmp_path / "service", keys=1, processing_time="1s") as service:
        case = make_case(tmp_path / "case", service.url, service.new_key())
        codes = release(case, nursery)
        accepted = accepted_by_key(service)[case.owner]
        assert intruders(case, codes, len(accepted)) == []
        assert codes.count(LOCKED) == RUNNERS - 1
        assert broken_promises(case, 0, accepted, reference) == []


def test_a_runner_that_is_killed_leaves_no_lock(
    tmp_path: Path, service: ServiceProcess, nursery: Nursery, reference: Reference
) -> None:
    case = make_case(tmp_path / "case", service.url, service.new_key())
    killed = case.child(disk={"kind": "kill", "at": 4, "moment": "after"})
    assert nursery.run([killed]) == [-9]
    assert Path(f"{case.state}.owner.json").exists()
    codes = nursery.run([case.child()])
    assert broken_promises(case, codes[0], accepted_by_key(service)[case.owner], reference) == []

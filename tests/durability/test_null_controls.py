"""With one safeguard taken away, the check that guards it turns red. Otherwise the green ones would mean nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.durability.case import (
    Case,
    Reference,
    accepted_by_key,
    broken_at_the_crash,
    broken_promises,
    make_case,
)
from tests.durability.children import Nursery
from tests.durability.conftest import MakeCase
from tests.durability.service import ServiceProcess
from tests.durability.test_one_runner import intruders, release, with_links

pytestmark = pytest.mark.mutant


class Sweep:
    """Kill a run without one safeguard after each of some operations, run it again, and collect all complaints."""

    def __init__(self, new_case: MakeCase, service: ServiceProcess, nursery: Nursery, reference: Reference) -> None:
        self._new_case = new_case
        self._service = service
        self._nursery = nursery
        self._reference = reference

    def complaints(self, name: str, mutant: str, *, disk: str, wanted: str, moment: str = "after") -> str:
        """`mutant` without which the run works; `wanted` begins the names of the operations to die at."""
        cases: Mapping[int, Case] = {
            at: self._new_case(f"{name}-{at:02d}")
            for at, operation in enumerate(self._reference.operations, start=1)
            if operation.startswith(wanted)
        }
        assert cases
        self._nursery.run(
            [
                case.child(mutant=mutant or None, disk={"kind": disk, "at": at, "moment": moment})
                for at, case in cases.items()
            ]
        )
        log = accepted_by_key(self._service)
        found = [
            wrong
            for case in cases.values()
            for wrong in broken_at_the_crash(case, log.get(case.owner, ()), self._reference)
        ]
        codes = self._nursery.run([case.child(mutant=mutant or None) for case in cases.values()])
        log = accepted_by_key(self._service)
        for case, code in zip(cases.values(), codes, strict=True):
            found += broken_promises(case, code, log.get(case.owner, ()), self._reference)
        return "\n".join(found)


@pytest.fixture
def sweep(new_case: MakeCase, service: ServiceProcess, nursery: Nursery, reference: Reference) -> Sweep:
    return Sweep(new_case, service, nursery, reference)


def test_without_syncing_answers_a_power_cut_leaves_empty_files_under_final_names(sweep: Sweep) -> None:
    assert sweep.complaints("with", "", disk="power", wanted="replace predictions") == ""
    assert "has its final name and is not whole" in sweep.complaints(
        "without", "file sync", disk="power", wanted="replace predictions"
    )


def test_without_syncing_the_state_a_power_cut_loses_remote_ids(sweep: Sweep) -> None:
    assert sweep.complaints("with", "", disk="power", wanted="commit accepted") == ""
    complaints = sweep.complaints("without", "state sync", disk="power", wanted="commit accepted")
    assert "and the state would ask about 0" in complaints
    assert "lost remote ids" in complaints or "accepted 2 times" in complaints


def test_without_rename_a_crash_leaves_half_files_under_final_names(sweep: Sweep) -> None:
    assert sweep.complaints("with", "", disk="kill", wanted="replace") == ""
    complaints = sweep.complaints("without", "rename", disk="kill", wanted="replace")
    assert "has its final name and is not whole" in complaints
    assert "run.json is cut" in complaints
    assert "results.jsonl is cut" in complaints


def test_without_intent_a_crash_makes_work_paid_twice(sweep: Sweep) -> None:
    assert sweep.complaints("with", "", disk="kill", wanted="commit submitting", moment="before") == ""
    complaints = sweep.complaints("without", "intent", disk="kill", wanted="commit submitting", moment="before")
    assert "jobs at the service, and the state would ask about" in complaints
    assert "was accepted 2 times" in complaints


def test_without_asking_the_service_a_crash_makes_work_paid_twice(sweep: Sweep) -> None:
    assert sweep.complaints("with", "", disk="kill", wanted="commit accepted", moment="before") == ""
    complaints = sweep.complaints("without", "looking", disk="kill", wanted="commit accepted", moment="before")
    assert "was accepted 2 times" in complaints


def test_without_lock_more_than_one_runner_works(tmp_path: Path, nursery: Nursery) -> None:
    with ServiceProcess(tmp_path / "service", keys=1, processing_time="300ms") as service:
        case = make_case(tmp_path / "case", service.url, service.new_key())
        codes = release(with_links(case), nursery, mutant="lock")
        accepted = accepted_by_key(service).get(case.owner, [])
        assert intruders(case, codes, len(accepted)) != []


def test_without_locking_inodes_removing_the_lock_s_files_lets_more_than_one_runner_work(
    tmp_path: Path, nursery: Nursery
) -> None:
    with ServiceProcess(tmp_path / "service", keys=1) as service:
        case = with_links(make_case(tmp_path / "case", service.url, service.new_key()))
        locks = [Path(f"{case.state}.lock"), Path(f"{case.state}.outputs.lock")]
        codes = release(case, nursery, mutant="inodes", remove=locks)
        accepted = accepted_by_key(service).get(case.owner, [])
        assert intruders(case, codes, len(accepted), named=False) != []

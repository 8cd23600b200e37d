"""A run is killed before and after every durable operation, and the same command is run again."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from hume_runner.state.disk import Disk
from hume_runner.state.migrations import migrate
from hume_runner.state.store import Store
from tests.durability.case import (
    Case,
    Reference,
    accepted_by_key,
    broken_at_the_crash,
    broken_promises,
    make_case,
    measured_earlier,
    work_of,
)
from tests.durability.children import KILLED, Nursery, not_killed
from tests.durability.conftest import MakeCase
from tests.durability.disks import Moment
from tests.durability.service import ServiceProcess
from tests.tiers import Tier, in_two_tiers, only_swept


def kill(at: int, moment: str) -> dict[str, Any]:
    return {"kind": "kill", "at": at, "moment": moment}


def check(
    cases: Sequence[Case], codes: Sequence[int], service: ServiceProcess, reference: Reference
) -> dict[str, list[str]]:
    log = accepted_by_key(service)
    found = {
        case.folder.name: broken_promises(case, code, log.get(case.owner, ()), reference)
        for case, code in zip(cases, codes, strict=True)
    }
    return {name: wrong for name, wrong in found.items() if wrong}


def check_crashed(cases: Sequence[Case], service: ServiceProcess, reference: Reference) -> dict[str, list[str]]:
    log = accepted_by_key(service)
    found = {case.folder.name: broken_at_the_crash(case, log.get(case.owner, ()), reference) for case in cases}
    return {name: wrong for name, wrong in found.items() if wrong}


@pytest.fixture(scope="module")
def forgetful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """A service that takes every submission and never manages to say so."""
    with ServiceProcess(tmp_path_factory.mktemp("forgetful"), keys=200) as service:
        service.inject([{"route": "POST /v0/batch/jobs", "action": {"drop": "after"}}])
        yield service


@in_two_tiers
@pytest.mark.parametrize("moment", [pytest.param("before", marks=pytest.mark.sweep), "after"])
def test_a_run_killed_at_any_durable_operation_finishes_with_the_same_command(
    moment: Moment, tier: Tier, new_case: MakeCase, service: ServiceProcess, nursery: Nursery, reference: Reference
) -> None:
    assert len(reference.operations) > 30
    places = tier.first_of_each(reference.operations)
    cases = [new_case(f"{at:02d}") for at in places]
    kills = [case.child(disk=kill(at, moment)) for at, case in zip(places, cases, strict=True)]
    assert not_killed(kills, nursery.run(kills)) == {}
    assert check_crashed(cases, service, reference) == {}
    codes = nursery.run([case.child() for case in cases])
    assert check(cases, codes, service, reference) == {}


@only_swept
def test_a_recovery_that_is_killed_in_turn_is_recovered_from(
    tier: Tier, new_case: MakeCase, service: ServiceProcess, nursery: Nursery, reference: Reference
) -> None:
    chance = random.Random(20261006)
    count = len(reference.operations)
    # The first kill visits every other operation; the second falls anywhere in what is left, or comes too late.
    first = {at: new_case(f"{at:02d}") for at in tier.of(range(1, count + 1, 2), 4)}
    cases = list(first.values())
    for late in (False, True):
        kills = [
            case.child(
                disk=kill(
                    chance.randint(1, max(2, count - at)) if late else at,
                    chance.choice(["before", "after"]),
                )
            )
            for at, case in first.items()
        ]
        codes = nursery.run(kills)
        assert not_killed(kills, codes) == {}
        assert not late or codes.count(KILLED) >= len(cases) * 0.6
        assert check_crashed(cases, service, reference) == {}
    codes = nursery.run([case.child() for case in cases])
    assert check(cases, codes, service, reference) == {}


@only_swept
def test_a_run_killed_while_every_answer_is_lost_pays_once(
    tier: Tier, tmp_path: Path, forgetful: ServiceProcess, nursery: Nursery, reference: Reference
) -> None:
    unbroken = make_case(tmp_path / "unbroken", forgetful.url, forgetful.new_key())
    codes = nursery.run([unbroken.child()])
    assert check([unbroken], codes, forgetful, reference) == {}
    operations = (unbroken.folder / "run.trace").read_text().splitlines()
    # Until the last job is found: what comes after is no different from other runs.
    last = max(number for number, name in enumerate(operations, start=1) if name == "commit found")
    places = tier.first_of_each(operations[: last + 1])
    cases = [make_case(tmp_path / f"{at:02d}", forgetful.url, forgetful.new_key()) for at in places]
    for case in cases:
        measured_earlier(forgetful.url, case.key)
    forgetful.advance(10)  # and that is surely from before, however busy the machine
    kills = [case.child(disk=kill(at, "after")) for at, case in zip(places, cases, strict=True)]
    assert not_killed(kills, nursery.run(kills)) == {}
    assert check_crashed(cases, forgetful, reference) == {}
    # Long enough that the list shows another job of the state by then, however busy the machine.
    codes = nursery.run([case.child(settle_s=5.0) for case in cases], at_once=12)  # they wait more than they work
    assert check(cases, codes, forgetful, reference) == {}


def test_one_job_on_an_account_that_lists_nothing_at_all_is_asked_about_before_it_is_sent_again(
    tmp_path: Path, service: ServiceProcess, nursery: Nursery
) -> None:
    case = make_case(tmp_path / "case", service.url, service.new_key(), max_sources=100)
    died = {"kind": "kill", "at": {"name": "commit submitting"}, "moment": "after"}
    assert nursery.run([case.child(disk=died)]) == [KILLED]
    assert nursery.run([case.child()]) == [9]
    assert "the list shows no other job of this state" in case.said()
    assert "--pay-again" in case.said()
    assert case.owner not in accepted_by_key(service)
    assert nursery.run([case.child(flags=["--pay-again"])]) == [0]
    assert len(accepted_by_key(service)[case.owner]) == 1


@pytest.mark.sweep
@pytest.mark.parametrize("edit", ["fewer sources", "other settings"])
def test_a_lost_job_is_found_although_the_manifest_was_edited_meanwhile(
    edit: str, tmp_path: Path, service: ServiceProcess, nursery: Nursery
) -> None:
    # One transfer at a time, so that each acceptance is recorded by itself.
    cases = [make_case(tmp_path / str(nth), service.url, service.new_key(), transfers=1) for nth in (1, 2, 3)]
    kills = [
        case.child(disk={"kind": "kill", "at": {"name": "commit accepted", "nth": nth}, "moment": "before"})
        for nth, case in enumerate(cases, start=1)
    ]
    assert set(nursery.run(kills)) == {KILLED}
    log = accepted_by_key(service)
    lost = {job["job_id"] for case in cases for job in log[case.owner]}
    for case in cases:
        text = case.manifest.read_text()
        if edit == "fewer sources":
            (case.folder / "media" / "first.txt").unlink()
            text = text.replace("    - https://example.org/one.txt\n", "").replace("    - Nothing is lost.\n", "")
        else:
            text = text.replace("sentence", "word")
        case.manifest.write_text(text)
    assert nursery.run([case.child() for case in cases]) == [0] * len(cases)
    log = accepted_by_key(service)
    for case in cases:
        known = {remote for _, _, remote in case.jobs() if remote}
        assert {job["job_id"] for job in log[case.owner]} == known
        assert set(work_of(log[case.owner]).values()) == {1}
        results = [json.loads(line) for line in (case.outputs / "results.jsonl").read_text().splitlines()]
        assert [line["status"] for line in results] == ["done"] * (3 if edit == "fewer sources" else 6)
    assert lost <= {remote for case in cases for _, _, remote in case.jobs()}


def test_a_finished_run_sends_no_request_when_it_is_run_again(
    tmp_path: Path, nursery: Nursery, reference: Reference
) -> None:
    with ServiceProcess(tmp_path / "service", keys=1) as service:
        case = make_case(tmp_path / "case", service.url, service.new_key())
        assert nursery.run([case.child()]) == [0]
        before = service.requests()
        assert nursery.run([case.child()]) == [0]
        assert service.requests() == before


@only_swept
def test_a_power_cut_takes_nothing_that_was_recorded(
    tier: Tier, new_case: MakeCase, service: ServiceProcess, nursery: Nursery, reference: Reference
) -> None:
    # Right after something was recorded or got its name: what a sync alone did, the next of these shows.
    places = [
        at
        for at in tier.first_of_each(reference.operations)
        if reference.operations[at - 1].startswith(("commit", "replace"))
    ]
    cases = [new_case(f"{at:02d}") for at in places]
    cuts = [
        case.child(disk={"kind": "power", "at": at, "moment": "after"}) for at, case in zip(places, cases, strict=True)
    ]
    assert not_killed(cuts, nursery.run(cuts)) == {}
    assert check_crashed(cases, service, reference) == {}
    codes = nursery.run([case.child() for case in cases])
    assert check(cases, codes, service, reference) == {}


def test_a_state_whose_first_moment_was_its_last_gets_its_lineage(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    db = sqlite3.connect(path, isolation_level=None)
    migrate(db)
    db.close()
    with Store.create_or_open(path, disk=Disk(), name="sweep", lineage="one of its own") as store:
        assert store.lineage == "one of its own"
    with Store.create_or_open(path, disk=Disk(), name="sweep", lineage="another") as store:
        assert store.lineage == "one of its own"

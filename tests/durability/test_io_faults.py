"""The disk fills up or breaks at every durable operation, once or from then on; later the same command goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hume_runner.engine.rescue import rescue_remote_id
from hume_runner.errors import StateError
from tests.durability.case import Case, Reference, accepted_by_key, broken_promises
from tests.durability.children import Nursery, came_too_late
from tests.durability.conftest import MakeCase
from tests.durability.service import ServiceProcess
from tests.tiers import Tier, only_swept

# A disk without room may have some later; a broken one is the state's trouble.
CODES = {"full": 5, "quota": 5, "broken": 10}


def fault(at: int, error: str, *, for_good: bool) -> dict[str, Any]:
    return {"kind": "fail", "at": at, "error": error, "for_good": for_good}


@only_swept
@pytest.mark.parametrize(("error", "for_good"), [("full", True), ("broken", False)], ids=["full for good", "one error"])
def test_a_disk_that_fails_at_any_operation_ends_the_run_in_words_and_loses_nothing(
    error: str,
    for_good: bool,
    tier: Tier,
    new_case: MakeCase,
    service: ServiceProcess,
    nursery: Nursery,
    reference: Reference,
) -> None:
    cases = {at: new_case(f"{at:02d}") for at in tier.first_of_each(reference.operations)}
    children = [case.child(name="first", disk=fault(at, error, for_good=for_good)) for at, case in cases.items()]
    codes = nursery.run(children)
    late = {at for at, child, code in zip(cases, children, codes, strict=True) if code == 0 and came_too_late(child)}
    misbehaved = {
        f"{at} ({operation_at(case, at)})": (code, case.said("first")[-600:])
        for (at, case), code in zip(cases.items(), codes, strict=True)
        if at not in late
        and (code != CODES[error] or "Traceback" in case.said("first") or "next: " not in case.said("first"))
    }
    assert misbehaved == {}

    codes = nursery.run([case.child() for case in cases.values()])
    log = accepted_by_key(service)
    broken = {
        at: wrong
        for (at, case), code in zip(cases.items(), codes, strict=True)
        if (wrong := broken_promises(case, code, log.get(case.owner, ()), reference))
    }
    assert broken == {}

    noted = [at for at, case in cases.items() if at not in late and operation_at(case, at) == "commit accepted"]
    assert noted
    for at in noted:
        if for_good or not each_was_recorded_by_itself(cases[at], at):
            assert_rescued(cases[at], {job["job_id"] for job in log[cases[at].owner]})


def operations(case: Case) -> list[str]:
    return (case.folder / "first.trace").read_text().splitlines()


def operation_at(case: Case, at: int) -> str:
    return operations(case)[at - 1]


def each_was_recorded_by_itself(case: Case, at: int) -> bool:
    """What was accepted at one moment is recorded at one blow, and where that fails, one by one: nothing was lost."""
    return operations(case)[at:].count("commit accepted") > 1 and not rescued(case).exists()


def rescued(case: Case) -> Path:
    return Path(f"{case.state}.rescued")


def assert_rescued(case: Case, accepted: set[str]) -> None:
    """The remote id that could not be recorded stands beside the state, and in the message with what to do."""
    notes = rescued(case).read_text().split()
    remote_ids = notes[1::2]
    assert remote_ids
    assert set(remote_ids) <= accepted
    said = case.said("first")
    assert remote_ids[0] in said
    assert f"adopt {case.manifest} {remote_ids[0]}" in said


def test_a_remote_id_goes_to_the_next_best_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    nowhere = tmp_path / "file" / "state.sqlite3"
    trouble = StateError("the disk is full")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))

    told = rescue_remote_id(trouble, nowhere, 7, "remote-1")
    [note] = temporary.iterdir()
    assert note.read_text() == "job-000007 remote-1\n"
    assert str(note) in str(told)

    monkeypatch.setattr("tempfile.tempdir", str(nowhere))
    told = rescue_remote_id(trouble, nowhere, 7, "remote-2")
    assert "remote-2" in str(told)
    assert "remote-2" in told.hint
    assert "remote-2" in capsys.readouterr().err

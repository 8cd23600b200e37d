"""What a plan promises is what the run sends, also where jobs were planned before and not sent."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import pytest

from hume_runner.emulator.server import Emulator
from tests.expression.runs import AUDIO, Folder, from_service, measured_runs, metered, times_measured
from tests.expression.test_bill import write_recordings
from tests.tiers import sampled


def told(folder: Folder) -> dict[str, Any]:
    return json.loads(folder.command("plan", "--format", "json").out)["summary"]  # type: ignore[no-any-return]


@pytest.mark.sweep
@sampled(2)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"max_bytes": "200kB"}, {}),
        ({}, {"max_bytes": "200kB"}),
        ({"max_sources": 3}, {"max_sources": 7}),
        ({"pack_short_audio": False}, {}),
    ],
)
def test_a_run_with_the_planned_bill_as_its_cap_finishes_after_the_packing_changed(
    folder: Folder, emulator: Emulator, before: dict[str, Any], after: dict[str, Any]
) -> None:
    sources = write_recordings(folder, 12)
    folder.write(sources, batching={"pack_short_audio": True, **before})
    assert folder.run("--max-billable-seconds", "5").code == 8
    assert folder.jobs().get("done") is None

    folder.write(sources, batching={"pack_short_audio": True, **after})
    plan = told(folder)
    ran = folder.run("--max-billable-seconds", str(plan["billable_seconds"]))
    assert ran.code == 0, ran.err
    assert f"12 items to submit in {plan['requests']} job" in ran.err
    runs = measured_runs(emulator.url)
    assert len(runs) == plan["requests"]
    assert metered(runs) <= plan["billable_seconds"]


def test_what_is_measured_before_the_packing_changes_is_not_paid_again(folder: Folder, emulator: Emulator) -> None:
    sources = write_recordings(folder, 12)
    folder.write(sources, batching={"pack_short_audio": True, "max_sources": 3}, execution={"transfer_workers": 1})
    assert folder.run("--max-billable-seconds", "10").code == 8
    assert folder.jobs()["done"] == 1

    folder.write(sources, batching={"pack_short_audio": True}, execution={"transfer_workers": 1})
    plan = told(folder)
    assert (plan["done"], plan["requests"]) == (3, 1)
    assert folder.run("--max-billable-seconds", str(10 + plan["billable_seconds"])).code == 0
    assert set(times_measured(measured_runs(emulator.url)).values()) == {1}
    assert {line["status"] for line in folder.results().values()} == {"done"}


@pytest.mark.sweep
def test_a_lost_answer_is_asked_about_as_it_was_sent_when_the_packing_changes(
    folder: Folder, emulator: Emulator
) -> None:
    sources = write_recordings(folder, 6)
    folder.write(
        sources,
        batching={"pack_short_audio": True, "max_sources": 3},
        execution={"on_lost_answer": "stop", "transfer_workers": 1},
    )
    from_service(emulator.url, "/_emulator/faults", [{"route": AUDIO, "nth": [1], "action": {"drop": "after"}}])
    assert folder.run().code == 9
    before = folder.ask("SELECT b.job, b.key FROM members b JOIN jobs j ON j.job = b.job WHERE j.status = 'ambiguous'")
    assert len(before) == 3

    folder.write(
        sources,
        batching={"pack_short_audio": True, "max_sources": 5},
        execution={"on_lost_answer": "stop", "transfer_workers": 1},
    )
    assert folder.run().code == 9
    asked = "SELECT b.job, b.key FROM members b JOIN jobs j ON j.job = b.job WHERE j.status = 'ambiguous'"
    assert folder.ask(asked) == before


@pytest.mark.sweep
def test_a_plan_tells_the_jobs_that_a_broken_off_run_goes_on_with(folder: Folder, emulator: Emulator) -> None:
    """Packed anew, the halves of refused jobs would be fewer and cheaper jobs than those that go out."""
    sources = write_recordings(folder, 8)
    folder.write(sources, batching={"pack_short_audio": True, "max_sources": 4}, execution={"transfer_workers": 1})
    refusal = {"type": "error", "code": "audio_decode_failed", "message": "no", "request_id": "0" * 32}
    emulator.inject([{"route": AUDIO, "times": 2, "action": {"status": 400, "body": refusal}}])
    assert folder.run("--max-billable-seconds", "11").code == 8
    planned = folder.ask("SELECT key FROM jobs WHERE status = 'planned' ORDER BY job")
    assert len(planned) == 3
    plan = json.loads(folder.command("plan", "--format", "json").out)
    assert [job["key"] for job in plan["jobs"]] == [key for (key,) in planned]
    # Which of the jobs were refused, and so are halves, is a matter of what went out first.
    billed, left = metered(measured_runs(emulator.url)), sum(job["sources"] for job in plan["jobs"])
    assert plan["summary"]["billable_seconds_unpacked"] == pytest.approx(10 * left)
    assert folder.run("--max-billable-seconds", "60").code == 0
    assert metered(measured_runs(emulator.url)) == pytest.approx(billed + plan["summary"]["billable_seconds"])


@pytest.mark.sweep
def test_a_state_of_a_version_that_did_not_note_the_packing_is_packed_anew_once(
    folder: Folder, emulator: Emulator
) -> None:
    sources = write_recordings(folder, 6)
    folder.write(sources, batching={"pack_short_audio": True, "max_sources": 2}, execution={"transfer_workers": 1})
    assert folder.run("--max-billable-seconds", "10").code == 8
    with sqlite3.connect(folder.state) as db:
        db.execute("DELETE FROM meta WHERE name = 'packing'")
    db.close()
    folder.forget_seal()
    assert folder.run("--max-billable-seconds", "30").code == 0
    assert set(times_measured(measured_runs(emulator.url)).values()) == {1}
    assert metered(measured_runs(emulator.url)) == pytest.approx(30)

"""The loop with a scripted service: what it sends, when, and how it ends."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from hume_runner.engine.reactions.base import Patience
from hume_runner.engine.run import RunOptions
from hume_runner.errors import (
    ApiError,
    AuthError,
    Discontinued,
    FailureBudgetExceeded,
    LostAnswerNeedsDecision,
    ServiceRefused,
    ServiceUnavailable,
    StateError,
    UnexpectedResponse,
)
from hume_runner.services.jobs import Accepted, Broken, Pending, Refused, Unknown, Unseen
from hume_runner.services.lost import Candidate
from hume_runner.state import sent
from hume_runner.state.disk import Disk
from hume_runner.state.keeping import OnThisDisk
from hume_runner.state.lifecycle import JobStatus
from hume_runner.state.reader import StateReader
from hume_runner.state.rows import JOB_COLUMNS
from hume_runner.state.under_way import Meeting
from tests.engine.keepers import TellsEach, unreadable
from tests.fakes import START, RemoteJob, World, unavailable

BUSY = Refused(reason="busy", message="too many jobs", temporary=True)
BAD = Refused(reason="refused_by_service", message="no such model", temporary=False, divisible=True)
CLOSED = Refused(reason="closed", message="the key is not valid", temporary=False, stops_run=True, hint="another key")


def statuses(world: World) -> list[JobStatus]:
    return [job.status for job in world.jobs()]


# -- the usual course ------------------------------------------------------------------------------------------------


def test_everything_is_submitted_once_waited_for_and_fetched(world: World) -> None:
    result = world.run()
    assert result.exit_code == 0
    assert world.service.submitted == [("a", "b", "c")]
    assert world.items() == {"a": "done", "b": "done", "c": "done"}
    assert statuses(world) == [JobStatus.DONE]
    assert (world.folder / "out" / "raw" / "remote-1" / "predictions.json").exists()


def test_a_second_run_asks_nothing(world: World) -> None:
    world.run()
    before = dict(world.service.counted)
    assert world.run().exit_code == 0
    assert world.service.counted == before


def test_jobs_are_packed_in_order_and_no_more_are_in_flight_than_allowed(world: World) -> None:
    world.sources = [f"s{n}" for n in range(6)]
    world.service.most = 1
    assert world.run(max_jobs_in_flight=2).exit_code == 0
    assert [names[0] for names in world.service.submitted] == world.sources
    for number, at in enumerate(world.service.submitted_at[2:]):
        # the one before the last had to end first
        assert at >= world.service.submitted_at[number] + world.service.processing_s


def test_many_jobs_share_their_polls(world: World) -> None:
    world.sources = [f"s{n}" for n in range(40)]
    world.service.most = 1
    world.run()
    assert world.service.counted["poll"] < 20  # one by one it would be one a job and a quarter of a second: 480


# -- submissions that do not go well ---------------------------------------------------------------------------------


def test_a_refused_submission_is_sent_again_after_the_wait_that_was_asked_for(world: World) -> None:
    world.service.script = [Refused(reason="busy", message="later", temporary=True, retry_after_s=17.0), BUSY]
    assert world.run().exit_code == 0
    assert [at - START for at in world.service.submitted_at] == [0.0, 17.0, 19.0]
    assert len(world.service.remote) == 1


def test_a_service_that_never_takes_jobs_ends_the_run_and_the_next_one_goes_on(world: World) -> None:
    world.service.script = [BUSY] * 3
    result = world.run(attempts=3)
    assert result.exit_code == 5
    assert isinstance(result.error, ServiceUnavailable)
    assert len(world.service.submitted) == 3
    assert world.items()["a"] == "pending"
    assert world.run(attempts=3).exit_code == 0


def test_every_try_has_a_nonce_of_its_own(world: World) -> None:
    world.service.script = [BUSY]
    world.run()
    (job,) = world.jobs()
    assert job.tries == 2
    with StateReader.peek(world.state) as store:
        assert job.nonce in world.service.remote["remote-1"].matches[0]
        assert [row["event"] for table, rows in store.export() if table == "attempts" for row in rows] == [
            "intend",
            "refuse",
            "intend",
            "accept",
            "finish",
        ]


def test_a_refused_key_stops_everything_at_once(world: World) -> None:
    world.sources = [f"s{n}" for n in range(20)]
    world.service.most = 1
    world.service.script = [CLOSED] * 20
    result = world.run()
    assert result.exit_code == 7
    assert result.error is not None
    assert (str(result.error), result.error.hint) == ("the key is not valid", "another key")
    assert len(world.service.submitted) <= 8
    assert set(world.items().values()) == {"pending"}


@pytest.mark.parametrize("error", [AuthError("no", status=401), Discontinued("closed", status=403)])
def test_a_bad_key_is_found_before_anything_is_submitted(world: World, error: ApiError) -> None:
    world.service.greeting = error
    assert world.run().exit_code == 7
    assert world.service.submitted == []


def test_a_service_that_cannot_tell_what_it_has_is_sent_nothing(world: World) -> None:
    world.service.greeting = unavailable()
    result = world.run()
    assert result.exit_code == 5
    assert result.error is not None
    assert "nothing was sent" in result.error.hint
    assert world.service.submitted == []
    world.service.greeting = None
    assert world.run().exit_code == 0


def test_a_refused_job_is_halved_until_the_one_at_fault_stands_alone(world: World) -> None:
    world.sources = ["a", "b", "c", "d"]

    world.service.script = [BAD, "accept", BAD, BAD, "accept"]  # abcd, ab, cd, c, d
    result = world.run()
    assert result.exit_code == 3
    assert world.service.submitted == [("a", "b", "c", "d"), ("a", "b"), ("c", "d"), ("c",), ("d",)]
    assert world.items() == {"a": "done", "b": "done", "c": "failed", "d": "done"}
    assert world.errors() == {"c": ("refused_by_service", "no such model")}


def test_a_file_that_vanished_fails_alone_and_is_not_sent(world: World) -> None:
    world.sources = ["a", "b", "c", "d"]
    world.service.vanished = {"b"}
    assert world.run().exit_code == 3
    assert world.items() == {"a": "done", "b": "failed", "c": "done", "d": "done"}
    assert not any("b" in names for names in world.service.submitted)
    assert world.errors()["b"][0] == "source_unreadable"


def test_a_machine_that_opens_no_more_files_fails_no_item(world: World) -> None:
    world.sources = ["a", "b", "c", "d"]
    world.service.no_handles = {"b"}
    with pytest.raises(OSError, match="Too many open files"):
        world.run()
    world.service.no_handles = set()
    assert world.run().exit_code == 0
    assert world.items() == dict.fromkeys("abcd", "done")
    assert sorted(name for names in world.service.submitted for name in names) == ["a", "b", "c", "d"]


# -- lost answers ----------------------------------------------------------------------------------------------------


def test_a_lost_answer_is_found_at_the_service_and_nothing_is_sent_twice(world: World) -> None:
    world.service.script = ["lose answer"]
    assert world.run().exit_code == 0
    assert len(world.service.submitted) == len(world.service.remote) == 1
    assert world.said("found")[0]["remote_id"] == "remote-1"


def test_a_lost_request_is_sent_again_only_after_the_settling_time(world: World) -> None:
    world.service.script = ["lose request"]
    assert world.run().exit_code == 0
    first, second = world.service.submitted_at
    assert second - first >= world.patience.settle_s
    assert len(world.service.remote) == 1


def test_a_job_that_shows_late_is_found_within_the_settling_time(world: World) -> None:
    world.service.script = ["lose answer"]
    world.service.shown_from = START + 15
    assert world.run().exit_code == 0
    assert len(world.service.submitted) == 1


def test_of_several_matches_one_is_ours_and_the_others_are_told_as_paid_twice(world: World) -> None:
    world.service.script = ["take twice"]
    assert world.run().exit_code == 0
    assert world.jobs()[0].remote_id == "remote-1"
    with StateReader.peek(world.state) as store:
        assert store.duplicates() == [("remote-2", 1)]


def test_two_lost_jobs_of_the_same_kind_are_not_mixed_up(world: World) -> None:
    world.service.most = 1
    world.service.script = ["lose answer"] * 3
    assert world.run().exit_code == 0
    assert {job.remote_id for job in world.jobs()} == {"remote-1", "remote-2", "remote-3"}
    assert len(world.service.submitted) == 3


def test_a_host_without_a_list_needs_a_person_s_decision(world: World) -> None:
    world.service.script = ["lose answer"]
    world.service.lists = False
    result = world.run()
    assert result.exit_code == 9
    assert isinstance(result.error, LostAnswerNeedsDecision)
    assert "adopt" in result.error.hint
    assert world.items() == dict.fromkeys("abc", "ambiguous")
    assert world.run().exit_code == 9
    assert len(world.service.submitted) == 1


def test_asking_to_pay_again_is_such_a_decision_and_asking_to_retry_is_none(world: World) -> None:
    world.service.script = ["lose request"]
    world.service.lists = False
    world.run()
    assert world.run(options=RunOptions(retry_failed=True)).exit_code == 9
    assert world.run(options=RunOptions(pay_again=True)).exit_code == 0
    assert len(world.service.remote) == 1


def test_a_lost_job_whose_items_left_the_manifest_is_found_and_nothing_is_sent(world: World) -> None:
    world.service.script = ["lose answer"]
    world.service.shown_from = START + 100
    world.run(interrupts=[0.0])
    assert world.items() == dict.fromkeys("abc", "ambiguous")
    world.sources = ["d"]
    world.clock.sleep(200)
    world.events.clear()
    assert world.run().exit_code == 0
    assert world.service.submitted == [("a", "b", "c"), ("d",)]
    assert len(world.said("found")) == 1


def test_a_lost_request_is_sent_again_without_what_left_the_manifest(world: World) -> None:
    world.service.script = ["lose request"]
    world.run(interrupts=[0.0])
    world.sources = ["c", "a"]
    world.clock.sleep(200)
    assert world.run().exit_code == 0
    assert world.service.submitted == [("a", "b", "c"), ("a", "c")]
    assert world.items() == {"c": "done", "a": "done"}


def test_a_lost_request_of_which_nothing_is_listed_any_more_is_forgotten(world: World) -> None:
    world.service.script = ["lose request"]
    world.run(interrupts=[0.0])
    world.sources = ["d"]
    world.clock.sleep(200)
    assert world.run().exit_code == 0
    assert world.service.submitted == [("a", "b", "c"), ("d",)]
    assert world.run().exit_code == 0
    assert world.service.counted["submit"] == 2


# -- waiting ---------------------------------------------------------------------------------------------------------


def test_a_job_that_the_service_gives_up_fails_with_its_reason(world: World) -> None:
    world.service.most = 1
    world.service.processing_s = 5.0
    result = world.run(max_jobs_in_flight=1, interrupts=[0.5])
    assert result.exit_code == 130
    world.service.remote["remote-1"].progress = Broken(message="out of memory")
    assert world.run().exit_code == 3
    assert world.errors() == {"a": ("job_failed", "out of memory")}
    assert world.items() == {"a": "failed", "b": "done", "c": "done"}


def test_a_job_that_is_never_done_is_given_up_for_its_time_and_asked_for_again_unpaid(world: World) -> None:
    world.service.processing_s = 5_000.0
    assert world.run(job_timeout_s=600.0).exit_code == 3
    assert world.errors()["a"][0] == "job_timeout"
    assert world.run().exit_code == 3
    world.clock.sleep(5_000.0)
    assert world.run(options=RunOptions(retry_failed=True), job_timeout_s=600.0).exit_code == 0
    assert len(world.service.submitted) == 1


def test_polls_that_fail_are_repeated_and_then_end_the_run(world: World) -> None:
    world.service.polls = [unavailable(), unavailable(502)]
    assert world.run(attempts=3).exit_code == 0
    world.sources.append("d")
    world.service.polls = [unavailable()] * 3
    result = world.run(attempts=3)
    assert result.exit_code == 5
    assert world.items()["d"] == "in_flight"
    assert world.run().exit_code == 0


def test_the_service_says_how_long_to_leave_it_alone(world: World) -> None:
    world.service.polls = [unavailable(429, retry_after_s=50.0)]
    assert world.run().exit_code == 0
    assert world.clock.now >= START + 50


def test_a_key_that_is_taken_back_ends_the_run_with_its_code(world: World) -> None:
    world.service.polls = [AuthError("not any more", status=401)]
    assert world.run().exit_code == 7
    assert world.items()["a"] == "in_flight"


def test_jobs_that_this_key_does_not_see_are_never_sent_again(world: World) -> None:
    world.service.processing_s = 10.0
    world.run(interrupts=[0.5])
    world.service.remote["remote-1"].progress = Unseen()
    result = world.run()
    assert result.exit_code == 7
    assert isinstance(result.error, ServiceRefused)
    assert "remote-1" in str(result.error)
    assert len(world.service.submitted) == 1
    world.service.remote["remote-1"].progress = None
    assert world.run().exit_code == 0


def test_a_job_that_shows_again_is_forgiven(world: World) -> None:
    world.service.processing_s = 10.0
    world.run(interrupts=[0.5])
    job = world.service.remote["remote-1"]
    job.script = [*[Unseen()] * 4, Pending(), *[Unseen()] * 4]
    assert world.run().exit_code == 0


# -- fetching --------------------------------------------------------------------------------------------------------


def test_a_fetch_that_fails_is_repeated(world: World) -> None:
    world.service.fetches = [unavailable(), UnexpectedResponse("half an answer", status=200)]
    assert world.run().exit_code == 0
    assert world.service.counted["fetch"] == 3


def test_an_answer_that_cannot_be_had_stays_at_the_service_for_another_run(world: World) -> None:
    world.service.fetches = [UnexpectedResponse("half an answer", status=200)] * 3
    result = world.run(attempts=3)
    assert result.exit_code == 5
    assert "job-000001: its answer is damaged" in str(result.error)
    assert world.items()["a"] == "in_flight"
    assert world.run().exit_code == 0
    assert len(world.service.submitted) == 1


def test_an_answer_that_comes_in_pieces_is_waited_for(world: World) -> None:
    world.service.late = {"b": START + 20}
    assert world.run().exit_code == 0
    assert world.clock.now >= START + 20


def test_what_never_comes_has_failed_and_the_rest_counts(world: World) -> None:
    world.service.late = {"b": START + 10_000}
    assert world.run().exit_code == 3
    assert world.errors() == {"b": ("not_in_answer", "never came")}
    assert START + world.patience.late_s <= world.clock.now < START + 3 * world.patience.late_s


def test_waiting_for_an_answer_uses_up_no_tries(world: World) -> None:
    world.service.late = {"b": START + 20}
    world.service.fetches = [None, None, unavailable()]
    assert world.run(attempts=2).exit_code == 0


def test_a_full_disk_ends_the_run_in_words(world: World) -> None:
    world.service.fetches = [OSError(28, "No space left on device")]  # type: ignore[list-item]
    with pytest.raises(StateError, match="No space left") as caught:
        world.run()
    assert "run the same command again" in caught.value.hint
    assert world.run().exit_code == 0
    assert len(world.service.submitted) == 1


def test_a_bug_in_the_service_layer_leaves_the_job_to_be_asked_about(world: World) -> None:
    world.service.script = ["no such word"]
    with pytest.raises(AssertionError, match="no such word"):
        world.run()
    assert statuses(world) == [JobStatus.AMBIGUOUS]


# -- stopping --------------------------------------------------------------------------------------------------------


def test_a_spent_failure_budget_stops_submitting_and_keeps_what_was_sent(world: World) -> None:
    world.sources = [f"s{n}" for n in range(10)]
    world.service.most = 1
    world.service.fails = {"s0", "s1"}
    result = world.run(max_failures=1, max_jobs_in_flight=2)
    assert result.exit_code == 4
    assert isinstance(result.error, FailureBudgetExceeded)
    assert "2 of 10 items failed" in str(result.error)
    sent = len(world.service.submitted)
    assert sent < 10
    assert "in_flight" not in world.items().values()


def test_nothing_follows_the_failure_that_spends_the_budget(world: World) -> None:
    world.service.most = 1
    world.service.vanished = {"a"}
    assert world.run(max_failures=0).exit_code == 4
    assert world.service.submitted == []


def test_a_spent_budget_stays_spent_until_it_is_raised(world: World) -> None:
    world.sources = [f"s{n}" for n in range(10)]
    world.service.most = 1
    world.service.fails = {"s0"}
    world.run(max_failures=0, max_jobs_in_flight=1)
    sent = len(world.service.submitted)
    assert world.run(max_failures=0).exit_code == 4
    assert len(world.service.submitted) == sent
    assert world.run(max_failures=1).exit_code == 3
    assert len(world.service.submitted) == 10


def test_the_cost_cap_is_never_exceeded(world: World) -> None:
    world.sources = [f"s{n}" for n in range(5)]
    world.service.most = 1
    world.service.cost_s = 10.0
    result = world.run(max_billable_seconds=35.0)
    assert result.exit_code == 8
    assert len(world.service.remote) == 3
    assert sorted(world.items().values()) == ["done"] * 3 + ["pending"] * 2
    assert world.run(max_billable_seconds=50.0).exit_code == 0


def test_refused_jobs_do_not_count_against_the_cap(world: World) -> None:
    world.service.most = 1
    world.service.cost_s = 10.0
    world.service.script = [BUSY, BUSY, BUSY]
    assert world.run(max_billable_seconds=30.0).exit_code == 0


def test_an_interrupt_starts_nothing_new_and_the_next_run_resumes(world: World) -> None:
    world.sources = [f"s{n}" for n in range(6)]
    world.service.most = 1
    result = world.run(max_jobs_in_flight=2, interrupts=[4.0])
    assert (result.exit_code, result.error) == (130, None)
    sent = len(world.service.submitted)
    assert sent < 6
    assert world.run().exit_code == 0
    assert len(world.service.submitted) == 6


def test_what_is_being_sent_when_an_interrupt_comes_is_recorded(world: World) -> None:
    result = world.run(interrupts=[0.0])
    assert result.exit_code == 130
    assert len(world.service.remote) == 1
    assert world.items() == dict.fromkeys("abc", "in_flight")


def test_a_second_interrupt_leaves_at_once_and_loses_nothing(world: World) -> None:
    result = world.run(interrupts=[0.0, 0.0])
    assert result.exit_code == 130
    assert world.service.remote == {}
    assert statuses(world) == [JobStatus.SUBMITTING]
    assert world.run().exit_code == 0
    assert len(world.service.remote) == 1


def test_two_interrupts_leave_a_run_that_is_stopping_already(world: World) -> None:
    world.service.most = 1
    world.service.fails = {"a"}
    world.service.processing_s = 3.0
    world.service.late = {"b": START + 900}
    world.patience = Patience(late_s=1000.0)
    result = world.run(max_failures=0, interrupts=[50.0, 50.0])
    assert result.exit_code == 130
    assert world.clock.now < START + 100
    assert len(world.said("interrupted")) == 1


def test_detached_it_leaves_when_everything_has_its_name(world: World) -> None:
    world.service.most = 1
    world.service.processing_s = 1000.0
    world.service.script = [BUSY, "lose answer"]
    result = world.run(options=RunOptions(detach=True))
    assert result.exit_code == 0
    assert world.items() == dict.fromkeys("abc", "in_flight")
    assert world.clock.now < START + 100
    world.clock.sleep(1000.0)
    assert world.run().exit_code == 0
    assert len(world.service.remote) == 3


# -- evidence, not absence ---------------------------------------------------------------------------------------------


def test_a_list_that_proves_nothing_is_asked_about_and_nothing_is_sent_again(world: World) -> None:
    world.service.script = ["lose request"]
    world.service.conclusive = False
    result = world.run()
    assert result.exit_code == 9
    assert result.error is not None
    assert "its list proves nothing" in str(result.error)
    assert "--pay-again" in result.error.hint
    assert len(world.service.submitted) == 1
    assert set(world.items().values()) == {"ambiguous"}
    assert world.run(options=RunOptions(pay_again=True)).exit_code == 0
    assert len(world.service.remote) == 1


def test_after_a_time_out_the_service_gets_more_time(world: World) -> None:
    world.service.script = [Unknown(message="no answer in time", slow=True)]
    assert world.run().exit_code == 0
    first, second = world.service.submitted_at
    assert second - first >= world.patience.settle_slow_s
    assert world.said("not_there")


@pytest.mark.parametrize("how", ["cut", "slow"])
def test_an_answer_that_an_earlier_run_lost_gets_its_whole_wait_again(world: World, how: str) -> None:
    world.service.script = [Unknown(message="lost", slow=how == "slow")]
    world.run(interrupts=[0.0])
    assert set(world.items().values()) == {"ambiguous"}
    world.stepped_s += 86_400.0  # whatever the machine's time says by now
    began = world.clock.now
    assert world.run().exit_code == 0
    wait = world.patience.settle_slow_s if how == "slow" else world.patience.settle_s
    assert world.service.submitted_at[-1] - began >= wait


@pytest.mark.parametrize("step", [60.0, -600.0, 86_400.0])
def test_a_clock_that_is_set_between_an_answer_and_a_lost_one_changes_nothing(world: World, step: float) -> None:
    world.service.most = 1
    world.service.script = ["accept", "lose answer"]
    world.service.shown_from = START + 10

    def set_the_clock(what: str) -> None:
        if what == "send" and len(world.service.submitted) == 1:
            world.stepped_s = step

    world.service.meanwhile = set_the_clock
    assert world.run(max_jobs_in_flight=1).exit_code == 0
    assert len(world.service.submitted) == 3
    assert world.clock.now - START < 60  # and nothing stalls


def test_what_the_service_took_all_the_same_is_told_at_the_end(world: World) -> None:
    world.service.script = ["lose request"]
    world.service.processing_s = 30.0

    def accept_late(what: str) -> None:
        if what == "check" and world.clock.now > START + 40 and "late" not in world.service.remote:
            (one,) = world.service.remote.values()
            world.service.remote["late"] = replace(one, remote_id="late", created_at=START + 39)

    world.service.meanwhile = accept_late
    assert world.run().exit_code == 0
    assert [told["remote_id"] for told in world.said("paid_twice")] == ["late"]
    with StateReader.peek(world.state) as store:
        assert store.duplicates() == [("late", 1)]


def test_a_job_is_asked_about_only_where_it_was_sent(world: World) -> None:
    world.service.script = ["lose answer"]
    world.service.shown_from = START + 1000
    world.run(interrupts=[0.0])
    world.service.endpoint = "https://another.example.org"
    with pytest.raises(LostAnswerNeedsDecision, match=r"1 at https://fake\.example\.org"):
        world.run()
    assert world.service.counted["find"] == 0
    world.service.endpoint = "https://fake.example.org"
    world.service.shown_from = 0.0
    assert world.run().exit_code == 0
    assert len(world.service.remote) == 1


# -- ask before paying -------------------------------------------------------------------------------------------------


def test_a_deleted_state_finds_what_was_paid_and_gets_the_same_jobs(world: World) -> None:
    world.service.most = 2
    world.run()
    before = [(row.number, row.remote_id) for row in world.jobs()]
    for path in world.state.parent.glob("state.sqlite3*"):
        path.unlink()
    assert world.run().exit_code == 0
    assert len(world.service.submitted) == 2
    assert [(row.number, row.remote_id) for row in world.jobs()] == before
    assert world.said("adopted") == [{"jobs": 2, "items": 3}]


def test_a_restored_backup_pays_for_nothing_that_was_sent_since(world: World) -> None:
    world.service.most = 1
    world.run(max_jobs_in_flight=1, interrupts=[0.5])
    backup = world.state.read_bytes()
    assert world.run().exit_code == 0
    for path in world.state.parent.glob("state.sqlite3*"):
        if path != world.state:
            path.unlink()
    world.state.write_bytes(backup)  # the same inode
    assert world.run().exit_code == 0
    assert len(world.service.submitted) == 3
    assert set(world.items().values()) == {"done"}


def test_of_a_job_that_is_wanted_in_part_the_rest_is_sent(world: World) -> None:
    world.run()
    for path in world.state.parent.glob("state.sqlite3*"):
        path.unlink()
    world.sources = ["c", "d", "a"]
    assert world.run().exit_code == 0
    assert world.service.submitted == [("a", "b", "c"), ("d",)]
    assert set(world.items().values()) == {"done"}


def test_looking_back_can_be_turned_off(world: World) -> None:
    world.run()
    for path in world.state.parent.glob("state.sqlite3*"):
        path.unlink()
    assert world.run(look_back_s=0.0).exit_code == 0
    assert len(world.service.submitted) == 2


def test_what_may_have_been_measured_with_an_answer_that_is_gone_is_asked_about(world: World) -> None:
    suspect = Candidate(remote_id="earlier", matches={}, created_at=START - 60, gone=True)
    world.service.suspected = {"a": (suspect,)}
    result = world.run()
    assert result.exit_code == 9
    assert result.error is not None
    assert "earlier" in str(result.error)
    assert world.service.submitted == []
    assert world.run(options=RunOptions(pay_again=True)).exit_code == 0


def test_a_real_state_takes_nothing_from_an_emulator_that_is_named_by_its_address(world: World) -> None:
    accept = Accepted(remote_id="real-1", server_time_s=START, simulated=False)
    world.service.script = [accept]
    world.service.remote["real-1"] = RemoteJob("real-1", (), {}, START, progress=Pending())
    world.run(interrupts=[1.0], simulated=False)
    world.sources.append("d")
    world.service.simulated = True
    result = world.run()
    assert result.exit_code == 64
    assert len(world.service.submitted) == 1


# -- an error never cuts off what is on its way ------------------------------------------------------------------------


class FullFrom(Disk):
    """A disk that is full from the n-th commit of this name on."""

    def __init__(self, what: str, nth: int) -> None:
        self.what, self.left = what, nth

    def commit(self, db: sqlite3.Connection, what: str) -> None:
        self.left -= what == self.what
        if self.left <= 0 and what == self.what:
            raise OSError(28, "No space left on device")
        super().commit(db, what)


class Counted(Disk):
    """How often which transaction was made durable."""

    def __init__(self) -> None:
        self.commits: Counter[str] = Counter()

    def commit(self, db: sqlite3.Connection, what: str) -> None:
        self.commits[what] += 1
        super().commit(db, what)


def test_what_goes_out_together_and_comes_back_together_is_recorded_in_one_write_each(world: World) -> None:
    world.sources = list("abcdef")
    world.service.most = 1
    world.disk = disk = Counted()
    assert world.run().exit_code == 0
    assert len(world.service.submitted) == 6
    assert (disk.commits["submitting"], disk.commits["accepted"]) == (1, 1)
    assert [job.tries for job in world.jobs()] == [1] * 6
    assert [event["remote_id"] for event in world.said("submitted")] == [f"remote-{n}" for n in range(1, 7)]


def test_where_intents_cannot_be_recorded_nothing_of_them_leaves(world: World) -> None:
    world.sources = list("abcdef")
    world.service.most = 1
    world.disk = FullFrom("submitting", 1)
    with pytest.raises(StateError, match="No space left"):
        world.run()
    assert world.service.submitted == []
    assert set(statuses(world)) == {JobStatus.PLANNED}
    world.disk = Disk()
    assert world.run().exit_code == 0
    assert len(world.service.submitted) == 6


@pytest.mark.parametrize("lost", [False, True])
def test_a_run_that_cannot_tell_others_how_far_it_is_ends_and_the_next_one_goes_on(
    world: World, tmp_path: Path, lost: bool
) -> None:
    """What it tells it reads from its state: what was sent, and whether a time-out left something open."""
    world.sources = list("abc")
    world.service.most = 1
    world.service.script = [Unknown(message="timed out", slow=True)] if lost else []

    world.meetings = (Meeting(folder=tmp_path / "runs", machine="any", named=True),)
    (tmp_path / "runs").mkdir()
    meant = Remembered()
    world.disk = meant

    def is_told(statement: str, values: Sequence[object]) -> bool:
        if lost:
            return bool(world.service.submitted) and values == (sent.FACT,)
        return meant.commits["submitting"] == 3 and "lost_how = 'slow'" in statement

    world.keeper = unreadable(is_told, StateError("the state cannot be read", hint=""))
    with pytest.raises(StateError, match="cannot be read"):
        world.run()
    assert len(world.service.submitted) == (3 if lost else 0)
    assert (JobStatus.AMBIGUOUS in statuses(world)) is lost
    world.keeper = OnThisDisk()
    assert world.run().exit_code == 0
    assert set(world.items().values()) == {"done"}


class Remembered(Disk):
    """A disk that counts its commits by name."""

    def __init__(self) -> None:
        self.commits: Counter[str] = Counter()

    def commit(self, db: sqlite3.Connection, what: str) -> None:
        super().commit(db, what)
        self.commits[what] += 1


class FullOnce(Disk):
    """A disk that is full for one commit of this name."""

    def __init__(self, what: str) -> None:
        self.what: str | None = what

    def commit(self, db: sqlite3.Connection, what: str) -> None:
        if what == self.what:
            self.what = None
            raise OSError(28, "No space left on device")
        super().commit(db, what)


def test_acceptances_that_cannot_be_recorded_together_are_recorded_one_by_one(world: World) -> None:
    world.sources = list("abcdef")
    world.service.most = 1
    world.disk = FullOnce("accepted")
    with pytest.raises(StateError, match="No space left"):
        world.run()
    assert [job.remote_id for job in world.jobs()] == [f"remote-{n}" for n in range(1, 7)]
    assert len(world.said("submitted")) == 6
    assert not (world.state.parent / "state.sqlite3.rescued").exists()
    assert world.run().exit_code == 0
    assert len(world.service.submitted) == 6


@pytest.mark.parametrize("written", [False, True])
def test_one_acceptance_that_cannot_be_recorded_takes_no_other_with_it(world: World, written: bool) -> None:
    """All of them together, and then the third by itself, which may have been written all the same."""
    world.sources = list("abcdef")
    world.service.most = 1
    commits = iter(range(100))

    class Fails(Disk):
        def commit(self, db: sqlite3.Connection, what: str) -> None:
            number = next(commits) if what == "accepted" else None
            if number not in (0, 3) or (written and number):
                super().commit(db, what)
            if number in (0, 3):
                raise sqlite3.OperationalError("disk I/O error")

    world.disk = Fails()
    with pytest.raises(StateError, match="disk I/O error"):
        world.run()
    recorded = [job.remote_id for job in world.jobs()]
    noted = world.state.parent / "state.sqlite3.rescued"
    assert recorded == [f"remote-{n}" if written or n != 3 else None for n in range(1, 7)]
    assert noted.read_text().split()[1::2] == ["remote-3"]
    world.disk = Disk()
    assert world.run().exit_code == 0
    assert len(world.service.submitted) == 6


@pytest.mark.parametrize("failing", [[2], [2, 3, 4], [1, 2, 3, 4, 5, 6]])
def test_where_another_machine_is_told_of_each_acceptance_one_that_fails_is_told_as_what_it_is(
    world: World, failing: list[int]
) -> None:
    """What was recorded before it is recorded, and not once more."""
    world.sources = list("abcdef")
    world.service.most = 1
    world.keeper = TellsEach()
    commits = iter(range(1, 100))

    class Full(Disk):
        def commit(self, db: sqlite3.Connection, what: str) -> None:
            if what == "accepted" and next(commits) in failing:
                raise OSError(28, "No space left on device")
            super().commit(db, what)

    world.disk = Full()
    with pytest.raises(StateError, match="No space left"):
        world.run()
    assert [job.remote_id is None for job in world.jobs()] == [number in failing for number in range(1, 7)]
    noted = (world.state.parent / "state.sqlite3.rescued").read_text().split()[1::2]
    assert noted == [f"remote-{number}" for number in failing]
    world.disk = Disk()
    assert world.run().exit_code == 0
    assert len(world.service.submitted) == 6


@pytest.mark.parametrize("error", [StateError("the state is damaged", hint=""), sqlite3.OperationalError("disk I/O")])
@pytest.mark.parametrize("answer", ["accept", "lose answer"])
def test_where_the_state_cannot_be_asked_about_an_answer_the_run_ends_and_keeps_it(
    world: World, error: Exception, answer: str
) -> None:
    world.service.script = [answer]

    def is_of_a_job(statement: str, values: object) -> bool:
        return JOB_COLUMNS in statement and bool(world.service.submitted)

    world.keeper = unreadable(is_of_a_job, error)
    with pytest.raises((StateError, sqlite3.Error), match=str(error)):
        world.run()
    world.keeper = OnThisDisk()
    noted = world.state.parent / "state.sqlite3.rescued"
    assert noted.exists() is (answer == "accept")
    assert answer == "lose answer" or noted.read_text() == "job-000001 remote-1\n"
    assert world.run().exit_code == 0
    assert len(world.service.submitted) == 1


def test_a_full_disk_keeps_the_ids_of_all_that_was_on_its_way(world: World) -> None:
    world.sources = list("abcdef")
    world.service.most = 1
    world.disk = FullFrom("accepted", 1)
    with pytest.raises(StateError, match="remote-1"):
        world.run()
    noted = (world.state.parent / "state.sqlite3.rescued").read_text()
    assert [f"remote-{n}" in noted for n in range(1, len(world.service.remote) + 1)] == [True] * len(
        world.service.remote
    )
    world.disk = Disk()
    assert world.run().exit_code == 0
    assert len(world.service.submitted) == 6

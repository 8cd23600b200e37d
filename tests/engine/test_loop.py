"""The loop with a scripted service: what it sends, when, and how it ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from hume_runner.engine.loop import Patience
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
from hume_runner.services.base import Broken, Pending, Refused, Unseen
from hume_runner.state.lifecycle import JobStatus
from hume_runner.state.store import Store
from tests.fakes import START, World, unavailable

BUSY = Refused(reason="busy", message="too many jobs", temporary=True)
BAD = Refused(reason="refused_by_service", message="no such model", temporary=False, divisible=True)
CLOSED = Refused(reason="closed", message="the key is not valid", temporary=False, stops_run=True, hint="another key")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


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
    with Store.peek(world.state) as store:
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


def test_a_busy_service_at_the_start_is_no_reason_to_give_up(world: World) -> None:
    world.service.greeting = unavailable()
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
    with Store.peek(world.state) as store:
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


def test_asking_to_retry_is_such_a_decision(world: World) -> None:
    world.service.script = ["lose request"]
    world.service.lists = False
    world.run()
    assert world.run(options=RunOptions(retry_failed=True)).exit_code == 0
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

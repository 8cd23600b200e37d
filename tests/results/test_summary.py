from __future__ import annotations

from typing import Any

import pytest

from hume_runner.results.summary import summary_text, told_jobs

JOBS = {"planned": 0, "submitting": 0, "submitted": 0, "done": 2, "failed": 0, "ambiguous": 0}
ITEMS = {"total": 10, "pending": 0, "in_flight": 0, "done": 10, "failed": 0, "ambiguous": 0}


def run(**changes: Any) -> dict[str, Any]:
    return {
        "name": "trial",
        "exit_code": 0,
        "duration_s": 1.26,
        "simulated": False,
        "counts": {"items": ITEMS | changes.pop("items", {}), "jobs": JOBS | changes.pop("jobs", {})},
        "failures": {},
        "paid_twice": [],
        "bill": {"billable_seconds": None},
        "outputs": {"directory": "/out"},
        **changes,
    }


def test_a_good_run_is_four_lines() -> None:
    assert summary_text(run()).splitlines() == [
        "trial: done in 1.3 s",
        "  items    10 of 10 measured",
        "  jobs     2 done",
        "  outputs  /out",
    ]


def test_simulated_scores_are_said_in_the_first_line() -> None:
    assert "SIMULATED SCORES" in summary_text(run(simulated=True)).splitlines()[0]


def test_what_is_not_measured_is_told_with_its_reasons() -> None:
    text = summary_text(
        run(
            exit_code=3,
            items={"done": 5, "failed": 4, "in_flight": 1},
            jobs={"submitted": 1},
            failures={"unsupported_media": 3, "limit": 1},
        )
    )
    assert "finished, some items failed" in text
    assert "5 of 10 measured, 4 failed, 1 in flight" in text
    assert "2 done, 1 submitted" in text
    assert "failed   3 × unsupported_media" in text


def test_what_was_paid_twice_and_the_bill_are_told() -> None:
    text = summary_text(run(paid_twice=["remote-2"], bill={"billable_seconds": 12.5}))
    assert "paid twice: remote-2" in text
    assert "12.5 billable seconds" in text


@pytest.mark.parametrize("code", [4, 5, 7, 8, 9, 130, 143])
def test_every_ending_has_words_of_its_own(code: int) -> None:
    first = summary_text(run(exit_code=code)).splitlines()[0]
    assert first.split(" in ")[0] not in ("trial: done", "trial: stopped")


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.04, "0.0 s"), (59.9, "59.9 s"), (60, "1 min 00 s"), (7384, "2 h 03 min")]
)
def test_durations_are_for_people(seconds: float, words: str) -> None:
    assert summary_text(run(duration_s=seconds)).splitlines()[0].endswith(f"in {words}")


def test_media_are_no_jobs_before_they_are_prepared_and_none_where_nothing_can_be_sent() -> None:
    told = told_jobs({"planned": 7, "done": 2, "failed": 3}, (5, 2))

    assert told == {"planned": 2, "done": 2, "failed": 1, "media to prepare": 5}
    assert "  jobs     2 done, 1 failed, 2 planned, 5 media to prepare" in summary_text(run(jobs=told))


def test_where_this_machine_measures_no_service_is_spoken_of() -> None:
    text = summary_text(run(exit_code=5, items={"done": 9, "in_flight": 1}, jobs={"submitted": 1}), here=True)
    assert "service" not in text
    assert "stopped: nothing can be measured now" in text
    assert "waiting  1 job measured; `hume-runner run MANIFEST` takes the answers in" in text

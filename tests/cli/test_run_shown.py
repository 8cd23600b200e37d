"""The lines that tell how far a run is: pure, so every width and moment can be looked at."""

from __future__ import annotations

import pytest

from hume_runner import events
from hume_runner.cli.run_shown import RunShown

BEGAN = 100.0


def planned(**numbers: int) -> events.Planned:
    none = dict.fromkeys(("new", "changed", "retry", "done", "failed", "jobs"), 0)
    return events.Planned(**{**none, **numbers})


def working(**numbers: float) -> events.Working:
    none = dict.fromkeys(
        ("preparing", "uploading", "measuring", "fetching", "sent_bytes", "received_bytes"), 0
    )  # fmt: skip
    return events.Working(**{**none, **numbers})  # type: ignore[arg-type]


def counted(**items: int) -> events.Counted:
    return events.Counted(items={"total": 40, "done": 0, "failed": 0, **items}, jobs={})


def run(*told: tuple[float, events.Event], name: str = "interviews") -> RunShown:
    """A run that was told these: (seconds after its begin, event)."""
    shown = RunShown(name=name, began_at=BEGAN)
    for at, event in told:
        shown.hear(event, BEGAN + at)
    return shown


BUSY = (
    (0.0, events.Phase(phase="reading")),
    (1.0, planned(new=40, jobs=6, to_finish=6)),
    (1.0, events.Phase(phase="working")),
    (1.0, counted()),
    (2.0, working(uploading=2, sent_bytes=1_000_000)),
    (6.0, working(preparing=1, uploading=1, measuring=1, fetching=1, sent_bytes=5_800_000, received_bytes=20_000)),
    (6.0, counted(done=12, failed=1)),
    (6.0, events.JobFinished(job="job-000001", sources=13, failed=1)),
    (6.0, events.JobFinished(job="job-000002", sources=1, failed=0)),
)


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_nothing_is_left_out_in_any_width(columns: int) -> None:
    lines = run(*BUSY).lines(BEGAN + 7, columns)
    # Four columns are left for the echo of a Ctrl-C.
    assert max(map(len, lines)) <= columns - 4
    told = " ".join(" ".join(lines).split())
    for fact in (
        "interviews",
        "33%",
        "0:07",
        "about 12 s left",
        "2 of 6 jobs",
        "12 of 40 items",
        "1 failed",
        "1 preparing",
        "1 uploading (5.8 MB sent, 1.2 MB/s)",
        "1 measuring",
        "1 fetching (20.0 kB received)",
    ):
        assert fact in told, (fact, lines)
    assert len(lines) <= (3 if columns == 120 else 4)


def test_ascii_alone_where_that_is_all_there_is() -> None:
    shown = run(*BUSY, (6.5, events.Phase(phase="working")), name="a" * 60)
    assert "".join(shown.lines(BEGAN + 7, 80, ascii_only=True)).isascii()
    assert not "".join(shown.lines(BEGAN + 7, 80)).isascii()


@pytest.mark.parametrize(
    ("phase", "words"),
    [
        ("reading", "interviews: reading the sources  0:03"),
        ("planning", "interviews: planning  0:03"),
        ("asking", "interviews: asking the service what it has already  0:03"),
        ("writing", "interviews: writing the outputs  0:03"),
        ("telling", "interviews: telling notify.callback_url  0:03"),
    ],
)
def test_what_goes_on_before_and_after_the_jobs_is_told(phase: str, words: str) -> None:
    assert run((0.0, events.Phase(phase=phase))).lines(BEGAN + 3, 80) == [words]


def test_sources_that_are_read_are_counted() -> None:
    shown = run((0.0, events.Phase(phase="reading")), (1.0, events.SourcesRead(items=12_000)))
    assert shown.lines(BEGAN + 1, 80) == ["interviews: reading the sources: 12,000 so far  0:01"]
    assert shown.line(BEGAN + 1) == "interviews: reading the sources, 12,000 so far"


def test_a_resumed_run_begins_where_the_earlier_one_stopped() -> None:
    shown = run(
        (0.0, planned(new=10, in_flight=15, done=14, failed=1, jobs=2, to_finish=5)),
        (0.0, events.Phase(phase="working")),
        (0.0, counted(done=14, failed=1)),
    )
    assert shown.line(BEGAN) == "interviews: so far 0 of 5 jobs, 14 of 40 items, 1 failed"
    shown.hear(events.JobFinished(job="job-000003", sources=5, failed=0), BEGAN + 1)
    shown.hear(counted(done=19, failed=1), BEGAN + 1)
    assert shown.line(BEGAN + 1) == "interviews: so far 1 of 5 jobs, 19 of 40 items, 1 failed"


def test_a_run_of_some_items_counts_those_and_not_all_that_the_state_knows() -> None:
    shown = run(
        (0.0, planned(new=5, jobs=1, to_finish=1)),
        (0.0, events.Phase(phase="working")),
        (0.0, counted(done=30)),
        (1.0, counted(done=33)),
    )
    assert "3 of 5 items" in shown.line(BEGAN + 1)


def test_jobs_that_are_more_or_fewer_than_was_expected_change_the_sum() -> None:
    shown = run(
        (0.0, planned(new=4, jobs=4, to_finish=4)),
        (0.0, events.Phase(phase="working")),
        (1.0, events.MediaPrepared(jobs=3, expected=1)),
        (1.0, events.Split(job="job-000001", message="")),
        (1.0, events.JobFinished(job="job-000002", sources=1, failed=0)),
    )
    assert "1 of 7 jobs" in shown.line(BEGAN + 1)


def test_the_time_left_is_told_once_it_can_be_known() -> None:
    shown = run((0.0, planned(new=10, jobs=10, to_finish=10)), (0.0, events.Phase(phase="working")))
    assert shown.time_left(BEGAN + 60) == ""
    shown.hear(events.JobFinished(job="job-000001", sources=1, failed=0), BEGAN + 2)
    assert shown.time_left(BEGAN + 2) == ""  # from one moment nothing follows
    assert shown.time_left(BEGAN + 60) == "about 9 min left"
    assert shown.time_left(BEGAN + 5) == "about 45 s left"
    assert shown.time_left(BEGAN + 3600) == "about 9 h left"
    for number in range(9):
        shown.hear(events.JobFailed(job=f"job-{number}", message=""), BEGAN + 61)
    assert shown.time_left(BEGAN + 61) == ""


def test_a_rate_is_that_of_the_last_seconds() -> None:
    shown = run(
        (0.0, planned(new=2, jobs=2, to_finish=2)),
        (0.0, events.Phase(phase="working")),
        *((float(second), working(uploading=1, sent_bytes=second * 1_000_000)) for second in range(20)),
        *((20.0 + second, working(uploading=1, sent_bytes=19_000_000)) for second in range(10)),
    )
    assert shown.sent_per_s == 0
    assert "1 uploading (19.0 MB sent)" in shown.line(BEGAN + 30)


def test_who_waits_for_certainty_says_until_when_and_not_that_it_is_measured() -> None:
    shown = run(
        (0.0, planned(new=3, jobs=3, to_finish=3)),
        (0.0, events.Phase(phase="working")),
        (1.0, events.JobFinished(job="job-000002", sources=1, failed=0, items=1)),
        (1.0, events.JobFinished(job="job-000003", sources=1, failed=0, items=1)),
        (5.0, working(asked_about=1, certain_in_s=115.0)),
    )
    said = "interviews: so far 2 of 3 jobs, 2 of 3 items, 1 submission without an answer"
    assert shown.line(BEGAN + 10) == f"{said} (certain in 2 min)"
    assert shown.line(BEGAN + 100) == f"{said} (certain in 20 s)"  # and no time left that grows
    assert shown.line(BEGAN + 121) == f"{said} (asking the service)"
    shown.hear(events.MediaPrepared(jobs=3, expected=1), BEGAN + 121)  # two more that are worked on
    assert shown.line(BEGAN + 122).endswith("about 122 s left") or "about 2 min left" in shown.line(BEGAN + 122)


def test_jobs_and_items_are_those_of_one_moment() -> None:
    shown = run(*BUSY[:4])
    shown.hear(events.JobFinished(job="job-000001", sources=10, failed=0, items=10), BEGAN + 2)
    assert shown.line(BEGAN + 2).startswith("interviews: so far 1 of 6 jobs, 10 of 40 items")
    shown.hear(counted(done=10), BEGAN + 2)  # the count has it by now
    shown.hear(events.JobFinished(job="job-000002", sources=1, failed=0), BEGAN + 3)  # a part of an item
    assert shown.line(BEGAN + 3).startswith("interviews: so far 2 of 6 jobs, 10 of 40 items")
    shown.hear(events.JobFinished(job="job-000003", sources=99, failed=0, items=99), BEGAN + 3)
    assert "40 of 40 items" in shown.line(BEGAN + 3)  # never more than there are


def test_what_is_written_is_named_with_how_far_it_is() -> None:
    writes = events.Writing(what="tables (parquet)", done=1_200, total=5_000)
    shown = run((0, events.Phase(phase="writing")), (1, writes))
    assert shown.line(BEGAN + 2) == "interviews: writing the outputs, tables (parquet), 1,200 of 5,000 jobs"
    assert "writing the outputs: tables (parquet), 1,200 of 5,000 jobs" in " ".join(shown.lines(BEGAN + 2, 100))
    copies = events.Writing(what="copies in s3://bucket/x", done=200, total=None)
    shown.hear(copies, BEGAN + 3)
    assert shown.line(BEGAN + 4).endswith("copies in s3://bucket/x, 200 files")


def test_no_more_jobs_are_worked_on_than_are_left() -> None:
    """What goes on is told every second, and jobs finish in between."""
    done = [(3.5, events.JobFinished(job=f"job-{n:06d}", sources=1, failed=0, items=1)) for n in range(49)]
    shown = run(
        (0, planned(new=50, jobs=50)),
        (0, events.Phase(phase="working")),
        (3, working(uploading=8, asked_about=1, certain_in_s=9)),
        *done,
    )
    line = shown.line(BEGAN + 4)
    assert "49 of 50 items" in line
    assert "1 submission without an answer" in line
    assert "uploading" not in line

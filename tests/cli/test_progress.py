"""What a run's events become where nothing is drawn: lines for people, and JSON for programs."""

from __future__ import annotations

import io
import json

from hume_runner import events
from hume_runner.cli.console import Console
from hume_runner.cli.progress import RunProgress
from tests.fakes import FakeClock

ITEMS = {"total": 9, "pending": 9, "in_flight": 0, "done": 0, "failed": 0, "ambiguous": 0}
JOBS = {"planned": 9, "submitting": 0, "submitted": 0, "done": 0, "failed": 0, "ambiguous": 0}
PLANNED = events.Planned(new=9, changed=0, retry=0, done=0, failed=0, jobs=9, to_finish=9)


def an_hour(console: Console) -> None:
    """A run that is told of every second, and finishes nothing."""
    clock = FakeClock(0.0)
    with RunProgress(console, "study", clock=clock) as progress:
        progress(PLANNED)
        progress(events.Phase(phase="working"))
        for _ in range(3600):
            clock.now += 1
            progress(events.Counted(items=ITEMS, jobs=JOBS))


def test_a_log_that_runs_for_an_hour_has_some_dozens_of_lines_the_first_of_them_soon() -> None:
    err = io.StringIO()
    an_hour(Console(out=io.StringIO(), err=err))
    first, *later = err.getvalue().splitlines()
    assert first == "study: 9 items to submit in 9 jobs"
    assert 50 < len(later) < 80
    assert set(later) == {"study: so far 0 of 9 jobs, 0 of 9 items"}
    assert "\x1b" not in err.getvalue()


def test_programs_are_told_every_ten_seconds_at_the_most() -> None:
    out = io.StringIO()
    console = Console(out=out, err=io.StringIO())
    console.json = True
    an_hour(console)
    told = [json.loads(line)["event"] for line in out.getvalue().splitlines()]
    assert told[0] == "planned"
    assert 300 < told.count("counted") <= 360


def test_the_counts_of_the_end_are_left_to_the_end() -> None:
    out, err, clock = io.StringIO(), io.StringIO(), FakeClock(0.0)
    console = Console(out=out, err=err)
    console.json = True
    with RunProgress(console, "study", clock=clock) as progress:
        clock.now += 3600
        progress(events.Counted(items=ITEMS, jobs=JOBS, final=True))
    assert out.getvalue() + err.getvalue() == ""


def test_a_warning_is_a_line_for_people_also_when_it_is_quiet_and_one_for_programs() -> None:
    out, err = io.StringIO(), io.StringIO()
    console = Console(out=out, err=err)
    console.json = console.quiet = True
    console.begin("run", manifests=[])
    with RunProgress(console, "study", clock=FakeClock(0.0)) as progress:
        progress(events.Warned(message="left as it is"))
    assert err.getvalue() == "left as it is\n"
    told = json.loads(out.getvalue().splitlines()[-1])
    assert (told["event"], told["message"]) == ("warning", "left as it is")


def test_whoever_wants_quiet_hears_of_no_progress() -> None:
    err = io.StringIO()
    console = Console(out=io.StringIO(), err=err)
    console.quiet = True
    an_hour(console)
    assert err.getvalue() == ""


def mended(count: int, *, verbose: int = 0) -> list[str]:
    err = io.StringIO()
    console = Console(out=io.StringIO(), err=err)
    console.verbose = verbose
    with RunProgress(console, "study", clock=FakeClock(0.0)) as progress:
        for number in range(count):
            progress(events.Mended(job=f"job-{number:06d}", path=f"raw/{number}/predictions.json", harm="is missing"))
        progress(events.Phase(phase="planning"))
    return err.getvalue().splitlines()


def test_what_happens_to_every_job_is_told_of_some_and_then_counted() -> None:
    few = mended(8)
    assert len(few) == 8
    many = mended(20_000)
    assert many[:8] == few
    assert many[8:] == ["and 19,992 more files of answers: they are there again, and cost nothing"]
    assert len(mended(100, verbose=1)) == 100  # who wants to know of each, does


def test_what_is_counted_is_counted_once() -> None:
    err = io.StringIO()
    with RunProgress(Console(out=io.StringIO(), err=err), "study", clock=FakeClock(0.0)) as progress:
        for number in range(30):
            progress(events.ItemFailed(item=f"item-{number}", reason="r", message=f"item-{number}: no"))
            if number in (9, 10, 11):
                progress(events.Phase(phase="working"))
    counted = [line for line in err.getvalue().splitlines() if line.startswith("and ")]
    assert [line.split()[1] for line in counted] == ["2", "1", "1", "18"]

"""What stands on a terminal while a run works and after it: real ptys, and a screen that reads them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hume_runner.emulator.server import Emulator
from tests.cli.project import JOBS, Project
from tests.cli.screen import Terminal
from tests.tiers import sampled

ITEMS = 6
DRAWN = re.compile(r"trial [━─#-]+ +\d+%  \d+:\d\d")
SLOWLY = {"route": "POST /v0/batch/jobs", "action": {"delay": "2s"}}
COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-9]m")


@pytest.fixture
def slow(project: Project) -> Project:
    """Six jobs, each of which takes longer to be taken than a busy machine takes to draw: `seen` hurries the rest."""
    project.one_by_one(ITEMS)
    project.emulator.inject([SLOWLY])
    project.write()
    return project


def seen(terminal: Terminal, project: Project, *patterns: str) -> None:
    """Wait until each of these was drawn; from then on the service takes its jobs at once."""
    for pattern in patterns:
        terminal.until(pattern)
    project.emulator.inject([])


@pytest.mark.sweep
@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_run_tells_jobs_items_and_what_goes_on_in_any_width_and_leaves_only_its_summary(
    slow: Project, columns: int
) -> None:
    terminal = Terminal(slow, "run", "manifest.yaml", columns=columns)
    seen(terminal, slow, "1 uploading", "[1-5] of 6 jobs", "[1-5] of 6 items")
    assert terminal.end() == 0, terminal.raw
    drawn = [lines for lines in terminal.frames if any(DRAWN.match(line) for line in lines)]
    assert drawn
    # What stays is what was said and the summary, each line where it belongs.
    left = terminal.screen.lines
    assert left[0] == "trial: 6 items to submit in 6 jobs"
    assert left[1].startswith("trial: done in ")
    assert not [line for line in left if DRAWN.search(line) or "uploading" in line]
    assert " ".join(" ".join(left).split()).endswith(
        "next: `hume-runner report manifest.yaml --open` shows it "
        "next: `hume-runner tables manifest.yaml --format csv` makes tables"
    )
    assert terminal.screen.continued == 0 or columns < len(str(slow.out)) + 11
    assert max(map(len, left)) <= columns


def until_sent(terminal: Terminal, project: Project) -> None:
    """Read until the first submission is at the service."""
    terminal.until("6 items to submit")
    while JOBS not in project.requests():
        terminal.read()


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize(
    ("words", "environ"),
    [((), {}), (("--no-progress", "-v"), {}), ((), {"TERM": "dumb"})],
    ids=["drawn", "plain", "dumb"],
)
def test_a_ctrl_c_is_glued_to_nothing(slow: Project, words: tuple[str, ...], environ: dict[str, str]) -> None:
    terminal = Terminal(slow, "run", "manifest.yaml", *words, columns=100, **environ)
    until_sent(terminal, slow)
    terminal.press_ctrl_c()
    assert terminal.end() == 130, terminal.raw
    assert "^C" in terminal.raw  # the terminal's own echo
    left = terminal.screen.lines
    assert not [line for line in left if "^C" in line]
    (said,) = [line for line in left if "submitting nothing more" in line]
    assert re.match(r"(\d\d:\d\d:\d\d )?SIGINT: ", said)
    assert [line for line in left if line.startswith("trial: interrupted after ")]
    # And the next run goes on with the right sums.
    slow.emulator.inject([])
    terminal = Terminal(slow, "run", "manifest.yaml", columns=100)
    assert terminal.end() == 0, terminal.raw
    assert "6 of 6 measured" in "\n".join(terminal.screen.lines)


@pytest.mark.sweep
@pytest.mark.parametrize("environ", [{}, {"TERM": "dumb"}], ids=["drawn", "dumb"])
def test_a_ctrl_c_before_anything_is_sent_is_told_on_a_line_of_its_own(slow: Project, environ: dict[str, str]) -> None:
    slow.emulator.inject([{"route": "GET /v0/batch/jobs", "action": {"delay": "2s"}}])
    terminal = Terminal(slow, "run", "manifest.yaml", columns=100, **environ)
    terminal.until("6 items to submit")
    terminal.press_ctrl_c()
    assert terminal.end() == 130, terminal.raw
    assert JOBS not in slow.requests()
    assert terminal.screen.lines == [
        "trial: 6 items to submit in 6 jobs",
        "interrupted before anything was sent",
    ]


@pytest.mark.sweep
def test_colours_go_where_nobody_wants_them(slow: Project) -> None:
    coloured = Terminal(slow, "run", "manifest.yaml")
    seen(coloured, slow, DRAWN.pattern)
    assert coloured.end() == 0
    assert COLOUR.search(coloured.raw)
    slow.manifest["sources"]["text"].append("One more.")
    slow.emulator.inject([SLOWLY])
    plain = Terminal(slow, "run", "manifest.yaml", NO_COLOR="1")
    seen(plain, slow, DRAWN.pattern)
    assert plain.end() == 0
    assert any(DRAWN.match(line) for lines in plain.frames for line in lines)
    assert not COLOUR.search(plain.raw)


@pytest.mark.sweep
def test_an_ascii_terminal_gets_ascii_and_one_that_cannot_draw_gets_lines(slow: Project) -> None:
    terminal = Terminal(slow, "run", "manifest.yaml", LANG="C")
    seen(terminal, slow, r"trial #*-+ ")
    assert terminal.end() == 0
    assert terminal.raw.isascii()
    slow.manifest["sources"]["text"].append("One more.")
    slow.emulator.inject([{"route": "POST /v0/batch/jobs", "action": {"status": 400, "body": {"message": "no"}}}])
    terminal = Terminal(slow, "run", "manifest.yaml", TERM="dumb")
    assert terminal.end() == 3
    assert terminal.raw.isascii()
    assert "\x1b" not in terminal.raw
    assert "failed   1 x " in "\n".join(terminal.screen.lines)
    for command in (["--help"], ["plan", "manifest.yaml"], ["status", "manifest.yaml"]):
        shown = Terminal(slow, *command, LC_ALL="C")
        assert shown.end() == 0
        assert shown.raw.isascii(), command


@pytest.mark.sweep
def test_a_failure_is_said_above_what_is_drawn(slow: Project) -> None:
    slow.emulator.inject(
        [
            {"route": "POST /v0/batch/jobs", "nth": [2], "action": {"status": 400, "body": {"message": "no"}}},
            SLOWLY,
        ]
    )
    terminal = Terminal(slow, "run", "manifest.yaml", columns=100)
    seen(terminal, slow, "1 failed")
    assert terminal.end() == 3, terminal.raw
    (said,) = [line for line in terminal.screen.lines if "failed: " in line]
    assert re.match(r"job-\d{6}: failed: ", said)


@pytest.mark.sweep
def test_a_status_that_is_watched_is_one_picture_that_changes(tmp_path: Path) -> None:
    with Emulator(processing_time_s=3600) as emulator:  # until its clock says so
        project = Project(tmp_path / "project", emulator)
        run = project.start("run", "manifest.yaml", "--no-progress")
        try:
            assert run.stderr is not None
            while "4 items to submit" not in run.stderr.readline():
                assert run.poll() is None
            watch = Terminal(project, "status", "manifest.yaml", "--watch")
            watch.until("a run is on")
        finally:
            emulator.advance(4000)
            run.communicate(timeout=60)
        assert watch.end() == 0
    assert any("a run is on" in line for lines in watch.frames for line in lines)
    assert watch.screen.lines[0] == "trial: 4 of 4 items measured"
    assert len([line for line in watch.screen.lines if line.startswith("trial: ")]) == 1
    assert not [line for line in watch.screen.lines if "a run is on" in line]


@pytest.mark.sweep
def test_a_run_that_is_over_in_a_moment_draws_no_bar(project: Project) -> None:
    project.manifest["sources"] = {"text": ["Hello."]}
    project.manifest["models"] = {"language": {}}
    assert project.run().code == 0
    terminal = Terminal(project, "run", "manifest.yaml")
    assert terminal.end() == 0
    assert not [line for lines in terminal.frames for line in lines if DRAWN.match(line)]
    assert terminal.screen.lines[0] == "trial: nothing to do, 1 item is measured"


@pytest.mark.sweep
def test_words_are_carried_over_whole(slow: Project) -> None:
    slow.manifest["models"] = {"langauge": {"granularity": "sentence"}}
    terminal = Terminal(slow, "validate", "manifest.yaml", columns=60)
    assert terminal.end() == 65
    assert terminal.screen.continued == 0
    assert max(map(len, terminal.screen.lines)) <= 60

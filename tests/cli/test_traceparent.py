"""TRACEPARENT: the trace that a run belongs to, in its events and in run.json."""

from __future__ import annotations

import json

import pytest

from hume_runner.settings import traceparent
from tests.cli.project import Project
from tests.published import check

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.sweep
def test_every_event_and_the_summary_carry_the_trace(project: Project) -> None:
    project.environ["TRACEPARENT"] = TRACE
    ran = project.run("--json")
    assert ran.code == 0, ran.err
    assert {line["traceparent"] for line in ran.lines} == {TRACE}
    for line in ran.lines:
        check(line, "events")
    assert project.run_json()["traceparent"] == TRACE
    check(project.run_json(), "run")


def test_without_a_trace_nothing_speaks_of_one(project: Project) -> None:
    ran = project.run("--json")
    assert "traceparent" not in ran.out + json.dumps(project.run_json())


def test_one_that_is_not_valid_is_ignored_with_a_warning(project: Project) -> None:
    project.environ["TRACEPARENT"] = "00-nonsense"
    ran = project.run("--json")
    assert ran.code == 0
    assert "TRACEPARENT is not valid and is ignored" in ran.err
    assert [line["event"] for line in ran.lines][:2] == ["launch", "warning"]
    assert "traceparent" not in project.run_json()


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        (TRACE, TRACE),
        (f" {TRACE} ", TRACE),
        (TRACE.replace("00-", "01-", 1) + "-more", TRACE.replace("00-", "01-", 1)),
        (TRACE.replace("00-", "cc-", 1), TRACE.replace("00-", "cc-", 1)),
        (f"{TRACE}-more", None),
        (TRACE.replace("00-", "ff-", 1), None),
        (TRACE.upper(), None),
        (f"00-{'0' * 32}-b7ad6b7169203331-01", None),
        (f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01", None),
        (TRACE[:-1], None),
        (TRACE.replace("-", "_"), None),
        ("", None),
    ],
)
def test_a_trace_is_judged_as_its_specification_says(text: str, taken: str | None) -> None:
    assert traceparent({"TRACEPARENT": text}) == taken
    assert traceparent({}) is None

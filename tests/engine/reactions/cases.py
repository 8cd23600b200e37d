"""A view, the rules of a run and a moment, to react to."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from hume_runner.engine import facts
from hume_runner.engine.reactions.base import Moment, Patience, Reaction, Rules
from hume_runner.engine.view import AtService, Lost, Sent, View
from hume_runner.errors import (
    HumeRunnerError,
)
from hume_runner.manifest.model import ExecutionSection, FailureBudget, RetrySection
from hume_runner.services.lost import Candidate
from hume_runner.state.lifecycle import JobStatus
from hume_runner.state.rows import JobRow

NOW = Moment(now=100.0, wall=1_800_000_000.0)
SENT = {1: Sent(at=40.0, billable_seconds=7.0, members=2)}
THERE = AtService(remote_id="r1", submitted_at=40.0, since=40.0, created_at=1_700_000_000.0, simulated=True)
LOST = Lost(since=50.0, wait_s=120.0, next_at=50.0, billable_seconds=7.0, here=True)
CANDIDATE = Candidate(remote_id="r1", matches={}, created_at=5.0, billed_seconds=9.0)
TAKEN = facts.Accepted(job=1, remote_id="r1", created_at=5.0, simulated=True)


def rules(**changes: Any) -> Rules:
    execution = ExecutionSection(
        retry=RetrySection(attempts=3, max_wait_s=60.0),
        max_failures=FailureBudget(count=changes.pop("max_failures", None)),
        max_billable_seconds=changes.pop("cap", None),
        on_lost_answer=changes.pop("on_lost_answer", "resubmit"),
        job_timeout_s=changes.pop("job_timeout_s", 6 * 3600.0),
    )
    return Rules(execution=execution, patience=Patience(), artifacts=True, **changes)


def view(**parts: Any) -> View:
    return View(**{"most_in_flight": 4, "limit": 4.0, "most_transfers": 3, "committed_s": 7.0, **parts})


def error_of(reaction: Reaction) -> type[HumeRunnerError] | None:
    ending = reaction.view.ending
    return None if ending.error is None else type(ending.error)


def row(number: int) -> JobRow:
    """A job that is sent, as the state knows it."""
    none = dict.fromkeys(f.name for f in fields(JobRow))
    sent = {"number": number, "status": JobStatus.SUBMITTING, "request": {}, "tries": 1, "simulated": False}
    return JobRow(**{**none, **sent})  # type: ignore[arg-type]

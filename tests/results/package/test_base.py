"""When the data were measured, as it is cited."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from hume_runner.results.base import JobRecord
from hume_runner.results.package.base import Described, Span


def at(day: str) -> float:
    return datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()


def job(**told: Any) -> JobRecord:
    return JobRecord(**({"job": "job-000001", "remote_id": "x", "status": "done", "sources": 1} | told))


OWN = job(created_at=at("2026-11-25"), ended_at=at("2026-11-25"), fetched_at=at("2026-11-26"))
OLD = job(created_at=at("2024-03-01"), ended_at=at("2024-03-01"), submitted_at=at("2026-11-26"))
HERE = job(submitted_at=at("2026-11-24"), fetched_at=at("2026-11-24"))
KEPT = job(kept=True)
FAILED = job(status="failed", created_at=at("2020-01-01"))


@pytest.mark.parametrize(
    ("jobs", "cited"),
    [
        ((OWN,), "x [Data set] (2026). Measured on 2026-11-25 by"),
        ((HERE,), "x [Data set] (2026). Measured on 2026-11-24 by"),
        ((OLD,), "x [Data set] (2024). Measured on 2024-03-01 by"),
        ((OWN, OLD, FAILED), "x [Data set] (2026). Measured from 2024-03-01 to 2026-11-25 by"),
        ((KEPT,), "x [Data set]. Measured on days that are not known (answers from files) by"),
        (
            (OWN, KEPT),
            "x [Data set] (2026). Measured on 2026-11-25 and on days that are not known (answers from files) by",
        ),
        # An output directory without its state has no times of jobs: the run's is the nearest.
        ((), "x [Data set] (2026). Measured on 2026-12-01 by"),
        ((job(),), "x [Data set] (2026). Measured on 2026-12-01 by"),
    ],
)
def test_data_are_cited_by_the_days_on_which_they_were_measured(jobs: Any, cited: str) -> None:
    run = {"ended_at": "2026-12-01T10:00:00Z"}
    described = Described(
        name="x",
        description=None,
        api="batch-v0",
        version="1",
        simulated=False,
        told="",
        run=run,
        measured=Span.of(jobs),
    )
    assert described.citation.startswith(cited)

"""What the readers of tables refuse fails when it is fetched: the very reader is run over the answer, once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hume_runner.errors import ResultsError
from hume_runner.services.base import Job, Outcome

UNEXPECTED = "unexpected_answer"
UNREADABLE = "the answer about this source cannot be read"  # how such a message begins


def checked_by_reader(job: Job, path: Path, outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
    """`outcomes`, with those members failed whose part of a batch-v0 answer gives no rows, each with the reason.

    Without the extra that reads tables nothing is checked: tables made later name what cannot be read.
    """
    try:
        from hume_runner.services.rows_batch_v0 import read_entries
    except ModuleNotFoundError:
        return tuple(outcomes)
    problems: dict[tuple[str, str], str] = {}
    try:
        for entry in read_entries(path):
            told = next((error.message for error in entry.errors if error.message.startswith(UNREADABLE)), None)
            if told is None:
                try:
                    for _ in entry.blocks():
                        pass
                except ResultsError as error:
                    told = str(error)
            if told is not None:
                problems[(entry.kind, entry.match)] = told
    except ResultsError:
        return tuple(outcomes)  # no element says whose it is: no member was found in it either
    if not problems:
        return tuple(outcomes)
    checked = []
    for outcome in outcomes:
        kind, match = job.members[outcome.position].item.kind, job.matches[outcome.position]
        told = problems.get((kind, match)) or (problems.get(("text", "")) if kind == "text" else None)
        checked.append(replace(outcome, ok=False, reason=UNEXPECTED, message=told) if told else outcome)
    return tuple(checked)

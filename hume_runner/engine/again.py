"""Requests that were answered before for other items of the same content: their answers are taken as they lie there.

Where one part of a medium is measured by itself, a setting that touches another part makes it an item of its own, and
leaves this part what it was.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hume_runner.engine.download import REQUEST
from hume_runner.services.jobs import Job, Submission, SubmitResult
from hume_runner.state.answers import look_at
from hume_runner.state.reader import StateReader
from hume_runner.state.rows import StoredAnswer


def sender(store: StateReader, outputs: Path, job: Job, submission: Submission) -> Callable[[], SubmitResult]:
    """What performs the submission, or takes the answer that an earlier one to the same request has on disk."""
    if submission.again is None or len(job.members) != 1:
        return submission.send
    content = bytes.fromhex(job.members[0].item.content_sha256)
    found = store.answer_to(content, submission.sha256, besides=REQUEST)
    return submission.send if found is None else lambda: _taken(outputs, found, submission)


def _taken(outputs: Path, answer: StoredAnswer, submission: Submission) -> SubmitResult:
    assert submission.again is not None
    try:
        if look_at(outputs, answer, thorough=True).harm is None:
            result = submission.again((outputs / answer.path).read_bytes())
            if result is not None:
                return result
    except OSError:
        pass  # it is had anew, like any other
    return submission.send()

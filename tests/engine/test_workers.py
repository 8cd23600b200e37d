"""What comes back from workers."""

from __future__ import annotations

from hume_runner.engine.view import Poll
from hume_runner.engine.workers import Failed, ThreadWorkers
from tests.fakes import BrokeOff


def test_what_breaks_off_inside_a_library_is_a_fault_like_others() -> None:
    def errand() -> None:
        raise BrokeOff("called `unwrap` on nothing")

    workers = ThreadWorkers(1)
    workers.start(Poll(), errand)  # type: ignore[arg-type]
    failed = workers.take(30.0)
    workers.close()
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, Exception)
    assert "BrokeOff: called `unwrap` on nothing" in str(failed.error)

"""Who hears what is told."""

from __future__ import annotations

import threading

import pytest

from hume_runner.api.reporting import InOneThread, logged
from hume_runner.events import Event, Phase, Warned


def test_what_other_threads_warn_of_is_told_in_one_thread_before_the_next_event() -> None:
    told: list[tuple[Event, threading.Thread]] = []
    report = InOneThread(lambda event: told.append((event, threading.current_thread())))
    for message in ("first", "second"):
        other = threading.Thread(target=report.warn, args=(message,))
        other.start()
        other.join()
    assert told == []
    report(Phase(phase="working"))
    report.warn("third")
    report.catch_up()
    here = threading.current_thread()
    expected = [Warned(message="first"), Warned(message="second"), Phase(phase="working"), Warned(message="third")]
    assert told == [(event, here) for event in expected]


def test_who_takes_no_events_has_warnings_logged(caplog: pytest.LogCaptureFixture) -> None:
    logged(Phase(phase="working"))
    logged(Warned(message="100 % of it is lost"))
    assert [(one.name, one.levelname, one.getMessage()) for one in caplog.records] == [
        ("hume_runner", "WARNING", "100 % of it is lost")
    ]

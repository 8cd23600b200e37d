"""What is waited for is told to whoever watches, without a flood."""

from __future__ import annotations

import logging

import pytest

from hume_runner.cli.requests_told import waits_told
from hume_runner.errors import TransportError
from hume_runner.http.retry import RetryPolicy
from tests.cli.project import Project
from tests.fakes import FakeClock


def fail() -> None:
    raise TransportError("GET /x at example.org: the connection is refused", sent=False)


def failing(clock: FakeClock, attempts: int) -> None:
    policy = RetryPolicy(attempts=attempts, sleep=clock.sleep, clock=clock, random=lambda: 0.0)
    with pytest.raises(TransportError):
        policy.call(fail)


def test_one_failure_is_no_news_and_a_second_is() -> None:
    clock, said = FakeClock(0.0), []
    with waits_told(said.append, clock):
        failing(clock, 2)
        assert said == []
        failing(clock, 3)
    assert said == ["GET /x at example.org: the connection is refused; trying again in 2 s"]


def test_many_that_fail_at_one_time_are_told_now_and_then() -> None:
    clock, said = FakeClock(0.0), []
    with waits_told(said.append, clock):
        for _ in range(50):
            waited = FakeClock(0.0)
            failing(waited, 3)
        assert len(said) == 1
        clock.now += 10
        failing(FakeClock(0.0), 3)
    assert len(said) == 2


def test_nobody_listens_afterwards() -> None:
    logger = logging.getLogger("hume_runner.waits")
    before = logger.level, list(logger.handlers)
    said: list[str] = []
    with waits_told(said.append):
        pass
    failing(FakeClock(0.0), 5)
    assert said == []
    assert (logger.level, logger.handlers) == before


@pytest.mark.sweep  # the second wait is two seconds
def test_a_run_says_what_it_waits_for(project: Project, unused_port: int) -> None:
    project.manifest["service"]["endpoint"] = f"http://127.0.0.1:{unused_port}"
    project.manifest["execution"]["retry"] = {"attempts": 3, "max_wait": "60s"}
    ran = project.run()
    assert ran.code == 5
    assert "the connection is refused (Connection refused); trying again in 2 s" in ran.err
    assert "trying again" not in project.run("-q").err

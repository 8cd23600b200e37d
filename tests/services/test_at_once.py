"""What a service that measures when it is asked is to a run, without a word of its own about jobs."""

from __future__ import annotations

import math

import pytest

from hume_runner.services.at_once import AtOnce
from hume_runner.services.jobs import Job, Unseen, Waiting
from hume_runner.services.local.service import LocalService
from hume_runner.services.lost import LostJob
from tests.services.test_third import Lengths

ABOUT_JOBS = {"check", "check_each", "survey", "look_for"}


@pytest.mark.parametrize("service", [Lengths, LocalService])
def test_a_service_that_answers_at_once_writes_nothing_about_jobs(service: type[AtOnce]) -> None:
    assert not ABOUT_JOBS & vars(service).keys()


def test_the_smallest_service_needs_no_greeting_and_foresees_no_failure() -> None:
    assert not {"greet", "hopeless"} & vars(Lengths).keys()


def test_what_was_lost_is_measured_again_without_a_wait() -> None:
    lost = LostJob(
        job=Job(number=7, key="k", nonce="n", members=(), size_bytes=0), sent_at=-math.inf, ended_at=math.inf
    )
    (look,) = AtOnce().look_for([lost], {}).values()
    assert (look.conclusive, look.final, look.candidates) == (True, True, ())


def test_no_job_is_known_by_itself() -> None:
    waiting = [Waiting(number=1, remote_id="a", created_at=0.0), Waiting(number=2, remote_id="b", created_at=0.0)]
    assert AtOnce().check_each(waiting) == {"a": Unseen(), "b": Unseen()}


def test_a_look_for_what_is_there_greets_first() -> None:
    class Shy(AtOnce):
        def greet(self) -> None:
            raise PermissionError

    with pytest.raises(PermissionError):
        Shy().survey(0.0, lambda remote_id: False, {})

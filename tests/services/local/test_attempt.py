from __future__ import annotations

import errno

import pytest

from hume_runner.media.problems import MediaProblem
from hume_runner.services.local.answer_form import SourceFound
from hume_runner.services.local.attempt import Attempt, Lacking, no_source_s_fault, read_by_us
from hume_runner.services.local.measurers.kept_values import Nonsense
from hume_runner.services.local.task import Wanted

ONE = Wanted(model="letters", options="{}")


def tried(error: BaseException | None, *, reading: bool = False) -> SourceFound:
    source = SourceFound()
    with Attempt(source, ONE, "a.wav"):
        if error is not None and reading:
            with read_by_us("a.wav"):
                raise error
        if error is not None:
            raise error
    return source


def test_what_is_not_raised_is_measured() -> None:
    assert tried(None).told() == {"measured": True, "tables": {}, "errors": []}


@pytest.mark.parametrize(
    "error", [ValueError("odd"), MediaProblem("damaged", "odd"), SystemExit("odd"), MemoryError("odd")]
)
def test_whatever_a_measurer_raises_over_a_source_is_told_of_that_source_with_its_place(error: BaseException) -> None:
    source = tried(error)
    (told,) = source.errors
    assert (source.measured, told["model"], told["reason"]) == (0, "letters", "measurer_failed")
    assert told["message"].startswith("a.wav: letters: ")
    assert "(test_attempt.py:" in told["message"]


def test_nonsense_says_it_itself() -> None:
    assert tried(Nonsense("gave nothing")).errors[0]["message"] == "a.wav: letters: gave nothing"


def test_what_we_cannot_read_is_the_source_s_own_reason() -> None:
    problem = MediaProblem("damaged", "a.wav: damaged")
    assert tried(problem, reading=True).errors == [
        {"model": "letters", "reason": "damaged", "message": "a.wav: damaged"}
    ]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), OSError(errno.EIO, "broken"), MemoryError()])
def test_what_this_machine_lacks_while_we_read_is_no_source_s_fault(error: Exception) -> None:
    with pytest.raises(Lacking):
        tried(error, reading=True)


def test_what_is_lacking_for_the_weights_names_the_model() -> None:
    with pytest.raises(Lacking) as caught, no_source_s_fault("letters"):
        raise OSError(errno.ENOSPC, "full")
    assert str(caught.value.error).startswith("letters: ")

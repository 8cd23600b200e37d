"""Every fault against every operation of either API: what it costs, how the run ends, and what the state says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.durability.children import Nursery
from tests.durability.matrix import ACTIONS, Cell, batch, expression
from tests.expression.runs import AUDIO, VIDEO
from tests.media_files import picture, picture_bytes, speech, write_wav
from tests.tiers import sampled

ALL_DONE = Cell(3, 3, 0, "3 done")
ONE_AGAIN = Cell(4, 3, 0, "3 done")
HALVED = Cell(5, 4, 0, "4 done 1 failed")  # a refused job goes again in halves
SPOILT = Cell(1, 0, 3, "1 failed")
ALL_SPOILT = Cell(11, 0, 3, "11 failed")

DONE = Cell(1, 1, 0, "1 done")
AGAIN = Cell(2, 1, 0, "1 done")  # refused, or surely not arrived, so it is sent again and paid once
PAID_AGAIN = Cell(2, 2, 0, "1 done")  # measured, the answer lost: counted, and asked for again
PAID_IN_VAIN = Cell(2, 2, 5, "1 planned")
TRIED_TWICE = Cell(2, 0, 5, "1 planned")
UNREACHABLE = Cell(1, 1, 5, "1 submitted")  # submitted and paid; the same command fetches it later
NO_MORE = Cell(1, 1, 7, "1 submitted")
REFUSED = Cell(1, 0, 7, "1 planned")
NOT_ASKED = Cell(0, 0, 7, "1 planned")  # the first request, before anything is uploaded, tells that the key is bad
NOT_SENT = Cell(0, 0, 5, "1 planned")  # a service that does not tell what it has already is sent nothing
NOT_CONSENTED = Cell(0, 0, 9, "1 planned")  # nor is one that has no list, unless somebody pays again on purpose
# A job alone: nothing shows what the list would show of it, so a person decides.
ASKED = Cell(1, 0, 9, "1 ambiguous")
OPEN_NO_ACCESS = Cell(1, 1, 7, "1 ambiguous")
OPEN_NO_LIST = Cell(1, 1, 9, "1 ambiguous")  # without a list nothing is proven


class Batch(NamedTuple):
    """How the runs end whose requests of one operation each the fault meets."""

    submit: Cell
    list: Cell
    details: Cell
    predictions: Cell
    artifacts: Cell

    @classmethod
    def of(cls, submit: Cell, others: Cell, **cells: Cell) -> Batch:
        return cls(submit, **{"list": others, "details": others, "predictions": others, "artifacts": others, **cells})


class Expression(NamedTuple):
    """The same of the first upload, of every upload, of the list that is asked about a lost answer, of every list."""

    upload: Cell
    uploads: Cell
    list_once: Cell
    list_always: Cell


class Row(NamedTuple):
    """`once`: three jobs of two sources, at batch-v0, or, where the fault is a final one, one job of six; `always`: one
    job of six, so that nothing depends on which of several is asked about first; `expression`: one recording or still,
    at expression-v1."""

    once: Batch
    always: Batch
    expression: Expression


HARMLESS = Batch.of(ALL_DONE, ALL_DONE)
REFUSED_ONCE = Batch.of(ONE_AGAIN, ALL_DONE)
UNAVAILABLE = Batch.of(TRIED_TWICE, UNREACHABLE, list=NOT_SENT)
UNDECIDED = Batch.of(ASKED, UNREACHABLE, list=NOT_SENT)
# Unknown, looked for, found.
FOUND_BY_ASKING = Batch.of(DONE, UNREACHABLE, list=NOT_SENT)
NO_KEY = Batch.of(REFUSED, NO_MORE, list=NOT_ASKED)
MATRIX: dict[str, Row] = {
    # A list that answers 400 or 404 is none: the jobs are asked about one by one.
    "400": Row(
        Batch.of(HALVED, ALL_DONE),
        Batch.of(ALL_SPOILT, UNREACHABLE, list=DONE),
        Expression(SPOILT, SPOILT, OPEN_NO_LIST, NOT_CONSENTED),
    ),
    "401": Row(Batch.of(REFUSED, NO_MORE), NO_KEY, Expression(REFUSED, REFUSED, OPEN_NO_ACCESS, NOT_ASKED)),
    "402": Row(
        Batch.of(REFUSED, DONE),
        Batch.of(REFUSED, UNREACHABLE, list=NOT_SENT),
        Expression(REFUSED, REFUSED, PAID_AGAIN, NOT_SENT),
    ),
    "403": Row(Batch.of(REFUSED, NO_MORE), NO_KEY, Expression(REFUSED, REFUSED, OPEN_NO_ACCESS, NOT_ASKED)),
    # A host without a list is asked job by job; a job that it does not know belongs to another key.
    # Artifacts that are not there after all tries are done without: a host may keep none.
    "404": Row(
        Batch.of(REFUSED, DONE),
        Batch.of(REFUSED, UNREACHABLE, list=DONE, details=NO_MORE, artifacts=DONE),
        Expression(REFUSED, REFUSED, OPEN_NO_LIST, NOT_CONSENTED),
    ),
    # Without a code of its own it is a proxy that speaks.
    "408": Row(REFUSED_ONCE, UNDECIDED, Expression(ASKED, ASKED, PAID_AGAIN, NOT_SENT)),
    "413": Row(
        Batch.of(HALVED, ALL_DONE),
        Batch.of(ALL_SPOILT, UNREACHABLE, list=NOT_SENT),
        Expression(SPOILT, SPOILT, PAID_AGAIN, NOT_SENT),
    ),
    "429": Row(REFUSED_ONCE, UNAVAILABLE, Expression(AGAIN, TRIED_TWICE, PAID_AGAIN, NOT_SENT)),
    # Unknown, looked for, not found, sent again.
    "500": Row(REFUSED_ONCE, UNDECIDED, Expression(ASKED, ASKED, PAID_AGAIN, NOT_SENT)),
    "coded 500": Row(REFUSED_ONCE, UNDECIDED, Expression(AGAIN, TRIED_TWICE, PAID_AGAIN, NOT_SENT)),
    "502": Row(REFUSED_ONCE, UNDECIDED, Expression(ASKED, ASKED, PAID_AGAIN, NOT_SENT)),
    "503": Row(REFUSED_ONCE, UNAVAILABLE, Expression(AGAIN, TRIED_TWICE, PAID_AGAIN, NOT_SENT)),
    "504": Row(REFUSED_ONCE, UNDECIDED, Expression(ASKED, ASKED, PAID_AGAIN, NOT_SENT)),
    "drop before": Row(REFUSED_ONCE, UNDECIDED, Expression(ASKED, ASKED, PAID_AGAIN, NOT_SENT)),
    "html": Row(REFUSED_ONCE, UNDECIDED, Expression(ASKED, ASKED, PAID_AGAIN, NOT_SENT)),
    "redirect": Row(REFUSED_ONCE, UNDECIDED, Expression(ASKED, ASKED, PAID_AGAIN, NOT_SENT)),
    "drop after": Row(HARMLESS, FOUND_BY_ASKING, Expression(PAID_AGAIN, PAID_IN_VAIN, PAID_AGAIN, NOT_SENT)),
    "truncate": Row(HARMLESS, FOUND_BY_ASKING, Expression(PAID_AGAIN, PAID_IN_VAIN, PAID_AGAIN, NOT_SENT)),
    "truncate unannounced": Row(HARMLESS, FOUND_BY_ASKING, Expression(PAID_AGAIN, PAID_IN_VAIN, PAID_AGAIN, NOT_SENT)),
    "corrupt": Row(HARMLESS, FOUND_BY_ASKING, Expression(PAID_AGAIN, PAID_IN_VAIN, PAID_AGAIN, NOT_SENT)),
    "delay": Row(HARMLESS, Batch.of(DONE, DONE), Expression(DONE, DONE, PAID_AGAIN, PAID_AGAIN)),
    "slow": Row(HARMLESS, Batch.of(DONE, DONE), Expression(DONE, DONE, PAID_AGAIN, PAID_AGAIN)),
}
# Faults that say that the run as a whole, or its job, is at an end.
FINAL = ("401", "402", "403", "404")


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("action", [action for action in MATRIX if action not in FINAL])
def test_a_fault_that_happens_once_costs_nothing_twice(action: str, tmp_path: Path, nursery: Nursery) -> None:
    with batch(tmp_path, nursery, ACTIONS[action], always=False, max_sources=2) as runs:
        assert runs.run() == MATRIX[action].once._asdict()


@pytest.mark.sweep
@pytest.mark.parametrize("action", FINAL)
def test_a_key_that_is_refused_in_the_middle_of_a_run_stops_it(action: str, tmp_path: Path, nursery: Nursery) -> None:
    with batch(tmp_path, nursery, ACTIONS[action], always=False, max_sources=100) as runs:
        assert runs.run() == MATRIX[action].once._asdict()
        runs.cure()
        # What a service refused for good is tried again only when asked for.
        second = runs.run("--retry-failed", "--pay-again")
    assert {(cell.accepted, cell.exit_code) for cell in second.values()} == {(1, 0)}


@pytest.mark.sweep
@pytest.mark.parametrize("action", MATRIX)
def test_a_fault_that_stays_ends_the_run_and_the_same_command_finishes_it_later(
    action: str, tmp_path: Path, nursery: Nursery
) -> None:
    with batch(tmp_path, nursery, ACTIONS[action], always=True, max_sources=100) as runs:
        assert runs.run() == MATRIX[action].always._asdict()
        runs.cure()
        second = runs.run("--retry-failed", "--pay-again")
    for operation, cell in second.items():
        assert (cell.accepted, cell.exit_code) == (1, 0), operation


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """What is uploaded, by route."""
    folder = tmp_path_factory.mktemp("media")
    still = folder / "face.jpg"
    still.write_bytes(picture_bytes(picture()))
    return {AUDIO: write_wav(folder / "talk.wav", speech([("speech", 1), ("pause", 0.5)])), VIDEO: still}


@pytest.mark.sweep
@sampled(1)
@pytest.mark.timeout(30)
@pytest.mark.parametrize("action", MATRIX)
def test_a_fault_at_an_api_that_answers_at_once_ends_in_words_and_with_all_that_was_paid_known(
    action: str, tmp_path: Path, nursery: Nursery, media: Mapping[str, Path]
) -> None:
    with expression(tmp_path, nursery, ACTIONS[action], media) as runs:
        found = runs.run()
    cells = MATRIX[action].expression
    assert found == {
        "audio once": cells.upload,
        "video once": cells.upload,
        "audio always": cells.uploads,
        "video always": cells.uploads,
        "list once": cells.list_once,
        "list always": cells.list_always,
    }


def test_every_fault_has_its_row() -> None:
    assert set(MATRIX) == set(ACTIONS)

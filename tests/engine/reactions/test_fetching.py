"""What comes of fetching, as values: no store, no service, no clock."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hume_runner.engine.reactions import fetching
from hume_runner.engine.view import ToFetch
from hume_runner.errors import (
    ApiError,
    NotFound,
    ServiceUnavailable,
    UnexpectedResponse,
)
from hume_runner.services.base import (
    Ended,
)
from tests.engine.reactions.cases import NOW, error_of, rules, view


def test_an_answer_that_is_early_is_waited_for_and_at_last_taken_as_it_is() -> None:
    busy = view(fetching={1: ToFetch(ended=Ended())})
    first = fetching.came_early(busy, rules(), 1, "1 is missing", NOW).view.to_fetch[1]
    assert (first.early, first.early_at, first.next_at) == (1, 100.0, 100.5)
    late = view(fetching={1: replace(first, early_at=40.0)})
    last = fetching.came_early(late, rules(), 1, "1 is missing", NOW).view.to_fetch[1]
    assert last.ended.announced == {"accept_missing": 1}
    assert last.next_at == 100.0


@pytest.mark.parametrize(
    ("tries", "error", "kept", "ends_with"),
    [
        (0, ApiError("busy", status=503), True, None),
        (2, ApiError("busy", status=503), False, ServiceUnavailable),
        (2, UnexpectedResponse("cut"), False, ServiceUnavailable),
        (2, NotFound("gone", status=404), True, None),  # once more, without artifacts
    ],
)
def test_a_fetch_that_fails_is_tried_as_often_as_the_manifest_says(
    tries: int, error: ApiError, kept: bool, ends_with: type | None
) -> None:
    reaction = fetching.fetch_failed(view(fetching={1: ToFetch(ended=Ended(), tries=tries)}), rules(), 1, error, NOW)
    assert (1 in reaction.view.to_fetch) is kept
    assert error_of(reaction) is ends_with
    assert not reaction.view.no_more  # one answer that is bad holds nobody back
    assert reaction.facts == ()

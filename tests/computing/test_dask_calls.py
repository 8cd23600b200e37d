from __future__ import annotations

import threading
from concurrent.futures import CancelledError, Future
from pathlib import Path

import pytest

from hume_runner.computing.base import Away
from hume_runner.computing.dask_calls import Calls, bring


@pytest.fixture
def calls() -> Calls:
    return Calls(threading.Condition())


def test_a_call_is_out_until_its_future_ends(calls: Calls) -> None:
    future, _ = calls.add("a", frozenset({"one"}))
    assert calls.all() == [future]
    future.set_result(b"")
    assert calls.all() == []


def test_those_whose_workers_are_all_gone_are_stuck(calls: Calls, tmp_path: Path) -> None:
    theirs, _ = calls.add("a", frozenset({"gone"}))
    calls.add("b", frozenset({"gone", "there"}))
    assert calls.stuck(tmp_path, {"there"}, {"gone", "there"}) == [theirs]


def test_who_comes_gets_what_waits_for_others(calls: Calls, tmp_path: Path) -> None:
    future, _ = calls.add("a", frozenset({"there"}))
    assert calls.stuck(tmp_path, {"there", "new"}, {"there"}) == [future]
    assert calls.stuck(tmp_path, {"there", "new"}, set()) == []


@pytest.mark.parametrize("error", [Away(), CancelledError()])
def test_whoever_waits_hears_at_once_and_dasks_own_is_cancelled(calls: Calls, error: BaseException) -> None:
    future, out = calls.add("a", frozenset())
    out.theirs = theirs = Future()
    cancelled = threading.Event()
    theirs.add_done_callback(lambda _: cancelled.set())
    calls.let_go([future], error)
    assert calls.all() == []
    with pytest.raises(type(error)):
        future.result(0)
    assert cancelled.wait(10)


def test_what_dask_cancels_itself_is_away() -> None:
    theirs: Future[bytes] = Future()
    ours: Future[bytes] = Future()
    theirs.cancel()
    bring(theirs, ours)
    assert isinstance(ours.exception(0), Away)


def test_what_comes_too_late_is_nobodys() -> None:
    theirs: Future[bytes] = Future()
    ours: Future[bytes] = Future()
    theirs.set_result(b"late")
    ours.cancel()
    bring(theirs, ours)
    assert ours.cancelled()

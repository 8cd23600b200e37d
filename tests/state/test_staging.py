from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hume_runner.errors import ManifestError, NoRoom
from hume_runner.planning.staged import format_place, parse_place
from hume_runner.state.staging import Scan

Claim = tuple[str, bool]  # an id, and whether the manifest gives it by name


def ids_of(claims: Sequence[Claim]) -> list[str]:
    """The ids that these claims end with, in order."""
    with Scan() as scan:
        fill(scan, claims)
        scan.finish()
        db = sqlite3.connect(scan.hand_over())
        found = [row[0] for row in db.execute("SELECT id FROM staged ORDER BY ord")]
        db.close()
        return found


def fill(scan: Scan, claims: Sequence[Claim], *, labels: str | None = None) -> None:
    for ord_, (name, explicit) in enumerate(claims):
        place = format_place("m.yaml", ord_ + 10, 5, f"sources.urls[{ord_}]")
        key = ord_.to_bytes(32, "big")
        row = (ord_, name, int(explicit), "url", key, f"https://x/{ord_}", place, labels, key, 0, b"settings")
        scan.add_plain(row)


@pytest.mark.parametrize(
    ("claims", "ids"),
    [
        ([("a", False), ("b", False)], ["a", "b"]),
        ([("a", False), ("a", False), ("a", False)], ["a", "a~2", "a~3"]),
        ([("a", False), ("a", True)], ["a~2", "a"]),
        ([("a", False), ("a~2", True), ("a", False)], ["a", "a~2", "a~3"]),
        ([("a", False), ("a", False), ("a~2", False)], ["a", "a~3", "a~2"]),
    ],
)
def test_a_derived_id_that_is_taken_gets_a_number_and_a_given_one_stays(claims: list[Claim], ids: list[str]) -> None:
    assert ids_of(claims) == ids


@pytest.mark.sweep
@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["a", "b", "a~2", "a~3", "b~2"]), st.just(False)), max_size=12))
def test_derived_ids_always_end_up_different_and_the_first_keeps_its_name(claims: list[Claim]) -> None:
    ids = ids_of(claims)
    assert len(set(ids)) == len(ids)
    for name in {name for name, _ in claims}:
        assert name in ids
    assert ids == ids_of(claims)


def test_an_id_that_is_given_twice_is_an_error_with_both_places() -> None:
    with Scan() as scan:
        fill(scan, [("same", True), ("other", True), ("same", True), ("same", False)])
        with pytest.raises(ManifestError) as caught:
            scan.finish()
    (problem,) = caught.value.problems
    assert (problem.file, problem.line, problem.column, problem.path) == ("m.yaml", 12, 5, "sources.urls[2]")
    assert problem.message == "the id 'same' is taken already, at m.yaml:10:5"
    assert caught.value.exit_code == 65


def test_all_ids_that_are_given_twice_are_told_at_once() -> None:
    with Scan() as scan:
        fill(scan, [("a", True), ("b", True), ("a", True), ("b", True), ("b", True)])
        with pytest.raises(ManifestError) as caught:
            scan.finish()
    assert [problem.line for problem in caught.value.problems] == [12, 13, 14]


def digest_of(claims: Sequence[Claim], labels: str | None = None) -> str:
    with Scan() as scan:
        fill(scan, claims, labels=labels)
        scan.finish()
        return scan.digest


def test_the_digest_tells_whether_two_plans_would_differ() -> None:
    claims = [("a", False), ("b", False)]
    assert digest_of(claims) == digest_of(claims)
    assert len({digest_of(claims), digest_of(claims[:1]), digest_of(claims[::-1]), digest_of(claims, '{"x":1}')}) == 4


def test_the_scratch_file_goes_when_it_is_closed() -> None:
    scan = Scan()
    path = scan.path
    assert path.exists()
    scan.close()
    assert not path.parent.exists()


@given(st.text(min_size=1).filter(lambda s: "\t" not in s), st.integers(1), st.integers(1), st.text())
def test_a_place_is_read_as_it_was_written(file: str, line: int, column: int, path: str) -> None:
    assert parse_place(format_place(file, line, column, path)) == (file, line, column, path)


def test_more_items_than_are_held_at_once_are_all_there(tmp_path: Path) -> None:
    claims = [(f"n{number}", False) for number in range(4_500)]
    assert ids_of(claims) == [name for name, _ in claims]


@pytest.mark.sweep
def test_a_machine_without_a_thread_to_spare_stages_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    claims = [(f"n{number}", False) for number in range(4_500)]
    whole = digest_of(claims)
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    assert ids_of(claims) == [name for name, _ in claims]
    assert digest_of(claims) == whole


def test_what_cannot_be_written_aside_is_told_when_the_scan_ends() -> None:
    with Scan() as scan:
        scan._db.execute("PRAGMA max_page_count = 12")
        fill(scan, [(f"n{number}", False) for number in range(2_500)])
        with pytest.raises(NoRoom, match="the temporary folder does not take the list of sources"):
            scan.finish()

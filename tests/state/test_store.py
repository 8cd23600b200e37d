"""Facts about the store that runs alone do not show. Real SQLite; the state comes from runs with the fake service."""

from __future__ import annotations

import contextlib
import json
import sqlite3

import pytest

from hume_runner.errors import AuthError, StateError
from hume_runner.services.jobs import Draft, Member, Outcome
from hume_runner.services.lost import Candidate
from hume_runner.state.disk import Disk
from hume_runner.state.lifecycle import IllegalMoveError, JobStatus
from hume_runner.state.reader import StateReader
from hume_runner.state.rows import StoredAnswer, nonce_of
from hume_runner.state.store import Store
from tests.fakes import START, World, plan_item


def submitting(store: Store, number: int) -> None:
    store.record_submitting(
        number, nonce="n", sha256="s", request={}, matches={0: "m"}, endpoint="e", clock_offset=None, now=START
    )


def test_what_a_run_left_is_counted(store: Store) -> None:
    counts = store.counts()
    assert counts.items == {"total": 3, "pending": 2, "in_flight": 1, "done": 0, "failed": 0, "ambiguous": 0}
    assert counts.jobs == {"planned": 2, "submitting": 0, "submitted": 1, "done": 0, "failed": 0, "ambiguous": 0}
    assert [number for number, _ in store.planned(10)] == [2, 3]
    assert [number for number, _ in store.planned(10, beyond=2)] == [3]
    assert [number for number, _ in store.planned(1)] == [2]


def test_a_move_that_the_table_does_not_have_changes_nothing(store: Store) -> None:
    serial = store.serial
    with pytest.raises(IllegalMoveError):
        store.record_accepted(2, "r", created_at=None, simulated=False, now=START)
    with pytest.raises(IllegalMoveError):
        store.record_lost(1, "what?", START, took_s=0.0)
    assert store.job(2).status is JobStatus.PLANNED
    assert store.job(1).status is JobStatus.SUBMITTED
    assert store.serial == serial


def test_every_fact_moves_the_serial_and_outputs_do_not(store: Store) -> None:
    serials = [store.serial]
    submitting(store, 2)
    serials.append(store.serial)
    store.record_accepted(2, "r", created_at=None, simulated=False, now=START)
    serials.append(store.serial)
    assert serials == [serials[0], serials[0] + 1, serials[0] + 2]
    store.record_outputs([StoredAnswer(name="o", path="o", size=1, sha256="x")], START)
    store.remember(told=1)
    assert store.serial == serials[-1]


def test_a_remote_id_belongs_to_one_job(store: Store) -> None:
    submitting(store, 2)
    store.record_accepted(2, "r", created_at=None, simulated=False, now=START)
    submitting(store, 3)
    with pytest.raises(StateError):
        store.record_accepted(3, "r", created_at=None, simulated=False, now=START)
    assert store.job(3).status is JobStatus.SUBMITTING
    assert store.knows_remote("e", "r")
    assert not store.knows_remote("elsewhere", "r")


def test_a_crash_while_submitting_is_a_lost_answer(world: World, store: Store) -> None:
    submitting(store, 2)
    store.close()
    with Store.create_or_open(world.state, disk=Disk(), name="fake", lineage="unused") as again:
        assert again.recover(START + 1) == [2]
        assert again.job(2).status is JobStatus.AMBIGUOUS
        assert again.job(2).error == "the run ended before the answer came"
        assert again.recover(START + 2) == []


def test_nonces_are_told_by_state_job_and_try_and_a_copy_makes_the_same() -> None:
    assert nonce_of("lineage", 1, 1, "key") == nonce_of("lineage", 1, 1, "key")
    nonces = {nonce_of(a, job, tries, key) for a in "ab" for job in (1, 11) for tries in (1, 11) for key in "cd"}
    assert len(nonces) == 16
    assert all(len(nonce) == 10 and nonce.isalnum() for nonce in nonces)


def test_an_outcome_without_a_word_leaves_its_member_alone(store: Store) -> None:
    store.record_finished(
        1,
        answers=[StoredAnswer(name="predictions.json", path="raw/x/predictions.json", size=2, sha256="aa")],
        outcomes=[Outcome(position=0, ok=False, reason="bad", message="no face")],
        times={"created_at": 1.0, "started_at": 2.0, "ended_at": 3.0},
        simulated=True,
        now=START,
    )
    (item, *_) = store.items()
    assert (item.status, item.reason, item.error, item.simulated) == ("failed", "bad", "no face", True)
    assert store.failures() == {"bad": 1}
    assert store.failed_items() == (1, 3)
    assert [answer.path for _, answer in store.answers(1)] == ["raw/x/predictions.json"]
    assert store.job(1).ended_at == 3.0


def test_halves_take_the_place_of_a_refused_job(store: Store) -> None:
    submitting(store, 2)
    member = Member(item=store.load_job(2).members[0].item)
    store.record_split(2, "too much", [Draft(members=(member,), size_bytes=1)], START)
    assert store.job(2).status is JobStatus.FAILED
    assert store.counts().items["failed"] == 0
    assert [number for number, _ in store.planned(10)] == [3, 4]
    assert store.load_job(4).members[0].item.id == "b"


def test_an_adopted_job_takes_its_members_from_planned_ones(store: Store) -> None:
    member = Member(item=store.load_job(3).members[0].item)
    number = store.adopt(
        Draft(members=(member,), size_bytes=1),
        remote_id="theirs",
        endpoint="e",
        nonce="",
        matches=["m"],
        request={},
        created_at=5.0,
        simulated=False,
        now=START,
    )
    assert store.job(number).status is JobStatus.SUBMITTED
    assert [planned for planned, _ in store.planned(10)] == [2]
    assert store.status_of(member.item.key) == "in_flight"


def test_requests_are_counted_over_runs(world: World, store: Store) -> None:
    store.count_request("list", 2)
    assert store.requests() == {"list": 2}
    store.remember(told=1)
    store.count_request("list")
    store.count_request("submit")
    assert store.requests() == {"list": 3, "submit": 1}
    with StateReader.peek(world.state) as reader:
        assert reader.requests() == {"list": 2}


def test_the_export_is_everything_as_json(store: Store) -> None:
    tables = {table: list(rows) for table, rows in store.export()}
    json.dumps(tables)
    assert [row["id"] for row in tables["items"]] == ["a", "b", "c"]
    assert len(tables["items"][0]["key"]) == 64
    assert {"jobs", "members", "measurements", "attempts", "answers", "duplicates", "requests"} <= set(tables)


def test_a_failing_commit_is_rolled_back_and_told_in_words(world: World) -> None:
    class Full(Disk):
        full = False

        def commit(self, db: sqlite3.Connection, what: str) -> None:
            if self.full:
                raise sqlite3.OperationalError("database or disk is full")
            super().commit(db, what)

    disk = Full()
    with Store.create_or_open(world.state, disk=disk, name="fake", lineage="unused") as store:
        disk.full = True
        with pytest.raises(StateError, match="No space left on device") as caught:
            submitting(store, 2)
        assert "run the same command again" in caught.value.hint
        disk.full = False
        assert store.job(2).status is JobStatus.PLANNED
        submitting(store, 2)


def test_a_state_in_memory_knows_nothing() -> None:
    with StateReader.empty("none") as store:
        assert store.counts().items["total"] == 0
        assert (store.lineage, store.serial) == ("", 0)
        assert store.knows_nothing()
        assert store.find_item("text", bytes.fromhex(plan_item("a").content_sha256)) is None


def test_simulated_is_what_is_listed_and_not_what_once_was(world: World, store: Store) -> None:
    assert store.any_simulated()
    assert not store.any_measured()
    store.close()
    world.sources = ["d"]
    world.service.greeting = AuthError("not now", status=401)
    assert world.run().exit_code == 7
    with StateReader.peek(world.state) as reader:
        assert not reader.any_simulated()


@pytest.mark.sweep
def test_a_chain_of_thousands_fails_as_a_whole(store: Store) -> None:
    member = Member(item=store.load_job(2).members[0].item)
    links = [Draft(members=(member,), size_bytes=1, after=1 if n else None) for n in range(3_000)]
    free = store.record_prepared(2, links, (), START)
    assert len(free) == 1
    store.record_rejected_unsent(free[0], "gone", "it is gone", START)
    assert store.counts().jobs["failed"] == 3_000
    assert store.counts().items["failed"] == 1


def test_what_was_sent_again_unproven_stays_committed_until_it_is_known(store: Store) -> None:
    member = Member(item=store.load_job(2).members[0].item)
    [number] = store.record_prepared(2, [Draft(members=(member,), size_bytes=1, billable_seconds=7.0)], (), START)

    def lose() -> None:
        submitting(store, number)
        store.record_lost(number, "cut", START, took_s=1.0)

    lose()
    assert (store.committed_seconds(), store.unproven_seconds(), store.possible_seconds()) == (7.0, 0.0, 7.0)
    store.record_missed(number, START)
    assert (store.committed_seconds(), store.unproven_seconds(), store.possible_seconds()) == (7.0, 7.0, 7.0)
    lose()
    store.record_missed(number, START)
    submitting(store, number)
    store.record_refused(number, "busy", START)  # the one proof that nothing was billed
    assert (store.committed_seconds(), store.billed_seconds()) == (14.0, None)
    found = Candidate(remote_id="late", matches={}, created_at=START, gone=True, billed_seconds=7.0)
    for _ in range(2):
        store.record_duplicate(number, "e", found, START)
        assert (store.committed_seconds(), store.possible_seconds(), store.billed_seconds()) == (14.0, 7.0, 7.0)


def test_what_was_agreed_to_is_known_by_host_once_it_is_taken_and_told_until_it_is_sure(store: Store) -> None:
    store.record_agreed(2, "e", ["x", "y"], START)
    store.record_agreed(0, "e", ["ours"], START)
    assert [store.is_agreed("e", one) for one in ("x", "y", "ours", "z")] == [False, False, True, False]
    assert store.perhaps_paid_twice() == []
    submitting(store, 2)
    store.record_accepted(2, "r", created_at=None, simulated=False, now=START)
    assert [store.is_agreed("e", one) for one in ("x", "y", "ours", "z")] == [True, True, True, False]
    assert not store.is_agreed("elsewhere", "x")
    assert store.perhaps_paid_twice() == [("x", 2), ("y", 2)]
    store.record_duplicate(2, "e", Candidate(remote_id="x", matches={}, created_at=START, billed_seconds=1.0), START)
    assert store.perhaps_paid_twice() == [("y", 2)]


def test_what_is_recorded_together_is_recorded_whole_or_not_at_all(store: Store) -> None:
    for fails in (True, False):
        with contextlib.suppress(KeyError), store.together("facts"):
            store.remember(one="1")
            store.remember(two="2")
            if fails:
                raise KeyError
        assert (store.meta("one"), store.meta("two")) == ((None, None) if fails else ("1", "2"))
    store.remember(three="3")
    assert store.meta("three") == "3"

"""What is in doubt, was given up or was agreed to stays as it is until the service has what it is about.

The table: whatever is recorded, whatever comes between. Real SQLite; the states come from runs with the fake service.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from hume_runner.services.jobs import Draft, Member, Outcome
from hume_runner.state.disk import Disk
from hume_runner.state.lifecycle import JobStatus
from hume_runner.state.migrations import MIGRATIONS, migrate
from hume_runner.state.planning import KEPT_BY_KEY
from hume_runner.state.rows import StoredAnswer
from hume_runner.state.said import Said
from hume_runner.state.store import Store
from tests.fakes import START, World
from tests.tiers import sampled

E = "https://fake.example.org"
ANSWER = StoredAnswer(name="predictions.json", path="raw/one/predictions.json", size=2, sha256="00")


def open_store(folder: Path) -> Store:
    return Store.create_or_open(folder / "out" / "state.sqlite3", disk=Disk(), name="fake", lineage="unused")


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three items: `a` is at the service, job 2 carries `b` and job 3 `c`, never sent."""
    folder = tmp_path_factory.mktemp("left")
    world = World(folder, "abc")
    world.service.most = 1
    world.service.processing_s = 1000.0
    world.run(max_jobs_in_flight=1, interrupts=[1.0])
    return folder


@pytest.fixture
def store(tmp_path: Path, left: Path) -> Iterator[Store]:
    shutil.copytree(left / "out", tmp_path / "out")
    with open_store(tmp_path) as store:
        yield store


def planned(*members: Member) -> Draft:
    return Draft(members=members, size_bytes=1, billable_seconds=1.0)


def members_of(store: Store, number: int) -> tuple[Member, ...]:
    return tuple(Member(item=one.item) for one in store.load_job(number).members)


def last(store: Store) -> int:
    """The job that carries what is in doubt, as it is planned by now."""
    return max(row.number for row in store.jobs())


def submit(store: Store, number: int) -> None:
    store.record_submitting(
        number,
        nonce=f"n{number}",
        sha256="s",
        request={},
        matches={0: "m"},
        endpoint=E,
        clock_offset=0.0,
        now=START,
    )


def lose(store: Store, number: int) -> None:
    submit(store, number)
    store.record_lost(number, "cut", START, took_s=1.0)


def finish(store: Store, number: int) -> None:
    outcomes = [Outcome(position=one.position, ok=True) for one in store.load_job(number).members]
    store.record_finished(number, answers=[ANSWER], outcomes=outcomes, times={}, simulated=False, now=START)


# -- what is recorded: each leaves a planned job, the last one, with something in doubt that is no other job's

Recorded = Callable[[Store], bytes]


def a_lost_submission(store: Store) -> bytes:
    lose(store, 2)
    store.record_missed(2, START, doubt="its answer was lost")
    return again(store)


def a_lost_answer(store: Store) -> bytes:
    finish(store, 1)
    member = members_of(store, 1)[0]
    store.record_answer_lost(1, START, pays=True)
    store.record_prepared(2, [planned(member)], (), START)
    return member.item.key


def a_suspect(store: Store) -> bytes:
    store.record_agreed(2, E, ["suspect"], START, doubt="the service has something of this size")
    return again(store)


def all_that_was_planned(store: Store) -> bytes:
    store.record_agreed_to_all(E, ["stray"], START, doubt="an answer lies there", whole=True)
    return again(store)


def again(store: Store) -> bytes:
    """The job behind the others, so that all find it the same way."""
    members = members_of(store, 2)
    store.record_prepared(2, [planned(*members)], (), START)
    return members[0].item.key


RECORDED: dict[str, Recorded] = {
    one.__name__: one for one in (a_lost_submission, a_lost_answer, a_suspect, all_that_was_planned)
}


# -- what comes between: nothing of it says that the service has it


def intended(store: Store, number: int) -> None:
    submit(store, number)


def refused(store: Store, number: int) -> None:
    submit(store, number)
    store.record_refused(number, "busy", START)


def rejected(store: Store, number: int) -> None:
    submit(store, number)
    store.record_rejected(number, "bad_request", "no", START)


def lost_again(store: Store, number: int) -> None:
    lose(store, number)


def proven_not_to_be_there(store: Store, number: int) -> None:
    lose(store, number)
    store.record_missed(number, START)


def killed_on_its_way(store: Store, number: int) -> None:
    submit(store, number)
    store.recover(START)


def answered_with_another_s_id(store: Store, number: int) -> None:
    submit(store, number)
    store.record_misled(number, "another's", START)


def split(store: Store, number: int) -> None:
    submit(store, number)
    store.record_split(number, "no", [planned(*members_of(store, number))], START)


def prepared_anew(store: Store, number: int) -> None:
    store.record_prepared(number, [planned(*members_of(store, number))], (), START)


def not_readable(store: Store, number: int) -> None:
    store.record_rejected_unsent(number, "source_unreadable", "gone", START)


def agreed_to_once_more(store: Store, number: int) -> None:
    store.record_agreed(number, E, ["other"], START, doubt="another of this size")
    refused(store, number)


def another_was_taken(store: Store, number: int) -> None:
    """Of what is planned, not of this."""
    submit(store, 3)
    store.record_accepted(3, "another", created_at=START, simulated=False, now=START)


# -- and what does


def accepted(store: Store, number: int) -> None:
    submit(store, number)
    store.record_accepted(number, "r", created_at=START, simulated=False, now=START)


def found(store: Store, number: int) -> None:
    lose(store, number)
    store.record_found(number, "r", endpoint=E, matches={}, created_at=START, simulated=False, others=(), now=START)


def said_of(number: int) -> Said:
    return Said(
        number=number,
        nonce=f"n{number}",
        asked="s",
        endpoint=E,
        remote_id="r",
        created_at=START,
        simulated=False,
        at=START,
    )


def rescued(store: Store, number: int) -> None:
    lose(store, number)
    assert store.record_rescued(said_of(number), None, START)


def rescued_after_it_was_missed(store: Store, number: int) -> None:
    proven_not_to_be_there(store, number)
    assert store.record_rescued(said_of(number), None, START)


def adopted_as_it_is(store: Store, number: int) -> None:
    store.record_adopted(
        number, remote_id="r", endpoint=E, request={}, matches={}, created_at=START, simulated=False, now=START
    )


def adopted(store: Store, number: int) -> None:
    draft = planned(*members_of(store, number))
    store.adopt(
        draft,
        remote_id="r",
        endpoint=E,
        nonce="",
        matches=["m"],
        request={"adopted": True},
        created_at=START,
        simulated=False,
        now=START,
    )


def carried_by_one_that_was_adopted(store: Store, number: int) -> None:
    draft = planned(*members_of(store, number))
    adopted_as_it_is(store, 3)
    store.extend(3, draft, matches=["m"], now=START)


def measured_and_its_answer_lost(store: Store, number: int) -> None:
    """What becomes of it now is another question."""
    lose(store, number)
    store.record_gone(number, "r", 1.0, START)


STAYS: list[Callable[[Store, int], None]] = [
    *(intended, refused, rejected, lost_again, proven_not_to_be_there, killed_on_its_way, answered_with_another_s_id),
    *(split, prepared_anew, not_readable, agreed_to_once_more, another_was_taken),
]
GOES: list[Callable[[Store, int], None]] = [
    *(accepted, found, rescued, rescued_after_it_was_missed, adopted_as_it_is, adopted),
    *(carried_by_one_that_was_adopted, measured_and_its_answer_lost),
]


def in_doubt(store: Store, key: bytes) -> bool:
    return bool(store._db.execute("SELECT 1 FROM doubts WHERE key = ?", (key,)).fetchone())


@sampled(20)
@pytest.mark.parametrize("recorded", RECORDED)
@pytest.mark.parametrize("event", [*STAYS, *GOES], ids=lambda one: one.__name__)
def test_what_is_in_doubt_stays_until_the_service_has_it(
    store: Store, recorded: str, event: Callable[[Store, int], None]
) -> None:
    key = RECORDED[recorded](store)
    given_up = recorded == "a_lost_answer"
    assert (in_doubt(store, key), bool(store.answers_given_up())) == (True, given_up)
    event(store, last(store))
    stays = event in STAYS
    assert in_doubt(store, key) is stays
    assert bool(store.answers_given_up()) is (stays and given_up)


@sampled(6)
@pytest.mark.parametrize("event", [*STAYS, *GOES], ids=lambda one: one.__name__)
def test_an_answer_that_is_back_counts_as_it_did_unless_the_service_has_it_anew(
    store: Store, event: Callable[[Store, int], None]
) -> None:
    key = a_lost_answer(store)
    event(store, last(store))
    for number in store.answers_given_up():
        store.record_answer_back(number, START)
    done = store._db.execute("SELECT outcome, job FROM measurements WHERE key = ?", (key,)).fetchone() == ("done", 1)
    assert done is (event in STAYS)
    assert not in_doubt(store, key)
    # And nothing sends it any more, whatever job carries it.
    carrying = [
        row.number
        for row in store.jobs(JobStatus.PLANNED)
        if key in {m.item.key for m in store.load_job(row.number).members}
    ]
    assert not done or all(key in store.left_out(number) for number in carrying)


@sampled(6)
@pytest.mark.parametrize("event", [*STAYS, *GOES], ids=lambda one: one.__name__)
def test_consent_counts_for_a_suspect_once_the_service_has_what_it_was_for(
    store: Store, event: Callable[[Store, int], None]
) -> None:
    key = a_suspect(store)
    number = last(store)
    store.record_agreed(number, E, ["suspect"], START)
    event(store, number)
    taken = event in (accepted, found, rescued, rescued_after_it_was_missed, adopted_as_it_is)
    assert store.is_agreed(E, "suspect") is taken
    assert [one for one, _ in store.perhaps_paid_twice() if one == "suspect"] == ["suspect"] * taken
    carrying = store._db.execute("SELECT max(job) FROM members WHERE key = ?", (key,)).fetchone()[0]
    assert store.is_agreed_for_job(E, "suspect", carrying) is taken


def test_of_what_goes_in_parts_nothing_is_settled_while_one_is_still_to_be_taken(store: Store) -> None:
    a_lost_submission(store)
    (member,) = members_of(store, last(store))
    parts = [Member(item=member.item, detail={"part": n}) for n in range(2)]
    first, second = store.record_prepared(last(store), [planned(one) for one in parts], (), START)
    submit(store, first)
    store.record_accepted(first, "r1", created_at=START, simulated=False, now=START)
    assert store.doubts(second)
    refused(store, second)
    assert store.doubts(second)
    submit(store, second)
    store.record_accepted(second, "r2", created_at=START, simulated=False, now=START)
    assert not in_doubt(store, member.item.key)


def test_an_answer_comes_back_for_what_was_not_taken_anew_alone(store: Store) -> None:
    b, c = (*members_of(store, 2), *members_of(store, 3))
    store._give_up([c.item.key])
    (both,) = store.record_prepared(2, [planned(b, c)], (), START)
    accepted(store, both)
    finish(store, both)
    store.record_answer_lost(both, START, pays=True)
    store._insert_jobs([planned(b), planned(c)])
    sent = last(store) - 1
    submit(store, sent)
    store.record_accepted(sent, "r2", created_at=START, simulated=False, now=START)
    assert [*store.answers_given_up()] == [both]
    store.record_answer_back(both, START)
    rows = dict(store._db.execute("SELECT key, outcome FROM measurements"))
    assert (rows[b.item.key], rows[c.item.key]) == ("pending", "done")


def test_one_doubt_hides_no_other(store: Store) -> None:
    """Of a lost submission of the same item, whose row an earlier version left."""
    store._db.execute("INSERT INTO doubts (key, answer, at, why) SELECT key, 0, 0, 'stale' FROM members WHERE job = 1")
    key = a_lost_answer(store)
    store.record_answer_back(1, START)
    assert store._db.execute("SELECT outcome, job FROM measurements WHERE key = ?", (key,)).fetchone() == ("done", 1)
    assert not in_doubt(store, key)


def test_consent_to_all_covers_what_was_planned_then_by_its_content(store: Store) -> None:
    first, second = (store.load_job(number).members[0].item.id for number in (2, 3))
    store.record_agreed_to_all(E, ["stray", "more"], START, doubt="it lies there", whole=True)
    assert store.is_agreed_for_planned(E, "stray"), "each item is asked about by itself"
    assert store.is_agreed_for_source(E, "stray", first)
    accepted(store, 2)
    listed_later = (
        "INSERT INTO items SELECT 99, 'later', kind, x'0909', value, path, inside, place, labels, 0 FROM items LIMIT 1"
    )
    measured = "INSERT INTO measurements (key, kind, content, settings, size) VALUES (x'0909', 'url', x'07', x'00', 1)"
    store._db.execute(listed_later)
    store._db.execute(measured)
    store._db.execute("INSERT INTO members (job, position, key) VALUES (3, 9, x'0909')")
    store._agreed_planned.clear()
    store._db.execute("DROP TABLE temp.taken_content")  # as another run finds it
    assert not store.is_agreed_for_planned(E, "stray")
    assert not store.is_agreed_for_source(E, "stray", "later")
    assert store.is_agreed_for_source(E, "more", first)
    assert store.is_agreed_for_source(E, "more", second)
    assert store.doubts(3).keys() == {store.load_job(3).members[0].item.key}


def test_who_agreed_to_a_part_is_asked_about_the_rest(store: Store) -> None:
    store.record_agreed_to_all(E, ["stray"], START, doubt="it lies there", whole=False)
    assert not store.is_agreed(E, "stray")
    assert not store.is_agreed_to_all(E, "stray")
    store.record_agreed_to_all(E, ["stray"], START, doubt="it lies there", whole=True)
    assert store.is_agreed(E, "stray")


# -- keys and schemas -------------------------------------------------------------------------------------------------


def test_whatever_is_kept_by_an_item_s_key_gets_its_new_key(store: Store) -> None:
    """A table that is added with such a column belongs into `KEPT_BY_KEY`, or beside these two, with a reason."""
    tables = [name for (name,) in store._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    keyed = {
        table
        for table in tables
        if ("key", "BLOB") in {(row[1], row[2]) for row in store._db.execute(f"PRAGMA table_info({table})")}
    }
    itself, made_anew = "measurements", "items"  # by each plan
    assert keyed == {*KEPT_BY_KEY, itself, made_anew}


def at_version(path: Path, version: int) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None)
    for step in MIGRATIONS[:version]:
        step(db)
    db.execute(f"PRAGMA user_version = {version}")
    return db


def test_doubts_of_an_earlier_version_go_on_but_for_those_that_are_over(tmp_path: Path) -> None:
    with closing(at_version(tmp_path / "state.sqlite3", 13)) as db:
        add = "INSERT INTO measurements (key, kind, content, settings, size, outcome, job) "
        add += "VALUES (?, 'text', ?, x'', 1, ?, ?)"
        db.executemany(add, [(b"s", b"s", "pending", 2), (b"l", b"l", "pending", 3), (b"d", b"d", "done", 4)])
        jobs = "INSERT INTO jobs (job, key, status, sources, bytes) VALUES (?, 'k', ?, 1, 1)"
        db.executemany(jobs, [(1, "done"), (2, "planned"), (3, "planned"), (4, "done")])
        members = "INSERT INTO members (job, position, key, outcome, reason) VALUES (?, 0, ?, ?, ?)"
        db.executemany(members, [(1, b"l", "failed", "answer_lost"), (2, b"s", None, None), (3, b"l", None, None)])
        db.execute("INSERT INTO members (job, position, key, outcome) VALUES (4, 0, x'64', 'done')")
        db.execute("INSERT INTO given_up VALUES (1, 'n', 'raw/n', 1, '00')")
        rows = [(b"s", 1.0, "lost", None, None), (b"l", 2.0, "on disk", 1, None), (b"d", 3.0, "stale", None, None)]
        db.executemany("INSERT INTO doubts VALUES (?, ?, ?, ?, ?)", rows)
        db.execute("INSERT INTO agreed VALUES ('e', 'r', 0, 4.0)")
        migrate(db)
        assert db.execute("SELECT key, answer, at, why, job FROM doubts ORDER BY at").fetchall() == [
            (b"s", 0, 1.0, "lost", None),
            (b"l", 1, 2.0, "on disk", 1),
        ]
        assert db.execute("SELECT whole, attempt FROM agreed").fetchall() == [(1, 0)]


def test_a_million_items_are_settled_by_their_indexes(store: Store) -> None:
    """Each statement that an acceptance asks looks up what its job carries, and nothing else."""
    asked: list[str] = []
    number = last(store)
    submit(store, number)
    store._db.set_trace_callback(asked.append)
    store.record_accepted(number, "r", created_at=START, simulated=False, now=START)
    store._db.set_trace_callback(None)
    settling = [sql for sql in asked if sql.startswith(("DELETE FROM doubts", "DELETE FROM given_up"))]
    assert len(settling) == 2
    for sql in settling:
        plan = [row[3] for row in store._db.execute(f"EXPLAIN QUERY PLAN {sql}")]
        scans = [step for step in plan if step.startswith("SCAN")]
        assert not scans, plan

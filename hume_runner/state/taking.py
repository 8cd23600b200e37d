"""Which of a shard's measurements the whole takes, with the members that carry them: those of jobs that were counted,
if they tell more than what the whole has.

The shard's state is attached as `theirs`, its jobs that are new or went on stand in `temp.numbering`, and
`main.merged_jobs` has which job is which (see `merging`). Of a shard that has nothing new nothing is taken again: the
whole has gone on since.
"""

from __future__ import annotations

import sqlite3

from hume_runner.frozen import frozen

# Of a job that was given up, and is asked for once more, the members stay as they were until it is answered.
_HELD = (
    "EXISTS (SELECT 1 FROM {0}.members b JOIN {0}.jobs j ON j.job = b.job WHERE b.key = m.key "
    "AND (b.outcome IS NOT 'failed' OR b.job = m.job) AND {1})"
)
# How telling a measurement is: what is measured (4) before what may be at the service (3), then failed (2), then what
# may have been paid for and is to be sent again, then never sent.
_RANK = (
    "CASE WHEN m.outcome = 'done' THEN 4 WHEN m.outcome = 'failed' THEN 2 WHEN "  # noqa: S608
    + _HELD.replace("{1}", "j.status NOT IN ('planned', 'failed')")
    + " THEN 3 WHEN EXISTS (SELECT 1 FROM {0}.doubts d WHERE d.key = m.key) THEN 1 ELSE 0 END"
)
# What the service surely has for the whole is waited for, and nobody takes its job's members away: it would be a
# stranger's.
_OURS = (
    "CASE WHEN m.outcome = 'pending' AND "
    + _HELD.format("main", "j.status = 'submitted' AND (b.outcome IS NULL OR b.job = m.job)")
    + " THEN 4 ELSE "
    + _RANK.format("main")
    + " END"
)


@frozen
class Took:
    """`items` that are measured by it. `again`: those that the whole had measured as well, with the first of their ids:
    what it had counts, and the other answer is kept."""

    items: int
    again: int
    names: tuple[str, ...]


def take(db: sqlite3.Connection, lineage: str) -> Took:
    """Take them, and leave their keys in `temp.chosen`, until `forget`."""
    # Jobs by their numbers here: `merged_jobs` has them by those of the shard.
    db.execute("CREATE TEMP TABLE theirs_here (job INTEGER PRIMARY KEY)")
    db.execute("INSERT OR IGNORE INTO theirs_here SELECT job FROM main.merged_jobs WHERE lineage = ?", (lineage,))
    _compare(db, lineage)
    again, names = _measured_twice(db, lineage)
    _choose(db, lineage)
    _take_members(db, lineage)
    _take_measurements(db, lineage)
    (items,) = db.execute("SELECT count(*) FROM temp.chosen WHERE rank = 4").fetchone()
    return Took(items=items, again=again, names=names)


def forget(db: sqlite3.Connection) -> None:
    for table in ("chosen", "homes", "theirs_here"):
        db.execute(f"DROP TABLE temp.{table}")


def _compare(db: sqlite3.Connection, lineage: str) -> None:
    """What they have of what their counted jobs carry, and of what nobody here has heard of, beside what is here."""
    db.execute("CREATE TEMP TABLE chosen (key BLOB PRIMARY KEY, rank INTEGER, ours INTEGER) WITHOUT ROWID")
    db.execute(
        "INSERT OR IGNORE INTO temp.chosen (key) SELECT b.key FROM temp.numbering n "
        "CROSS JOIN theirs.members b ON b.job = n.theirs WHERE n.lineage = ?",
        (lineage,),
    )
    db.execute(
        "INSERT OR IGNORE INTO temp.chosen (key) SELECT m.key FROM theirs.measurements m "
        "WHERE NOT EXISTS (SELECT 1 FROM main.measurements o WHERE o.key = m.key)"
    )
    db.execute(
        "UPDATE temp.chosen SET "  # noqa: S608
        f"rank = coalesce((SELECT {_RANK.format('theirs')} FROM theirs.measurements m WHERE m.key = chosen.key), -1), "
        f"ours = coalesce((SELECT {_OURS} FROM main.measurements m WHERE m.key = chosen.key), -1)"
    )


def _measured_twice(db: sqlite3.Connection, lineage: str) -> tuple[int, tuple[str, ...]]:
    """How many of them were measured here as well, and the first ids of those. What is taken once more from a shard
    that was merged before is no second measurement."""
    twice = (
        "FROM temp.chosen c WHERE c.rank > 1 AND c.ours > 1 AND EXISTS ("
        "SELECT 1 FROM theirs.members b CROSS JOIN temp.numbering n ON n.lineage = ? AND n.theirs = b.job "
        "WHERE b.key = c.key AND NOT n.joined) AND EXISTS ("
        "SELECT 1 FROM main.members b WHERE b.key = c.key AND b.job NOT IN (SELECT job FROM temp.theirs_here))"
    )
    (again,) = db.execute(f"SELECT count(*) {twice}", (lineage,)).fetchone()
    names = db.execute(
        f"SELECT min(i.id) FROM theirs.items i WHERE i.key IN (SELECT c.key {twice}) GROUP BY i.key LIMIT 5",  # noqa: S608
        (lineage,),
    ).fetchall()
    return int(again), tuple(row[0] for row in names)


def _choose(db: sqlite3.Connection, lineage: str) -> None:
    # Of what may be at the service in several jobs they may have more of the jobs, where all that is here is theirs.
    db.execute(
        "DELETE FROM temp.chosen WHERE rank <= ours AND NOT (rank = 3 AND ours = 3 AND NOT EXISTS ("
        "SELECT 1 FROM main.members b WHERE b.key = chosen.key AND b.job NOT IN (SELECT job FROM temp.theirs_here)))"
    )
    # A measurement that is not taken leaves its job without that member: the answer is kept, and counted as paid.
    db.execute(
        "INSERT OR IGNORE INTO main.retried SELECT n.job, b.key FROM temp.numbering n "
        "CROSS JOIN theirs.members b ON b.job = n.theirs WHERE n.lineage = ? AND NOT n.joined "
        "AND b.key NOT IN (SELECT key FROM temp.chosen)",
        (lineage,),
    )


def _take_members(db: sqlite3.Connection, lineage: str) -> None:
    """What carried them here, in jobs that were sent, gives them up; what carries them there does so here."""
    worse = (
        "FROM temp.chosen c CROSS JOIN main.members b ON b.key = c.key CROSS JOIN main.jobs j ON j.job = b.job "
        "WHERE c.ours >= 0 AND j.status != 'planned'"
    )
    db.execute(
        f"INSERT OR IGNORE INTO main.retried SELECT b.job, b.key {worse} "  # noqa: S608
        "AND b.job NOT IN (SELECT job FROM temp.theirs_here)"
    )
    db.execute(f"DELETE FROM main.members WHERE (job, position) IN (SELECT b.job, b.position {worse})")  # noqa: S608
    # A job that the whole has planned anew carries them as it is.
    db.execute("CREATE TEMP TABLE homes (theirs INTEGER PRIMARY KEY, job INTEGER NOT NULL, beyond INTEGER)")
    db.execute(
        "INSERT OR IGNORE INTO temp.homes (theirs, job) SELECT b.job, d.job FROM temp.chosen c "
        "CROSS JOIN theirs.members b ON b.key = c.key "
        "CROSS JOIN main.merged_jobs d ON d.lineage = ? AND d.theirs = b.job "
        "CROSS JOIN main.jobs j ON j.job = d.job WHERE j.status != 'planned'",
        (lineage,),
    )
    # Of a job that is the same, another shard has counted its own sources by the same positions.
    db.execute(
        "UPDATE temp.homes SET beyond = CASE WHEN EXISTS (SELECT 1 FROM main.members o JOIN theirs.members t "
        "ON t.job = homes.theirs AND t.position = o.position WHERE o.job = homes.job AND o.key != t.key) "
        "THEN (SELECT max(o.position) + 1 FROM main.members o WHERE o.job = homes.job) ELSE 0 END"
    )
    db.execute(
        "INSERT INTO main.members (job, position, key, match, detail, outcome, reason, error) "
        "SELECT h.job, b.position + h.beyond, b.key, b.match, b.detail, b.outcome, b.reason, b.error "
        "FROM temp.homes h CROSS JOIN theirs.members b ON b.job = h.theirs "
        "WHERE b.key IN (SELECT key FROM temp.chosen)"
    )


def _take_measurements(db: sqlite3.Connection, lineage: str) -> None:
    db.execute("INSERT OR IGNORE INTO main.settings SELECT digest, json FROM theirs.settings")
    db.execute(
        "INSERT INTO main.measurements (key, kind, content, settings, size, facts, outcome, reason, error, job, "
        "simulated, md5, parts) SELECT m.key, m.kind, m.content, m.settings, m.size, m.facts, m.outcome, m.reason, "
        "m.error, (SELECT d.job FROM main.merged_jobs d JOIN main.jobs j ON j.job = d.job "
        "WHERE d.lineage = ? AND d.theirs = m.job), m.simulated, m.md5, m.parts "
        "FROM temp.chosen c CROSS JOIN theirs.measurements m ON m.key = c.key WHERE true "
        "ON CONFLICT (key) DO UPDATE SET outcome = excluded.outcome, reason = excluded.reason, "
        "error = excluded.error, job = excluded.job, simulated = excluded.simulated, parts = excluded.parts, "
        "md5 = coalesce(excluded.md5, measurements.md5), facts = coalesce(excluded.facts, measurements.facts)",
        (lineage,),
    )

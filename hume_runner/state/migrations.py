"""The schema of the state file, as steps that are only ever added to.

Each step runs in one transaction together with the record that it ran (`user_version`). Text times are never stored:
all times are Unix seconds. Digests and keys are 32-byte blobs.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

APPLICATION_ID = 0x48756D52  # "HumR"


def m001_initial(db: sqlite3.Connection) -> None:
    """Items, measurements, jobs and what became of them."""
    for statement in _INITIAL.split(";\n"):
        if statement.strip():
            db.execute(statement)


_INITIAL = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;

-- Canonical JSON of the settings that a key was made with, so that a change can be named.
CREATE TABLE settings (digest BLOB PRIMARY KEY, json TEXT NOT NULL) WITHOUT ROWID;

-- What the manifest listed at the last run, in its order. `value` is the URL (with its query), the text, or the name.
CREATE TABLE items (
  ord INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL,
  key BLOB NOT NULL,
  value TEXT NOT NULL,
  path TEXT,
  -- The member's path where `path` is an archive.
  inside TEXT,
  place TEXT NOT NULL,
  labels TEXT
);
CREATE INDEX items_key ON items (key);

-- One row for each content and settings ever asked for; never deleted, since it was paid for.
CREATE TABLE measurements (
  key BLOB PRIMARY KEY,
  kind TEXT NOT NULL,
  content BLOB NOT NULL,
  settings BLOB NOT NULL,
  size INTEGER NOT NULL,
  facts TEXT,
  outcome TEXT NOT NULL DEFAULT 'pending' CHECK (outcome IN ('pending', 'done', 'failed')),
  reason TEXT,
  error TEXT,
  job INTEGER,
  simulated INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE INDEX measurements_failed ON measurements (key) WHERE outcome = 'failed';

CREATE TABLE jobs (
  job INTEGER PRIMARY KEY AUTOINCREMENT,
  key TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('planned', 'submitting', 'submitted', 'done', 'failed', 'ambiguous')),
  sources INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  billable_seconds REAL,
  -- The medium has to be prepared first, which turns this job into the ones that are sent.
  prepare INTEGER NOT NULL DEFAULT 0,
  after INTEGER,
  carry TEXT,
  nonce TEXT,
  request_sha256 TEXT,
  request TEXT,
  tries INTEGER NOT NULL DEFAULT 0,
  endpoint TEXT,
  simulated INTEGER NOT NULL DEFAULT 0,
  remote_id TEXT,
  clock_offset REAL,
  submitting_at REAL,
  submitted_at REAL,
  created_at REAL,
  started_at REAL,
  ended_at REAL,
  finished_at REAL,
  billed_seconds REAL,
  reason TEXT,
  error TEXT
);
CREATE INDEX jobs_status ON jobs (status, job);
CREATE INDEX jobs_after ON jobs (after) WHERE after IS NOT NULL;
CREATE UNIQUE INDEX jobs_remote ON jobs (endpoint, remote_id) WHERE remote_id IS NOT NULL;

-- Which measurements a job carries, where in it, and by what name its answer speaks of them.
CREATE TABLE members (
  job INTEGER NOT NULL REFERENCES jobs (job) ON DELETE CASCADE,
  position INTEGER NOT NULL,
  key BLOB NOT NULL,
  match TEXT,
  detail TEXT,
  outcome TEXT,
  reason TEXT,
  error TEXT,
  PRIMARY KEY (job, position)
) WITHOUT ROWID;
CREATE INDEX members_key ON members (key);

-- Answers that came at once, until they are files: the remote id and the answer are durable in one transaction.
CREATE TABLE received (job INTEGER PRIMARY KEY, body BLOB NOT NULL);

CREATE TABLE attempts (
  attempt INTEGER PRIMARY KEY,
  job INTEGER NOT NULL,
  at REAL NOT NULL,
  event TEXT NOT NULL,
  message TEXT
);
CREATE INDEX attempts_job ON attempts (job);

CREATE TABLE answers (
  job INTEGER NOT NULL,
  name TEXT NOT NULL,
  path TEXT NOT NULL,
  size INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  at REAL NOT NULL,
  PRIMARY KEY (job, name)
) WITHOUT ROWID;

-- Other files that a run wrote into the output directory, for `verify`.
CREATE TABLE outputs (
  path TEXT PRIMARY KEY,
  size INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  at REAL NOT NULL
) WITHOUT ROWID;

-- Jobs at the service that carry what one of ours carries, and that were paid for as well.
CREATE TABLE duplicates (
  endpoint TEXT NOT NULL,
  remote_id TEXT NOT NULL,
  job INTEGER NOT NULL,
  at REAL NOT NULL,
  billed_seconds REAL,
  PRIMARY KEY (endpoint, remote_id)
) WITHOUT ROWID;

CREATE TABLE digests (
  path TEXT PRIMARY KEY,
  size INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL,
  inode INTEGER NOT NULL,
  sha256 BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE requests (kind TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
"""


def m002_md5_and_lost_answers(db: sqlite3.Connection) -> None:
    """The second digest that some services tell files by, and when and how an answer was lost."""
    db.execute("ALTER TABLE digests ADD COLUMN md5 BLOB")
    db.execute("ALTER TABLE measurements ADD COLUMN md5 BLOB")
    db.execute("CREATE INDEX measurements_md5 ON measurements (md5) WHERE md5 IS NOT NULL")
    db.execute("ALTER TABLE jobs ADD COLUMN lost_at REAL")
    db.execute("ALTER TABLE jobs ADD COLUMN lost_how TEXT")


def m003_keys_over_what_matters(db: sqlite3.Connection) -> None:
    """Keys are made over the settings that change an item's own result from here on.

    What is measured keeps its old key until a plan recognises it: which settings change an item's result depends on
    what its content is, and for that the file has to be looked at. `former_keys` says that there may be such keys.
    """
    db.execute("CREATE INDEX measurements_looked ON measurements (content) WHERE facts IS NOT NULL")
    db.execute("INSERT INTO meta SELECT 'former_keys', 1 WHERE EXISTS (SELECT 1 FROM measurements)")
    # All items of a plan were planned with the same settings.
    db.execute(
        "INSERT INTO meta SELECT 'settings', t.json FROM items i JOIN measurements m ON m.key = i.key "
        "JOIN settings t ON t.digest = m.settings ORDER BY i.ord LIMIT 1"
    )


def m004_parts(db: sqlite3.Connection) -> None:
    """How many parts an item is spread over. NULL: it goes as a whole. 0: nobody told, so it is prepared once more.

    Earlier versions lost parts of an item whose settings or content changed and changed back. What they left
    unfinished is planned again: its preparation finds out which parts are missing.
    """
    db.execute("ALTER TABLE measurements ADD COLUMN parts INTEGER")
    db.execute(
        "UPDATE measurements SET parts = 0 WHERE outcome != 'done' "
        "AND key IN (SELECT key FROM members WHERE detail IS NOT NULL)"
    )
    db.execute("DELETE FROM meta WHERE name = 'scan' AND EXISTS (SELECT 1 FROM measurements WHERE parts = 0)")


def m005_stamps(db: sqlite3.Connection) -> None:
    """How an answer's file looked when it was recorded, so that a look tells whether it is still the same."""
    db.execute("ALTER TABLE answers ADD COLUMN stamp TEXT")
    db.execute("CREATE INDEX answers_path ON answers (path)")


def m006_turns(db: sqlite3.Connection) -> None:
    """What the loop asks at every turn, found without looking at every planned job.

    `freed` holds the planned jobs of chains whose turn has come. Triggers keep it: whatever moves, inserts or removes a
    job, it is what the jobs say.
    """
    ready = "p.status = 'planned' AND EXISTS (SELECT 1 FROM jobs q WHERE q.job = p.after AND q.status = 'done')"
    look = f"INSERT OR IGNORE INTO freed SELECT p.job FROM jobs p WHERE p.job = NEW.job AND {ready};"  # noqa: S608
    follow = "INSERT OR IGNORE INTO freed SELECT job FROM jobs WHERE after = NEW.job AND status = 'planned';"
    for step in (
        "CREATE INDEX jobs_first ON jobs (job) WHERE status = 'planned' AND after IS NULL",
        "CREATE TABLE freed (job INTEGER PRIMARY KEY)",
        f"INSERT INTO freed SELECT p.job FROM jobs p WHERE p.after IS NOT NULL AND {ready}",  # noqa: S608
        f"CREATE TRIGGER freed_added AFTER INSERT ON jobs WHEN NEW.after IS NOT NULL BEGIN {look} END",
        f"CREATE TRIGGER freed_added_by AFTER INSERT ON jobs WHEN NEW.status = 'done' BEGIN {follow} END",
        "CREATE TRIGGER freed_moved AFTER UPDATE OF status, after ON jobs "  # noqa: S608
        "WHEN NEW.after IS NOT NULL OR OLD.after IS NOT NULL "
        f"BEGIN DELETE FROM freed WHERE job = NEW.job; {look} END",
        "CREATE TRIGGER freed_by AFTER UPDATE OF status ON jobs "
        f"WHEN NEW.status = 'done' AND OLD.status != 'done' BEGIN {follow} END",
        "CREATE TRIGGER freed_no_more AFTER UPDATE OF status ON jobs WHEN OLD.status = 'done' AND NEW.status != 'done' "
        "BEGIN DELETE FROM freed WHERE job IN (SELECT job FROM jobs WHERE after = NEW.job); END",
        "CREATE TRIGGER freed_removed AFTER DELETE ON jobs BEGIN DELETE FROM freed WHERE job = OLD.job "
        "OR job IN (SELECT job FROM jobs WHERE after = OLD.job); END",
    ):
        db.execute(step)


def m007_retried(db: sqlite3.Connection) -> None:
    """What a job carried and is measured again elsewhere: its answer says nothing of use about that, so it is not had
    from there once more."""
    db.execute("CREATE TABLE retried (job INTEGER NOT NULL, key BLOB NOT NULL, PRIMARY KEY (job, key)) WITHOUT ROWID")


def m008_what_nobody_proved(db: sqlite3.Connection) -> None:
    """Lost submissions that were sent again without a proof that they had not been billed: their seconds stay reserved.

    And what somebody agreed to: remote ids that this state knows nothing of and that may be what a job of ours was
    (`job` 0: none in particular), so that nobody is asked about them twice.
    """
    db.execute("CREATE TABLE unproven (job INTEGER NOT NULL, at REAL NOT NULL, billable_seconds REAL NOT NULL)")
    db.execute(
        "CREATE TABLE agreed (endpoint TEXT NOT NULL, remote_id TEXT NOT NULL, job INTEGER NOT NULL, at REAL NOT NULL, "
        "PRIMARY KEY (endpoint, remote_id, job)) WITHOUT ROWID"
    )


def m009_selections_and_shards(db: sqlite3.Connection) -> None:
    """Items that the last plan left out; and which job of a shard became which of ours."""
    db.execute("ALTER TABLE items ADD COLUMN outside INTEGER NOT NULL DEFAULT 0")
    db.execute("CREATE TABLE merged (lineage TEXT PRIMARY KEY, shard TEXT NOT NULL, at REAL NOT NULL) WITHOUT ROWID")
    db.execute(
        "CREATE TABLE merged_jobs (lineage TEXT NOT NULL, theirs INTEGER NOT NULL, job INTEGER NOT NULL, "
        "PRIMARY KEY (lineage, theirs)) WITHOUT ROWID"
    )


def m010_uploads(db: sqlite3.Connection) -> None:
    """Copies of the outputs in an object store: of which bytes (NULL: none is known), as which version; and the bytes
    that were on their way."""
    db.execute(
        "CREATE TABLE uploads (target TEXT NOT NULL, path TEXT NOT NULL, sha256 TEXT, etag TEXT, version TEXT, "
        "intended TEXT, at REAL, PRIMARY KEY (target, path)) WITHOUT ROWID"
    )


def m011_waited(db: sqlite3.Connection) -> None:
    """How long a run waited since a submission was lost until it had to ask: whoever runs again does not wait as long
    once more for what waiting did not tell. NULL: nobody waited to the end."""
    db.execute("ALTER TABLE jobs ADD COLUMN waited_s REAL")


def m012_answers_by_name(db: sqlite3.Connection) -> None:
    """A job by its remote id alone, wherever it was: each folder of answers is asked about before a run submits."""
    db.execute("CREATE INDEX jobs_named ON jobs (remote_id) WHERE remote_id IS NOT NULL")
    db.execute("CREATE INDEX duplicates_named ON duplicates (remote_id)")


def m013_doubts(db: sqlite3.Connection) -> None:
    """What somebody agreed to pay for once more and that was not sent since: the next run asks again. `job` and
    `parts`: as the measurement had them whose answer was lost on disk. The files of such jobs as they were recorded
    stand in `given_up`, should they come back."""
    db.execute(
        "CREATE TABLE doubts (key BLOB PRIMARY KEY, at REAL NOT NULL, why TEXT NOT NULL, job INTEGER, parts INTEGER) "
        "WITHOUT ROWID"
    )
    db.execute(
        "CREATE TABLE given_up (job INTEGER NOT NULL, name TEXT NOT NULL, path TEXT NOT NULL, size INTEGER NOT NULL, "
        "sha256 TEXT NOT NULL, PRIMARY KEY (job, name)) WITHOUT ROWID"
    )


def m014_doubts_until_taken(db: sqlite3.Connection) -> None:
    """A doubt stands until the service has what it is about. `answer`: the job whose answer was lost on disk, 0 where a
    submission was or something else may be it, so that one doubt hides no other.

    In `agreed`, job 0 stands for all that was to be sent then, which is in doubt by itself until it is taken: `whole`,
    or a part of what was listed. `attempt`: the last thing that was recorded before. An earlier version wrote it once
    everything was sent.
    """
    db.execute("ALTER TABLE doubts RENAME TO doubts_until_sent")
    db.execute(
        "CREATE TABLE doubts (key BLOB NOT NULL, answer INTEGER NOT NULL, at REAL NOT NULL, why TEXT NOT NULL, "
        "job INTEGER, parts INTEGER, PRIMARY KEY (key, answer)) WITHOUT ROWID"
    )
    # What was measured or taken by the service since, by a way that did not settle it, is in doubt no more.
    db.execute(
        "DELETE FROM doubts_until_sent WHERE key IN (SELECT key FROM measurements WHERE outcome = 'done') OR EXISTS ("
        "SELECT 1 FROM members b JOIN jobs j ON j.job = b.job "
        "WHERE b.key = doubts_until_sent.key AND j.status = 'submitted')"
    )
    db.execute(
        "INSERT INTO doubts SELECT DISTINCT d.key, coalesce(g.job, 0), d.at, d.why, d.job, d.parts "
        "FROM doubts_until_sent d LEFT JOIN members b ON b.key = d.key AND b.reason = 'answer_lost' "
        "AND EXISTS (SELECT 1 FROM given_up WHERE job = b.job) LEFT JOIN given_up g ON g.job = b.job"
    )
    db.execute("DROP TABLE doubts_until_sent")
    db.execute("ALTER TABLE agreed ADD COLUMN whole INTEGER NOT NULL DEFAULT 1")
    db.execute("ALTER TABLE agreed ADD COLUMN attempt INTEGER NOT NULL DEFAULT 0")


MIGRATIONS: tuple[Callable[[sqlite3.Connection], None], ...] = (
    m001_initial,
    m002_md5_and_lost_answers,
    m003_keys_over_what_matters,
    m004_parts,
    m005_stamps,
    m006_turns,
    m007_retried,
    m008_what_nobody_proved,
    m009_selections_and_shards,
    m010_uploads,
    m011_waited,
    m012_answers_by_name,
    m013_doubts,
    m014_doubts_until_taken,
)


def migrate(db: sqlite3.Connection) -> int:
    """Bring the file to the newest schema, all at once; return the version it had. The caller has checked that it is
    not newer."""
    (had,) = db.execute("PRAGMA user_version").fetchone()
    if had == len(MIGRATIONS):
        return int(had)
    db.execute("BEGIN IMMEDIATE")  # one for all: each would wait for the disk
    try:
        for step in MIGRATIONS[had:]:
            step(db)
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")
    return int(had)

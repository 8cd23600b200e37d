"""Open a state file, or refuse it with the way out; never overwrite what is not understood."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from hume_runner import installing
from hume_runner.errors import NoRoom, StateError, is_scarce, next_step, of_place, refuse_scarce
from hume_runner.frozen import frozen
from hume_runner.regular_files import open_regular
from hume_runner.state.migrations import APPLICATION_ID, MIGRATIONS, migrate
from hume_runner.state.pinned import Pinned, resolved, written_here
from hume_runner.state.seal import break_seal, check_seal, seal_path
from hume_runner.state.snapshot import copied, needs_copy

# So long another program that writes the file is waited for.
PATIENT_MS = 5_000
_MAGIC = b"SQLite format 3\x00"
# What a commit needs at least.
_PROBE_BYTES = 64 * 1024
# What SQLite opens at most at once for one statement: databases, their journals, indexes of these, folders, a sorter.
_FILES = 12
_BESIDE = ("-wal", "-shm", "-journal")
# A structural check reads the whole file; beyond this size it would be felt at every start.
_CHECK_BELOW_BYTES = 64 * 1024 * 1024

_RESTORE = (
    "restore the file from a backup, or move it away and run again: what the service still has is adopted, and a run "
    "asks before it pays for what it cannot have again"
)


@frozen
class Opened:
    """An open connection. `path` is the file's own, with links resolved: what lies beside it goes by that name."""

    db: sqlite3.Connection
    path: Path | None
    pinned: Pinned | None = None  # the file that is written; None for one that is only read, and in memory


def open_state(
    path: Path | None,
    *,
    create: bool,
    name: str | None,
    lineage: str,
    kind: type[sqlite3.Connection] = sqlite3.Connection,
) -> Opened:
    """Open the state at `path` (None: one in memory), for writing if `create`, else for reading. `kind`: of connection,
    where somebody listens to what is written.

    Raises: StateError for a damaged, foreign or newer file, and one that belongs to another manifest;
    FileNotFoundError when there is none and it is not to be created.
    """
    if path is None:
        db = sqlite3.connect(":memory:", isolation_level=None)
        _initialise(db, name or "", lineage, None)
        return Opened(db=db, path=None)
    path = resolved(path)
    exists = path.exists()
    if not exists and not create:
        raise FileNotFoundError(path)
    # Where this very process writes it, its bytes must not be opened beside SQLite (see `pinned`), and were checked.
    if exists and not written_here(path):
        _refuse_foreign_bytes(path)
        with guarded(path):
            if not _has_log(path) and (create or path.stat().st_size <= _CHECK_BELOW_BYTES):
                check_seal(path)
    pinned = _pin(path) if create else None
    try:
        db = _connect(path, writes=create, kind=kind)
        try:
            begun = _begin(db, path, pinned, name=name, lineage=lineage)
            if not (begun or create):
                raise FileNotFoundError(path)
            if not create:
                db = _in_newest_schema(db, path)
        except BaseException:
            db.close()
            raise
    except BaseException:
        if pinned is not None:
            take_back(pinned)
        raise
    return Opened(db=db, path=path, pinned=pinned)


def _pin(path: Path) -> Pinned:
    with guarded(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        return Pinned.take(path)


def _connect(path: Path, *, writes: bool, kind: type[sqlite3.Connection]) -> sqlite3.Connection:
    with guarded(path):
        if writes:
            db = sqlite3.connect(path, isolation_level=None, factory=kind)
        elif needs_copy(path):
            db = copied(path)
        else:
            db = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None)
        db.execute(f"PRAGMA busy_timeout = {PATIENT_MS}")
    return db


def _begin(db: sqlite3.Connection, path: Path, pinned: Pinned | None, *, name: str | None, lineage: str) -> bool:
    """Whether anything was recorded before; what is to be written has all that a state has, afterwards. What is refused
    keeps its seal."""
    with guarded(path):
        begun = _refuse_unreadable(db, path)
        if begun:
            _refuse_other_manifest(db, path, name)
        if pinned is not None:
            pinned.check()  # SQLite opened it by name
            break_seal(path)
            _configure(db)
            migrate(db)
            # Also where a crash came between the schema and these: without its lineage a state names no try.
            _initialise(db, name or "", lineage, path)
            pinned.settle()
    return begun


def _refuse_other_manifest(db: sqlite3.Connection, path: Path, name: str | None) -> None:
    with guarded(path):
        owner = db.execute("SELECT value FROM meta WHERE name = 'manifest'").fetchone()
    if name is not None and owner and owner[0] != name:
        raise StateError(
            f"{path}: this state belongs to the manifest '{owner[0]}', not to '{name}'",
            hint="give each manifest an outputs.directory of its own, or choose a state with --state",
        )


def _in_newest_schema(db: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    """The open file itself, or, where an earlier version wrote it, a private copy brought up to date: who only reads
    must not write. SQLite keeps the copy in a temporary file without a name, so that nothing of it can stay behind."""
    with guarded(path):
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version == len(MIGRATIONS):
            return db
        copy = sqlite3.connect("", isolation_level=None)
        try:
            db.backup(copy)
            migrate(copy)
        except BaseException:
            copy.close()
            raise
        db.close()
    return copy


def take_back(pinned: Pinned) -> None:
    """Let go of a state, and remove it if this opening made it: nothing was recorded in it. The database is closed. The
    lock's file stays: another process may wait at it."""
    try:
        if pinned.removes():
            seal_path(pinned.path).unlink(missing_ok=True)
    finally:
        pinned.release()


def _has_log(path: Path) -> bool:
    """Whether a write-ahead log with something in it lies beside the file: then the file alone says little."""
    wal = path.with_name(path.name + "-wal")
    return wal.exists() and wal.stat().st_size > 0


def _configure(db: sqlite3.Connection) -> None:
    """Only once it is known to be ours: the journal's mode is written into the file."""
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA foreign_keys = ON")
    db.execute("PRAGMA cache_size = -32000")


def _initialise(db: sqlite3.Connection, name: str, lineage: str, path: Path | None) -> None:
    if path is None:
        migrate(db)
    db.executemany(
        "INSERT OR IGNORE INTO meta VALUES (?, ?)",
        [("manifest", name), ("lineage", lineage), ("serial", 0)],
    )


def _refuse_foreign_bytes(path: Path) -> None:
    """What the first bytes tell, before SQLite may touch the file."""
    try:
        size = path.stat().st_size
        with open_regular(path) as file:
            head = file.read(100)
    except OSError as error:
        refuse_scarce(error)
        raise StateError(
            f"{path}: cannot read the state: {error.strerror}", hint="check who may read the file"
        ) from error
    if size == 0:
        # A crash between creating the file and its first page leaves it empty, and then nothing was ever recorded.
        if _has_log(path):
            raise StateError(f"{path}: the state is cut off", hint=_RESTORE)
        return
    if head[:16] != _MAGIC[: len(head[:16])] or (len(head) < 100 and head[:16] != _MAGIC):
        raise StateError(
            f"{path}: this is not a state of hume_runner",
            hint="choose another place with --state or --output-dir; nothing was changed",
        )
    if len(head) < 100:
        raise StateError(f"{path}: the state is cut off", hint=_RESTORE)
    page = int.from_bytes(head[16:18], "big") or 65536
    pages = int.from_bytes(head[28:32], "big")
    # With a write-ahead log beside it, the file itself may lag behind its header.
    if not _has_log(path) and size < page * pages:
        raise StateError(f"{path}: the state is cut off ({size} of {page * pages} bytes)", hint=_RESTORE)


def _refuse_unreadable(db: sqlite3.Connection, path: Path) -> bool:
    """Whether anything was ever recorded in it: a crash may have come before the schema. Raises: StateError."""
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (version,) = db.execute("PRAGMA user_version").fetchone()
    tables = db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if application != APPLICATION_ID and (application or tables):
        raise StateError(
            f"{path}: this database belongs to another program",
            hint="choose another place with --state or --output-dir; nothing was changed",
        )
    if version > len(MIGRATIONS):
        raise StateError(
            f"{path}: a newer hume_runner wrote this state (schema {version}, this one knows {len(MIGRATIONS)})",
            hint=installing.newer(),
        )
    if path.stat().st_size <= _CHECK_BELOW_BYTES:
        (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise StateError(f"{path}: the state is damaged: {verdict}", hint=_RESTORE)
    return bool(version)


@contextlib.contextmanager
def guarded(path: Path | None) -> Iterator[None]:
    """Turn what SQLite and the disk say into a `StateError` with the next step; `NoRoom` where it takes no more."""
    try:
        yield
    except sqlite3.OperationalError as error:
        text = str(error)
        lack = scarce(error, path)
        if lack is not None:
            raise NoRoom(f"{path}: the state cannot be written: {lack.strerror}", hint=next_step(lack)) from error
        if "locked" in text or "busy" in text:
            raise StateError(f"{path}: the state stayed locked by another program: {text}", hint="try again") from error
        if "unable to open" in text or "readonly" in text:
            raise StateError(
                f"{path}: the state cannot be written: {text}",
                hint="the output directory must be writable; --output-dir or --state chooses another place",
            ) from error
        if "no such" in text:
            raise StateError(f"{path}: the state is damaged: {text}", hint=_RESTORE) from error
        raise StateError(
            f"{path}: the state cannot be written: {text}",
            hint="free some space or repair the disk, then run the same command again: it resumes",
        ) from error
    except sqlite3.DatabaseError as error:
        raise StateError(f"{path}: the state is damaged: {error}", hint=_RESTORE) from error
    except OSError as error:
        raise of_place(path, error) from error


def scarce(error: sqlite3.OperationalError, path: Path | None, *, size: int = 0) -> OSError | None:
    """What this machine lacks, if SQLite failed for want of it. Of too few open files, a used-up quota and a limit of a
    file's size SQLite tells as of a broken disk, or as of a file that cannot be opened: only doing beside it what it
    did shows which it is. `path`: of the database, or a folder; `size`: what it has, where its file has no name."""
    text = str(error)
    if "is full" in text:
        return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if not ("I/O error" in text or "unable to open" in text):
        return None
    place = Path(tempfile.gettempdir()) if path is None else path
    try:
        with contextlib.ExitStack() as opened:
            # It has closed again what it had opened before the one that was too many.
            for _ in range(_FILES):
                opened.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        with tempfile.TemporaryFile(dir=place if place.is_dir() else place.parent, buffering=0) as file:
            # Behind what it has: a limit of a file's size lets everything pass below. The hole takes no room.
            file.seek(max(size, *map(_size, (place, *(place.with_name(place.name + end) for end in _BESIDE)))))
            file.write(bytes(_PROBE_BYTES))
            os.fsync(file.fileno())
    except OSError as found:
        return found if is_scarce(found) else None
    return None


def of_temporary(error: sqlite3.OperationalError, what: str, path: Path | None = None, *, size: int = 0) -> StateError:
    """The temporary folder is a disk like others. `path`, `size`: as `scarce` takes them."""
    lack = scarce(error, path, size=size)
    place = f"{path.parent}: " if path is not None else ""
    said = f"{place}the temporary folder does not take {what}: {lack.strerror if lack is not None else error}"
    if lack is None or lack.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = "free some space there, or set TMPDIR to a folder with room"
    else:
        hint = next_step(lack)
    return (StateError if lack is None else NoRoom)(said, hint=hint)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0

"""When the state cannot be written any more, what was just received still goes somewhere: it was paid for.

A record of its own, with all that the state would have been told, goes beside the state or into the temporary folder
under a name that follows from the state's lineage. The next run reads it, checks whose it is and whether it is whole,
takes it into the state, and only then removes it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hume_runner import aside, events, small_json
from hume_runner.errors import NoRoom, StateError, refuse_scarce
from hume_runner.frozen import frozen
from hume_runner.services.jobs import Accepted, Answered, SubmitResult, job_name
from hume_runner.state.keeping import Kept
from hume_runner.state.reader import StateReader
from hume_runner.state.said import Said
from hume_runner.state.store import Store

_MOST_HEAD_BYTES = 16 * 1024 * 1024  # what the next job of a chain needs is in it
_MOST_ANSWER_BYTES = 1024 * 1024 * 1024
_SUFFIX = ".rescued"


@frozen
class Rescued(Said):
    """What was said, and of which state. `answer` is None where the service only named the job."""

    lineage: str
    answer: bytes | None = None


def keep(rescued: Rescued, state: Path | None) -> Path | None:
    """Write a record where there is still room; None where there is none at all."""
    head = asdict(rescued)
    answer = head.pop("answer")
    head["bytes"] = None if answer is None else len(answer)
    head["sha256"] = _sum(head, answer)
    content = json.dumps(head).encode() + b"\n" + (answer or b"")
    name = f"{job_name(rescued.number)}-{rescued.nonce}{_SUFFIX}"
    for folder, prefix in _places(rescued.lineage, state):
        path = folder / f"{prefix}{name}"
        if path.is_symlink():
            continue  # somebody is at work in that folder
        try:
            aside.write(path, content, private=True)
        except OSError:
            continue
        return path
    return None


def _places(lineage: str, state: Path | None) -> Iterator[tuple[Path, str]]:
    """(folder, how a record's name begins there)."""
    if state is not None:
        yield state.parent, f"{state.name}."
    yield Path(tempfile.gettempdir()), f"hume-runner-{hashlib.sha256(lineage.encode()).hexdigest()[:16]}-"


def _sum(head: dict[str, Any], answer: bytes | None) -> str:
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    digest.update(answer or b"")
    return digest.hexdigest()


def records(lineage: str, state: Path | None) -> Iterator[tuple[Path, Rescued]]:
    """Every whole record of this state, wherever it was written."""
    for folder, prefix in _places(lineage, state):
        try:
            # Names alone: the temporary folder is everybody's, and may hold thousands.
            found = os.listdir(folder)  # noqa: PTH208
            names = sorted(name for name in found if name.startswith(prefix) and name.endswith(_SUFFIX))
        except OSError as error:
            refuse_scarce(error)
            continue
        for path in map(folder.joinpath, names):
            record = _read(path, lineage)
            if record is not None:
                yield path, record


def _read(path: Path, lineage: str) -> Rescued | None:
    """A record, or None for what is no whole record of ours: anybody may write into the temporary folder."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(handle, "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode) or (hasattr(os, "geteuid") and found.st_uid != os.geteuid()):
                return None
            if found.st_size > _MOST_HEAD_BYTES + _MOST_ANSWER_BYTES:
                return None
            head = small_json.parsed(file.readline(_MOST_HEAD_BYTES))
            answer = file.read()
        told, size = head.pop("sha256"), head["bytes"]
        body = None if size is None else answer
        if told != _sum(head, body) or len(answer) != (size or 0):
            return None
        del head["bytes"]
        record = Rescued(**head, answer=body)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        refuse_scarce(error)
        return None
    return record if record.lineage == lineage else None


def take_up(store: Store, kept: Kept, now: float, report: events.Report = lambda event: None) -> None:
    """Tell the state, which nobody else has open, all that earlier owners heard and could not tell it of.

    Raises: StoreError, StateError.
    """
    store.recover(now)
    kept.take_in(store, now)

    def durable() -> bool:
        kept.ready(store)
        return kept.settle(store) is None

    take_in(store, now, report, durable=durable)


def take_in(
    store: Store,
    now: float,
    report: events.Report = lambda event: None,
    *,
    durable: Callable[[], bool] = lambda: True,
) -> int:
    """Bring what earlier runs rescued into the state; how many answers and ids it did not have.

    A record is removed once `durable` says that the state has it wherever it is at home: the file here may be put aside
    for another machine's. One that fits no job as the state knows it is left where it is.
    """
    taken, heard = 0, []
    for path, one in records(store.lineage, store.path):
        new = store.record_rescued(one, one.answer, now)
        if new is None:
            report(events.RescueUnused(path=str(path), job=job_name(one.number), remote_id=one.remote_id))
            continue
        taken += new
        if new:
            report(events.Rescued(path=str(path), job=job_name(one.number), remote_id=one.remote_id))
        heard.append(path)
    if heard and durable():
        for path in heard:
            with contextlib.suppress(OSError):
                path.unlink()
    return taken


def keep_beside(store: StateReader, number: int, result: SubmitResult) -> Path | None:
    """What the state was told of a submission and nobody else could be, where the next run from here looks for it."""
    row = store.job(number)
    if not isinstance(result, Accepted | Answered) or row.remote_id is None or row.endpoint is None:
        return None
    answered = result if isinstance(result, Answered) else None
    rescued = Rescued(
        lineage=store.lineage,
        number=number,
        nonce=row.nonce or "",
        asked=store.request_sha256(number),
        endpoint=row.endpoint,
        remote_id=row.remote_id,
        created_at=row.created_at,
        simulated=row.simulated,
        at=row.submitted_at or 0.0,
        carry=answered.carry if answered else None,
        billed_seconds=row.billed_seconds,
        answer=answered.body if answered else None,
    )
    return keep(rescued, store.path)


def rescue_answer(error: StateError, state: Path | None, rescued: Rescued) -> StateError:
    """Keep an answer that exists nowhere else; tell where it is."""
    place = keep(rescued, state)
    if place is None:
        told = rescue_remote_id(error, state, rescued.number, rescued.remote_id)
        return type(told)(
            f"{told}, and its answer found no room anywhere",
            hint="free some space, then run again: it looks for what the service measured, and tells what that does to "
            "the bill",
        )
    where = f"the service measured {job_name(rescued.number)} as {rescued.remote_id}, and its answer is in {place}"
    return _same_kind(error)(
        f"{error}; {where}",
        hint="keep that file, the next run reads it: it was paid for and cannot be fetched again; free some space and "
        "run again",
    )


def rescue_remote_id(
    error: StateError, state: Path | None, number: int, remote_id: str, rescued: Rescued | None = None
) -> StateError:
    """Note the id beside the state, else in the temporary folder, else on stderr; return the error that tells."""
    if rescued is not None:
        keep(rescued, state)
    line = f"{job_name(number)} {remote_id}\n"
    hint = (
        f"free some space, then `hume-runner adopt MANIFEST {remote_id}` brings the job back; "
        "a plain re-run finds it as well, by asking the service"
    )
    places = [state.with_name(state.name + _SUFFIX)] if state else []
    places.append(Path(tempfile.gettempdir()) / f"hume-runner-rescued-{secrets.token_hex(8)}.txt")
    for place in places:
        try:
            with aside.open_to_append(place) as file:
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            continue
        return _same_kind(error)(
            f"{error}; the service accepted {job_name(number)} as {remote_id}, noted in {place}", hint=hint
        )
    with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or none at all
        sys.stderr.write(f"the service accepted {line}")
    return _same_kind(error)(f"{error}; the service accepted {job_name(number)} as {remote_id}", hint=hint)


def _same_kind(error: StateError) -> type[StateError]:
    """A disk without room stays one, whatever is told with it."""
    return NoRoom if isinstance(error, NoRoom) else StateError

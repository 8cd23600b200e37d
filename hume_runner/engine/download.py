"""Fetch a job's answers: stream aside, check whole, sync, rename. What is renamed is complete; the rest is `.part`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hume_runner.services.base import ByteStream, Ended, Job, Outcome, Service
from hume_runner.state.disk import Disk
from hume_runner.state.store import MemberRow, StoredAnswer

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def raw_directory(remote_id: str) -> str:
    """The folder name for a remote id. A service's word never chooses a path: an odd id is replaced by its hash."""
    if _SAFE.fullmatch(remote_id):
        return remote_id
    return "id-" + hashlib.sha256(remote_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A job's answers, all of them on disk under their final names."""

    answers: tuple[StoredAnswer, ...]
    outcomes: tuple[Outcome, ...]


def fetch(
    service: Service,
    disk: Disk,
    job: Job,
    remote_id: str,
    *,
    ended: Ended,
    members: Sequence[MemberRow],
    request: Mapping[str, Any],
    outputs: Path,
    artifacts: bool,
    received: bytes | None = None,
) -> Fetched:
    """Download and check every answer of one job into `raw/<remote id>/` below `outputs`.

    `received` is the answer where it came with the submission: then nothing is downloaded.

    Raises: UnexpectedResponse for a damaged answer, AnswerIncomplete for one that comes too early; neither leaves
    anything under a final name.
    """
    folder = Path("raw") / raw_directory(remote_id)
    disk.make_directory(outputs / folder)
    answers: list[StoredAnswer] = []
    outcomes: tuple[Outcome, ...] = ()
    for name in service.answer_names(artifacts=artifacts):
        with (
            nullcontext(_InMemory(received)) if received is not None else service.open_answer(remote_id, name) as stream
        ):
            answer, found = _save(service, disk, job, stream, outputs, folder / name, ended)
        answers.append(answer)
        outcomes = outcomes or found
    answers.append(describe_job(disk, service, job, remote_id, members, request, outputs, folder))
    return Fetched(answers=tuple(answers), outcomes=outcomes)


@dataclass(frozen=True, slots=True)
class _InMemory:
    body: bytes

    def iter_bytes(self) -> Iterator[bytes]:
        yield self.body


def _save(
    service: Service, disk: Disk, job: Job, stream: ByteStream, outputs: Path, relative: Path, ended: Ended
) -> tuple[StoredAnswer, tuple[Outcome, ...]]:
    target = outputs / relative
    part = target.with_name(target.name + ".part")
    digest = hashlib.sha256()
    size = 0
    with part.open("wb") as file:
        for chunk in stream.iter_bytes():
            file.write(chunk)
            digest.update(chunk)
            size += len(chunk)
        file.flush()
        outcomes = service.outcomes(job, relative.name, part, ended.announced)
        disk.sync(file)
    disk.replace(part, target)
    stored = StoredAnswer(name=relative.name, path=relative.as_posix(), size=size, sha256=digest.hexdigest())
    return stored, outcomes


def describe_job(
    disk: Disk,
    service: Service,
    job: Job,
    remote_id: str,
    members: Sequence[MemberRow],
    request: Mapping[str, Any],
    outputs: Path,
    folder: Path,
) -> StoredAnswer:
    """Write `request.json`: what was asked, and which part of the answer belongs to which item."""
    document = {
        "schema": 1,
        "api": service.api,
        "job": job.name,
        "remote_id": remote_id,
        "request": request,
        "sources": [_source(member) for member in members],
    }
    content = json.dumps(document, ensure_ascii=False, indent=1).encode("utf-8", "surrogatepass") + b"\n"
    path = folder / "request.json"
    disk.write_new(outputs / path, content)
    return StoredAnswer(
        name="request.json", path=path.as_posix(), size=len(content), sha256=hashlib.sha256(content).hexdigest()
    )


def _source(member: MemberRow) -> dict[str, Any]:
    """A URL is told by its hash: its query may hold a signature, and this file is for people."""
    match = member.match or ""
    named = (
        {"url_sha256": hashlib.sha256(match.encode("utf-8", "surrogatepass")).hexdigest()}
        if member.kind == "url"
        else {"match": match}
    )
    detail = {"detail": member.detail} if member.detail else {}
    return {"position": member.position, "kind": member.kind, **named, "ids": list(member.ids), **detail}

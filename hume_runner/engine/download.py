"""Fetch a job's answers: stream aside, check whole, sync, rename. What is renamed is complete."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from hume_runner import small_json
from hume_runner.errors import NotFound, UnexpectedResponse
from hume_runner.frozen import frozen
from hume_runner.services.base import AnswerIncomplete, ByteStream, HasApi, Reader
from hume_runner.services.jobs import ALL_THERE_IS, Job, Leniency, Outcome
from hume_runner.settings import masked_url
from hume_runner.state.answers import look_at
from hume_runner.state.disk import Disk, stamp_of
from hume_runner.state.rows import MemberRow, StoredAnswer

REQUEST = "request.json"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CHUNK = 1 << 18
_MOST_DESCRIPTION_BYTES = 64 * 1024 * 1024

_SAFE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9_-])?")
# What we call an odd one ourselves, and what some systems keep for devices, whatever its ending.
_TAKEN = re.compile(r"id-[0-9a-f]{32}|(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)


def raw_directory(remote_id: str) -> str:
    """The folder name for a remote id. A service's word never chooses a path: an odd id is replaced by its hash.

    Two ids never share a folder, not even where capitals do not count: an id with capitals is told by its hash as well.
    """
    digest = hashlib.sha256(remote_id.encode("utf-8", "surrogatepass")).hexdigest()
    if not _SAFE.fullmatch(remote_id) or _TAKEN.fullmatch(remote_id):
        return f"id-{digest[:32]}"
    return remote_id if remote_id == remote_id.lower() else f"{remote_id.lower()}~{digest[:16]}"


@frozen
class AskedSource:
    """A source that an answer is about: its ids when it was asked for, and the SHA-256 of its content, None where an
    earlier version did not tell it."""

    ids: tuple[str, ...]
    content: bytes | None


@frozen
class Described:
    """What a folder below `raw/` tells of its answers in `request.json`, nothing where that cannot be had. `told`: the
    remote id, whatever the folder is called, since somebody may have made a copy."""

    folder: str
    told: str | None
    sources: tuple[AskedSource, ...]

    @property
    def remote_id(self) -> str:
        """Whose answers lie there: as it is told if the folder is called so, else the folder's name."""
        return self.told if self.told is not None and raw_directory(self.told) == self.folder else self.folder


def described(folder: Path) -> Described:
    document = _description(folder)
    told = document.get("remote_id")
    return Described(
        folder=folder.name,
        told=told if isinstance(told, str) else None,
        sources=tuple(_sources_asked(document.get("sources"))),
    )


def _sources_asked(sources: object) -> Iterator[AskedSource]:
    for source in sources if isinstance(sources, list) else ():
        if isinstance(source, dict):
            ids, told = source.get("ids"), source.get("content_sha256")
            content = bytes.fromhex(told) if isinstance(told, str) and _SHA256.fullmatch(told) else None
            names = tuple(one for one in (ids if isinstance(ids, list) else ()) if isinstance(one, str))
            yield AskedSource(ids=names, content=content)


def _description(folder: Path) -> Mapping[str, Any]:
    """`request.json`, or nothing where it cannot be had."""
    try:
        told = small_json.read(folder / REQUEST, most_bytes=_MOST_DESCRIPTION_BYTES)
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


class Opens(Protocol):
    """Gives answers; see `Keeper.open_answer`."""

    def open_answer(self, remote_id: str, name: str) -> AbstractContextManager[ByteStream]: ...


class Answering(HasApi, Reader, Protocol):
    """What fetching needs of a service."""

    @property
    def keeper(self) -> Opens | None: ...


class AnswerDiffers(UnexpectedResponse):
    """The service tells something else about a finished job than it told before."""


@frozen
class Fetched:
    """A job's answers, all of them on disk under their final names."""

    job: Job
    answers: tuple[StoredAnswer, ...]
    outcomes: tuple[Outcome, ...]


def fetch(
    service: Answering,
    disk: Disk,
    job: Job,
    remote_id: str,
    *,
    announced: Mapping[str, int],
    leniency: Leniency,
    members: Sequence[MemberRow],
    request: Mapping[str, Any],
    outputs: Path,
    artifacts: bool,
    received: bytes | None = None,
    kept: Sequence[StoredAnswer] = (),
) -> Fetched:
    """Download and check every answer of one job into `raw/<remote id>/` below `outputs`.

    `announced` and `leniency` are for `Reader.outcomes`. `received` is the answer where it came with the submission:
    then nothing is downloaded. `kept`: what was recorded for members that the job had before; as long as it speaks of
    all, it is not downloaded again.

    Raises: UnexpectedResponse for a damaged answer, AnswerIncomplete for one that comes too early; neither leaves
    anything under a final name.
    """
    folder = Path(kept[0].path).parent if kept else Path("raw") / raw_directory(remote_id)
    disk.make_below(outputs, folder)
    answers: list[StoredAnswer] = []
    outcomes: list[Outcome] = []
    measured = {member.position for member in members if member.outcome == "done"} if kept else set()
    for name in service.answer_names(artifacts=artifacts):
        old = next(
            (one for one in kept if one.name == name and look_at(outputs, one, thorough=True).harm is None), None
        )
        if old is not None:
            with suppress(UnexpectedResponse, AnswerIncomplete):
                if not outcomes:
                    outcomes.extend(service.outcomes(job, name, outputs / old.path, announced, leniency))
                answers.append(old)
                continue

        def check(part: Path, digest: str, name: str = name) -> None:
            del digest
            found = service.outcomes(job, name, part, announced, leniency)
            if any(not one.ok and one.position in measured for one in found):
                raise AnswerIncomplete("it leaves out what it held before")
            if not outcomes:
                outcomes.extend(found)

        with nullcontext(_InMemory(received)) if received is not None else _open(service, remote_id, name) as stream:
            answers.append(_save(disk, stream, outputs, folder / name, check, private=_private(members)))
    members = _named_by(members, outcomes)
    answers.append(describe_job(disk, service, job, remote_id, members, request, outputs, folder))
    return Fetched(job=job, answers=tuple(answers), outcomes=tuple(outcomes))


def _open(service: Answering, remote_id: str, name: str) -> AbstractContextManager[ByteStream]:
    if service.keeper is None:
        raise NotFound(f"{name} of {remote_id}: this service gives an answer once", hint="it cannot be fetched again")
    return service.keeper.open_answer(remote_id, name)


@frozen(kw_only=False)
class _InMemory:
    body: bytes

    def iter_bytes(self) -> Iterator[bytes]:
        yield self.body

    def without_secrets(self, path: Path) -> None:
        del path


def fetch_again(
    service: Answering,
    disk: Disk,
    job: Job,
    remote_id: str,
    *,
    recorded: Sequence[StoredAnswer],
    outcomes: Mapping[int, bool],
    members: Sequence[MemberRow],
    request: Mapping[str, Any],
    outputs: Path,
) -> Fetched:
    """Have these answers of a finished job once more; `outcomes`: whether each member was measured, as is known.

    Raises: AnswerDiffers where the service tells something else now; UnexpectedResponse, ApiError. Nothing is under a
    final name then that was not there before.
    """

    def same(name: str, part: Path, digest: str, known: StoredAnswer) -> None:
        if digest == known.sha256:
            return
        # Other bytes may still say the same: a member more, another order.
        told = service.outcomes(job, name, part, {}, ALL_THERE_IS)
        now = {one.position: one.ok for one in told}
        if now and any(now.get(position) != ok for position, ok in outcomes.items()):
            raise AnswerDiffers(f"what the service answers for {remote_id} now is not what it answered before")
        found.extend(told)

    answers: list[StoredAnswer] = []
    found: list[Outcome] = []
    for known in recorded:
        disk.make_below(outputs, Path(known.path).parent)
        if known.name == REQUEST:
            continue
        with _open(service, remote_id, known.name) as stream:
            check = partial(same, known.name, known=known)
            answers.append(_save(disk, stream, outputs, Path(known.path), check, private=_private(members)))
    spelt = _named_by(members, found)
    if spelt != members or any(known.name == REQUEST for known in recorded):
        folder = Path(recorded[0].path).parent
        answers.append(describe_job(disk, service, job, remote_id, spelt, request, outputs, folder))
    return Fetched(job=job, answers=tuple(answers), outcomes=tuple(found))


def _named_by(members: Sequence[MemberRow], outcomes: Sequence[Outcome]) -> Sequence[MemberRow]:
    """The members, each by the name that the answer uses."""
    names = {one.position: one.match for one in outcomes if one.match is not None}
    return [replace(one, match=names.get(one.position, one.match)) for one in members] if names else members


def _private(members: Sequence[MemberRow]) -> bool:
    """Whether answers quote links that may grant access: they stay the service's own bytes, for their owner alone."""
    links = (one.match for one in members if one.kind == "url" and one.match)
    return any(masked_url(link) != link for link in links)


def _save(
    disk: Disk,
    stream: ByteStream,
    outputs: Path,
    relative: Path,
    check: Callable[[Path, str], None],
    *,
    private: bool,
) -> StoredAnswer:
    """Write a stream aside; `check` sees the file and its SHA-256 before it gets its name."""
    target = outputs / relative
    digest = hashlib.sha256()
    size = 0
    with disk.written(target, private=private) as file:
        for chunk in stream.iter_bytes():
            file.write(chunk)
            digest.update(chunk)
            size += len(chunk)
        file.flush()
        cleaned = stream.without_secrets(Path(file.name))
        if cleaned is not None:
            digest, size = hashlib.sha256(), 0
            file.seek(0)
            file.truncate()
            with cleaned:
                while chunk := cleaned.read(_CHUNK):
                    file.write(chunk)
                    digest.update(chunk)
                    size += len(chunk)
            file.flush()
        check(Path(file.name), digest.hexdigest())
    return _stored(outputs, relative, size, digest.hexdigest())


def _stored(outputs: Path, relative: Path, size: int, sha256: str) -> StoredAnswer:
    stamp = stamp_of((outputs / relative).stat())
    return StoredAnswer(name=relative.name, path=relative.as_posix(), size=size, sha256=sha256, stamp=stamp)


def describe_job(
    disk: Disk,
    service: Answering,
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
    path = folder / REQUEST
    disk.write_new(outputs / path, content)
    return _stored(outputs, path, len(content), hashlib.sha256(content).hexdigest())


def _source(member: MemberRow) -> dict[str, Any]:
    """A URL is told by its hash: its query may hold a signature, and this file is for people."""
    match = member.match or ""
    named = (
        {"url_sha256": hashlib.sha256(match.encode("utf-8", "surrogatepass")).hexdigest()}
        if member.kind == "url"
        else {"match": match}
    )
    detail = {"detail": member.detail} if member.detail else {}
    content = {"content_sha256": member.content.hex()} if member.content else {}
    return {"position": member.position, "kind": member.kind, **named, "ids": list(member.ids), **content, **detail}

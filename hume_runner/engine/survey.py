"""Ask before paying: what this key has at the service already is adopted, not submitted again.

It makes the state a cache of what the service knows: a restored backup, a deleted state, another output directory or a
copied folder finds what was paid for by its content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hume_runner.manifest.model import SourceKind
from hume_runner.plan.fingerprint import text_content, url_content
from hume_runner.services.base import Draft, Foreign, ForeignSource, Job, Member, Service
from hume_runner.state.lifecycle import ItemStatus
from hume_runner.state.store import Store

# The key of an item of this kind and content (32 bytes) under the manifest's present settings.
KeyOf = Callable[[SourceKind, bytes], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What the service had already."""

    jobs: int
    items: int


def adopt_what_is_there(
    store: Store, service: Service, *, since: float, key_of: KeyOf, clock: Callable[[], float]
) -> Taken:
    """Adopt every job at the service that carries what is planned here. Raises: ApiError, ListingUnsupported."""
    jobs = items = 0
    files = _Files(store)
    for foreign in service.survey(since, lambda remote_id: store.knows_remote(service.endpoint, remote_id)):
        number = _adopt(store, service, foreign, files, key_of, clock)
        if number:
            jobs += 1
            items += number
    return Taken(jobs=jobs, items=items)


def _adopt(
    store: Store,
    service: Service,
    foreign: Foreign,
    files: _Files,
    key_of: KeyOf,
    clock: Callable[[], float],
) -> int:
    """How many items of ours it carries that wait to be measured; it is ours from now on if there are any."""
    keys: dict[bytes, str] = {}  # key -> what the answer calls it
    for source in foreign.sources:
        key = _key(source, files, key_of)
        if key is not None and key not in keys and store.status_of(key) is ItemStatus.PENDING:
            keys[key] = source.match
    items = [item for item in store.load_items(list(keys)) if foreign.alike(item.kind, item.facts)]
    if not items:
        return 0
    # A planned job that carries just these keeps its number and order, so that what a lost state had is had again.
    planned = store.planned_with({item.key for item in items})
    if planned is not None:
        job = store.load_job(planned)
        store.record_adopted(
            planned,
            remote_id=foreign.remote_id,
            endpoint=service.endpoint,
            request=_request(service, job),
            matches={member.position: keys[member.item.key] for member in job.members},
            created_at=foreign.created_at,
            simulated=bool(foreign.simulated),
            now=clock(),
        )
        return len(items)
    store.adopt(
        Draft(members=tuple(Member(item=item) for item in items), size_bytes=sum(item.size_bytes for item in items)),
        remote_id=foreign.remote_id,
        endpoint=service.endpoint,
        nonce="",
        matches=[keys[item.key] for item in items],
        request={"adopted": True},
        created_at=foreign.created_at,
        simulated=bool(foreign.simulated),
        now=clock(),
    )
    return len(items)


def _request(service: Service, job: Job) -> Mapping[str, Any]:
    """What a job that carries just these asked for: the settings were found to be the same."""
    try:
        return service.prepare(job).request
    except OSError:  # a file that is not there any more; the service has what it was
        return {"adopted": True}


def _key(source: ForeignSource, files: _Files, key_of: KeyOf) -> bytes | None:
    match source.kind:
        case "url":
            return key_of("url", url_content(source.value or ""))
        case "text":
            return key_of("text", text_content(source.value or ""))
        case _:
            return files.with_md5(source.md5.lower()) if source.md5 else None


class _Files:
    """The keys of waiting files by MD5. Those whose MD5 is not known are read once, when the first is asked for."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._read = False

    def with_md5(self, md5: str) -> bytes | None:
        try:
            digest = bytes.fromhex(md5)
        except ValueError:
            return None
        found = self._store.find_by_md5(digest)
        if found is None and not self._read:
            self._read = True
            for key, path in self._store.waiting_without_md5():
                try:
                    self._store.remember_md5(key, _md5(path))
                except OSError:
                    continue  # it fails by itself when it is sent
            found = self._store.find_by_md5(digest)
        return found


def _md5(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).digest()

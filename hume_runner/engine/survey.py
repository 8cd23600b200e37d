"""Ask before paying: what this key has at the service already is adopted, not submitted again.

It makes the state a cache of what the service knows: a restored backup, a deleted state, another output directory or a
copied folder finds what was paid for by its content.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hume_runner.errors import AuthError, NotFound
from hume_runner.manifest.model import SourceKind
from hume_runner.planning.fingerprint import text_content, url_content
from hume_runner.services.base import Draft, Foreign, ForeignSource, Job, ListingIncomplete, Member, NotSettled, Service
from hume_runner.state.lifecycle import ItemStatus
from hume_runner.state.store import Store

# The key of an item of this kind and content (32 bytes) under the manifest's present settings.
KeyOf = Callable[[SourceKind, bytes], bytes]


_FORBIDDEN = 403


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What the service had already. `unsure`: why nobody can tell whether it has more of what is planned, in words.

    `unsettled`: looking again may tell (why, and whether that takes as long as a measurement).
    """

    jobs: int
    items: int
    unsure: str = ""
    unsettled: NotSettled | None = None


def adopt_what_is_there(
    store: Store, service: Service, *, since: float, key_of: KeyOf, clock: Callable[[], float]
) -> Taken:
    """Adopt every job at the service that carries what is planned here. Raises: ApiError, ListingUnsupported."""
    jobs = items = 0
    unsure = ""
    files, kinds = _Files(store), store.planned_kinds()
    endpoint = service.endpoint
    # What the list shows and this key cannot open: another's job, a phantom; or a host that has no details at all.
    shut: list[_Told] = []
    opens = False

    def take(told: _Told) -> None:
        nonlocal jobs, items, unsure
        if told.foreign.given_up:
            return  # it measured nothing
        keys = told.matches(store, files, key_of)
        unsure = unsure or told.unsure
        if told.unsure:
            return  # once it is ours, nobody would ask again about the rest of it
        number = _adopt(store, service, told, keys, clock)
        jobs += number > 0
        items += number

    def knows(remote_id: str) -> bool:
        if store.is_agreed(endpoint, remote_id):
            return True
        # What was taken for some of its sources may carry more, and that was paid for as well.
        return store.knows_remote(endpoint, remote_id) and store.adopted_in_part(endpoint, remote_id) is None

    ours = store.taken_since(endpoint, since)
    ours = {remote_id: at for remote_id, at in ours.items() if not store.is_agreed(endpoint, remote_id)}
    try:
        for foreign in service.survey(since, knows, ours):
            told = _Told(foreign, kinds)
            carries = bool(told.matches(store, files, key_of))
            if foreign.given_up and not carries:
                continue
            if carries or told.silent or told.unsure:
                # A list's entry may leave things out or give them in another order: the details count.
                details = _details(service, foreign)
                if details is None and (opens or len(shut) < _MOST_SHUT):
                    shut.append(told)
                    continue
                opens = opens or (details is not None and service.keeper is not None)
                told = told.confirmed(details or foreign)
            take(told)
    except NotSettled as error:
        return Taken(jobs=jobs, items=items, unsure=unsure, unsettled=error)
    except ListingIncomplete as error:
        unsure = unsure or str(error)
    entries = Counter(told.foreign.remote_id for told in shut)
    for told in shut:
        if entries[told.foreign.remote_id] > 1:
            unsure = unsure or f"the list tells different things of {told.foreign.remote_id}, and there are no details"
        elif not opens:
            take(told.confirmed(told.foreign))
        elif told.silent or told.matches(store, files, key_of):
            unsure = unsure or f"the list shows {told.foreign.remote_id}, and this key cannot open it"
    return Taken(jobs=jobs, items=items, unsure=unsure)


# So many jobs that cannot be opened, and none that can: this host has no details.
_MOST_SHUT = 50


def _details(service: Service, foreign: Foreign) -> Foreign | None:
    """The same job as its details tell it; None where this key cannot open them. Raises: ApiError."""
    if service.keeper is None:
        return foreign
    try:
        return service.keeper.recognise(foreign.remote_id)
    except NotFound:
        return None
    except AuthError as error:
        if error.status != _FORBIDDEN:
            raise
        return None


class _Told:
    """What a job at the service is said to carry, and what of that cannot be told for sure."""

    def __init__(self, foreign: Foreign, kinds: Collection[str], unsure: str = "") -> None:
        self.foreign = foreign
        self.unsure = unsure
        self._kinds = kinds
        self.silent = bool(foreign.silent & set(kinds))

    def confirmed(self, details: Foreign) -> _Told:
        """The same by its details. Two orders of its texts leave open which answer is whose."""
        name = self.foreign.remote_id
        texts, others = (
            [source.value for source in one.sources if source.kind == "text"] for one in (self.foreign, details)
        )
        unsure = ""
        if texts and others and texts != others and sorted(map(str, texts)) == sorted(map(str, others)):
            unsure = f"{name} carries texts, and nothing tells in which order"
            details = replace(details, sources=tuple(one for one in details.sources if one.kind != "text"))
        told = _Told(details, self._kinds, unsure)
        if told.silent and not unsure:
            told.unsure = f"neither the list nor the details of {name} tell all that it carries"
        return told

    def matches(self, store: Store, files: _Files, key_of: KeyOf) -> dict[bytes, str]:
        """Key -> what the answer calls it, of our items that wait to be measured and are measured there alike."""
        names = Counter(source.match for source in self.foreign.sources if source.kind == "file")
        keys: dict[bytes, str] = {}
        for source in self.foreign.sources:
            key = _key(source, files, key_of)
            if key is None or key in keys or store.status_of(key) is not ItemStatus.PENDING:
                continue
            if source.kind == "file" and names[source.match] > 1:
                self.unsure = f"{self.foreign.remote_id} carries several files under one name, '{source.match}'"
                continue
            keys[key] = source.match
        for item in store.load_items(list(keys)):
            alike = self.foreign.alike(item.kind, item.facts)
            if alike is None:
                self.unsure = f"nothing tells with which settings {self.foreign.remote_id} measured"
            if not alike:
                del keys[item.key]
            elif item.kind in self.foreign.unordered:
                self.unsure = f"{self.foreign.remote_id} carries texts, and nothing tells in which order"
                del keys[item.key]
        return keys


def _adopt(store: Store, service: Service, told: _Told, keys: Mapping[bytes, str], clock: Callable[[], float]) -> int:
    """How many items of ours it carries that wait to be measured; it is ours from now on if there are any."""
    foreign = told.foreign
    ours = store.adopted_in_part(service.endpoint, foreign.remote_id)
    items = store.load_items(list(keys) if ours is None else store.never_in(ours, keys))
    if not items:
        return 0
    draft = Draft(members=tuple(Member(item=item) for item in items), size_bytes=sum(item.size_bytes for item in items))
    if ours is not None:
        store.extend(ours, draft, matches=[keys[item.key] for item in items], now=clock())
        return len(items)
    # A planned job that carries just these keeps its number and order, so that what a lost state had is had again.
    whole = len(foreign.sources) == len(items)
    planned = store.planned_with({item.key for item in items}) if whole else None
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
        draft,
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

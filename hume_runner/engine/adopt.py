"""Bring jobs that were started elsewhere under this state, so that what was paid for is not paid for again."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from hume_runner.addresses import one_address
from hume_runner.engine.alike import find, note
from hume_runner.errors import Discontinued, NotFound, RequestRejected, UsageError
from hume_runner.frozen import frozen
from hume_runner.planning.fingerprint import text_content, url_content
from hume_runner.services.base import Host, Keeper
from hume_runner.services.foreign import Foreign, ForeignSource
from hume_runner.services.jobs import Draft, Member, PlanItem
from hume_runner.settings import mask_secrets
from hume_runner.state.lifecycle import ItemStatus, JobStatus
from hume_runner.state.reader import StateReader
from hume_runner.state.store import Store
from hume_runner.state.told import Told

_MOST_TOLD = 4  # settings that a sentence names


@frozen
class Adopted:
    """What became of one remote id. `job` is None where there was nothing to adopt, and `why` says why; `error`: it
    never can be. `unmatched`: sources of the job that are no waiting item; `lacks`: waiting items that it carries and
    that some of the manifest's models, `lacking`, did not measure."""

    remote_id: str
    job: int | None
    items: int
    unmatched: int
    why: str = ""
    error: UsageError | None = None
    lacks: int = 0
    lacking: tuple[str, ...] = ()


def adopt_all(store: Store, service: Host, remote_ids: Sequence[str], now: Callable[[], float]) -> Iterator[Adopted]:
    """Adopt one after another: what is wrong with one is told, and does not keep the others away. Raises: ApiError."""
    for remote_id in remote_ids:
        try:
            yield adopt(store, service, remote_id, now)
        except UsageError as error:
            yield Adopted(remote_id=remote_id, job=None, items=0, unmatched=0, why=str(error), error=error)


def adopt(store: Store, service: Host, remote_id: str, now: Callable[[], float]) -> Adopted:
    """Match a job's sources with the manifest's items by content, and record it as submitted.

    Items that are measured already, or that another job at the service carries, are left as they are. The plan of the
    manifest must have been applied to the state. Raises: ApiError; UsageError if there is no such job, if it failed,
    measures something else, or carries nothing that the manifest lists.
    """
    if not remote_id.strip():
        raise UsageError("an empty REMOTE_ID names no job", hint="the service's list of jobs tells their ids")
    ours = store.adopted_in_part(service.endpoint, remote_id)
    if ours is None and store.knows_remote(service.endpoint, remote_id):
        return Adopted(remote_id=remote_id, job=None, items=0, unmatched=0, why="this state has it already")
    if service.keeper is None:
        raise UsageError(
            f"{remote_id}: this API gives its answer once, with the upload; it cannot be fetched again",
            hint="run the manifest: what was not measured under this state is measured",
        )
    foreign = _recognised(service.keeper, remote_id)
    alike = _alike(store, foreign)
    told = service.keeper.carried(remote_id, store.texts()) if alike else None
    members, matches, unmatched = matched(store, foreign, ours, _confirmed(store, alike, told or ()))
    if not foreign.same_settings:
        members, matches = _touched_alike(foreign, members, matches)
        unmatched = len(foreign.sources) - len(members)
    if any(member.item.kind in foreign.unordered for member in members):
        raise _whose(remote_id)
    if not members and ours is not None:
        return Adopted(remote_id=remote_id, job=None, items=0, unmatched=0, why="this state has it already")
    if not members:
        settled = _settle(store, service.endpoint, foreign, now())
        if settled is not None:
            return settled
        if not any(listed(store, foreign)):
            raise _nothing_listed(store, foreign, alike, told)
        return Adopted(
            remote_id=remote_id, job=None, items=0, unmatched=unmatched, why="none of its sources waits to be measured"
        )
    draft = Draft(members=tuple(members), size_bytes=sum(member.item.size_bytes for member in members))
    if ours is not None:
        store.extend(ours, draft, matches=matches, now=now())
        return Adopted(remote_id=remote_id, job=ours, items=len(members), unmatched=unmatched)
    number = store.adopt(
        draft,
        remote_id=foreign.remote_id,
        endpoint=service.endpoint,
        nonce="",
        matches=matches,
        request={"adopted": True},
        created_at=foreign.created_at,
        simulated=bool(foreign.simulated),
        now=now(),
    )
    return Adopted(remote_id=remote_id, job=number, items=len(members), unmatched=unmatched)


def _recognised(keeper: Keeper, remote_id: str) -> Foreign:
    """What the service tells of a job that can be adopted. Raises: ApiError; UsageError if there is none."""
    try:
        foreign = keeper.recognise(remote_id)
    except (NotFound, RequestRejected) as error:
        raise UsageError(
            f"{remote_id}: the service knows no such job under this key: {error}",
            hint="look for typing errors; use the key of the account that started it, and the same endpoint",
        ) from error
    except Discontinued as error:
        # Another API has none of this one's jobs, so its own next step would lead nowhere.
        error.hint = (
            "if the job's answer was downloaded before, name that file in the place of the id: nobody is asked for it. "
            "A host that goes on serving these jobs can be named with --endpoint"
        )
        raise
    if foreign.given_up:
        raise UsageError(
            f"{remote_id}: this job failed at the service ({foreign.given_up}), so there is nothing to fetch",
            hint="leave the job out: a run sends its sources",
        )
    refuse_one_name(foreign)
    return foreign


def _touched_alike(foreign: Foreign, members: list[Member], matches: list[str]) -> tuple[list[Member], list[str]]:
    """Of what a job with other settings carries, the items that those do not touch: a text has no face. Raises:
    UsageError if there are none."""
    kept = [
        (member, match)
        for member, match in zip(members, matches, strict=True)
        if foreign.alike(member.item.kind, member.item.facts)
    ]
    if not kept:
        raise UsageError(
            f"{foreign.remote_id}: this job was started with other models or settings than the manifest's"
            f"{named(foreign)}",
            hint="give the manifest the job's settings, or leave the job out",
        )
    return [member for member, _ in kept], [match for _, match in kept]


def named(foreign: Foreign) -> str:
    """In which settings a job measures otherwise, as the end of a sentence; empty where that is not known."""
    told = foreign.differences
    more = f" and {len(told) - _MOST_TOLD} more" if len(told) > _MOST_TOLD else ""
    return f" ({'; '.join(told[:_MOST_TOLD])}{more})" if told else ""


def _nothing_listed(
    store: StateReader, foreign: Foreign, alike: Mapping[int, bytes], told: Sequence[ForeignSource] | None
) -> UsageError:
    """Of what is nearly listed both ways of writing are shown: one of them is a slip, or they are two sources."""
    remote_id = foreign.remote_id
    if alike and told is None:
        return UsageError(
            f"{remote_id}: the service tells what this job carries in another way than the manifest lists it, and its "
            "answer, which would show whether it is the same, is not there",
            hint="adopt the job again when it has ended; what its answer does not show is measured by a run",
        )
    hint = "list its sources first; files are known by their bytes, URLs by their address, texts by their characters"
    for place, key in alike.items():
        (item,) = store.load_items([key])
        theirs = foreign.sources[place].value or ""
        if item.kind == "url":
            hint = (
                f"{shown(theirs)} is not {shown(item.value)}: list the one, or have `run --pay-again` measure the other"
            )
            break
    return UsageError(f"{remote_id}: this job carries nothing that the manifest lists", hint=hint)


def shown(url: str) -> str:
    """A URL with its query, where signatures may stand, masked."""
    return f"'{mask_secrets(url)}'"


def _whose(remote_id: str) -> UsageError:
    return UsageError(
        f"{remote_id}: this job carries several texts, and nothing in its answer tells whose scores are whose",
        hint="leave the job out; `run --pay-again` measures its texts again",
    )


def refuse_one_name(foreign: Foreign) -> None:
    """An answer names files by their names: two of one name cannot be told apart. Raises: UsageError."""
    names = Counter(source.match for source in foreign.sources if source.kind == "file")
    twice = next((name for name, number in names.items() if number > 1), None)
    if twice is not None:
        raise UsageError(
            f"{foreign.remote_id}: several of its files are called '{twice}', so its answer does not tell whose scores "
            "are whose",
            hint="leave the job out; `run --pay-again` measures its files again",
        )


def _settle(store: Store, endpoint: str, foreign: Foreign, now: float) -> Adopted | None:
    """A lost submission that a person found at the service: every item that it carried is in this job.

    Raises: UsageError where texts stand in another order than they were sent in, and no words in the answer tell.
    """
    found = {one.md5: one.match for one in foreign.sources if one.kind == "file" and one.md5}
    told = {(one.kind, one.value): one.match for one in foreign.sources if one.kind != "file"}
    for row in store.jobs(JobStatus.AMBIGUOUS):
        job = store.load_job(row.number)
        matches = {}
        for member in job.members:
            item = member.item
            match = found.get(item.content_md5 or "") if item.kind == "file" else told.get((item.kind, item.value))
            if match is not None and item.kind == "text":
                match = job.matches.get(member.position, match)  # in the order that they were sent in
            if match is not None:
                matches[member.position] = match
        if len(matches) == len(job.members):
            sent = [member.item.value for member in job.members if member.item.kind == "text"]
            if "text" in foreign.unordered and sent != [one.value for one in foreign.sources if one.kind == "text"]:
                raise _whose(foreign.remote_id)
            store.record_found(
                row.number,
                foreign.remote_id,
                endpoint=endpoint,
                matches=matches,
                created_at=foreign.created_at,
                simulated=bool(foreign.simulated),
                others=(),
                now=now,
            )
            return Adopted(remote_id=foreign.remote_id, job=row.number, items=len(matches), unmatched=0)
    return None


def matched(
    store: StateReader, foreign: Foreign, ours: int | None, confirmed: Mapping[bytes, str] | None = None
) -> tuple[list[Member], list[str], int]:
    """The waiting items that a job carries, by what its answer names each, and how many of its sources are none.

    `confirmed`: items of which its answer says so, however the job is told, by their names there.
    """
    by_md5 = _files_by_md5(store, foreign)
    found: dict[bytes, str] = dict(confirmed or {})
    for source, worded in _worded(store, foreign):
        key = by_md5.get(source.md5 or "") if source.kind == "file" else worded
        if key is not None:
            found.setdefault(key, source.match)
    members: list[Member] = []
    matches: list[str] = []
    for key, match in found.items():
        if store.status_of(key) is not ItemStatus.PENDING:
            continue
        if ours is not None and not store.never_in(ours, [key]):
            continue
        members += [Member(item=item) for item in store.load_items([key])]
        matches.append(match)
    return members, matches, len(foreign.sources) - len(members)


def _worded(store: StateReader, foreign: Foreign) -> list[tuple[ForeignSource, bytes | None]]:
    """Each source with the key of the listed link or text that it is: as it is written, else a link by its address."""
    found = [(source, _key_of(store, source)) for source in foreign.sources]
    wanted = {one_address(one.value or "") for one, key in found if key is None and one.kind == "url"}
    keys: dict[str, bytes] = {}
    if wanted:
        for key, url in store.urls():
            address = one_address(url)
            if address in wanted:
                keys.setdefault(address, key)
    return [
        (one, keys.get(one_address(one.value or "")) if key is None and one.kind == "url" else key)
        for one, key in found
    ]


def _alike(store: StateReader, foreign: Foreign) -> dict[int, bytes]:
    """Place -> key of waiting items that the service may tell in another way, and that can be no other item and no
    other of its sources. That is no proof: what the job's answer says decides."""
    known = {at for at, one in enumerate(foreign.sources) if one.kind != "file" and _key_of(store, one) is not None}
    with Told() as told:
        note(told, foreign, known)
        pairs = {(one.place, one.key) for one in find(told, store)}
    places, keys = Counter(place for place, _ in pairs), Counter(key for _, key in pairs)
    return {place: key for place, key in sorted(pairs) if places[place] == 1 == keys[key]}


def _confirmed(store: StateReader, alike: Mapping[int, bytes], told: Sequence[ForeignSource]) -> dict[bytes, str]:
    """Of these items, those that the job's answer names: links by their address, texts by their characters."""
    links = {one_address(one.value): one.match for one in told if one.kind == "url" and one.value}
    texts = {one.value: one.match for one in told if one.kind == "text" and one.value is not None}
    found: dict[bytes, str] = {}
    for key in alike.values():
        (item,) = store.load_items([key])
        match = links.get(one_address(item.value)) if item.kind == "url" else texts.get(item.value)
        if match is not None:
            found[key] = match
    return found


def listed(store: StateReader, foreign: Foreign) -> Iterator[bytes]:
    """Keys of the listed items, measured or not, that a job carries."""
    for source, worded in _worded(store, foreign):
        with suppress(ValueError):  # what is no MD5 tells nothing
            key = store.find_by_md5(bytes.fromhex(source.md5 or "")) if source.kind == "file" else worded
            if key is not None:
                yield key


def _key_of(store: StateReader, source: ForeignSource) -> bytes | None:
    if source.value is None or source.kind == "file":
        return None
    content = url_content(source.value) if source.kind == "url" else text_content(source.value)
    return store.find_item(source.kind, content)


def _files_by_md5(store: StateReader, foreign: Foreign) -> dict[str, bytes]:
    """Keys of waiting files by the MD5 that the service tells; files are read only until all are found."""
    wanted = {source.md5 for source in foreign.sources if source.kind == "file" and source.md5}
    found: dict[str, bytes] = {}
    for item in _files_by_likelihood(store, foreign):
        if len(found) == len(wanted):
            break
        if item.path is None and item.content_md5 is None:
            continue
        try:
            digest = _md5(item.path) if item.path is not None else item.content_md5
        except OSError:
            continue
        if digest is not None and digest in wanted:
            found.setdefault(digest, item.key)
    return found


def _files_by_likelihood(store: StateReader, foreign: Foreign) -> Iterator[PlanItem]:
    """Files whose name an upload's name ends with first: then usually nothing else has to be read."""
    names = {source.match for source in foreign.sources if source.kind == "file"}
    later = []
    for item in store.waiting_files():
        base = item.value.rpartition("/")[2]
        if any(name.endswith(base) for name in names):
            yield item
        else:
            later.append(item.key)
    for key in later:
        yield from store.load_items([key])


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()

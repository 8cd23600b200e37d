"""Ask before paying: what this key has at the service already is adopted, not submitted again.

It makes the state a cache of what the service knows: a restored backup, a deleted state, another output directory or a
copied folder finds what was paid for by its content.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

from hume_runner.engine.alike import Alike, find, note
from hume_runner.engine.claims import Claim, KeyOf, WaitingFiles
from hume_runner.errors import AuthError, NotFound, RequestRejected, UnexpectedResponse
from hume_runner.frozen import frozen
from hume_runner.services.base import Host, Keeper, ListingIncomplete, NotSettled, Records, Sender
from hume_runner.services.foreign import Foreign
from hume_runner.services.jobs import Draft, Job, Member
from hume_runner.state.store import Store
from hume_runner.state.told import Told

_FORBIDDEN = 403


@frozen
class Taken:
    """What the service had already. `unsure`: why nobody can tell whether it has more of what is planned, in words.

    `doubted`: the jobs that this is about, as far as it is about some. `unsettled`: looking again may tell (why, and
    whether that takes as long as a measurement). `shown`: which of those that were watched for the service tells of.
    """

    jobs: int
    items: int
    unsure: str = ""
    doubted: tuple[str, ...] = ()
    unsettled: NotSettled | None = None
    shown: frozenset[str] = frozenset()


class Surveyed(Host, Records, Sender, Protocol):
    """What a survey needs of a service: to be shown jobs and their details, and how one of ours is asked for."""


def adopt_what_is_there(
    store: Store,
    service: Surveyed,
    *,
    since: float,
    key_of: KeyOf,
    clock: Callable[[], float],
    watched: Collection[str] = (),
) -> Taken:
    """Adopt every job at the service that carries what is planned here. `watched`: remote ids to look out for. Raises:
    ApiError, ListingUnsupported."""
    with Told() as told:
        return _Survey(store, service, key_of, clock, told, watched).look(since)


class _Survey:
    """One look at all that this key has at the service."""

    def __init__(
        self,
        store: Store,
        service: Surveyed,
        key_of: KeyOf,
        clock: Callable[[], float],
        told: Told,
        watched: Collection[str],
    ) -> None:
        self._store = store
        self._service = service
        self._endpoint = service.endpoint
        self._key_of = key_of
        self._clock = clock
        self._watched = watched
        self._shown: set[str] = set()
        self._files, self._kinds = WaitingFiles(store), store.planned_kinds()
        self._elsewhere = told  # what is told that is no item of ours as it stands
        self._doubts = _Doubts()
        # What the list shows and this key cannot open: another's job, a phantom; or a host that has no details at all.
        self._shut: list[Claim] = []
        self._opens = False
        self._jobs = self._items = self._looked_at = 0

    def look(self, since: float) -> Taken:
        store, endpoint = self._store, self._endpoint
        ours = store.taken_since(endpoint, since)
        ours = {remote_id: at for remote_id, at in ours.items() if not store.is_agreed(endpoint, remote_id)}
        unsettled: NotSettled | None = None
        try:
            for foreign in self._service.survey(since, self._knows, ours):
                self._meet(foreign)
        except NotSettled as error:
            unsettled = error
        except ListingIncomplete as error:
            self._doubts.add("", str(error))
        if unsettled is None:
            self._settle_shut()
            self._settle_alike()
        return Taken(
            jobs=self._jobs,
            items=self._items,
            unsure=self._doubts.words(),
            doubted=tuple(one for one in self._doubts.by_job if one),
            unsettled=unsettled,
            shown=frozenset(self._shown),
        )

    def _knows(self, remote_id: str) -> bool:
        """Asked of each job that the service shows."""
        if remote_id in self._watched:
            self._shown.add(remote_id)
        if self._store.is_agreed(self._endpoint, remote_id):
            # What it surely carries is not paid for again all the same, where it can be had. Where it cannot, it may be
            # another item than it was agreed to for.
            return self._store.knows_remote(self._endpoint, remote_id)
        # What was taken for some of its sources may carry more, and that was paid for as well.
        known = self._store.knows_remote(self._endpoint, remote_id)
        return known and self._store.adopted_in_part(self._endpoint, remote_id) is None

    def _meet(self, foreign: Foreign) -> None:
        told = Claim(foreign, self._kinds)
        carries = self._carries(told)
        if foreign.given_up and not carries:
            return  # it measured nothing
        if carries or told.silent or told.unsure:
            # A list's entry may leave things out or give them in another order: the details count.
            details = _details(self._service.keeper, foreign)
            if details is None and (self._opens or len(self._shut) < _MOST_SHUT):
                self._shut.append(told)
                return
            self._opens = self._opens or (details is not None and self._service.keeper is not None)
            told = told.confirmed(details or foreign)
        self._take(told)

    def _carries(self, told: Claim) -> bool:
        return bool(told.matches(self._store, self._files, self._key_of))

    def _take(self, told: Claim) -> None:
        foreign = told.foreign
        if foreign.given_up:
            return  # it measured nothing
        keys = told.matches(self._store, self._files, self._key_of)
        agreed = self._store.is_agreed(self._endpoint, foreign.remote_id)
        if told.unsure:
            if not agreed:
                self._doubts.add(foreign.remote_id, told.unsure)
            return  # once it is ours, nobody would ask again about the rest of it
        if keys and not agreed and self._hides(foreign, keys):
            name = foreign.remote_id
            self._doubts.add(name, f"{name} measured more than the service tells that it carries")
            return
        number = _adopt(self._store, self._service, told, keys, self._clock)
        self._jobs += number > 0
        self._items += number
        if not agreed:
            note(self._elsewhere, foreign, told.known(self._store, self._files, self._key_of))

    def _hides(self, foreign: Foreign, keys: Collection[bytes]) -> bool:
        """Whether a job's answer speaks of more sources than it is told to carry: what it hides may be planned here.

        One that carries just what a planned job does is what a lost state sent; of those a few are looked at.
        """
        keeper = self._service.keeper
        if keeper is None or self._store.adopted_in_part(self._endpoint, foreign.remote_id) is not None:
            return False
        if len(foreign.sources) == len(keys) and self._store.planned_with(set(keys)) is not None:
            if self._looked_at >= _LOOKED_AT:
                return False
            self._looked_at += 1
        measured = keeper.measured(foreign.remote_id)
        if measured is None:
            return False
        told = Counter(kind for kind, _ in {(source.kind, source.match) for source in foreign.sources})
        return any(number > told[kind] for kind, number in measured.items())

    def _settle_shut(self) -> None:
        entries = Counter(told.foreign.remote_id for told in self._shut)
        for told in self._shut:
            name = told.foreign.remote_id
            if entries[name] > 1:
                self._doubts.add(name, f"the list tells different things of {name}, and there are no details")
            elif not self._opens:
                self._take(told.confirmed(told.foreign))
            elif not self._store.is_agreed(self._endpoint, name) and (told.silent or self._carries(told)):
                self._doubts.add(name, f"the list shows {name}, and this key cannot open it")

    def _settle_alike(self) -> None:
        """What still waits may be what some job is told to carry in another way: its details tell more, or nobody."""
        asked: dict[str, Foreign | None] = {}
        with Told() as told:
            by_list, self._elsewhere = self._elsewhere, told
            for remote_id in dict.fromkeys(one.remote_id for one in find(by_list, self._store)):
                details = asked[remote_id] = self._recognised(remote_id)
                if details is not None:
                    self._take(Claim(details, self._kinds))
            for one in find(by_list, self._store):
                if asked[one.remote_id] is None:
                    self._doubt(one)
            for one in find(told, self._store):
                (item,) = self._store.load_items([one.key])
                details = asked[one.remote_id]
                if details is None or details.alike(item.kind, item.facts) is not False:
                    self._doubt(one)

    def _doubt(self, one: Alike) -> None:
        how = "only how it begins" if one.cut else "it in another way"
        self._doubts.add(one.remote_id, f"{one.remote_id} may carry '{one.item}' and tell {how}", one.item)

    def _recognised(self, remote_id: str) -> Foreign | None:
        keeper = self._service.keeper
        if keeper is None:
            return None
        try:
            return keeper.recognise(remote_id)
        except (NotFound, RequestRejected, UnexpectedResponse):
            return None
        except AuthError as error:
            if error.status != _FORBIDDEN:
                raise
            return None


class _Doubts:
    """Why it is not sure what was paid for, by the job that this is about ("": by none)."""

    def __init__(self) -> None:
        self.by_job: dict[str, str] = {}
        self._items: dict[str, dict[str, None]] = {}

    def add(self, remote_id: str, why: str, item: str | None = None) -> None:
        self.by_job.setdefault(remote_id, why)
        if item is not None:
            self._items.setdefault(remote_id, {})[item] = None

    def words(self) -> str:
        """All of it in one sentence, as far as a person reads."""
        told = [self._of(one) for one in list(self.by_job)[:_MOST_TOLD]]
        more = len(self.by_job) - len(told)
        return "; ".join([*told, *([f"and {more} jobs more"] if more else [])])

    def _of(self, remote_id: str) -> str:
        items = list(self._items.get(remote_id, {}))
        named = ", ".join(f"'{one}'" for one in items[1:_MOST_TOLD])
        more = len(items) - _MOST_TOLD
        more_of_it = f" (and {named}{f' and {more} more' if more > 0 else ''})" if named else ""
        return self.by_job[remote_id] + more_of_it


# So many answers are looked through of jobs that seem to be just what is planned.
_LOOKED_AT = 3
# So many jobs, and items of each, are named.
_MOST_TOLD = 5
# So many jobs that cannot be opened, and none that can: this host has no details.
_MOST_SHUT = 50


def _details(keeper: Keeper | None, foreign: Foreign) -> Foreign | None:
    """The same job as its details tell it; None where this key cannot open them. Raises: ApiError."""
    if keeper is None:
        return foreign
    try:
        return keeper.recognise(foreign.remote_id)
    except NotFound:
        return None
    except AuthError as error:
        if error.status != _FORBIDDEN:
            raise
        return None


def _adopt(store: Store, service: Sender, told: Claim, keys: Mapping[bytes, str], clock: Callable[[], float]) -> int:
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
            request=_request(service, job) if foreign.same_settings else {"adopted": True},
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


def _request(service: Sender, job: Job) -> Mapping[str, Any]:
    """What a job that carries just these asked for, if all of its settings are the same: others that touch none of its
    items are not what it was sent with."""
    try:
        return service.prepare(job).request
    except OSError:  # a file that is not there any more; the service has what it was
        return {"adopted": True}

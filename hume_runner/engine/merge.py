"""Shards become one: their answers below one output directory, their jobs in one state.

Everything is looked at before anything is changed. Then, shard by shard: answers first, checked against their hashes
and under their final names before the state speaks of them; the state in one transaction. So a merge may be killed at
any moment and is repeated by the same command.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

from hume_runner import aside
from hume_runner.engine.merge_answers import bring, check_there, outputs_of
from hume_runner.engine.rescue import take_up
from hume_runner.errors import StateError, UsageError
from hume_runner.frozen import frozen
from hume_runner.manifest.model import Manifest
from hume_runner.planning.fingerprint import canonical, changed_settings, result_settings
from hume_runner.planning.former import completed
from hume_runner.planning.selection import Shard, part_of
from hume_runner.state.connection import guarded
from hume_runner.state.disk import Disk
from hume_runner.state.keeping import Keeper, Kept
from hume_runner.state.lock import OutputsLock, StateLock
from hume_runner.state.merging import (
    Copy,
    Merger,
    close_shard,
    merged_shards,
    waiting,
)
from hume_runner.state.outputs_owner import OutputsOwner
from hume_runner.state.pinned import resolved
from hume_runner.state.reader import StateReader
from hume_runner.state.recognising import recognised
from hume_runner.state.shard_facts import ShardFacts, facts_of, kinds_of
from hume_runner.state.shards import check_shard, never_begun
from hume_runner.state.store import Store


class Homes(Protocol):
    """Where the states of the whole (`shard` is None) and of its shards are at home: on this disk, or in a store."""

    def keeper(self, shard: Shard | None) -> Keeper: ...

    def renew(self, shard: Shard, state: Path) -> None:
        """Bring the file of a shard, which nobody has open, up to what its home holds. Raises: StateLocked where the
        shard runs on another machine; StateError, StoreError."""
        ...


@frozen
class Desk:
    """What merging works with. `now`: Unix seconds. `begin` hears of each shard that is brought in, with how many
    answers, and `step` of each answer. `home`: the place in a store where the whole's state is at home."""

    disk: Disk
    now: Callable[[], float]
    new_id: Callable[[], str]
    mask: Callable[[str], str]
    homes: Homes
    home: str | None = None
    begin: Callable[[str, int], None] = lambda what, total: None
    step: Callable[[], None] = lambda: None


@frozen
class MergedShard:
    """What came of one shard: `jobs` that are new in the whole, or further than it knew, `items` that were measured in
    them. `again`: items that the whole had measured as well, with the first of their ids. `waiting`: of its items, not
    measured yet."""

    shard: str
    state: Path
    jobs: int
    items: int
    again: int
    names: tuple[str, ...]
    waiting: int


@frozen
class Unmeasured:
    """Items of one part of the manifest that no merged state has measured; `given`: whether that part was merged."""

    shard: str
    given: bool
    items: int
    names: tuple[str, ...]


@contextlib.contextmanager
def merged(
    manifest: Manifest, state: Path, outputs: Path, places: Sequence[Path], *, desk: Desk, take_over: bool
) -> Iterator[tuple[Store, list[MergedShard], Kept]]:
    """The whole's state with these shards in it, open and locked for as long as the block lasts, and what tells its
    home of it: to be settled before the block ends.

    `take_over`: what a shard has at the service without an answer becomes the whole's to settle, and the shard never
    runs again. Raises: UsageError, StateLocked, StateError, StoreError; then nothing was merged.
    """
    state, outputs = resolved(state), resolved(outputs)
    states = _states(places, state)
    with contextlib.ExitStack() as stack:
        for folder in (state.parent, outputs):
            with guarded(folder):
                desk.disk.make_directory(folder)
        stack.enter_context(StateLock(state))
        stack.enter_context(OutputsLock(outputs))
        with guarded(outputs):
            aside.folder_below(outputs, "raw")
        for one in states:
            _renew(one, manifest, desk)
        kept = stack.enter_context(desk.homes.keeper(None).own(state))
        store = Store.create_or_open(
            state, disk=desk.disk, name=manifest.name, lineage=desk.new_id(), mask=desk.mask, shipper=kept.shipper
        )
        stack.callback(store.close)
        begun = stack.enter_context(contextlib.ExitStack())
        begun.callback(store.discard)
        check_shard(store, None)
        owner = OutputsOwner(outputs)
        owner.check(manifest=manifest.name, state=state, lineage=store.lineage, home=desk.home)
        lost = owner.lineage if store.knows_nothing() else None
        merger = Merger(store)
        stack.callback(merger.close)
        found = [_look(one, manifest, store) for one in states]
        _check_all(found, manifest, store, lost, take_over=take_over)
        found.sort(key=lambda facts: Shard.parse(facts.shard or "1/1").index)
        unfinished = [facts for facts in found if facts.open or facts.closed not in (None, store.lineage)]
        if unfinished:
            for facts in found:
                _check_answers(facts, manifest, store)
            kept.ready(store)
            begun.pop_all()  # a shard that is closed names this state, whatever happens next
            for facts in unfinished:
                _close(facts, manifest, store.lineage, desk)
            closed = {facts.state for facts in unfinished}
            found = [_look(facts.state, manifest, store) if facts.state in closed else facts for facts in found]
        for turn, facts in enumerate(found):
            with _copied(facts, manifest, store) as shard:
                merger.count(facts, turn, recognised(store, shard))
        merger.number()
        begun.pop_all()
        with guarded(outputs):
            owner.record(desk.disk, manifest=manifest.name, state=state, lineage=store.lineage, home=desk.home)
        # As at the beginning of a run: another machine's last words are in no snapshot that this one leaves.
        take_up(store, kept, desk.now())
        yield store, [_take(facts, manifest, store, merger, outputs, desk) for facts in found], kept


def _states(places: Sequence[Path], whole: Path) -> list[Path]:
    """The states that were named, by their files or their folders. Raises: UsageError."""
    found: dict[Path, Path] = {}
    for place in places:
        path = resolved(place / "state.sqlite3" if place.is_dir() else place)
        if place.is_dir() and never_begun(resolved(place)):
            continue  # it is told as missing
        if not path.is_file():
            raise UsageError(f"{place}: no state there", hint="name a shard's folder, or its state.sqlite3")
        if path in found:
            raise UsageError(f"{place}: the same state as {found[path]}", hint="name each shard once")
        if path == whole:
            raise UsageError(f"{place}: this is the state that shards are merged into", hint="name the shards alone")
        found[path] = place
    if not found:
        raise UsageError(
            f"{places[0]}: no state there",
            hint="run the shards first: `hume-runner run MANIFEST --shard 1/2` and so on",
        )
    return list(found)


@contextlib.contextmanager
def _held(path: Path) -> Iterator[None]:
    """A shard's state that nobody else runs. In a folder that we may only read, nobody may run it now. Raises:
    StateLocked."""
    if os.access(path.parent, os.W_OK):
        with StateLock(path):
            yield
        return
    holder = StateLock(path).held()
    if holder is not None:
        raise StateError(f"{path}: a run is on: {holder}", hint="wait for it")
    yield


def _renew(path: Path, manifest: Manifest, desk: Desk) -> None:
    """A shard that went on elsewhere is merged as it is by now."""
    with _held(path):
        with StateReader.peek(path, name=manifest.name) as state:
            named = state.meta("shard")
        if named is not None:
            desk.homes.renew(Shard.parse(named), path)


def _look(path: Path, manifest: Manifest, whole: StateReader) -> ShardFacts:
    with _held(path), StateReader.peek(path, name=manifest.name) as shard:
        facts = facts_of(shard, path, whole)
        if facts.shard is None:
            raise UsageError(
                f"{path}: this is no shard's state", hint="`state merge` takes states of `run --shard I/N`"
            )
        return facts


@contextlib.contextmanager
def _copied(facts: ShardFacts, manifest: Manifest, store: Store) -> Iterator[StateReader]:
    """A copy of a shard's state beside the whole's, if it is as it was looked at."""
    with _held(facts.state), StateReader.peek(facts.state, name=manifest.name) as shard:
        _check_same(shard, facts)
        with Copy(store, shard):
            yield shard


def _check_all(
    found: Sequence[ShardFacts], manifest: Manifest, store: StateReader, lost: str | None, *, take_over: bool
) -> None:
    """`lost`: the lineage of the state that was here before and is gone. Raises: UsageError for states that do not
    belong together."""
    settings = result_settings(manifest)
    first = found[0]
    of = Shard.parse(first.shard or "").of
    seen: dict[str, ShardFacts] = {}
    kinds = dict.fromkeys(kinds_of(store), store.path)
    for facts in found:
        shard = Shard.parse(facts.shard or "")
        if shard.of != of:
            raise UsageError(
                f"{facts.state} is shard {shard}, and {first.state} is shard {first.shard}: parts of different wholes",
                hint="merge those of one N, then those of the other",
            )
        for same in (facts.shard or "", facts.lineage):
            if same in seen:
                raise UsageError(
                    f"{facts.state} and {seen[same].state} are both shard {shard}", hint="name one of them"
                )
            seen[same] = facts
        _check_settings(facts, manifest, settings)
        for kind in facts.simulated:
            kinds[kind] = facts.state
        if len(kinds) > 1:
            raise UsageError(
                f"{kinds[True]} holds simulated scores, and {kinds[False]} measurements: the two are not mixed",
                hint="merge rehearsals in another place: --output-dir rehearsal",
            )
        _check_open(facts, store, lost, take_over=take_over)


def _check_settings(facts: ShardFacts, manifest: Manifest, settings: dict[str, object]) -> None:
    if facts.api is not None and facts.api != manifest.service.api:
        raise UsageError(
            f"{facts.state}: measured with {facts.api}, and the manifest says {manifest.service.api}",
            hint="use the manifest that the shards were run with",
        )
    theirs = completed(facts.settings, settings) if facts.settings is not None else settings
    if canonical(theirs) != canonical(settings):
        raise UsageError(
            f"{facts.state}: planned with other settings: {'; '.join(changed_settings(theirs, settings))}",
            hint=f"use the manifest that the shards were run with, or run --shard {facts.shard} with this one first",
        )


def _check_answers(facts: ShardFacts, manifest: Manifest, store: Store) -> None:
    """Nothing is closed for good where an answer would have the merge refused then. Raises: UsageError, StateError."""
    if facts.closed is not None:
        return
    with _held(facts.state), StateReader.peek(facts.state, name=manifest.name) as shard:
        new = {one.number for one in recognised(store, shard) if not one.told}
        answers = (answer for number, answer in shard.answers() if number in new)
        for first in itertools.islice(answers, 1):
            source = outputs_of(facts)
            for answer in itertools.chain([first], answers):
                check_there(answer, source, facts)


def _check_open(facts: ShardFacts, store: StateReader, lost: str | None, *, take_over: bool) -> None:
    if facts.closed is not None and facts.closed == lost:
        if take_over:
            return
        raise UsageError(
            f"{facts.state}: a state that is gone from here has taken over what this shard has at the service",
            hint="add --take-over: the state that is made now settles and fetches it",
        )
    if facts.closed is not None and facts.closed != store.lineage:
        raise UsageError(
            f"{facts.state}: another state has taken over what this shard has at the service",
            hint="merge it where it was merged with --take-over",
        )
    left = len(facts.open)
    if left and not take_over and facts.closed is None:
        raise UsageError(
            f"{facts.state}: shard {facts.shard} has {left} job{'s' if left > 1 else ''} at the service "
            "that nobody has the answer of yet",
            hint=f"finish it: `hume-runner run MANIFEST --shard {facts.shard}`; where that cannot be, add "
            "--take-over: the next run of everything settles and fetches them, and this shard never runs again",
        )


def _close(facts: ShardFacts, manifest: Manifest, lineage: str, desk: Desk) -> None:
    """The shard never runs again, so that what its last run heard, and its state did not, is taken up now."""
    with (
        StateLock(facts.state),
        desk.homes.keeper(Shard.parse(facts.shard or "")).own(facts.state) as kept,
        Store.create_or_open(
            facts.state, disk=desk.disk, name=manifest.name, lineage="", shipper=kept.shipper
        ) as shard,
    ):
        _check_same(shard, facts)
        take_up(shard, kept, desk.now())
        close_shard(shard, lineage)
        unsettled = kept.settle(shard)
    if unsettled is not None:
        raise unsettled


def _check_same(shard: StateReader, facts: ShardFacts) -> None:
    if (shard.lineage, shard.serial) != (facts.lineage, facts.serial):
        raise StateError(f"{facts.state}: the shard went on meanwhile", hint="run the same command again")


def _take(
    facts: ShardFacts, manifest: Manifest, store: Store, merger: Merger, outputs: Path, desk: Desk
) -> MergedShard:
    with _copied(facts, manifest, store):
        answers = list(merger.new_answers(facts))
        source = outputs_of(facts) if answers else facts.state.parent
        desk.begin(f"shard {facts.shard}", len(answers))
        brought = []
        for job, answer in answers:
            brought.append((job, bring(answer, source, outputs, facts, desk.disk)))
            desk.step()
        taken = merger.take(facts, brought, desk.now())
    return MergedShard(
        shard=facts.shard or "",
        state=facts.state,
        jobs=taken.jobs,
        items=taken.items,
        again=taken.again,
        names=taken.names,
        waiting=facts.waiting,
    )


# -- what is left -----------------------------------------------------------------------------------------------------


def unmeasured(store: StateReader, shards: Sequence[MergedShard]) -> list[Unmeasured]:
    """The listed items that nothing was measured of, by the part of the whole that they belong to."""
    of = Shard.parse(shards[0].shard).of
    given = merged_shards(store)
    counts: dict[int, int] = {}
    names: dict[int, list[str]] = {}
    for name, kind, content in waiting(store):
        index = part_of(kind, content, of)
        counts[index] = counts.get(index, 0) + 1
        if counts[index] <= 3:
            names.setdefault(index, []).append(name)
    return [
        Unmeasured(
            shard=f"{index}/{of}", given=f"{index}/{of}" in given, items=counts[index], names=tuple(names[index])
        )
        for index in sorted(counts)
    ]

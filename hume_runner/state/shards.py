"""Shards beside the whole: whose a state is, what the whole holds already, and which of them are not merged yet.

Shards of one manifest lie below its output directory, `shards/I-of-N/`, each with a state of its own; `state merge`
brings them into the one state above. Where several states could pay for the same, one of them is refused.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from shlex import quote

from hume_runner.errors import StateError, StateLocked, UsageError
from hume_runner.frozen import frozen
from hume_runner.planning.selection import Shard
from hume_runner.state.lock import StateLock
from hume_runner.state.reader import StateReader
from hume_runner.state.recognising import recognised
from hume_runner.state.store import Store

FOLDER = "shards"
# The shards of an array begin together, and each looks at the whole for a moment.
_PATIENCE_S = 2.0
_MOST_OPEN = 64
_LOCKS = (".lock", ".owner.json")
_NAME = re.compile(r"([0-9]+)-of-([0-9]+)")


@frozen(kw_only=False)
class Sibling:
    """A shard's state below an output directory."""

    shard: Shard
    state: Path


def siblings(outputs: Path) -> list[Sibling]:
    """The shards whose states lie below an output directory, by number."""
    return [one for one in _places(outputs) if one.state.is_file()]


def _places(outputs: Path) -> list[Sibling]:
    """Where shards have their states, or are about to make them, by number."""
    found = []
    with contextlib.suppress(OSError):
        for folder in (outputs / FOLDER).iterdir():
            if named := _NAME.fullmatch(folder.name):
                found.append(Sibling(Shard(int(named[1]), int(named[2])), folder / "state.sqlite3"))
    return sorted(found, key=lambda one: (one.shard.of, one.shard.index))


def never_begun(folder: Path) -> bool:
    """Whether this is the place of a shard that ended before it had a state: it was refused, or killed, and left its
    locks at most. Raises: StateLocked if it is about to begin."""
    if not _NAME.fullmatch(folder.name) or not all(one.name.endswith(_LOCKS) for one in folder.iterdir()):
        return False
    _not_running(folder / "state.sqlite3", f"a run of shard {folder.name.replace('-of-', '/')}")
    return True


def check_shard(store: StateReader, shard: Shard | None) -> None:
    """Raises: UsageError if the state is another shard's, or a shard's and the whole is asked for."""
    theirs = store.meta("shard")
    if store.meta("closed") is not None:
        raise UsageError(
            f"{store.path}: what this shard has at the service was taken over by the whole, which goes on",
            hint="hume-runner run MANIFEST, without --shard",
        )
    if theirs is None and (shard is None or store.knows_nothing()):
        return
    if theirs is not None and shard is not None and theirs == str(shard):
        return
    asked = f"shard {shard}" if shard is not None else "everything"
    whose = f"shard {theirs}" if theirs is not None else "everything"
    raise UsageError(
        f"{store.path}: this state is about {whose}, and asked for is {asked}",
        hint="leave --state out: each shard has a state of its own below the output directory",
    )


def note_shard(store: Store, shard: Shard | None, api: str, outputs: Path) -> None:
    """Write down whose the state is, which API it measures with, and where its answers are."""
    if shard is None:
        return
    facts = {"shard": str(shard), "api": api, "outputs": str(outputs)}
    if {name: store.meta(name) for name in facts} != facts:
        store.remember(**facts)


@contextlib.contextmanager
def held_by(whole: Path | None, ours: StateReader | None) -> Iterator[Callable[[bytes], bool] | None]:
    """For as long as the block lasts: tells of a key that the whole holds it and this shard does not, so that it is
    paid already. None where there is no whole."""
    if whole is None or not whole.exists():
        yield None
        return
    with StateReader.peek(whole) as store:
        if store.knows_nothing():
            yield None
        else:
            # What of ours may be at the service, or not, is asked about, but not sent again: a copy of a shard may have
            # been put back after the whole took its jobs over.
            yield lambda key: store.holds(key) and not (ours is not None and ours.holds(key, surely=True))


def unmerged(whole: Path, found: Sibling) -> tuple[int, int]:
    """How many jobs a shard has sent that the whole knows nothing of; and how many went on since it took them in."""
    with contextlib.ExitStack() as stack:
        theirs = stack.enter_context(StateReader.peek(found.state))
        store = StateReader.peek(whole) if whole.exists() else StateReader.empty("")
        stack.enter_context(store)
        new = further = 0
        for one in recognised(store, theirs):
            new += one.sent and one.job is None
            further += one.sent and one.job is not None and one.moved
    return new, further


def check_alone(outputs: Path, whole: Path, shard: Shard | None, *, knows: Path) -> None:
    """What others below this output directory do, or have done, must not be paid for by a run of `shard` (None: of
    everything) as well. `knows`: a copy of the whole's state where that is not at home here. Raises: StateLocked,
    UsageError.

    The whole and its shards each look at the others once they hold their own lock, so that of two that begin together
    one sees the other at least.
    """
    if shard is not None:
        _not_running(whole, "a run of everything")
    for one in _places(outputs):  # one that has no state yet may be about to make it
        if shard is not None and one.shard.of == shard.of:
            continue  # these never measure the same
        _not_running(one.state, f"a run of shard {one.shard}")
        _check_merged(outputs, whole, shard, one, knows)


def check_merged(outputs: Path, whole: Path, shard: Shard | None, *, knows: Path) -> None:
    """The same of what others have done alone, for who does not run. Raises: UsageError."""
    for one in _places(outputs):
        if shard is None or one.shard.of != shard.of:
            _check_merged(outputs, whole, shard, one, knows)


def _check_merged(outputs: Path, whole: Path, shard: Shard | None, one: Sibling, knows: Path) -> None:
    new, further = unmerged(knows, one) if one.state.is_file() else (0, 0)
    if new or further:
        parts = quote(str(outputs / FOLDER))
        asked = f"shard {shard}" if shard is not None else "everything"
        jobs = f"{new or further} job{'s' if (new or further) > 1 else ''}"
        has = f"has sent {jobs} that {whole} knows nothing of" if new else f"went on with {jobs} since {whole} has them"
        raise UsageError(
            f"{one.state.parent}: shard {one.shard} {has}: a run of {asked} could pay for the same again",
            hint=f"bring the shards together first: hume-runner state merge MANIFEST {parts}/*-of-{one.shard.of}",
        )


class Kin:
    """What the whole and the other shards below its output directory have had measured: no stranger's, although this
    shard knows nothing of it. Asked anew each time, since they work meanwhile."""

    def __init__(self, whole: Path, own: Path) -> None:
        self._whole = whole
        self._own = own
        self._open: dict[Path, StateReader] = {}

    def knows(self, endpoint: str, remote_id: str) -> bool:
        """Whether one of them sent that job. One that cannot be read says nothing."""
        states = [self._whole / "state.sqlite3", *(one.state for one in siblings(self._whole))]
        return any(self._asked(state, endpoint, remote_id) for state in states if state != self._own)

    def _asked(self, state: Path, endpoint: str, remote_id: str) -> bool:
        with contextlib.suppress(StateError, FileNotFoundError, OSError):
            store = self._open.pop(state, None) or StateReader.peek(state)
            self._open[state] = store  # the one asked last stands last
            if len(self._open) > _MOST_OPEN:
                self._open.pop(next(iter(self._open))).close()
            return store.knows_remote(endpoint, remote_id)
        return False

    def close(self) -> None:
        for store in self._open.values():
            store.close()
        self._open.clear()


def _not_running(state: Path, what: str) -> None:
    """Whether or not it has a state yet: two that begin together have none."""
    holder = StateLock(state).held(patience_s=_PATIENCE_S)
    if holder is not None:
        raise StateLocked(f"{state}: {what} is on: {holder}", hint="wait for it: the two could pay for the same")

"""Where a state is kept besides the disk of this machine: nowhere (`Alone`), or in an object store (`remote`).

A run asks for this at the few moments at which it matters: when it opens the state, when a transaction is done, around
each submission, and at its end.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hume_runner.errors import HumeRunnerError
from hume_runner.frozen import frozen
from hume_runner.services.jobs import SubmitResult

if TYPE_CHECKING:
    from hume_runner.state.reader import StateReader
    from hume_runner.state.store import Store

Send = Callable[[], SubmitResult]


@frozen
class Intent:
    """A submission that the state was told of and that is about to leave. `wall`: Unix seconds."""

    number: int
    nonce: str
    sha256: str
    endpoint: str
    wall: float


@frozen
class HadBack:
    """An answer that is on this disk again. `harm`: what was wrong with it, in words."""

    job: int
    path: str
    harm: str


class Shipper(Protocol):
    """Is told of every transaction of an open state, in order, by the thread that writes it."""

    @property
    def connection(self) -> type[sqlite3.Connection]:
        """The kind of connection that it listens to."""
        ...

    def begin(self, db: sqlite3.Connection) -> None: ...

    def number(self, db: sqlite3.Connection) -> None:
        """All is in the transaction, which is about to be committed."""
        ...

    def done(self, db: sqlite3.Connection) -> None: ...

    def drop(self, db: sqlite3.Connection) -> None: ...


class Kept(Protocol):
    """A state that is ours for the length of a run."""

    @property
    def shipper(self) -> Shipper | None: ...

    @property
    def broken(self) -> HumeRunnerError | None:
        """Why it is not ours any more."""
        ...

    def take_in(self, store: Store, now: float) -> None:
        """Tell the state of answers that an earlier owner had and could not tell it of. After `recover`."""
        ...

    def restore(self, store: StateReader, outputs: Path, *, every: bool, thorough: bool = False) -> Iterator[HadBack]:
        """Have answers here that cannot be had again and that lie in the store, as far as this is gone through; which
        those were that were not what was recorded. `every`: the service gives each of its answers once; `thorough`:
        read every one, however it looks. Raises: StoreError, StateError, OSError."""
        ...

    @property
    def has_more(self) -> bool:
        """Whether the state on this disk has what is nowhere else."""
        ...

    def ready(self, store: Store) -> None:
        """Whatever is submitted from here on can be told to another machine. Raises: StoreError, StateLocked."""
        ...

    def around(self, intent: Intent, send: Send) -> Send:
        """The submission with what has to be durable before, in the middle and after it."""
        ...

    def heard(self, store: Store, number: int) -> bool:
        """The state was told of what came of a submission. False: nobody else could be told."""
        ...

    def settle(self, store: Store) -> HumeRunnerError | None:
        """All that the state knows is there as well, or why not."""
        ...


class Keeper(Protocol):
    """Makes a state ours."""

    def own(self, state: Path) -> AbstractContextManager[Kept]:
        """Bring the file at `state` up to date, which nobody has open, and hold it for the block. Raises: StateLocked,
        StoreError, StateError."""
        ...


class Alone:
    """A state that is on this disk alone."""

    shipper: Shipper | None = None
    broken: HumeRunnerError | None = None
    has_more = False

    def take_in(self, store: Store, now: float) -> None:
        pass

    def restore(self, store: StateReader, outputs: Path, *, every: bool, thorough: bool = False) -> Iterator[HadBack]:
        del store, outputs, every, thorough
        yield from ()

    def ready(self, store: Store) -> None:
        pass

    def around(self, intent: Intent, send: Send) -> Send:
        del intent
        return send

    def heard(self, store: Store, number: int) -> bool:
        del store, number
        return True

    def settle(self, store: Store) -> HumeRunnerError | None:
        del store
        return None


class OnThisDisk:
    """Keeps every state where it is."""

    @contextmanager
    def own(self, state: Path) -> Iterator[Kept]:
        del state
        yield Alone()

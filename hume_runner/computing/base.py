"""What a caller sees of wherever the processor's work is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, ParamSpec, Protocol, TypeVar

from hume_runner.errors import HumeRunnerError
from hume_runner.frozen import frozen

P = ParamSpec("P")
T = TypeVar("T")

# What a call may cost: so many processes die of it, and then it is its own fault.
MOST_DEATHS = 2
FOLDER = "cluster"  # below the output directory: what a run shares with workers elsewhere


class Unseen(Exception):
    """A file that whoever works on a call has to read is not there as it is for us."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(path, why)
        self.path = path
        self.why = why


class NoAnswer(Exception):
    """What came back of a call is no answer to it, or nothing came back at all. `why` says what, for people."""

    def __init__(self, why: str, *, reason: Literal["no_answer", "timed_out", "not_taken"] = "no_answer") -> None:
        super().__init__(why, reason)
        self.why = why
        self.reason = reason

    @property
    def divisible(self) -> bool:
        """Whether a part of it may do: what is not taken may be too much at one time."""
        return self.reason == "not_taken"


class Away(Exception):
    """Whoever had a call handed to them went away, and nobody can tell what became of it: that is no fault of its
    own."""


class UnseenFile(HumeRunnerError):
    """The same, as it ends a run: a worker of a cluster does not see what lies here."""

    exit_code = 66


@frozen
class Needs:
    """What every process that works for us has to have: `function(*arguments)` is run there, and gives `told` where all
    is well. It raises HumeRunnerErrors for what is lacking."""

    function: Callable[..., tuple[str, ...]]
    arguments: tuple[Any, ...]
    told: tuple[str, ...]


class Pool(Protocol):
    """Does work. Safe to share between threads: each that calls waits for its own call."""

    @property
    def elsewhere(self) -> bool:
        """Whether calls may be worked on where this process's files, packages and models are not."""
        ...

    @property
    def width(self) -> int:
        """How many calls it works on at one time, as far as is known."""
        ...

    def open(self) -> None:
        """Make sure that work can be done. Raises: HumeRunnerError."""
        ...

    def call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """What the function gives, which may be run more than once.

        Raises: what it raises; WorkerDied for a call that ended two processes; TookTooLong; NoAnswer where what came is
        none to this call; Stopped; HumeRunnerError where nothing can be worked on.
        """
        ...

    def stop(self) -> None:
        """Give up at once what is worked on or waits: each of those calls raises Stopped."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...

"""Every exception that hume_runner raises on purpose.

HumeRunnerError                 .hint: the next step, printed on a line of its own; .exit_code
├── UsageError                  64  the command line does not fit
├── ManifestError               65  .problems: all of them, each with file, line, column and path
├── SourceError                 66  .problems: a source is missing or unreadable
├── MissingExtra                64  an optional package is needed; the hint is the pip command
├── MissingWeights              64  a model's files are not here, or are damaged; the hint is the command that gets them
├── ApiError                        .status .request_id .body: the service answered, or should have
│   ├── TransportError           5  .sent: False only if no byte of the request can have arrived
│   │   └── HostUnknown          5  nobody knows the service's host name, and it never answered; not tried again
│   ├── AuthError                7  the key is not accepted (401, or 403 for this operation)
│   ├── Discontinued             7  the service says that this API is closed
│   ├── NotFound                    no such job or run for this key
│   ├── RateLimited              5  .retry_after_s
│   ├── RequestRejected             any other 4xx: the request itself is refused
│   ├── ServerError              5  5xx; .retry_after_s
│   └── UnexpectedResponse          status 200, and a body that is not what the API promises
├── StateError                  10  damaged, foreign or newer state
│   ├── StateLocked              6  another run holds it
│   └── NoRoom                   5  this machine lacks room, open files or memory: nothing is damaged, and once there is
│                                   more, the same command goes on
├── StoreError                   5  an object store (s3://, gs://, az://) did not do what was asked
│   ├── StoreUnavailable         5  not reachable, too slow, or out of order for longer than we wait
│   ├── StoreDenied              7  no credentials, or these may not do it
│   ├── StoreMisconfigured      64  the environment says something of it that cannot be
│   ├── BucketMissing           66  no such bucket or container
│   ├── ObjectMissing           66  nothing of that name in it
│   ├── UnusableName            66  a key that cannot be asked for (an empty part, '.' or '..')
│   ├── ObjectPacked            66  stored with a Content-Encoding: its bytes are not the file's
│   ├── AlreadyExists            5  a write that may only create found something there
│   └── PreconditionFailed       5  the object is another one now than the one that was read
├── ServiceRefused               7  key, permission, quota or API closed: the whole run cannot go on
│   └── NoKey                    7  there is no key to ask with, and nobody was asked
├── ServiceUnavailable           5  the same command later may help
├── FailureBudgetExceeded        4
├── CostCapReached               8
├── LostAnswerNeedsDecision      9
├── Cancelled                  130  the caller ended a run before it began anything
└── ResultsError                66  an answer, or what was made of it, that cannot be read

OSError
└── NotRegular                      something of that name is there, and it is not a file

A job or item that failed is data in the state file, not an exception; an exception means that the run cannot go on.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from hume_runner import installing
from hume_runner.frozen import frozen


@frozen
class Problem:
    """One thing wrong with a manifest or a source, with the place a person has to look at.

    `file` is the manifest, or the list file that the manifest names. `line` and `column` count from 1; None where the
    problem has no place in the text (a missing file). `path` is the member, as in `sources.urls[2].id`.
    """

    file: str
    line: int | None
    column: int | None
    path: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = self.file
        if self.line is not None:
            place += f":{self.line}:{self.column or 1}"
        return f"{place}: {self.path}: {self.message}" if self.path else f"{place}: {self.message}"


class HumeRunnerError(Exception):
    """Base of all expected errors; `hint` says what to do next."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are pickled as their class and message. Ours are made from more, and one that another process
        # cannot make again is told as a broken pool.
        return _made_again, (type(self), self.args, self.__dict__)


def _made_again(kind: type[HumeRunnerError], args: tuple[Any, ...], facts: Mapping[str, Any]) -> HumeRunnerError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(facts)
    return error


class UsageError(HumeRunnerError):
    exit_code = 64


class MissingExtra(HumeRunnerError):
    """An optional dependency is not installed. `extra` is its name in pyproject.toml."""

    exit_code = 64

    def __init__(self, extra: str, needed_for: str) -> None:
        super().__init__(f"{needed_for} needs the extra '{extra}'", hint=installing.extras(extra))
        self.extra = extra


class MissingWeights(HumeRunnerError):
    """Files of a model that are needed are not on this machine, or are not what they should be."""

    exit_code = 64


class _Problems(HumeRunnerError):
    def __init__(self, problems: Iterable[Problem], *, hint: str = "") -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems), hint=hint)


class ManifestError(_Problems):
    exit_code = 65


class SourceError(_Problems):
    exit_code = 66


class ApiError(HumeRunnerError):
    """A request that did not end in a usable answer.

    `status` is None when no answer came. `body` holds at most the first 2,000 characters of an error body.
    """

    exit_code = 5

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        request_id: str | None = None,
        code: str | None = None,
        body: str = "",
        retry_after_s: float | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.request_id = request_id
        self.code = code
        self.body = body
        self.retry_after_s = retry_after_s


class TransportError(ApiError):
    """No answer. `sent` is False only when no byte of the request can have reached the server; `timed_out`: we did not
    wait any longer, and the connection stood."""

    def __init__(self, message: str, *, sent: bool, timed_out: bool = False, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.sent = sent
        self.timed_out = timed_out


class HostUnknown(TransportError):
    """The name of a host that never answered in this run has no address."""


class AuthError(ApiError):
    exit_code = 7


class Discontinued(ApiError):
    exit_code = 7


class NotFound(ApiError):
    pass


class RateLimited(ApiError):
    pass


class RequestRejected(ApiError):
    pass


class ServerError(ApiError):
    pass


class UnexpectedResponse(ApiError):
    pass


class StateError(HumeRunnerError):
    exit_code = 10


class StateLocked(StateError):
    exit_code = 6


class NoRoom(StateError):
    exit_code = 5


class StoreError(HumeRunnerError):
    """`key` is the object's name in its bucket, as far as one was asked for."""

    exit_code = 5

    def __init__(self, message: str, *, key: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.key = key


class StoreUnavailable(StoreError):
    pass


class StoreDenied(StoreError):
    exit_code = 7


class StoreMisconfigured(StoreError):
    exit_code = 64


class BucketMissing(StoreError):
    exit_code = 66


class ObjectMissing(StoreError):
    exit_code = 66


class UnusableName(StoreError):
    exit_code = 66


class ObjectPacked(StoreError):
    exit_code = 66


class AlreadyExists(StoreError):
    pass


class PreconditionFailed(StoreError):
    pass


class ServiceRefused(HumeRunnerError):
    exit_code = 7


class NoKey(ServiceRefused):
    """There is no API key where one was looked for; nothing was sent."""


class ServiceUnavailable(HumeRunnerError):
    exit_code = 5


class FailureBudgetExceeded(HumeRunnerError):
    exit_code = 4


class CostCapReached(HumeRunnerError):
    exit_code = 8


class LostAnswerNeedsDecision(HumeRunnerError):
    exit_code = 9


class Cancelled(HumeRunnerError):
    """The caller ended a run before it began anything."""

    exit_code = 130


class ResultsError(HumeRunnerError):
    """An answer, or what was made of it, that cannot be read."""

    exit_code = 66


class NotRegular(OSError):
    """Something of that name is there, and it is not a file; or it is neither that nor the folder that should be."""


_FULL = "free some space, then run the same command again: it resumes"
_PLACE = "the place must be writable; --output-dir or --state chooses another"
_NO_FOLDER = "move the file away; or --output-dir (--state for the state) names another folder"
_AWAY = "move it away, or name another place; nothing is lost"
_FILES = "raise the limit of open files (`ulimit -n`) or lower execution.transfer_workers, then run again: it resumes"
_MEMORY = "end other programs or raise the limit, then run the same command again: it resumes"
# What the system refuses -> the next step. Its own words for the refusal are good enough as they are.
_NEXT_STEPS = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EFBIG: "raise the limit of a file's size (`ulimit -f`), then run the same command again: it resumes",
    errno.EMFILE: _FILES,
    errno.ENFILE: _FILES,
    errno.ENOMEM: _MEMORY,
    errno.EAGAIN: _MEMORY,
    errno.EACCES: _PLACE,
    errno.EPERM: _PLACE,
    errno.EROFS: _PLACE,
    errno.EEXIST: _NO_FOLDER,
    errno.ELOOP: "move it away, or put the folder itself in its place; the output directory as a whole may be a link",
    errno.EISDIR: _AWAY,
    errno.ENOTDIR: _NO_FOLDER,
}
_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_SCARCE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN}) | _ROOM


_LONGEST_SAID = 500
# The loader's words where memory, or a limit of it, does not do for a library.
_UNMAPPED = "failed to map segment"


# Of a class itself: one of somebody else's may say a name of its own, or fail to.
_NAME = type.__dict__["__name__"]
_LONGEST_KIND = 80


def kind_of(value: object) -> str:
    """The name of the class of a value of somebody else's, on a line that can be kept and printed whatever it holds."""
    return " ".join(str(_NAME.__get__(type(value))).split())[:_LONGEST_KIND]


def in_a_line(error: BaseException) -> str:
    """What an exception of somebody else's code says, on a line that can be kept and printed whatever it holds."""
    try:
        words = str(error)
    except BaseException as failed:  # of a class whose own words fail
        if not isinstance(failed, Exception) and _is_ours(failed):  # a signal
            raise
        words = "it cannot say what"
    kind = kind_of(error)
    line = " ".join((f"{kind}: {words}" if words.strip() else kind).split())
    return line[:_LONGEST_SAID].encode("utf-8", "backslashreplace").decode()


def _is_ours(error: BaseException) -> bool:
    return type(error).__module__.partition(".")[0] == __name__.partition(".")[0]


def is_scarce(error: OSError) -> bool:
    """Whether this machine lacks something now (open files, memory, room): no fault of the file that was asked for."""
    return error.errno in _SCARCE


def lacks_room(error: OSError) -> bool:
    """Whether a disk, a quota or a limit takes no more bytes."""
    return error.errno in _ROOM


def refuse_scarce(error: BaseException) -> None:
    """Before a file is blamed for what it cannot be asked: what this machine lacks is no fault of the file, and to take
    the file for absent, damaged or nobody's may cost what is in it. Raises: ServiceUnavailable, NoRoom."""
    if isinstance(error, OSError) and is_scarce(error) and (known := of_system(error)) is not None:
        raise known from error


def of_disk(said: str, error: OSError) -> StateError:
    """What a disk refuses: a lack passes, anything else is the state's trouble. With the next step."""
    return (NoRoom if is_scarce(error) else StateError)(said, hint=next_step(error))


def of_place(path: object, error: OSError) -> HumeRunnerError:
    """What the system says of a place where something is to be written: what is in the way of a file or a folder there
    is bad usage, anything else as `of_disk`. With the next step."""
    place = error.filename or path
    if isinstance(error, NotRegular):
        return UsageError(f"{place}: {error.strerror}", hint=_AWAY)
    if error.errno == errno.EISDIR:
        return UsageError(f"{place}: a folder is where a file should be", hint=_AWAY)
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return UsageError(f"{place}: a file is where a folder should be", hint=next_step(error))
    return of_disk(f"{place}: {error.strerror or error}", error)


def next_step(error: OSError) -> str:
    """What a person can do about something that the system refuses."""
    return _NEXT_STEPS.get(
        error.errno or 0, "free some space or repair the disk, then run the same command again: it resumes"
    )


def _has_current_folder() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True


def of_system(error: BaseException) -> HumeRunnerError | None:
    """What the machine itself refuses, in our words; None for anything else, which is a bug.

    Scarce things (threads, memory, open files, room) may be there later (5), a disk that cannot be written is the
    state's trouble (10), and a path that is not what it should be is bad usage (64).
    """
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        hint = "end other programs or raise the limit of processes (`ulimit -u`), then run again: it resumes"
        return ServiceUnavailable("this machine starts no more threads", hint=hint)
    if isinstance(error, MemoryError) or (isinstance(error, ImportError) and _UNMAPPED in str(error)):
        return ServiceUnavailable("this machine has no more memory", hint=_MEMORY)
    if not isinstance(error, OSError) or isinstance(error, ConnectionError):
        return None
    if isinstance(error, FileNotFoundError) and error.filename is None and not _has_current_folder():
        return UsageError("the current folder does not exist any more", hint="change to one that does")
    place = f"{error.filename}: " if error.filename else ""
    said = f"{place}{error.strerror or error}"
    if is_scarce(error) and not lacks_room(error):
        return ServiceUnavailable(said, hint=next_step(error))
    if error.errno in _NEXT_STEPS or error.errno == errno.EIO or isinstance(error, NotRegular):
        return of_place(error.filename, error) if error.filename else of_disk(said, error)
    return UsageError(said, hint="check the path")

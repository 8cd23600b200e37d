"""What a worker of somebody's executor runs for us, and what it tells of itself before. Imported there: it imports
little, and takes and gives plain values, so that another version can still say which it is.

The work itself is done in a child of the worker: what kills it, or takes too long, ends the child and not the worker,
and whatever has threads of its own has one (see `processes`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
import platform
import re
import secrets
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from hume_runner._version import __version__
from hume_runner.computing.base import MOST_DEATHS, NoAnswer
from hume_runner.errors import HumeRunnerError, in_a_line, kind_of
from hume_runner.frozen import frozen
from hume_runner.processes import ProcessExecutor, Stopped, WorkerDied, answer_to

# A run is a mapping of plain values: "folder" that all share, "nonce" that its file `nonce` holds, "needs" (a packed
# call, bytes), and what is expected: "python", "hume_runner", "told".
Run = Mapping[str, Any]
Told = dict[str, Any]

NONCE = "nonce"
CALLS = "calls"
_SEEN = re.compile("seen-[0-9a-f]{16}")
# What an answer begins with: whose it is, to what it is one, and what it has to hold.
_SEAL = f"hume_runner {__version__} answers\n".encode()
_DIGEST_BYTES = 32
_SEALED_BYTES = len(_SEAL) + 2 * _DIGEST_BYTES
_LOOK_S = 1.0  # how often it is looked whether anybody still waits for a call
_IDLE_S = 30.0  # after which a child ends, with the models that it has loaded

Kind = Literal["returned", "raised", "died", "deadly", "slow", "unfit", "gone"]


@frozen(kw_only=False)
class Outcome:
    """What came of one try of a call. `value`: for "returned" and "raised" what did, else words; `where` it was."""

    kind: Kind
    value: Any
    where: str


def versions() -> Told:
    """What runs here. Of this process: a scheduler, a worker or the one that asks."""
    distributed = sys.modules.get("distributed")
    return {
        "python": python_version(),
        "hume_runner": __version__,
        "distributed": getattr(distributed, "__version__", None),
    }


def python_version() -> str:
    """As far as it matters to what is packed: 3.11."""
    return ".".join(platform.python_version_tuple()[:2])


def tell(run: Run) -> Told:
    """What this worker is and has. Never raises; what is wrong is told."""
    _end_with_parent()
    told = {"where": _where(), **versions()}
    folder = Path(run["folder"])
    try:
        told["read"] = (folder / NONCE).read_text()
        # A folder as the cache has them: whoever asked must be able to look into it.
        seen = folder / f"seen-{secrets.token_hex(8)}"  # as in _SEEN
        seen.mkdir(0o700)
        (seen / NONCE).write_text(run["nonce"])
        told["wrote"] = seen.name
    except OSError as error:
        told["unseen"] = f"{error.filename}: {error.strerror}"
    if _wrong(told, run):
        return told
    try:
        lane = _lane().take()
        returned, value = pickle.loads(lane.submit(answer_to, run["needs"]).result())  # noqa: S301 - of our own child
    except (WorkerDied, Stopped) as error:
        returned, value = False, error
    finally:
        _lane().give_back()
    if returned:
        told["told"] = list(value)
    elif isinstance(value, HumeRunnerError):
        told["lacks"] = [str(value), value.hint, value.exit_code]
    else:
        told["lacks"] = [f"{type(value).__name__}: {value}", "", 64]
    return told


def is_seen(run: Run, told: Mapping[str, Any]) -> bool:
    """Whether what a worker says that it wrote is found here."""
    wrote = told.get("wrote", "")
    return _SEEN.fullmatch(wrote) is not None and Path(run["folder"], wrote, NONCE).is_file()


def _wrong(told: Told, run: Run) -> bool:
    expected = (run["python"], run["hume_runner"], run["nonce"])
    return (told["python"], told["hume_runner"], told.get("read")) != expected or "wrote" not in told


_fit: set[str] = set()  # nonces of runs that this process was found fit for


_watched: set[int] = set()  # this process, once it is watched that its parent lives; a child that it forks has the set


def _end_with_parent() -> None:
    """A worker of a pool waits for work for ever where its parent was killed, and is to end then. Who else started this
    process looks after it by means of its own."""
    processes = sys.modules.get("multiprocessing.process")
    parent = None if processes is None else processes.parent_process()
    if parent is None or os.getpid() in _watched:
        return
    _watched.add(os.getpid())
    began_under = os.getppid()

    def watch() -> None:
        # One of them alone does not do: what tells of the parent's end is inherited by a forked child as well, and
        # whose children a server forks have that for their parent.
        while os.getppid() == began_under and parent.is_alive():
            threading.Event().wait(_LOOK_S)
        os._exit(1)

    with contextlib.suppress(RuntimeError, MemoryError):  # it is well to have
        threading.Thread(target=watch, name="hume-runner-parent", daemon=True).start()


def perform(run: Run, call: str, work: bytes, timeout_s: float) -> bytes:
    """One try of a call, packed; `work` is a packed (function, args, kwargs). May be run again, and at the same time
    elsewhere. Gives (kind, value, where), see `Outcome`, sealed for who asked: it says to what it is the answer."""
    _end_with_parent()
    return _sealed(pickle.dumps((*_tried(run, call, work, timeout_s), _where())), run, call, work)


def _tried(run: Run, call: str, work: bytes, timeout_s: float) -> tuple[Kind, Any]:
    if run["nonce"] not in _fit:
        told = tell(run)
        if _wrong(told, run) or told.get("told") != list(run["told"]):
            return "unfit", told
        _fit.add(run["nonce"])
    try:
        mark = _mark(Path(run["folder"], CALLS), call)
    except FileNotFoundError:  # the run is over
        return "gone", ""
    if mark is None:
        return "deadly", ""
    kind, value = _worked_on(work, Path(run["folder"]), timeout_s)
    if kind != "died":
        with contextlib.suppress(OSError):
            mark.unlink()
    return kind, value


def _sealed(body: bytes, run: Run, call: str, work: bytes) -> bytes:
    """An executor is somebody else's: what it hands back may be the answer to another call, or half of one."""
    return _SEAL + _digest(b"", run, call, work) + _digest(body, run, call, work) + body


def _digest(body: bytes, run: Run, call: str, work: bytes) -> bytes:
    digest = hashlib.sha256()
    for part in (str(run["nonce"]).encode(), call.encode(), work, body):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()


def outcome_of(packed: object, run: Run, call: str, work: bytes) -> Outcome:
    """What came of that call, and of no other. Raises: NoAnswer."""
    if type(packed) is not bytes:  # a class of somebody else's may do anything when it is looked at
        raise NoAnswer(f"a {kind_of(packed)}, which no worker of ours returned")
    if not packed.startswith(_SEAL) or len(packed) < _SEALED_BYTES:
        raise NoAnswer(f"{len(packed)} bytes that no worker of hume_runner {__version__} returned")
    head, body = packed[len(_SEAL) : _SEALED_BYTES], packed[_SEALED_BYTES:]
    asked, told = head[:_DIGEST_BYTES], head[_DIGEST_BYTES:]
    if asked != _digest(b"", run, call, work):
        raise NoAnswer("the answer to another piece of work")
    if told != _digest(body, run, call, work):
        raise NoAnswer("an answer that was damaged on its way")
    try:
        kind, value, where = pickle.loads(body)  # noqa: S301 - of a worker that the user named, and whole
        if kind in ("returned", "raised"):
            returned, value = pickle.loads(value)  # noqa: S301 - the same
            kind = "returned" if returned else "raised"
    except Exception as error:  # of a class that is not here
        raise NoAnswer(f"an answer that cannot be read here: {in_a_line(error)}") from error
    return Outcome(kind, value, where)


def starts(folder: Path, call: str) -> int:
    """How many tries of a call were begun and did not come to an end: whoever worked on them died, or still works."""
    return sum((folder / CALLS / f"{call}.{number}").exists() for number in range(MOST_DEATHS))


def _mark(folder: Path, call: str) -> Path | None:
    """A file that says that the call was begun; None where it was as often as it may be, and never came to an end.

    Made under a name that is not there yet, which the file's server decides: no list that a client keeps is asked.
    """
    for number in range(MOST_DEATHS):
        path = folder / f"{call}.{number}"
        with contextlib.suppress(FileExistsError):
            path.touch(exist_ok=False)
            return path
    return None


def _worked_on(work: bytes, folder: Path, timeout_s: float) -> tuple[Kind, Any]:
    lane = _lane()
    future = lane.take().submit(answer_to, work)
    began = time.monotonic()
    broken = True
    try:
        while True:
            left = began + timeout_s - time.monotonic()
            with contextlib.suppress(TimeoutError):
                answer = future.result(max(0.0, min(_LOOK_S, left)))
                broken = False
                return "returned", answer
            if left <= 0:
                return "slow", f"{timeout_s:g} s"
            if not folder.exists():  # the run is over, however it ended
                return "gone", ""
    except WorkerDied as death:
        return "died", death.how
    finally:
        lane.give_back(broken=broken)


class _Lane:
    """The child of one thread of a worker: it keeps its models for the next call, and ends when there is none."""

    def __init__(self) -> None:
        self._executor: ProcessExecutor | None = None
        self._timer: threading.Timer | None = None
        self._lock = threading.Lock()
        self._uses = 0

    def take(self) -> ProcessExecutor:
        with self._lock:
            self._uses += 1
            if self._timer is not None:
                self._timer.cancel()
            if self._executor is None:
                self._executor = ProcessExecutor(1)
            return self._executor

    def give_back(self, *, broken: bool = False) -> None:
        """`broken`: end the child at once."""
        if broken:
            self._end(self._uses)
            return
        self._timer = threading.Timer(_IDLE_S, self._end, (self._uses,))
        self._timer.daemon = True
        self._timer.start()

    def _end(self, uses: int) -> None:
        with self._lock:
            if uses != self._uses:  # taken since
                return
            executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=False, cancel_futures=True)


_lanes = threading.local()


def _lane() -> _Lane:
    lane: _Lane | None = getattr(_lanes, "own", None)
    if lane is None:
        lane = _lanes.own = _Lane()
    return lane


def _where() -> str:
    return f"{platform.node()}, process {os.getpid()}"

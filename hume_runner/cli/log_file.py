"""The file of `--log-file`: everything that is said, every event and every request, with the time, in full."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING

from hume_runner.cli.streams import visible
from hume_runner.errors import HumeRunnerError, UsageError, refuse_scarce
from hume_runner.regular_files import open_regular
from hume_runner.stores import is_remote

if TYPE_CHECKING:
    from hume_runner.manifest.model import Manifest


_ANOTHER = "choose another --log-file"
_LINE_BYTES = 64
_LINE = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [A-Z]+ ", re.IGNORECASE)
_SQLITE = b"SQLite format 3\0"


class LogFile:
    """Appends lines to a file of its owner alone. `mask` keeps secrets out. Safe to share between threads.

    A disk that takes no more costs the lines and nothing else: `broken` says so.
    """

    def __init__(self, path: str, mask: Callable[[str], str]) -> None:
        """Raises: UsageError where the file cannot be appended to."""
        self._mask = mask
        self._lock = threading.Lock()
        self.path = path
        self.broken: OSError | None = None
        self._file: IO[str] = _opened(path)

    def write(self, level: str, text: str) -> None:
        """One line; further lines of `text` are indented below it."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        lines = visible(self._mask(text)).rstrip("\n").replace("\n", "\n    ")
        with self._lock:
            if self.broken is not None or self._file.closed:
                return
            try:
                self._file.write(f"{at} {level:<7} {lines}\n")
                self._file.flush()
            except OSError as error:
                self.broken = error

    def close(self) -> None:
        with self._lock, contextlib.suppress(OSError):
            self._file.close()


def refuse_inputs(path: str, manifests: Sequence[str], *, output_dir: str | None) -> None:
    """A log may go behind what others wrote, but not into what a run reads, nor where it would, nor into its state.
    Raises: UsageError."""
    from hume_runner.api.inputs import refuse_found
    from hume_runner.api.opening import examine
    from hume_runner.sources.inputs import inputs

    begun = b""
    with contextlib.suppress(OSError), open_regular(Path(path)) as file:  # else nothing is there, or who opens it tells
        begun = file.read(_LINE_BYTES)
    for name in manifests:
        try:
            found = examine(name, output_dir=output_dir).manifest
        except HumeRunnerError:
            continue  # which the command tells, in this log as well
        if found is not None:
            refuse_found(found, Path(path), hint=_ANOTHER)
        if not begun or _LINE.match(begun):
            continue
        read = [] if found is None else [one.path for one in inputs(found)]
        if found is not None:
            read += [found.outputs.directory / "state.sqlite3", *_matching(found)]
        if any(_same(path, one) for one in (Path(name), *read)):
            raise UsageError(f"{path}: a run of {name} reads it, and its log would end up in it", hint=_ANOTHER)
    if begun.startswith(_SQLITE):
        raise UsageError(f"{path}: this is a database, and no log", hint=_ANOTHER)


def _matching(manifest: Manifest) -> Iterator[Path]:
    """Files that the manifest's patterns find here, as far as that can be told."""
    from hume_runner.sources import expand_entries, one_by_one

    entries = [one for one in manifest.sources if one.kind == "file" and not is_remote(one.value or "")]
    with contextlib.suppress(HumeRunnerError):
        pieces = expand_entries(entries, folder=manifest.path.parent, outputs=manifest.outputs.directory)
        yield from (item.path for item in one_by_one(pieces) if item.path is not None)


def _same(path: str, other: Path) -> bool:
    try:
        return Path(path).samefile(other)
    except OSError:
        return False


def _opened(path: str) -> IO[str]:
    # Not to wait for the reader of a pipe, and to be read by nobody else from the first byte on.
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | getattr(os, "O_NONBLOCK", 0)
    try:
        handle = os.open(path, flags, 0o600)
    except OSError as error:
        refuse_scarce(error)
        raise UsageError(f"{path}: cannot write the log: {error.strerror}", hint=_ANOTHER) from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise UsageError(f"{path}: cannot write the log: it is not a regular file", hint=_ANOTHER)
    return os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace")

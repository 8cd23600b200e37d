"""A list that is too long for memory: its bytes on disk, its entries one by one."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from typing import IO, Any, Final

from hume_runner.errors import UnexpectedResponse
from hume_runner.http.json_stream import TOO_LARGE, JsonReader, Shape, project
from hume_runner.scratch import temporary_folder

CHUNK_BYTES: Final = 256 * 1024
# An entry that is larger is read without the sources that it carries; its details tell them.
ENTRY_BYTES: Final = 16 * 1024 * 1024


def is_strange(entry: Any) -> bool:
    """Whether an entry of a list of objects is none, and says something all the same: a name, a number."""
    return not isinstance(entry, dict | bool) and bool(entry)


class LongList:
    """The objects in a list, read from disk each time they are asked for; safe to read from several threads.

    `holds_others`: whether something else was met in it so far.

    `thin` is what is kept of an entry of more than 16 MiB. Raises: UnexpectedResponse, when it is made, for anything
    but a whole list, or an object with one list in it, of at most `limit` bytes; OSError where the disk fails.
    """

    def __init__(self, chunks: Iterable[bytes], *, limit: int, where: str, thin: Shape) -> None:
        self.holds_others = False
        self._where = where
        self._thin = thin
        file = tempfile.TemporaryFile(dir=temporary_folder())  # noqa: SIM115 - it lives as long as the list; nobody else can open it
        self._file: IO[bytes] = file
        self._close = weakref.finalize(self, file.close)
        size = 0
        for chunk in chunks:
            size += len(chunk)
            if size > limit:
                self._close()
                raise UnexpectedResponse(
                    f"{where} answered with a list of more than {limit:,} bytes",
                    hint="ask the host why: no list of some hundred jobs is as long",
                )
            file.write(chunk)
        file.flush()
        self._start = self._begin()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        reader = self._reader(self._start)
        for _ in reader.array():
            entry = reader.value_within(ENTRY_BYTES)
            if entry is TOO_LARGE:
                entry = project(reader, self._thin)
            if isinstance(entry, dict):
                yield entry
            elif is_strange(entry):
                self.holds_others = True

    def _begin(self) -> int:
        """Where the list begins, once everything was read to its end."""
        reader = self._reader(0)
        reader.skip_mark()
        if reader.peek() != b"{":
            start = reader.position
            for _ in reader.whole_array():
                reader.skip()
            return start
        starts: dict[str, int] = {}
        for name in reader.object():
            if reader.peek() == b"[":
                starts[name] = reader.position
            reader.skip()
        if reader.peek():
            reader.fail("something follows the list")
        if "jobs" not in starts and len(starts) != 1:
            reader.fail("it is an object without a list of jobs")
        return starts.get("jobs", next(iter(starts.values())))

    def _reader(self, start: int) -> JsonReader:
        return JsonReader(self._pieces(start), where=self._where, start=start)

    def _pieces(self, start: int) -> Iterator[bytes]:
        while piece := os.pread(self._file.fileno(), CHUNK_BYTES, start):
            start += len(piece)
            yield piece

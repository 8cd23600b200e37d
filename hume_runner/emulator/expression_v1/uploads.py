"""The multipart body of an upload, streamed to one spool file on disk as it arrives.

Memory holds one network chunk and the `config` part. A part needs no file name: official clients send none for plain
bytes. The order of parts is free.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import IO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from hume_runner.emulator.expression_v1.errors import Coded
from hume_runner.emulator.multipart import PartReader
from hume_runner.frozen import frozen

_BLOCK = 262_144


@frozen
class Medium:
    """One `file` part: where its bytes lie in the spool file."""

    offset: int
    size_bytes: int
    sha256: str


class Submission:
    """The parts of one upload. Closing it removes the spool file."""

    def __init__(self, folder: Path) -> None:
        self._spool: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by `close`
        self.config: bytes | None = None
        self.media: list[Medium] = []

    def write(self, data: memoryview) -> None:
        self._spool.write(data)

    def tell(self) -> int:
        return self._spool.tell()

    def read(self, medium: Medium, start: int = 0, length: int | None = None) -> bytes:
        """Bytes of one medium, `start` counted within it."""
        self._spool.seek(medium.offset + start)
        left = medium.size_bytes - start
        return self._spool.read(max(0, left if length is None else min(length, left)))

    def blocks(self, medium: Medium, start: int, length: int) -> Iterator[bytes]:
        """The same in pieces."""
        end = start + length
        while start < end and (block := self.read(medium, start, min(_BLOCK, end - start))):
            start += len(block)
            yield block

    @property
    def size_bytes(self) -> int:
        return sum(medium.size_bytes for medium in self.media)

    def close(self) -> None:
        self._spool.close()


class _Reader(PartReader):
    """Callbacks of the incremental parser. Only the first problem counts; the rest of the body is thrown away."""

    def __init__(self, submission: Submission) -> None:
        super().__init__()
        self.submission = submission
        self.problem: str | None = None
        self._name: bytes | None = None
        self._config: bytearray | None = None
        self._start = 0
        self._sha256 = hashlib.sha256()

    def _on_headers_finished(self) -> None:
        options = self._disposition()
        self._name = options.get(b"name", b"")
        match self._name:
            case b"file":
                self._start = self.submission.tell()
                self._sha256 = hashlib.sha256()
            case b"config" if self._config is None:
                self._config = bytearray()
            case b"config":
                self._refuse("the part 'config' may be sent once")
            case other:
                self._refuse(f"unexpected part {other.decode('latin-1')!r}; parts are 'config' and 'file'")

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self.problem is not None:
            return
        block = memoryview(data)[start:end]
        if self._name == b"file":
            self._sha256.update(block)
            self.submission.write(block)
        elif self._config is not None:
            self._config += block

    def _on_part_end(self) -> None:
        if self.problem is None and self._name == b"file":
            size = self.submission.tell() - self._start
            self.submission.media.append(Medium(offset=self._start, size_bytes=size, sha256=self._sha256.hexdigest()))
        elif self.problem is None and self._config is not None:
            self.submission.config = bytes(self._config)
        self._name = None

    def _refuse(self, reason: str) -> None:
        self.problem = self.problem or reason


async def receive_submission(
    content_type: str, body: AsyncIterator[bytes], submission: Submission, *, limit_bytes: int, too_large: Coded
) -> None:
    """Fill the submission from a request's body.

    Raises: `too_large` for a body over the limit, Coded "message_invalid" for one that cannot be taken apart. The body
    is read to its end first, because a client that is still sending does not read an answer.
    """
    media_type, options = parse_options_header(content_type)
    reader = _Reader(submission)
    parser = None
    boundary = options.get(b"boundary")
    if media_type.lower() != b"multipart/form-data" or not boundary:
        reader.problem = "the body must be multipart/form-data with a boundary"
    else:
        try:
            parser = reader.parser(boundary)
        except FormParserError as error:
            reader.problem = f"malformed multipart body: {error}"
    received = 0
    async for chunk in body:
        received += len(chunk)
        if parser is None or reader.problem is not None or received > limit_bytes:
            continue
        try:
            parser.write(chunk)
        except FormParserError as error:
            reader.problem = f"malformed multipart body: {error}"
    if received > limit_bytes:
        raise too_large
    if reader.problem is None and not reader.ended:
        reader.problem = "malformed multipart body: it ends before its last boundary"
    if reader.problem is None and not submission.media:
        reader.problem = "a part named 'file' is required"
    if reader.problem is not None:
        raise Coded("message_invalid", reader.problem)

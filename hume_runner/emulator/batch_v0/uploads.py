"""Multipart bodies, taken apart as they arrive: each upload goes to disk with its MD5 computed on the way.

Memory holds one network chunk and the `json` part, whatever the size of the upload.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from hume_runner.emulator.context import Limits, Refused
from hume_runner.emulator.multipart import PartReader
from hume_runner.frozen import frozen


@frozen
class Upload:
    """One `file` part. `content_type` is None when the part had none."""

    filename: str
    content_type: str | None
    md5sum: str
    size_bytes: int
    path: Path


@dataclass(slots=True)
class _Part:
    name: str
    filename: str | None
    content_type: str | None


class _Reader(PartReader):
    """Callbacks of the incremental parser; collects what the parts are and where they went."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        super().__init__()
        self.folder = folder
        self.limits = limits
        self.uploads: list[Upload] = []
        self.json_part: bytearray | None = None
        self.problem: str | None = None  # the first one; the rest of the body is read and thrown away
        self._part: _Part | None = None
        self._file: BinaryIO | None = None
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._size = 0

    def _on_headers_finished(self) -> None:
        options = self._disposition()
        filename = options.get(b"filename")
        content_type = self._headers.get(b"content-type")
        self._part = _Part(
            name=_text(options.get(b"name", b"")),
            filename=None if filename is None else _text(filename),
            content_type=None if content_type is None else _text(content_type),
        )
        match self._part.name:
            case "file":
                self._start_file()
            case "json" if self.json_part is None:
                self.json_part = bytearray()
            case "json":
                self._refuse("the part 'json' may be sent once")
            case other:
                self._refuse(f"unexpected part {other!r}; parts are 'json' and 'file'")

    def _start_file(self) -> None:
        if len(self.uploads) >= self.limits.sources_per_kind:
            self._refuse(f"too many files: at most {self.limits.sources_per_kind} per request")
        elif self.problem is None:
            self._file = (self.folder / str(len(self.uploads))).open("xb")
            self._md5 = hashlib.md5(usedforsecurity=False)
            self._size = 0

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self.problem is not None or self._part is None:
            return
        if self._file is not None:
            self._size += end - start
            if self._size > self.limits.upload_bytes:
                self._refuse(f"file {self._part.filename!r} is larger than {self.limits.upload_bytes} bytes")
                return
            block = memoryview(data)[start:end]
            self._md5.update(block)
            self._file.write(block)
        elif self.json_part is not None:
            self.json_part += data[start:end]
            if len(self.json_part) > self.limits.body_bytes:
                self._refuse("the part 'json' is too large")

    def _on_part_end(self) -> None:
        if self._file is not None and self._part is not None:
            self._file.close()
            self.uploads.append(
                Upload(
                    # A part without a file name is known by its part name.
                    filename=self._part.filename or "file",
                    content_type=self._part.content_type,
                    md5sum=self._md5.hexdigest(),
                    size_bytes=self._size,
                    path=Path(self._file.name),
                )
            )
        self._file = self._part = None

    def _refuse(self, reason: str) -> None:
        self.problem = self.problem or reason
        self.close()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


async def read_multipart(
    content_type: str, body: AsyncIterator[bytes], folder: Path, limits: Limits
) -> tuple[bytes | None, list[Upload]]:
    """The `json` part (None when missing) and the uploads, which now lie in `folder`, numbered from 0.

    Raises: Refused (400) for a body that is not multipart, ends too early, names other parts or is over a limit. The
    body is read to its end first, because a client that is still sending does not read an answer.
    """
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    reader = _Reader(folder, limits)
    parser = None
    if not boundary:
        reader.problem = "multipart body without a boundary"
    else:
        try:
            parser = reader.parser(boundary)
        except FormParserError as error:
            reader.problem = f"malformed multipart body: {error}"
    try:
        async for chunk in body:
            if parser is None or reader.problem is not None:
                continue
            try:
                parser.write(chunk)
            except FormParserError as error:
                reader.problem = f"malformed multipart body: {error}"
    finally:
        reader.close()
    if reader.problem is None and not reader.ended:
        reader.problem = "malformed multipart body: it ends before its last boundary"
    if reader.problem is not None:
        raise Refused.message(400, reader.problem)
    if not reader.uploads:
        raise Refused.message(400, "file: at least one part named 'file' is required in a multipart request")
    return (None if reader.json_part is None else bytes(reader.json_part)), reader.uploads

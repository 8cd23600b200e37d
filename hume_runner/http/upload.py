"""A multipart body that is read from disk while it is sent: memory stays flat, and a file that changes is noticed.

`requests` reads every file whole, twice over. Here the length is computed beforehand, files are opened one after
another as their turn comes, and each is hashed on the way. If a file is not what it was when the job was planned, the
body stops short of its announced length, so no server can take it for a whole request.
"""

from __future__ import annotations

import errno
import hashlib
import io
import mimetypes
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from hume_runner.errors import TransportError, is_scarce, next_step
from hume_runner.frozen import frozen

CHUNK_BYTES = 128 * 1024
# A thread costs a tenth of a millisecond: worth it for files of this size.
_ASIDE_BYTES = 4 * 1024 * 1024


class SourceChanged(TransportError):
    """A file is not what it was when the request was planned. Nothing can have been accepted.

    `sent` is False although bytes may have left: the announced Content-Length was never reached and the closing
    boundary never written, so no server has a whole request to act on, and sending anew cannot double anything.
    """

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(
            f"{path.name}: the file {what} while it was being uploaded",
            sent=False,
            hint="run again once nothing writes to the file",
        )
        self.path = path


@frozen
class Upload:
    """One file of a form. `filename` is what the server is told; `sha256` (hex) is checked while sending, if given."""

    path: Path
    filename: str
    size_bytes: int
    content_type: str
    sha256: str | None = None

    @classmethod
    def of(cls, path: Path, *, filename: str | None = None, sha256: str | None = None) -> Upload:
        """An upload of a file as it is now. Raises: OSError, also for what is no regular file."""
        name = filename or path.name
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        return cls(
            path=path,
            filename=name,
            size_bytes=found.st_size,
            content_type=content_type_of(name),
            sha256=sha256,
        )


class Readable(Protocol):
    """What a part is read from; any binary file does."""

    def read(self, size: int, /) -> bytes | None:
        """At most `size` bytes; empty at the end."""


class Part(Protocol):
    """Something to upload that is no whole file, such as a passage of a recording.

    It is opened when its turn comes and has to give exactly `size_bytes`, and those of `sha256` (hex) if that is known,
    or sending ends with SourceChanged.
    """

    @property
    def filename(self) -> str: ...

    @property
    def content_type(self) -> str: ...

    @property
    def size_bytes(self) -> int: ...

    @property
    def sha256(self) -> str | None: ...

    def open(self) -> AbstractContextManager[Readable]:
        """A reader at the first byte; asked for once an attempt. Raises: OSError."""


@frozen
class Form:
    """A multipart form: `json_fields`, which say that they are JSON, plain `fields`, then files, each with the name
    of its part."""

    json_fields: tuple[tuple[str, str], ...] = ()
    fields: tuple[tuple[str, str], ...] = ()
    uploads: tuple[tuple[str, Upload | Part], ...] = ()


def content_type_of(filename: str) -> str:
    """Guessed from the name, by Python's own table alone: the machine's tables differ, and a request must not."""
    return _TYPES.guess_type(filename)[0] or "application/octet-stream"


_TYPES = mimetypes.MimeTypes()
_TYPES.add_type("audio/wav", ".wav")  # Python says audio/x-wav
_TYPES.add_type("audio/flac", ".flac")
_TYPES.add_type("audio/mp4", ".m4a")


class MultipartBody:
    """The bytes of a form, `size_bytes` of them. Iterating reads the files; it can be done again from the start. `gone`
    hears the size of each piece that was taken."""

    def __init__(self, form: Form, gone: Callable[[int], None] = lambda size_bytes: None) -> None:
        self._gone = gone
        self._form = form
        self._boundary = secrets.token_hex(16)
        self._end = f"--{self._boundary}--\r\n".encode()
        self.content_type = f"multipart/form-data; boundary={self._boundary}"
        self.size_bytes = (
            sum(len(self._field(name, value, "application/json")) for name, value in form.json_fields)
            + sum(len(self._field(name, value)) for name, value in form.fields)
            + sum(len(self._head(part, upload)) + upload.size_bytes + 2 for part, upload in form.uploads)
            + len(self._end)
        )

    def __iter__(self) -> Iterator[bytes]:
        """Raises: SourceChanged; OSError (wrapped as SourceChanged too) for a file that cannot be read any more."""
        for piece in _joined(self._pieces()):
            yield piece
            self._gone(len(piece))

    def _pieces(self) -> Iterator[bytes]:
        for name, value in self._form.json_fields:
            yield self._field(name, value, "application/json")
        for name, value in self._form.fields:
            yield self._field(name, value)
        for part, upload in self._form.uploads:
            yield self._head(part, upload)
            yield from _file_bytes(upload) if isinstance(upload, Upload) else _part_bytes(upload)
            yield b"\r\n"
        yield self._end

    def _field(self, name: str, value: str, content_type: str = "") -> bytes:
        kind = f"\r\nContent-Type: {content_type}" if content_type else ""
        disposition = f'Content-Disposition: form-data; name="{_quoted(name)}"'
        return f"--{self._boundary}\r\n{disposition}{kind}\r\n\r\n{value}\r\n".encode()

    def _head(self, part: str, upload: Upload | Part) -> bytes:
        return (
            f"--{self._boundary}\r\n"
            f'Content-Disposition: form-data; name="{_quoted(part)}"; filename="{_quoted(upload.filename)}"\r\n'
            f"Content-Type: {upload.content_type}\r\n\r\n"
        ).encode("utf-8", "replace")


def _joined(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes, small pieces together: each that is sent by itself is a call to the system."""
    waiting: list[bytes] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= CHUNK_BYTES:
            yield b"".join(waiting) if len(waiting) > 1 else piece
            waiting, size = [], 0
    if waiting:
        yield b"".join(waiting)


def _quoted(name: str) -> str:
    """As browsers do it (HTML standard, multipart/form-data encoding): these three characters, and no others."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _file_bytes(upload: Upload) -> Iterator[bytes]:
    try:
        with upload.path.open("rb", buffering=0) as file:
            yield from _checked(upload, file)
    except OSError as error:
        raise _unreadable(upload.path, error) from error


def _unreadable(path: Path, error: OSError | ValueError) -> TransportError:
    if isinstance(error, OSError) and is_scarce(error):
        return TransportError(f"{path.name}: not sent ({error.strerror})", sent=False, hint=next_step(error))
    return SourceChanged(path, f"became unreadable ({getattr(error, 'strerror', None) or error})")


def _checked(upload: Upload, file: io.FileIO) -> Iterator[bytes]:
    """The file's bytes, as many as were announced. The last are held back until nothing can have changed."""
    before = os.fstat(file.fileno())
    left = upload.size_bytes
    held = b""
    with _Digest(aside=left >= _ASIDE_BYTES) as digest:
        while left > 0:
            chunk = file.read(min(CHUNK_BYTES, left))
            if not chunk:
                raise SourceChanged(upload.path, "became shorter")
            digest.update(chunk)
            left -= len(chunk)
            if held:
                yield held
            held = chunk
        if file.read(1):
            raise SourceChanged(upload.path, "became longer")
        after = os.fstat(file.fileno())
        found = digest.hexdigest()
    if upload.sha256 is not None:
        if found != upload.sha256:
            raise SourceChanged(upload.path, "changed")
    elif (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size):
        raise SourceChanged(upload.path, "changed")
    if held:
        yield held


class _Digest:
    """A SHA-256; with `aside`, worked out by a thread of its own while what it is of is being sent."""

    def __init__(self, *, aside: bool) -> None:
        self._digest = hashlib.sha256()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="hume-runner-hash") if aside else None
        self._latest: Future[None] | None = None

    def __enter__(self) -> _Digest:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def update(self, chunk: bytes) -> None:
        """One chunk is behind at the most, so that memory stays flat."""
        latest, self._latest = self._latest, None
        if latest is not None:
            latest.result()
        if self._pool is not None:
            try:
                self._latest = self._pool.submit(self._digest.update, chunk)
            except RuntimeError:
                self._pool = None  # no thread to spare: what it was handed, nobody takes
        if self._latest is None:
            self._digest.update(chunk)

    def hexdigest(self) -> str:
        if self._latest is not None:
            self._latest.result()
        return self._digest.hexdigest()


def _part_bytes(part: Part) -> Iterator[bytes]:
    """As many bytes as the part announced. The last are held back until it is known that no more follow."""
    name = Path(part.filename)
    try:
        with part.open() as reader:
            left = part.size_bytes
            held = b""
            digest = hashlib.sha256()
            while left > 0:
                chunk = reader.read(min(CHUNK_BYTES, left))
                if not chunk:
                    raise SourceChanged(name, "became shorter")
                digest.update(chunk)
                left -= len(chunk)
                if held:
                    yield held
                held = chunk
            if reader.read(1):
                raise SourceChanged(name, "became longer")
            if part.sha256 is not None and digest.hexdigest() != part.sha256:
                raise SourceChanged(name, "changed")
            if held:
                yield held
    except (OSError, ValueError) as error:  # ValueError: what it was cut from has become too short for it
        raise _unreadable(name, error) from error

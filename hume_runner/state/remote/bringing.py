"""The file here beside what a store holds: gone on with, replaced, or put aside."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Callable
from pathlib import Path

from hume_runner import small_json
from hume_runner.aside import write as write_aside
from hume_runner.errors import HumeRunnerError, StateError
from hume_runner.state.disk import Disk
from hume_runner.state.remote.copies import Here, Remote, check_owner, download, look_here, tell_file
from hume_runner.state.remote.drive import Driver
from hume_runner.state.seal import break_seal, seal_path


def bring(driver: Driver, remote: Remote, state: Path, aside: Callable[[Path], None], manifest: str) -> bool:
    """Bring the file at `state`, which nobody has open, up to what the store holds; whether it has more than that.
    `manifest`: whose it has to be. Raises: StateError, StoreError."""
    snapshot, here = remote.snapshot, look_here(state)
    if snapshot is None:
        return here is not None
    check_owner(driver, snapshot, manifest)
    if here is not None:
        if here.lineage != snapshot.lineage and here.sent:
            raise StateError(
                f"{state}: this is another history than the one in {driver.place}",
                hint="move it away, or choose another place with --output-dir; or name another place in `state:`",
            )
        ahead = _on_the_way(remote, here) if here.lineage == snapshot.lineage else None
        if ahead is not None:
            if remote.told:
                break_seal(state)
            tell_file(state, remote.told)
            assert here.position is not None
            return ahead or here.serial != here.position.serial
        if not _was_pushed(state, here):
            _put_aside(state, aside)
    part = state.with_name(f"{state.name}.{secrets.token_hex(4)}.part")
    try:
        download(driver, snapshot, part)
        tell_file(part, remote.told)
        for beside in (state.with_name(state.name + "-wal"), state.with_name(state.name + "-shm"), seal_path(state)):
            beside.unlink(missing_ok=True)
        Disk().replace(part, state)
        note_pushed(state)
    finally:
        part.unlink(missing_ok=True)
    return False


def _on_the_way(remote: Remote, here: Here) -> bool | None:
    """Whether a state here has more than the store (False: not more); None where it went another way, or is older than
    the snapshot."""
    snapshot, position, last = remote.snapshot, here.position, remote.last
    if position is None or snapshot is None or last is None:
        return None
    if position.number > last.number:
        # What one owner did last and could not tell: the same that told this, or one that went on from this alone and
        # could tell nothing of what he did. Whoever comes after him without doing anything leaves the last as it is.
        same = (position.epoch, position.owner) == (last.epoch, last.owner)
        return True if same or here.begun_at == last.transaction else None
    known = {one.at.number: (one.at.epoch, one.at.owner) for one in remote.told}
    known[snapshot.number] = (snapshot.epoch, snapshot.owner)
    return False if known.get(position.number) == (position.epoch, position.owner) else None


def _pushed_path(state: Path) -> Path:
    return state.with_name(state.name + ".pushed.json")


def note_pushed(state: Path) -> None:
    """Beside a state: it has nothing that its store does not have."""
    with contextlib.suppress(OSError, HumeRunnerError):
        here = look_here(state)
        told = _named(here) if here is not None else {}
        write_aside(_pushed_path(state), json.dumps(told).encode(), private=True)


def _named(here: Here) -> dict[str, object]:
    at = here.position
    return {"number": at.number, "owner": at.owner, "serial": here.serial} if at is not None else {}


def _was_pushed(state: Path, here: Here) -> bool:
    try:
        told = small_json.read(_pushed_path(state))
    except (OSError, ValueError):
        return False
    return bool(told) and told == _named(here)


def _put_aside(state: Path, aside: Callable[[Path], None]) -> None:
    place = state.with_name(f"{state.name}.parted-{secrets.token_hex(3)}")
    state.replace(place)
    for ending in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            state.with_name(state.name + ending).replace(place.with_name(place.name + ending))
    seal_path(state).unlink(missing_ok=True)
    aside(place)

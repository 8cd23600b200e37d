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
from hume_runner.state.remote.copies import Remote, check_owner, download, position_of, tell_file
from hume_runner.state.remote.drive import Driver
from hume_runner.state.remote.redo import Position
from hume_runner.state.seal import break_seal, seal_path


def bring(driver: Driver, remote: Remote, state: Path, aside: Callable[[Path], None], manifest: str) -> bool:
    """Bring the file at `state`, which nobody has open, up to what the store holds; whether it has more than that.
    `manifest`: whose it has to be. Raises: StateError, StoreError."""
    snapshot = remote.snapshot
    if snapshot is None:
        return state.exists()
    check_owner(driver, snapshot, manifest)
    if state.exists():
        lineage, position, serial, sent = position_of(state)
        if lineage != snapshot.lineage and sent:
            raise StateError(
                f"{state}: this is another history than the one in {driver.place}",
                hint="move it away, or choose another place with --output-dir; or name another place in `state:`",
            )
        before = _owner_before(remote)
        ahead = _on_the_way(remote, position, before) if lineage == snapshot.lineage else None
        if ahead is not None:
            if remote.told:
                break_seal(state)
            tell_file(state, remote.told)
            assert position is not None
            return ahead or serial != position.serial
        if not _was_pushed(state, position, serial):
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


def _owner_before(remote: Remote) -> Position | None:
    """Where the last transaction that the store knows of stands."""
    if remote.told:
        return remote.told[-1].at
    snapshot = remote.snapshot
    if snapshot is None:
        return None
    return Position(epoch=snapshot.epoch, owner=snapshot.owner, number=snapshot.number, serial=snapshot.serial)


def _on_the_way(remote: Remote, position: Position | None, last: Position | None) -> bool | None:
    """Whether a state here has more than the store (False: not more); None where it went another way, or is older than
    the snapshot."""
    snapshot = remote.snapshot
    if position is None or snapshot is None or last is None:
        return None
    if position.number > last.number:
        # Only what the very same owner did last and could not tell.
        return True if (position.epoch, position.owner) == (last.epoch, last.owner) else None
    known = {one.at.number: (one.at.epoch, one.at.owner) for one in remote.told}
    known[snapshot.number] = (snapshot.epoch, snapshot.owner)
    return False if known.get(position.number) == (position.epoch, position.owner) else None


def _pushed_path(state: Path) -> Path:
    return state.with_name(state.name + ".pushed.json")


def note_pushed(state: Path) -> None:
    """Beside a state: it has nothing that its store does not have."""
    with contextlib.suppress(OSError, HumeRunnerError):
        _, position, serial, _ = position_of(state)
        told = {"number": position.number, "owner": position.owner, "serial": serial} if position else {}
        write_aside(_pushed_path(state), json.dumps(told).encode(), private=True)


def _was_pushed(state: Path, position: Position | None, serial: int) -> bool:
    try:
        told = small_json.read(_pushed_path(state))
    except (OSError, ValueError):
        return False
    return position is not None and told == {"number": position.number, "owner": position.owner, "serial": serial}


def _put_aside(state: Path, aside: Callable[[Path], None]) -> None:
    place = state.with_name(f"{state.name}.parted-{secrets.token_hex(3)}")
    state.replace(place)
    for ending in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            state.with_name(state.name + ending).replace(place.with_name(place.name + ending))
    seal_path(state).unlink(missing_ok=True)
    aside(place)

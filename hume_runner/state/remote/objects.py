"""How the objects of a remote state are called, and their bytes.

Below the state's own name: `lock`, `head`, `journal/<epoch>/<number>`, `snapshots/…`, `answers/…`. Lock and head are
JSON for people to look at; an entry is a line of JSON and what the state was told; a snapshot is the state file, gzip.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from hume_runner import installing, small_json
from hume_runner.errors import StateError
from hume_runner.frozen import frozen
from hume_runner.state.lock import Holder
from hume_runner.state.remote.protocol import Body, Entry, Head, Key, Lock, Upto

FORMAT = 1
ENTRY_DIGITS = 10
JOURNAL, SNAPSHOTS, ANSWERS = "journal", "snapshots", "answers"


@frozen
class Snapshot:
    """Which object is the state, and what it is. `epoch`, `owner`, `number`, `serial`: how far it is (`redo`)."""

    name: str
    sha256: str  # of the state file, unpacked
    size_bytes: int  # unpacked
    manifest: str
    lineage: str
    schema: int
    epoch: int
    owner: str
    number: int
    serial: int
    at: float


@frozen
class Note:
    """What a lock says of its owner, for people; and how long it is to be waited for. `since`: Unix seconds."""

    pid: int = 0
    host: str = "unknown"
    since: float = 0.0
    command: str = ""
    lease_s: float = 0.0

    @classmethod
    def read(cls, text: str) -> Note:
        try:
            found = small_json.parsed(text)
            told = cls(**{name: found[name] for name in cls.__dataclass_fields__ if name in found})
        except (ValueError, TypeError):
            return cls()
        if not all(isinstance(one, int | float) for one in (told.pid, told.since, told.lease_s)):
            return cls()
        try:
            _ = told.holder
        except ValueError:  # for how long it is to be waited for holds, whoever says so
            return cls(lease_s=told.lease_s)
        return told

    @property
    def holder(self) -> Holder:
        """Raises: ValueError for what no owner says of itself."""
        return Holder.told({"pid": self.pid, "host": self.host, "since": self.since, "command": self.command})

    def text(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    def __str__(self) -> str:
        return str(self.holder)


def name_of(key: Key) -> str:
    """The object's name below the state's own."""
    return key.kind if key.kind != "entry" else f"{folder_of(key.epoch)}/{key.number:0{ENTRY_DIGITS}d}"


def folder_of(epoch: int) -> str:
    return f"{JOURNAL}/{epoch:08d}"


def to_bytes(body: Body) -> bytes:
    match body:
        case Lock():
            return _json({"format": FORMAT, **asdict(body)})
        case Head(epoch=epoch, covers=covers, data=data):
            snapshot = asdict(data) if data is not None else None
            return _json(
                {"format": FORMAT, "epoch": epoch, "covers": [covers.epoch, covers.number], "snapshot": snapshot}
            )
        case Entry(owner=owner, facts=facts, seal=seal):
            return _json({"format": FORMAT, "owner": owner, "seal": seal}) + (facts or b"")


def from_bytes(key: Key, data: bytes, where: str) -> Body:
    """Raises: StateError for what is no such object, or a newer one."""
    try:
        head, _, rest = data.partition(b"\n")
        found: dict[str, Any] = small_json.parsed(head)
        told = found.pop("format")
        if told != FORMAT:
            raise StateError(
                f"{where}: a newer hume_runner wrote this remote state (format {told})",
                hint=installing.newer(),
            )
        match key.kind:
            case "lock":
                return Lock(**found)
            case "head":
                covers = Upto(*map(int, found["covers"]))
                snapshot = found["snapshot"]
                data_is = Snapshot(**snapshot) if snapshot is not None else None
                return Head(epoch=int(found["epoch"]), covers=covers, data=data_is)
            case _:
                facts = None if found["seal"] else rest
                return Entry(owner=str(found["owner"]), seal=bool(found["seal"]), facts=facts)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StateError(
            f"{where}: this is not the {key.kind} of a remote state",
            hint="name another place with `state:` or --state; nothing was changed",
        ) from error


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False).encode() + b"\n"

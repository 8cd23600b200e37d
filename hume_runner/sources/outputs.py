"""What runs wrote: no source of any run, where a pattern finds it.

A name alone says little: people call folders of recordings `raw` and `shards`, too. So what is left out is what a run
is known to have written: in an output directory (it has a record) what has a name that only a run may have there; below
it, what runs keep in each of their folders; elsewhere, what says of itself that it is ours (`traces`). A folder of ours
is judged as a whole, by one look: there may be a million answers.
"""
# Plain strings and os.path here, as a Path for each of a million names costs more than all the rest.
# ruff: noqa: PTH118

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from hume_runner.registry import all_registered
from hume_runner.sources.traces import CALLED_DATABASE, LOOKED_INTO, is_empty_table, is_state, says_ours, speaks_of_us

# In each output directory, by a run that wrote there: whose it is.
RECORD = "state.sqlite3.outputs.json"
_STATE: Final = "state.sqlite3"
FOLDERS: Final = frozenset({"raw", "tables", "prepared", "cluster", "emulator", "shards"})
# A run writes these always, and is refused where a person's file has such a name.
_ALWAYS: Final = frozenset({RECORD, "run.json", "results.jsonl"})
# These it writes if it is asked to, so that the name may be a person's.
_DUE: Final = frozenset({"report.html", "datapackage.json", "codebook.md", "ro-crate-metadata.json"})

_REQUEST: Final = "request.json"
# What a folder of ours has in it, by examples; the first one tells it.
_HELD: Final[Mapping[str, Sequence[str]]] = {
    "prepared": ("entry.json", "sound.wav", "still.jpg", "000000.jpg"),
    "cluster": ("nonce",),
    "emulator": ("0",),
}
_KEPT: Final = re.compile(r"(?:\.\d+)?\.bak\Z")  # what a person made of an answer
_NOT_UNDERSTOOD: Final = re.compile(r"not-understood-[0-9a-f-]+\.bin")
_SHARD: Final = re.compile(r"[0-9]+-of-[0-9]+")
_CLUSTER: Final = re.compile(r"run-[0-9a-f]{16}")
_EMULATOR: Final = re.compile(r"(?:emulator|expression)\.sqlite3(?:-wal|-shm|-journal)?")
_EMULATOR_FOLDERS: Final = frozenset({"incoming", "uploads", "late"})
# What lies beside a state, after its name: SQLite's files, locks, the seal, a socket, what a full disk or another
# machine left.
_BESIDE: Final = re.compile(
    r"(?:\.parted-[0-9a-f]{6})?(?:-wal|-shm|-journal)"
    r"|\.parted-[0-9a-f]{6}|\.lock|\.owner\.json|\.seal|\.ctl|\.pushed\.json|\.[0-9a-f]{8}\.part"
    r"|(?:\.job-\d+-[0-9a-f-]+)?\.rescued"
)
_ENDS: Final = (
    "-wal", "-shm", "-journal", ".lock", ".owner.json", ".seal", ".ctl", ".pushed.json", ".part", ".rescued",
)  # fmt: skip
_SUSPECT: Final = (*_ENDS, *LOOKED_INTO)
_WORDS: Final = re.compile("|".join(map(re.escape, (".parted-", *CALLED_DATABASE))))
# The output directory's own, which have this name wherever the state is.
_OF_OUTPUTS: Final = frozenset({f"{_STATE}.outputs.lock", f"{_STATE}.outputs.owner.json"})
_LOCK: Final = ".lock"
_LOG: Final = "-wal"


class Walked:
    """A folder that a walk has come to, with all names in it: says what of it runs wrote. `place`: what the folder is
    among the outputs of a run, as the folder above or `place_of` tells: `outputs` for all of them, `answer` for one in
    `raw`, else by its name; empty for any other."""

    def __init__(self, path: str, names: Sequence[str], place: str) -> None:
        self._path = path
        self._place = "outputs" if RECORD in names else place
        self._locked = _without(_LOCK, names)
        # A state that is written right now, or that a killed run left, is told by its lock and its log. It must not be
        # opened: to close it again would take away the locks that this process has on it.
        logs = _without(_LOG, names) if self._locked else frozenset()
        self._states = set(self._locked & logs)

    def place_below(self, name: str, *, is_link: bool) -> str:
        """What the folder `name` in this one is among the outputs of a run."""
        if is_link:
            return place_of(os.path.realpath(os.path.join(self._path, name)))
        if self._place == "outputs" and name in FOLDERS:
            return name
        if self._place == "raw":
            return "answer"
        return "outputs" if self._place == "shards" and _SHARD.fullmatch(name) else ""

    def made_folder(self, name: str) -> bool:
        """Whether a run made this folder, with all that is in it."""
        match self._place:
            case "cluster":
                return _CLUSTER.fullmatch(name) is not None and self._is_there(name, "nonce")
            case "emulator":
                return name in _EMULATOR_FOLDERS and self._is_there("emulator.sqlite3")
            case "raw":
                return self._is_there(name, _REQUEST)
            case "prepared":
                return self._is_there(name, _HELD[self._place][0])
        return False

    def held(self) -> Iterable[str]:
        """Names of files such as they are in the folders that runs make here."""
        return _answers() if self._place == "raw" else _HELD.get(self._place, ())

    def wrote_file(self, name: str) -> bool:
        """Whether a run wrote this file."""
        if self._place and self._has_our_name(name):
            return True
        if name not in self._locked and not _is_suspect(name):
            return False
        if self._is_state(name) or self._is_beside_a_state(name):
            return True
        path = os.path.join(self._path, name)
        if says_ours(path):
            return True
        match self._place:
            case "outputs":
                return name in _DUE and speaks_of_us(path)
            case "tables":
                return is_empty_table(path)
        return False

    def _has_our_name(self, name: str) -> bool:
        match self._place:
            case "outputs":
                return name in _ALWAYS or name in _OF_OUTPUTS or name == _STATE
            case "raw":
                return _NOT_UNDERSTOOD.fullmatch(name) is not None
            case "answer":
                return _KEPT.sub("", name) in _answers()
            case "emulator":
                return _EMULATOR.fullmatch(name) is not None
        return False

    def _is_state(self, name: str) -> bool:
        if name not in self._states and is_state(os.path.join(self._path, name), suspected=name in self._locked):
            self._states.add(name)
        return name in self._states

    def _is_beside_a_state(self, name: str) -> bool:
        in_outputs = self._place == "outputs"
        return any((in_outputs and base == _STATE) or self._is_state(base) for base in _bases(name))

    def _is_there(self, *below: str) -> bool:
        return os.path.lexists(os.path.join(self._path, *below))


def _answers() -> Iterable[str]:
    """What runs keep of one job, whichever API it was for."""
    return (_REQUEST, *(one.answer for one in all_registered()), "artifacts.zip")


def _without(ending: str, names: Iterable[str]) -> frozenset[str]:
    return frozenset(name.removesuffix(ending) for name in names if name.endswith(ending))


def _is_suspect(name: str) -> bool:
    """Whether a file may be ours by its name, wherever it lies: media are judged by this alone."""
    low = name.lower()
    return low.endswith(_SUSPECT) or _WORDS.search(low) is not None


def _bases(name: str) -> Iterator[str]:
    """The names of states beside which `name` would lie."""
    for found in re.finditer(r"[.-]", name):
        if found.start() and _BESIDE.fullmatch(name, found.start()):
            yield name[: found.start()]


def place_of(folder: str) -> str:
    """What a folder (its real path) is among the outputs of a run; empty for any other."""
    above, name = os.path.split(folder)
    if name in FOLDERS and os.path.lexists(os.path.join(above, RECORD)):
        return name
    outputs, place = os.path.split(above)
    if place not in ("raw", "shards") or not os.path.lexists(os.path.join(outputs, RECORD)):
        return ""
    if place == "raw":
        return "answer"
    return "outputs" if _SHARD.fullmatch(name) else ""

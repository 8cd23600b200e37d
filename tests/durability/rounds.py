"""A random history of one manifest: runs that are ended in every way, edits back and forth, states put back or lost.

Everything comes from one seed, and each step is told in words, so that a history that broke a promise can be read and
made again.
"""

from __future__ import annotations

import json
import random
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal
from uuid import NAMESPACE_OID, uuid5

import yaml

Api = Literal["batch-v0", "expression-v1"]
Child = dict[str, Any]

# A cut connection is settled after `settle_s`; one that timed out after `slow_s`, which is longer than any delay here.
PATIENCE = {"settle_s": 0.5, "slow_s": 1.5, "late_s": 0.5}
TIMEOUT, LATE = "0.6s", "0.9s"
_STATE_FILES = ("state.sqlite3", "state.sqlite3-wal", "state.sqlite3-shm", "state.sqlite3.seal")

TEXTS = [f"Sentence {n} speaks of rain. It ends with {n * 7}." for n in range(5)]
PAGES = [f"File {n} tells of the sea. It has {n + 3} waves.\n" for n in range(5)]
URLS = [f"https://example.org/pictures/{n}.jpg" for n in range(5)]
CHOICES: dict[Api, dict[str, list[Any]]] = {
    "batch-v0": {"granularity": ["sentence", "word"], "fps_pred": [1, 3]},
    "expression-v1": {"threshold": [0.9, 0.5], "timer_ms": [3000, 5000]},
}


@dataclass(frozen=True, slots=True)
class Content:
    """What is measured: a kind of source and which of its contents."""

    kind: Literal["text", "file", "url", "wav", "jpg"]
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a manifest says. `sources`: id (or file stem) -> content."""

    sources: tuple[tuple[str, Content], ...]
    settings: tuple[tuple[str, Any], ...]
    label: int = 0
    max_sources: int = 3
    directory: str = "out"
    elsewhere: bool = False  # at the other endpoint


def pool(api: Api) -> list[Content]:
    """All that can be measured."""
    kinds: tuple[Any, ...] = ("text", "file", "url") if api == "batch-v0" else ("wav", "jpg")
    return [Content(kind, number) for kind in kinds for number in range(5 if api == "batch-v0" else 4)]


def models_of(api: Api, settings: dict[str, Any]) -> dict[str, Any]:
    if api == "batch-v0":
        return {"language": {"granularity": settings["granularity"]}, "face": {"fps_pred": settings["fps_pred"]}}
    return {
        "audio": {"measurement_timer_ms": settings["timer_ms"]},
        "video": {"face": {"threshold": settings["threshold"]}},
    }


@dataclass(slots=True, kw_only=True)
class Place:
    """A folder with the manifest, its media and its results; a copied folder is another one."""

    path: Path
    backups: list[Path] = field(default_factory=list)

    @property
    def manifest(self) -> Path:
        return self.path / "manifest.yaml"

    def states(self) -> list[Path]:
        return sorted(self.path.glob("out*/state.sqlite3"))


class History:
    """One round. `step` edits what lies in its folders and gives the children to run; `told` says what was done."""

    def __init__(
        self,
        folder: Path,
        api: Api,
        key: str,
        endpoints: tuple[str, str],
        media: Path,
        chance: random.Random,
    ) -> None:
        self.api: Api = api
        self.key = key
        self.owner = sha256(key.encode()).hexdigest()
        self.user = str(uuid5(NAMESPACE_OID, self.owner))
        self.endpoints = endpoints
        self.told: list[str] = []
        self.counts: dict[str, int] = {}
        self.lost_state = False  # a state was deleted, put back, copied or left behind since `excused` was told
        self.excused: set[str] = set()  # remote ids from before that: no state need name them
        self.agreed: Counter[Any] = Counter()  # contents that were paid for again on purpose, and how often
        self.seen: set[str] = set()  # remote ids that any of its states named at any time
        self.reported: set[str] = set()  # … that any reported as paid for twice
        self._media = media
        self._chance = chance
        self._runs = 0
        self.places = [Place(path=folder / "first")]
        self._pool = pool(api)
        chosen = chance.sample(self._pool, chance.randint(3, 6))
        self.wanted = Wanted(
            sources=tuple((f"s{n}", content) for n, content in enumerate(chosen)),
            settings=tuple((name, values[0]) for name, values in CHOICES[api].items()),
        )
        self._versions = [self.wanted]
        for place in self.places:
            self.write(place)

    # -- what a manifest says ------------------------------------------------------------------------------------------

    def write(self, place: Place) -> None:
        """The manifest and its media as they are wanted now."""
        media = place.path / "media"
        media.mkdir(parents=True, exist_ok=True)
        sources: dict[str, list[Any]] = {}
        names = set()
        for name, content in self.wanted.sources:
            labels = {"wave": self.wanted.label}
            match content.kind:
                case "text":
                    sources.setdefault("text", []).append({"text": TEXTS[content.number], "id": name, "labels": labels})
                case "url":
                    sources.setdefault("urls", []).append({"url": URLS[content.number], "id": name, "labels": labels})
                case kind:
                    suffix = "txt" if kind == "file" else kind
                    path = media / f"{name}.{suffix}"
                    bytes_ = (
                        PAGES[content.number].encode()
                        if kind == "file"
                        else (self._media / f"{content.number}.{kind}").read_bytes()
                    )
                    if not path.exists() or path.read_bytes() != bytes_:
                        path.write_bytes(bytes_)
                    names.add(path.name)
                    entry = {"path": f"media/{path.name}", "id": name, "labels": labels}
                    sources.setdefault("files", []).append(entry)
        for path in media.iterdir():
            if path.name not in names:
                path.unlink()
        document = {
            "version": 1,
            "name": "soak",
            "service": {"api": self.api, "endpoint": self.endpoints[self.wanted.elsewhere], "timeout": TIMEOUT},
            "sources": sources,
            "models": models_of(self.api, dict(self.wanted.settings)),
            "batching": {"max_sources": self.wanted.max_sources},
            "execution": {
                "requests_per_second": 1000,
                "transfer_workers": 3,
                "retry": {"attempts": 3, "max_wait": "100ms"},
            },
            "outputs": {
                "directory": self.wanted.directory,
                "artifacts": False,
                "tables": ["jsonl"],
                "report": False,
            },
        }
        place.manifest.write_text(yaml.safe_dump(document, sort_keys=False))

    def _edit(self) -> str:
        """Change one thing that the manifest says, or go back to what it said before."""
        chance, now = self._chance, self.wanted
        free = [content for content in self._pool if content not in dict(now.sources).values()]
        what = chance.choice(["add", "remove", "rename", "change", "settings", "settings", "back", "back", "batch"])
        sources = list(now.sources)
        match what:
            case "add" if free:
                used = {int(name[1:]) for name, _ in sources}
                sources.append((f"s{max(used) + 1}", chance.choice(free)))
            case "remove" if len(sources) > 2:
                sources.pop(chance.randrange(len(sources)))
            case "rename":
                at = chance.randrange(len(sources))
                used = {int(name[1:]) for name, _ in sources}
                sources[at] = (f"s{max(used) + 1}", sources[at][1])
            case "change" if free:
                at = chance.randrange(len(sources))
                kind = sources[at][1].kind
                fitting = [content for content in free if content.kind == kind] or [sources[at][1]]
                sources[at] = (sources[at][0], chance.choice(fitting))
            case "settings":
                name = chance.choice(list(CHOICES[self.api]))
                settings = dict(now.settings)
                settings[name] = chance.choice(CHOICES[self.api][name])
                self.wanted = replace(now, settings=tuple(settings.items()))
            case "batch":
                self.wanted = replace(now, max_sources=chance.randint(1, 4), label=chance.randint(0, 3))
            case _:
                former = chance.choice(self._versions)
                self.wanted = replace(now, sources=former.sources, settings=former.settings)
                what = "back"
        if what in ("add", "remove", "rename", "change"):
            self.wanted = replace(now, sources=tuple(sources))
        self._versions.append(self.wanted)
        return f"{what}: {self._says()}"

    def _says(self) -> str:
        sources = " ".join(f"{name}={content.kind}{content.number}" for name, content in self.wanted.sources)
        return f"{sources}; {dict(self.wanted.settings)}; {self.wanted.max_sources} a job"

    # -- steps ---------------------------------------------------------------------------------------------------------

    def step(self) -> list[Child]:
        """Something happens to the folder, or nothing; then it is run, and the run may be ended."""
        place = self._chance.choice(self.places)
        happens: Callable[[Place], str | None] = self._chance.choices(
            [
                lambda place: None,
                lambda place: self._counted("edits", self._edit()),
                self._put_back,
                self._delete,
                self._copy,
                self._move_outputs,
                self._move_endpoint,
            ],
            weights=[30, 45, 8, 4, 5, 4, 6],
        )[0]
        told = happens(place)
        self.write(place)
        if told is not None:
            self.told.append(f"{place.path.name}: {told}")
        return self._children(place)

    def _counted(self, name: str, told: str) -> str:
        self.counts[name] = self.counts.get(name, 0) + 1
        return told

    def _put_back(self, place: Place) -> str | None:
        if not place.backups:
            return None
        backup = self._chance.choice(place.backups)
        home = place.path / backup.name.partition("-")[2]
        self._remove_state(home)
        for path in backup.iterdir():
            shutil.copy2(path, home / path.name)
        self.lost_state = True
        return self._counted("restored", f"state put back: {backup.name}")

    def _delete(self, place: Place) -> str | None:
        home = place.path / self.wanted.directory
        if not (home / "state.sqlite3").exists():
            return None
        self.lost_state = True
        if self._chance.random() < 0.5:
            shutil.rmtree(home)
            return self._counted("restored", f"{home.name} deleted")
        self._remove_state(home)
        return self._counted("restored", f"state in {home.name} deleted")

    @staticmethod
    def _remove_state(home: Path) -> None:
        for name in _STATE_FILES:
            (home / name).unlink(missing_ok=True)

    def _copy(self, place: Place) -> str | None:
        if len(self.places) > 1:
            return None
        copy = Place(path=place.path.parent / "copy")
        shutil.copytree(place.path, copy.path, ignore=shutil.ignore_patterns("*.ctl"))  # a socket cannot be copied
        self.places.append(copy)
        self.lost_state = True
        return self._counted("copied", f"{place.path.name} copied to copy")

    def _move_outputs(self, place: Place) -> str:
        self.wanted = replace(self.wanted, directory="out2" if self.wanted.directory == "out" else "out")
        self.lost_state = True
        return self._counted("edits", f"outputs in {self.wanted.directory}")

    def _move_endpoint(self, place: Place) -> str:
        self.wanted = replace(self.wanted, elsewhere=not self.wanted.elsewhere)
        return self._counted("edits", f"endpoint {'B' if self.wanted.elsewhere else 'A'}")

    # -- runs ----------------------------------------------------------------------------------------------------------

    def child(self, place: Place, *flags: str, **how: Any) -> Child:
        self._runs += 1
        self.counts["runs"] = self.counts.get("runs", 0) + 1
        return {
            "argv": ["run", str(place.manifest), "--no-progress", *flags],
            "key": self.key,
            "out": str(place.path / f"run-{self._runs:02d}"),
            **PATIENCE,
            **how,
        }

    def _children(self, place: Place) -> list[Child]:
        chance = self._chance
        how = chance.choices(
            ["plain", "kill at", "kill", "signal at", "signal", "disk", "pipe", "clock", "two"],
            weights=[12, 20, 16, 10, 10, 14, 6, 6, 6],
        )[0]
        at: Any = chance.choice(
            [chance.randint(1, 45), {"name": "commit submitting", "nth": chance.randint(1, 4)}]
            + [{"name": name, "nth": chance.randint(1, 3)} for name in ("commit accepted", "replace", "commit")]
        )
        moment = chance.choice(["before", "after"])
        extra: Child = {}
        match how:
            case "kill at":
                extra = {"disk": {"kind": "kill", "at": at, "moment": moment}}
            case "kill":
                extra = {"signals": [[round(chance.uniform(0.0, 0.8), 3), int(signal.SIGKILL)]]}
            case "signal at":
                wanted = int(chance.choice([signal.SIGINT, signal.SIGTERM, signal.SIGHUP]))
                disk = {"kind": "signal", "at": at, "moment": moment, "number": wanted, "times": chance.randint(1, 2)}
                extra = {"disk": disk}
            case "signal":
                when = round(chance.uniform(0.05, 0.8), 3)
                wanted = int(chance.choice([signal.SIGINT, signal.SIGTERM]))
                extra = {"signals": [[when + 0.03 * n, wanted] for n in range(chance.randint(1, 2))]}
            case "disk":
                error = chance.choice(["full", "quota", "broken"])
                extra = {"disk": {"kind": "fail", "at": at, "error": error, "for_good": chance.random() < 0.6}}
            case "pipe":
                names = chance.choice([["stdout"], ["stderr"], ["stdout", "stderr"]])
                extra = {"closed": dict.fromkeys(names, chance.choice([0, 1, 200]))}
            case "clock":
                by_s = chance.choice([-7200, -600, -60, 60, 600, 7200])
                extra = {"clock": [[round(chance.uniform(0.0, 0.4), 2), by_s]]}
        kinds = {"kill at": "kills", "kill": "kills", "disk": "faults", "clock": "faults", "pipe": "faults"}
        name = kinds.get(how, "signals" if how.startswith("signal") else "")
        if name:
            self.counts[name] = self.counts.get(name, 0) + 1
        flags = ["--json"] if how == "pipe" and chance.random() < 0.5 else []
        runs = [self.child(place, *flags, **extra)]
        if how == "two":
            runs.append(self.child(place))
        self.told.append(f"{place.path.name}: run, {how} {json.dumps(extra)}")
        return runs

    def after_step(self, ids: Callable[[Path], tuple[set[str], set[str]]]) -> None:
        """Remember what the states say now, and keep a backup of some."""
        for place in self.places:
            for state in place.states():
                seen, reported = ids(state)
                self.seen |= seen
                self.reported |= reported
                if self._chance.random() < 0.5:
                    backup = (
                        place.path.parent / "backups" / f"{place.path.name}{len(place.backups)}-{state.parent.name}"
                    )
                    backup.mkdir(parents=True)
                    for file in _STATE_FILES:
                        if (state.parent / file).exists():
                            shutil.copy2(state.parent / file, backup / file)
                    place.backups.append(backup)

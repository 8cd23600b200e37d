"""Attacks on a run, each aimed at one safeguard, and what they broke in words: nothing as long as it is there.

An attack takes a `World` and a safeguard that is taken away in every run of it, or None.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import requests
import yaml

from tests.databases import answered
from tests.durability.children import Nursery
from tests.durability.service import ServiceProcess
from tests.expression.runs import from_service
from tests.media_files import picture, picture_bytes, speech, write_wav

LANGUAGE = {"language": {"granularity": "sentence"}}
PATIENCE = {"settle_s": 0.3, "slow_s": 0.3, "late_s": 0.5}
# A run that ends otherwise was not broken by an attack: it never began, or has a bug.
ENDINGS = (0, 3, 5, 6, 8, 9, 10, 64, -9)
PART_BYTES = 200_000  # a recording of 15 s goes in three parts


@dataclass(slots=True, kw_only=True)
class World:
    """A folder of its own, two services with nothing difficult about them yet, and who runs the runs."""

    folder: Path
    first: ServiceProcess
    second: ServiceProcess
    nursery: Nursery

    def study(self, api: str, name: str = "study", **sections: Any) -> Study:
        return Study(world=self, path=self.folder / name, key=self.first.new_key(), api=api, sections=sections)


@dataclass(slots=True, kw_only=True)
class Study:
    """A manifest that is edited between runs. `sections` are its sections; `mutant` holds for all of its runs."""

    world: World
    path: Path
    key: str
    api: str
    sections: dict[str, Any]
    elsewhere: bool = False  # at the second service
    mutant: str | None = None
    texts: list[str] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    runs: int = 0

    @property
    def out(self) -> Path:
        return self.path / "out"

    @property
    def state(self) -> Path:
        return self.out / "state.sqlite3"

    def child(self, *flags: str, manifest: str = "manifest.yaml", name: str = "attack", **how: Any) -> dict[str, Any]:
        """The manifest as it is wanted now, and a run of it."""
        self.runs += 1
        (self.path / "media").mkdir(parents=True, exist_ok=True)
        for file, content in self.files.items():
            (self.path / "media" / file).write_bytes(content)
        execution = {"requests_per_second": 1000, "retry": {"attempts": 3, "max_wait": "100ms"}}
        document: dict[str, Any] = {
            "version": 1,
            "name": name,
            "service": {"api": self.api, "endpoint": (self.world.second if self.elsewhere else self.world.first).url},
            "sources": {},
            "models": LANGUAGE,
            "outputs": {"directory": "out", "artifacts": False, "tables": ["jsonl"], "report": False},
        }
        if self.texts:
            document["sources"]["text"] = [{"text": text, "id": text.split()[0].lower()} for text in self.texts]
        if self.files:
            document["sources"]["files"] = [{"path": f"media/{name}", "id": name} for name in self.files]
        for section, value in self.sections.items():
            document[section] = {**document.get(section, {}), **value} if section == "service" else value
        document["execution"] = execution | self.sections.get("execution", {})
        (self.path / manifest).write_text(yaml.safe_dump(document, sort_keys=False))
        return {
            "argv": ["run", str(self.path / manifest), "--no-progress", *flags],
            "key": self.key,
            "out": str(self.path / f"run-{self.runs}"),
            "mutant": self.mutant,
            **PATIENCE,
            **how,
        }

    def run(self, *flags: str, **how: Any) -> int:
        [code] = self.world.nursery.run([self.child(*flags, **how)])
        assert code in ENDINGS, f"{code}: {self.said()}"
        return code

    def must(self, *flags: str, code: int = 0, **how: Any) -> None:
        """A run that an attack stands on: how it ends is no question."""
        came = self.run(*flags, **how)
        assert came == code, f"{came}: {self.said()}"

    def said(self) -> str:
        return "".join((self.path / f"run-{self.runs}.{name}").read_text() for name in ("stdout", "stderr"))

    def paid(self, service: ServiceProcess | None = None) -> Counter[str]:
        """How often each content was accepted for this key, under whatever settings."""
        at = service or self.world.first
        owner = sha256(self.key.encode()).hexdigest()
        found: Counter[str] = Counter()
        if self.api == "batch-v0":
            for job in at.log():
                if job["owner"] == owner:
                    found.update([*job["text"], *job["urls"], *(file["md5sum"] for file in job["files"])])
            return found
        user = str(uuid5(NAMESPACE_OID, owner))
        for run in from_service(at.url, "/_emulator/runs"):
            if run["status"] == "ended" and run["user_id"] == user:
                found.update(f"{file['sha256']} {run['config'].get('measurement_timer_ms')}" for file in run["files"])
        return found

    def start_elsewhere(self, service: ServiceProcess, *texts: str) -> str:
        """A job that another program starts with the same key."""
        body = {"models": LANGUAGE, "text": list(texts)}
        headers = {"X-Hume-Api-Key": self.key}
        answer = requests.post(f"{service.url}/v0/batch/jobs", json=body, headers=headers, timeout=10)
        return str(answer.json()["job_id"])

    def lose_state(self) -> None:
        shutil.rmtree(self.out)

    def ask(self, question: str) -> list[Any]:
        return answered(self.state, question)

    def scores(self) -> dict[str, list[Any]]:
        """The rows of each item, without its id."""
        found: dict[str, list[Any]] = {}
        for line in (self.out / "tables" / "language.jsonl").read_text().splitlines():
            row = json.loads(line)
            found.setdefault(row["item_id"], []).append(
                [value for name, value in sorted(row.items()) if isinstance(value, float)]
            )
        return found


def twice(paid: Mapping[str, int]) -> list[str]:
    return [f"{content!r} was paid {times} times" for content, times in paid.items() if times > 1]


# -- the attacks -----------------------------------------------------------------------------------------------------


def members_leave_a_job(world: World, mutant: str | None) -> list[str]:
    """One text of a planned job is at the service already, so that its job loses a member in the middle."""
    plain = world.study("batch-v0", "plain")
    study = world.study("batch-v0")
    plain.texts = study.texts = [f"{name} speaks of rain." for name in ("One", "Two", "Three", "Four")]
    plain.must()
    study.mutant = mutant
    study.start_elsewhere(world.first, study.texts[1])
    code = study.run()
    wanted, found = plain.scores(), study.scores() if (study.out / "tables").exists() else {}
    return [f"exit code {code}"] * (code != 0) + [
        f"{name} has other scores than its own" for name in wanted if found.get(name) != wanted[name]
    ]


def a_later_run_is_refused(world: World, mutant: str | None) -> list[str]:
    """A study was measured; then one of its files is missing, and it is run again."""
    study = world.study("batch-v0")
    study.files, study.mutant = {"one.txt": b"One speaks of rain.", "two.txt": b"Two speaks of snow."}, mutant
    study.must()
    child = study.child()
    (study.path / "media" / "two.txt").unlink()
    [code] = world.nursery.run([child])
    assert code == 66, study.said()
    return [] if study.state.exists() else ["the first run's state is gone"]


def the_list_shows_nothing_yet(world: World, mutant: str | None) -> list[str]:
    """The answer to a submission is lost, and the list is a minute late."""
    study = world.study("batch-v0")
    study.texts = ["One speaks of rain."]
    study.must()
    study.texts, study.mutant = [*study.texts, "Two speaks of snow."], mutant
    world.first.be(submissions={"answer": "cut", "times": 1}, jobs={"late": "60s"})
    study.run()
    return twice(study.paid())


def a_host_accepts_after_the_client_left(world: World, mutant: str | None) -> list[str]:
    """A submission times out, and is accepted a while later; the wait for it is about as long as the time-out."""
    study = world.study("batch-v0", service={"timeout": "2s"})
    study.texts = ["One speaks of rain."]
    study.must()
    study.texts, study.mutant = [*study.texts, "Two speaks of snow."], mutant
    world.first.be(submissions={"answer": "hang", "accepted": "1s", "times": 1})
    study.run(slow_s=1.9)
    world.first.advance(5)
    return twice(study.paid())


def the_endpoint_is_edited(world: World, mutant: str | None) -> list[str]:
    """What was measured at another host before shows there what a list must show. Then a run dies with a job at the
    service, and the manifest names that other host again, and one more text."""
    study = world.study("batch-v0")
    study.elsewhere = True
    study.texts = ["Nobody speaks of fog."]
    study.must()
    study.elsewhere = False
    study.texts, study.mutant = [*study.texts, "One speaks of rain."], mutant
    study.must(disk={"kind": "kill", "at": {"name": "commit accepted"}, "moment": "before"}, code=-9)
    world.second.advance(10)
    study.texts = [*study.texts, "Two speaks of snow."]
    study.elsewhere = True
    study.run()
    both = study.paid() + study.paid(world.second)
    study.elsewhere = False
    code = study.run()
    return twice(both) + [f"exit code {code}"] * (code != 0)


def the_state_is_lost(world: World, mutant: str | None) -> list[str]:
    """A finished study whose state is deleted is run again."""
    study = world.study("batch-v0")
    study.texts = ["One speaks of rain.", "Two speaks of snow."]
    study.must()
    study.lose_state()
    study.mutant = mutant
    code = study.run()
    return twice(study.paid()) + [f"exit code {code}"] * (code != 0)


def the_state_is_lost_at_a_host_that_tells_otherwise(world: World, mutant: str | None) -> list[str]:
    """The same at a host whose jobs show their texts in capitals and cut: whether they are the same, a person says."""
    study = world.study("batch-v0")
    study.texts = ["One speaks of rain.", "Two speaks of snow."]
    study.must()
    study.lose_state()
    world.first.be(jobs={"texts": [{"first": 12}, "upper"]})
    study.mutant = mutant
    code = study.run()
    return twice(study.paid()) + [f"exit code {code}"] * (code != 9)


def the_state_is_lost_where_answers_come_once(world: World, mutant: str | None) -> list[str]:
    """The same on expression-v1, which gives no answer a second time."""
    study = world.study("expression-v1", models={"video": {}})
    study.files = {"one.jpg": picture_bytes(picture(seed=1))}
    study.must()
    study.lose_state()
    study.mutant = mutant
    study.run()
    return twice(study.paid())


def a_setting_changes_and_changes_back(world: World, mutant: str | None) -> list[str]:
    """Between the parts of a recording: what is measured of it stays measured."""
    study = world.study("expression-v1", batching={"max_bytes": PART_BYTES}, models={})
    talk = speech([("speech", 4), ("pause", 1), ("speech", 4), ("pause", 1), ("speech", 5)])
    study.files = {"talk.wav": write_wav(world.folder / "talk.wav", talk).read_bytes()}
    study.mutant = mutant
    for timer, most in ((3000, "10.5"), (4000, "1"), (3000, None)):
        study.sections["models"] = {"audio": {"measurement_timer_ms": timer}}
        study.must(*(["--max-billable-seconds", most] if most else []), code=8 if most else 0)
    return twice(study.paid())


def the_disk_fails_with_uploads_on_their_way(world: World, mutant: str | None) -> list[str]:
    """The first answer cannot be written while five others are on their way."""
    study = world.study("expression-v1", models={"video": {}}, batching={"max_sources": 1})
    study.sections["execution"] = {"transfer_workers": 6}
    study.files = {f"{n}.jpg": picture_bytes(picture(seed=n)) for n in range(6)}
    study.mutant = mutant
    first, others = [1], [2, 3, 4, 5, 6]
    world.first.inject(
        [
            {"route": "POST /v1/expression/video/file", "nth": nth, "action": {"slow": speed}}
            for nth, speed in ((first, "4000B/s"), (others, "1000B/s"))
        ]
    )
    study.must(disk={"kind": "fail", "at": {"name": "replace response"}, "error": "full", "for_good": False}, code=5)
    world.first.inject([])
    code = study.run()
    return twice(study.paid()) + [f"exit code {code}"] * (code != 0)


def the_disk_is_full_when_an_answer_comes(world: World, mutant: str | None) -> list[str]:
    """The one answer there will ever be cannot be written into the state."""
    study = world.study("expression-v1", models={"video": {}})
    study.files, study.mutant = {"one.jpg": picture_bytes(picture(seed=1))}, mutant
    study.must(disk={"kind": "fail", "at": {"name": "commit accepted"}, "error": "full", "for_good": False}, code=5)
    code = study.run()
    return twice(study.paid()) + [f"exit code {code}"] * (code != 0)


def the_clock_is_set_while_an_answer_is_lost(world: World, mutant: str | None) -> list[str]:
    """Ten minutes on, right when a submission is lost that the host accepts a second later."""
    study = world.study("batch-v0")
    study.texts = ["One speaks of rain."]
    study.must()
    study.texts, study.mutant = [*study.texts, "Two speaks of snow."], mutant
    world.first.be(submissions={"answer": "cut", "accepted": "1s", "times": 1})
    study.run(clock=[["commit lost", 600]], settle_s=2.5)
    world.first.advance(5)
    return twice(study.paid())


def a_setting_that_touches_nothing_changes(world: World, mutant: str | None) -> list[str]:
    """How often pictures are taken of videos, in a study of texts."""
    study = world.study("batch-v0")
    study.texts, study.mutant = ["One speaks of rain."], mutant
    for rate in (3, 5):
        study.sections["models"] = LANGUAGE | {"face": {"fps_pred": rate}}
        study.must()
    return twice(study.paid())


def an_emulator_goes_on_with_a_real_study(world: World, mutant: str | None) -> list[str]:
    """What was measured so far came from a real host; the endpoint is an emulator by its URL."""
    study = world.study("batch-v0")
    study.texts = ["One speaks of rain."]
    study.must()
    db = sqlite3.connect(study.state)
    for table in ("jobs", "measurements"):
        db.execute(f"UPDATE {table} SET simulated = 0")
    db.commit()
    db.close()
    Path(f"{study.state}.seal").unlink()
    study.texts, study.mutant = [*study.texts, "Two speaks of snow."], mutant
    study.run()
    mixed = study.ask("SELECT count(DISTINCT simulated) FROM measurements WHERE outcome = 'done'") != [(1,)]
    return ["real and simulated scores are in one state"] if mixed else []


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """`without`: the safeguard that it is aimed at. `breaks`: what is said when that is gone."""

    without: str
    act: Callable[[World, str | None], Sequence[str]]
    breaks: str


ATTACKS = (
    Attack(without="stored positions", act=members_leave_a_job, breaks="other scores than its own"),
    Attack(without="removing only its own", act=a_later_run_is_refused, breaks="state is gone"),
    Attack(without="controls", act=the_list_shows_nothing_yet, breaks="was paid 2 times"),
    Attack(without="waiting from the end", act=a_host_accepts_after_the_client_left, breaks="was paid 2 times"),
    Attack(without="own endpoint", act=the_endpoint_is_edited, breaks="was paid 2 times"),
    Attack(without="asking first", act=the_state_is_lost, breaks="was paid 2 times"),
    Attack(
        without="comparing loosely", act=the_state_is_lost_at_a_host_that_tells_otherwise, breaks="was paid 2 times"
    ),
    Attack(without="suspecting", act=the_state_is_lost_where_answers_come_once, breaks="was paid 2 times"),
    Attack(without="parts", act=a_setting_changes_and_changes_back, breaks="was paid 2 times"),
    Attack(without="draining", act=the_disk_fails_with_uploads_on_their_way, breaks="was paid 2 times"),
    Attack(without="reading what was rescued", act=the_disk_is_full_when_an_answer_comes, breaks="was paid 2 times"),
    Attack(without="monotonic waiting", act=the_clock_is_set_while_an_answer_is_lost, breaks="was paid 2 times"),
    Attack(without="relevance", act=a_setting_that_touches_nothing_changes, breaks="was paid 2 times"),
    Attack(without="telling simulated", act=an_emulator_goes_on_with_a_real_study, breaks="in one state"),
)

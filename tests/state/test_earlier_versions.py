"""States that version 0.1.0 left behind (`schema1/`): what is measured in them is measured, whatever its key was."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from hume_runner.cli.console import Console
from hume_runner.cli.main import main
from hume_runner.machine import Machine
from hume_runner.planning.fingerprint import FORMER_VERSION, VERSION, canonical, former_key, settings_digest
from hume_runner.settings import Settings
from hume_runner.state.disk import Disk
from tests.state.disks import FailsAt, full
from tests.tiers import sampled

KEPT = Path(__file__).with_name("schema1")
FAR, BOX = "example.org/far.mp4", "media/box.zip"
RECORDINGS = {"media/clip.wav", "media/speech.wav"}
VIDEOS = {"media/silent.mp4", "media/talk.mp4"}
PICTURES = {"media/face.jpg", "media/face.png"}
TEXTS = {"text-1d6453b3dc", "text-f0981b7b51"}
UNKNOWN = {"media/nothing.bin"}
ANYTHING = {FAR, BOX} | VIDEOS | UNKNOWN  # may hold all that a model can apply to
LINK = "127.0.0.1:18765/far.jpg"
INSIDE = {"media/box.zip/inside.jpg", "media/box.zip/inside.wav"}

Edit = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """One manifest with the state that an earlier version left."""

    manifest: Path
    state: Path
    machine: Machine
    before: Mapping[str, int]

    def edit(self, change: Edit) -> None:
        document = yaml.safe_load(self.manifest.read_text(encoding="utf-8"))
        change(document)
        self.manifest.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")

    def call(self, *argv: str) -> list[Any]:
        """What a command says on standard output, as JSON Lines."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.chdir(self.manifest.parent):
            main(list(argv), Console(out=out, err=err), self.machine if argv[0] == "run" else None)
        said = [json.loads(line) for line in out.getvalue().splitlines()]
        assert said, err.getvalue()
        return said

    def would_send(self) -> dict[str, str]:
        """id -> why, of every item that a run would submit."""
        (plan,) = self.call("plan", self.manifest.name, "--format", "json", "--items")
        return {i["id"]: i["reason"] for i in plan["items"] if i["action"] in ("new", "changed", "retry")}

    def run(self) -> dict[str, Any]:
        """One run; what it wrote into run.json."""
        self.call("run", self.manifest.name, "--json")
        said: dict[str, Any] = json.loads((self.state.parent / "run.json").read_bytes())
        return said

    def sent(self) -> dict[str, int]:
        """Requests by kind, beyond those that the earlier version had counted."""
        now = dict(self.rows("SELECT kind, count FROM requests"))
        return {kind: count - self.before.get(kind, 0) for kind, count in now.items() if count != self.before.get(kind)}

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.state)) as db:
            return db.execute(query, values).fetchall()


@pytest.fixture
def study(tmp_path: Path, request: pytest.FixtureRequest) -> Study:
    folder = tmp_path / "study"
    shutil.copytree(KEPT, folder)
    name = request.param
    machine = Machine(disk=Disk(), environ={"HUME_API_KEY": "none"}, settings=Settings.from_env({}))
    state = folder / name / "state.sqlite3"
    with closing(sqlite3.connect(state)) as db:
        before = dict(db.execute("SELECT kind, count FROM requests"))
    return Study(manifest=folder / f"{name}.yaml", state=state, machine=machine, before=before)


batch = pytest.mark.parametrize("study", ["batch"], indirect=True)
expression = pytest.mark.parametrize("study", ["expression"], indirect=True)
both = pytest.mark.parametrize("study", ["batch", "expression"], indirect=True)


def option(path: str, value: Any) -> Edit:
    """Set (or, for `...`, remove) a member of the manifest, named by its path."""

    def change(document: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        where = document
        for name in parents:
            where = where.setdefault(name, {})
        if value is ...:
            del where[last]
        else:
            where[last] = value

    return change


@both
def test_the_same_manifest_has_nothing_to_do_and_sends_nothing(study: Study) -> None:
    assert study.would_send() == {}
    first = study.run()
    assert first["counts"]["items"]["done"] > 8
    assert (first["counts"]["items"]["failed"], first["counts"]["items"]["pending"]) == (1, 0)
    assert first["exit_code"] == 3
    before = study.rows("SELECT kind, sum(count) FROM requests GROUP BY kind")
    assert study.run()["counts"]["items"] == first["counts"]["items"]
    assert study.rows("SELECT kind, sum(count) FROM requests GROUP BY kind") == before
    assert study.sent() == {}


BATCH: Mapping[str, tuple[Edit, set[str]]] = {
    "pictures a second": (option("models.face.fps_pred", 5), ANYTHING),
    "surer faces": (option("models.face.prob_threshold", 0.5), ANYTHING | PICTURES),
    "no faces": (option("models.face", ...), ANYTHING | PICTURES),
    "voice by the word": (option("models.prosody.granularity", "word"), ANYTHING | RECORDINGS),
    "bursts as well": (option("models.burst", {}), ANYTHING | RECORDINGS),
    "language by the sentence": (
        option("models.language.granularity", "sentence"),
        ANYTHING | RECORDINGS | TEXTS | {"media/notes.txt"},
    ),
    "speakers": (option("models.language.identify_speakers", True), ANYTHING | RECORDINGS),
    "names": (option("models.ner", {}), ANYTHING | RECORDINGS | TEXTS | {"media/notes.txt"}),
    "another language": (option("transcription.language", "fr"), ANYTHING | RECORDINGS),
    "no transcript": (option("transcription", None), ANYTHING | RECORDINGS),
    "any language": (option("transcription", ...), ANYTHING | RECORDINGS),
    "smaller jobs": (option("batching.max_sources", 3), set()),
    "artifacts": (option("outputs.artifacts", True), set()),
    "a whole number": (option("models.face.fps_pred", 3.0), set()),
}
EXPRESSION: Mapping[str, tuple[Edit, set[str]]] = {
    "slower windows": (
        option("models.audio.measurement_timer_ms", 4000),
        {LINK, "media/talk.mp4", "media/box.zip/inside.wav"} | RECORDINGS,
    ),
    "more pictures a second": (option("models.video.fps", 3), {LINK} | VIDEOS),
    "narrower pictures": (option("models.video.max_width", 640), {LINK} | VIDEOS),
    "the width that it was": (option("models.video.max_width", 1280), set()),
    "the tracking that it was": (option("models.video.track_faces", True), set()),
    "no tracking": (option("models.video.track_faces", False), {LINK} | VIDEOS),
    "surer faces": (
        option("models.video.face.threshold", 0.8),
        {LINK, "media/box.zip/inside.jpg"} | VIDEOS | PICTURES,
    ),
    "no sound": (option("models.audio", ...), {LINK, "media/talk.mp4", "media/box.zip/inside.wav"} | RECORDINGS),
    "smaller requests": (option("batching.max_bytes", "1MB"), set()),
}


@sampled(5)
@batch
@pytest.mark.parametrize("case", BATCH)
@pytest.mark.parametrize("upgraded", [True, False], ids=["after a run", "at once"])
def test_batch_v0_sends_again_exactly_what_a_setting_touches(study: Study, case: str, upgraded: bool) -> None:
    change, touched = BATCH[case]
    if upgraded:
        study.run()
    study.edit(change)
    assert set(study.would_send()) == touched


@sampled(4)
@expression
@pytest.mark.parametrize("case", EXPRESSION)
@pytest.mark.parametrize("upgraded", [True, False], ids=["after a run", "at once"])
def test_expression_v1_sends_again_exactly_what_a_setting_touches(study: Study, case: str, upgraded: bool) -> None:
    change, touched = EXPRESSION[case]
    if upgraded:
        study.run()
    study.edit(change)
    assert set(study.would_send()) == touched


@expression
def test_joining_short_recordings_measures_the_short_ones_again(study: Study) -> None:
    study.run()
    study.edit(option("batching.pack_short_audio", True))
    sent = study.would_send()
    assert set(sent) == {LINK, "media/box.zip/inside.wav"} | RECORDINGS
    assert sent["media/clip.wav"] == "batching.pack_short_audio: false -> true"


@batch
def test_a_reason_names_only_what_touches_the_item(study: Study) -> None:
    study.edit(option("models.face.prob_threshold", 0.5))
    study.edit(option("models.face.fps_pred", 5))
    study.edit(option("transcription.language", "fr"))
    sent = study.would_send()
    assert sent["media/face.jpg"] == "models.face.prob_threshold: 0.99 -> 0.5"
    assert sent["media/clip.wav"] == 'transcription.language: "en" -> "fr"'
    assert sent["media/talk.mp4"].count("->") == 3


@pytest.mark.sweep
@batch
def test_a_run_sends_what_was_touched_and_with_the_manifest_s_whole_settings(study: Study) -> None:
    study.edit(option("models.face.prob_threshold", 0.5))
    study.edit(option("batching.max_sources", 1))
    study.run()
    assert study.sent()["submit"] == len(ANYTHING | PICTURES)
    (request,) = study.rows(
        "SELECT j.request FROM items i JOIN measurements m ON m.key = i.key JOIN jobs j ON j.job = m.job "
        "WHERE i.id = 'media/face.jpg'"
    )[0]
    models = json.loads(request)["models"]
    assert models == {
        "face": {"fps_pred": 3, "prob_threshold": 0.5},
        "prosody": {"granularity": "utterance"},
        "language": {"granularity": "word"},
    }


@both
def test_a_setting_that_is_changed_back_finds_what_it_had(study: Study) -> None:
    study.edit(option("models.video.fps", 3) if study.state.parent.name == "expression" else option("models.ner", {}))
    assert study.would_send()
    shutil.copy(KEPT / study.manifest.name, study.manifest)
    assert study.run()["counts"]["items"]["pending"] == 0
    assert study.sent() == {}


@both
def test_looking_at_an_old_state_does_not_write_to_it(study: Study) -> None:
    before = study.state.read_bytes()
    assert study.would_send() == {}
    assert '"done"' in json.dumps(study.call("status", study.manifest.name, "--json"))
    assert study.state.read_bytes() == before


@both
def test_nothing_that_was_paid_is_dropped_and_every_listed_item_has_its_new_key(study: Study) -> None:
    measured = study.rows("SELECT content, outcome, job FROM measurements ORDER BY content")
    study.run()
    assert study.rows("SELECT content, outcome, job FROM measurements ORDER BY content") == measured
    assert study.rows("SELECT count(*) FROM items WHERE key NOT IN (SELECT key FROM measurements)") == [(0,)]
    assert study.rows("SELECT count(*) FROM members WHERE key NOT IN (SELECT key FROM measurements)") == [(0,)]
    for kind, key, content, settings in study.rows("SELECT kind, key, content, settings FROM measurements"):
        assert key == hashlib.sha256(b"%b %b\n%b%b" % (VERSION, kind.encode(), content, settings)).digest()
        assert key != former_key(kind, content, settings)


@both
def test_a_plan_that_cannot_be_written_leaves_every_old_key(study: Study) -> None:
    keys = study.rows("SELECT key FROM measurements ORDER BY key")
    machine = Machine(disk=FailsAt("plan", full()), environ={"HUME_API_KEY": "none"}, settings=Settings.from_env({}))
    replace(study, machine=machine).call("run", study.manifest.name, "--json")
    assert study.rows("SELECT key FROM measurements ORDER BY key") == keys
    assert study.run()["counts"]["items"]["pending"] == 0
    assert study.sent() == {}


@pytest.mark.sweep
@batch
def test_of_two_old_measurements_of_the_same_the_one_that_was_measured_counts(study: Study) -> None:
    """Under another transcription a picture was another item once, and failed."""
    other = {
        "models": {
            "face": {"fps_pred": 3},
            "language": {"granularity": "word"},
            "prosody": {"granularity": "utterance"},
        },
        "transcription": {"language": "fr"},
    }
    digest = settings_digest("batch-v0", other)
    (content,) = study.rows(
        "SELECT m.content FROM items i JOIN measurements m USING (key) WHERE i.id LIKE '%face.jpg'"
    )[0]
    with closing(sqlite3.connect(study.state)) as db:
        db.execute("INSERT INTO settings VALUES (?, ?)", (digest, canonical(other)))
        db.execute(
            "INSERT INTO measurements (key, kind, content, settings, size, outcome, error) "
            "VALUES (?, 'file', ?, ?, 1, 'failed', 'it failed in French')",
            (former_key("file", content, digest), content, digest),
        )
        db.commit()
    for language in ("fr", "en"):
        study.edit(option("transcription.language", language))
        assert "media/face.jpg" not in study.would_send()
        (plan,) = study.call("plan", study.manifest.name, "--format", "json", "--items")
        (told,) = [item for item in plan["items"] if item["id"] == "media/face.jpg"]
        assert told["action"] == "done"
    study.run()
    assert study.rows("SELECT count(*) FROM measurements WHERE error = 'it failed in French'") == [(1,)]


@batch
def test_what_the_service_holds_under_an_old_key_is_waited_for(study: Study) -> None:
    with closing(sqlite3.connect(study.state)) as db:
        db.execute("UPDATE jobs SET status = 'submitted'")
        db.execute("UPDATE members SET outcome = NULL")
        db.execute("UPDATE measurements SET outcome = 'pending'")
        db.commit()
    (plan,) = study.call("plan", study.manifest.name, "--format", "json", "--items")
    assert {item["action"] for item in plan["items"]} == {"in_flight"}
    study.edit(option("outputs.artifacts", True))
    assert study.would_send() == {}


@expression
@pytest.mark.sweep
def test_what_is_in_doubt_before_it_gets_its_new_key_is_so_under_that(study: Study) -> None:
    """The first run of this version is one with consent, which leaves the most of it over."""
    study.edit(option("sources", {"files": ["media/*.jpg", "media/*.png"]}))  # nothing to wait for elsewhere
    study.edit(option("execution.look_back", 0))
    for answer in (study.state.parent / "raw").glob("*/response.json"):
        answer.unlink()
    study.call("run", study.manifest.name, "--json", "--pay-again", "--limit", "1")
    sent = study.sent()
    doubts = "SELECT count(*), count(DISTINCT key) FROM doubts"
    assert study.rows(doubts) == study.rows(f"{doubts} WHERE key IN (SELECT key FROM measurements)")
    assert study.rows(doubts)[0][0] > 1
    said = study.call("run", study.manifest.name, "--json")
    assert said[-1]["exit_code"] == 9
    uploads = "POST /v1"
    assert {kind: n for kind, n in study.sent().items() if kind.startswith(uploads)} == {
        kind: n for kind, n in sent.items() if kind.startswith(uploads)
    }
    assert study.rows("SELECT count(*) FROM jobs WHERE status = 'submitting'") == [(0,)]


def test_the_two_versions_of_keys_cannot_be_taken_for_each_other() -> None:
    assert VERSION != FORMER_VERSION

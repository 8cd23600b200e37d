"""`local` as its users meet it, with small measurers that another package offers, whose every number can be checked."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import wave
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hume_runner
from hume_runner import events
from hume_runner.cli.main import main
from hume_runner.errors import MissingWeights, UsageError
from hume_runner.manifest.published import schema
from hume_runner.results.from_state import item_records
from hume_runner.services.local.measurers import found
from hume_runner.services.local.measuring import measure
from hume_runner.services.local.task import SoundPart, Task, Wanted
from hume_runner.state.reader import StateReader
from tests.media.ffmpeg_files import ffmpeg, ramp, tone
from tests.services.local.measurers.heard import need_module
from tests.services.local.mirror import look_again
from tests.warm import WarmPopen

OFFERED = """
from collections.abc import Iterator
from dataclasses import dataclass
from hume_runner.services.local.measurers.base import Card, Row
from hume_runner.services.table_shapes import Column, Layout, OpenFamily

def card(name, version="1"):
    return Card(name=name, version=version, licence="MIT", trained_on="nothing", scale="as it is", limits="counts only")

class Letters:
    model, reads, modules = "letters", "text", ()
    layouts = (Layout(name="letters", row="one text",
                      columns=(Column(name="length", type="integer", meaning="letters"),),
                      open_families=(OpenFamily(name="shares", prefix="share", meaning="share of each letter"),)),)
    schema = {"type": "object", "additionalProperties": False, "description": "Counts letters.",
              "properties": {"upper": {"type": "boolean", "description": "count capitals only", "default": False}}}
    def card(self, options):
        import os
        return card("letters", os.environ.get("LETTERS_VERSION", "1"))
    def open(self, options, files):
        return LettersSession(bool(options.get("upper")))

class LettersSession:
    def __init__(self, upper):
        self.upper = upper
    def measure(self, passages):
        for number, passage in enumerate(passages):
            if "break" in passage.text:
                raise ValueError("broken letters")
            if "die once" in passage.text:
                import os, pathlib
                mark = pathlib.Path(passage.text.split(" at ")[1].strip())
                if not mark.exists():
                    mark.write_text("died")
                    os.kill(os.getpid(), 9)
            if "wait at" in passage.text:
                import pathlib, time
                mark = pathlib.Path(passage.text.split(" at ")[1].strip())
                if not mark.exists():
                    mark.write_text("waits")
                    time.sleep(60)
            if "die always" in passage.text:
                import os
                os.kill(os.getpid(), 9)
            text = [c for c in passage.text if c.isupper()] if self.upper else passage.text
            shares = {c: round(text.count(c) / len(text), 4) for c in sorted(set(text))} if text else None
            yield number, Row(layout="letters", values={"length": len(text), "shares": shares})

class Loud:
    model, reads, modules = "loud", "sound", ("numpy",)
    layouts = (Layout(name="loud", row="one second", time=("begin_s", "end_s"), columns=(
        Column(name="utterance", type="integer", meaning="number of the second"),
        Column(name="begin_s", type="number", meaning="s"), Column(name="end_s", type="number", meaning="s"),
        Column(name="peak", type="number", meaning="highest sample"),)),)
    schema = {"type": "object", "additionalProperties": False, "description": "Peaks.", "properties": {}}
    def card(self, options):
        return card("loud")
    def open(self, options, files):
        return LoudSession()

class LoudSession:
    def measure(self, sound):
        samples = sound.samples
        for number, first in enumerate(range(0, len(samples), 16000)):
            part = samples[first:first + 16000]
            yield Row(layout="loud", values={"utterance": number, "begin_s": first / 16000,
                "end_s": (first + len(part)) / 16000, "peak": round(float(abs(part).max()), 4)})

class Bright:
    model, reads, modules = "bright", "pictures", ("numpy",)
    layouts = (Layout(name="bright", row="one picture", time=("time_s", "time_s"), columns=(
        Column(name="picture", type="integer", meaning="number"), Column(name="time_s", type="number", meaning="s"),
        Column(name="mean", type="number", meaning="mean of all pixels"),)),)
    schema = {"type": "object", "additionalProperties": False, "description": "Brightness.",
              "properties": {"fps": {"type": "number", "description": "pictures a second"}}}
    def card(self, options):
        return card("bright")
    def open(self, options, files):
        return BrightSession()

class BrightSession:
    def measure(self, pictures):
        for number, picture in enumerate(pictures):
            yield Row(layout="bright", values={"picture": number, "time_s": picture.time_s,
                "mean": round(float(picture.rgb.mean()), 2)})

LETTERS, LOUD, BRIGHT = Letters(), Loud(), Bright()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to work in; a package that offers three measurers is installed."""
    packages = tmp_path / "packages"
    info = packages / "offered-1.dist-info"
    info.mkdir(parents=True)
    (packages / "offered_measurers.py").write_text(OFFERED)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: offered\nVersion: 1\n")
    names = "".join(f"{name} = offered_measurers:{name.upper()}\n" for name in ("letters", "loud", "bright"))
    (info / "entry_points.txt").write_text(f"[{found.GROUP}]\n{names}")
    monkeypatch.syspath_prepend(str(packages))
    _forget()
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    yield work
    monkeypatch.undo()
    _forget()


def _forget() -> None:
    import sys

    sys.modules.pop("offered_measurers", None)
    look_again()


def manifest(models: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "name": "here",
        "service": {"api": "local"},
        "models": models,
        "execution": {"workers": 2},
        "outputs": {"directory": "out", "tables": ["csv"]},
        **more,
    }


def table(name: str, out: str = "out") -> list[dict[str, str]]:
    with Path(out, "tables", f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def tone_file(path: Path, seconds: float, loud: float = 0.5) -> None:
    samples = (32767 * loud * np.sin(np.arange(int(16000 * seconds)) / 8)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(samples.tobytes())


@pytest.mark.sweep
def test_texts_are_measured_by_whom_the_row_says(folder: Path) -> None:
    texts = ["One", "Three", "One", "Ö"]
    result = hume_runner.run(manifest({"letters": {}}, sources={"text": texts}))
    assert (result.exit_code, result.counts.items["done"]) == (0, 4)
    rows = table("letters")
    assert sorted(int(row["length"]) for row in rows) == sorted(map(len, texts))
    assert {row["measured_by"] for row in rows} == {"letters@1#e3b0c442"}
    assert {row["simulated"] for row in rows} == {"false"}
    assert hume_runner.run(manifest({"letters": {}}, sources={"text": texts})).requests == {"measured": 0}


@pytest.mark.sweep
def test_scores_that_nobody_could_measure_are_null_in_every_table(folder: Path) -> None:
    # Half of the rows have no score at all: in the tables, the report and the comparison they are null, never 0.
    texts = [{"text": "I am so happy today.", "id": "known"}, {"text": "Днес съм много щастлив.", "id": "other"}]
    for form in ("csv", "jsonl"):
        outputs = {"directory": "out", "tables": [form], "report": True}
        result = hume_runner.run(manifest({"language": {}}, sources={"text": texts}, outputs=outputs))
        assert result.exit_code == 0
    rows = {row["item_id"]: row for row in table("language")}
    assert float(rows["known"]["goemotions_joy"]) > 0
    assert {value for name, value in rows["other"].items() if name.startswith("goemotions_")} == {""}


@pytest.mark.sweep
def test_another_version_measures_again_and_nothing_else_does(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tone_file(folder / "a.wav", 1)
    one = manifest({"letters": {}, "loud": {}}, sources={"text": ["One"], "files": ["a.wav"]})
    assert hume_runner.run(one).requests == {"measured": 2}
    monkeypatch.setenv("LETTERS_VERSION", "2")
    again = hume_runner.plan(one)
    assert (again.summary.changed, again.summary.done) == (1, 1)
    assert hume_runner.run(one).requests == {"measured": 1}
    assert [row["measured_by"] for row in table("letters")] == ["letters@2#e3b0c442"]


@pytest.mark.sweep
def test_another_version_measures_texts_again_although_no_byte_of_the_manifest_changed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a file nothing has to be looked at, and the scan could be recalled."""
    one = manifest({"letters": {}}, sources={"text": ["One", "Two"]})
    assert hume_runner.run(one).requests == {"measured": 1}
    assert hume_runner.run(one).requests == {"measured": 0}
    monkeypatch.setenv("LETTERS_VERSION", "2")
    assert hume_runner.plan(one).summary.changed == 2
    assert hume_runner.run(one).requests == {"measured": 1}
    assert {row["measured_by"] for row in table("letters")} == {"letters@2#e3b0c442"}


@pytest.mark.sweep
def test_a_default_that_is_written_out_measures_nothing_again(folder: Path) -> None:
    texts = {"text": ["One"]}
    assert hume_runner.run(manifest({"letters": {}}, sources=texts)).requests == {"measured": 1}
    assert hume_runner.run(manifest({"letters": {"upper": False}}, sources=texts)).requests == {"measured": 0}
    assert hume_runner.run(manifest({"letters": {"upper": True}}, sources=texts)).requests == {"measured": 1}
    assert hume_runner.run(manifest({"letters": {}}, sources=texts)).requests == {"measured": 0}


@pytest.mark.sweep
def test_long_recordings_are_measured_piece_by_piece_on_the_source_s_clock(folder: Path) -> None:
    tone_file(folder / "long.wav", 610)
    result = hume_runner.run(manifest({"loud": {}}, sources={"files": ["long.wav"]}))
    assert (result.exit_code, result.requests) == (0, {"measured": 3})
    rows = table("loud")
    assert [int(row["row"]) for row in rows] == list(range(len(rows)))
    assert [int(row["utterance"]) for row in rows] == list(range(len(rows)))
    edges = [(float(row["begin_s"]), float(row["end_s"])) for row in rows]
    assert edges[0][0] == 0
    assert edges[-1][1] == pytest.approx(610, abs=0.01)
    assert all(before[1] == pytest.approx(after[0], abs=0.002) for before, after in pairwise(edges))


@pytest.mark.sweep
def test_how_many_pieces_there_are_is_known_from_the_beginning(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tone_file(folder / "long.wav", 610)
    tone_file(folder / "short.wav", 1)
    for name in ("a.png", "b.png"):
        ffmpeg("-f", "lavfi", "-i", f"testsrc=s=32x{32 if name == 'a.png' else 34}", "-frames:v", 1, name)
    ffmpeg(*ramp(seconds=2), *tone(seconds=2), "-c:v", "libx264", "-shortest", "film.mp4")
    sources = {"files": ["*.wav", "*.png", "film.mp4"], "text": ["One", "Two"]}
    one = manifest({"loud": {}, "bright": {}, "letters": {}}, sources=sources)
    # Three of the long recording, one of the short one, two of the film, one of both stills and one of both texts.
    assert hume_runner.plan(one).summary.requests == 8
    told: list[Any] = []
    assert hume_runner.run(one, on_event=told.append).exit_code == 0
    [planned] = [event for event in told if isinstance(event, events.Planned)]
    assert planned.to_finish == 8 == sum(isinstance(event, events.JobFinished) for event in told)
    assert not any(isinstance(event, events.MediaPrepared) for event in told)
    # Of what is measured in part, what is left.
    [lost] = [row["remote_id"] for row in table("loud") if row["begin_s"] == "0.0" and row["item_id"] == "long.wav"]
    Path("out/raw", lost, "response.json").unlink()
    told.clear()
    Path("m.yaml").write_text(json.dumps(one))
    assert main(["plan", "m.yaml"]) == 0
    assert "jobs   1 to measure" in capsys.readouterr().out
    assert main(["m.yaml"]) == 0
    assert "here: 1 item to measure in 1 job" in capsys.readouterr().err


@pytest.mark.sweep
def test_where_a_header_told_another_length_the_number_of_pieces_is_put_right(folder: Path) -> None:
    tone_file(folder / "long.wav", 310)
    with (folder / "long.wav").open("r+b") as file:  # as a recorder that was switched off leaves it
        file.seek(40)
        file.write((16_000 * 2 * 10).to_bytes(4, "little"))
    told: list[Any] = []
    hume_runner.run(manifest({"loud": {}}, sources={"files": ["long.wav"]}), on_event=told.append)
    total = next(event.total for event in told if isinstance(event, events.Planned))
    total += sum(event.jobs - event.expected for event in told if isinstance(event, events.MediaPrepared))
    assert total == sum(isinstance(event, events.JobFinished) for event in told)


@pytest.mark.sweep
def test_an_item_in_parts_names_its_first_whichever_was_done_last(folder: Path) -> None:
    tone_file(folder / "long.wav", 610)
    assert hume_runner.run(manifest({"loud": {}}, sources={"files": ["long.wav"]})).exit_code == 0
    first = table("loud")[0]
    with closing(sqlite3.connect("out/state.sqlite3")) as db:
        jobs = [job for (job,) in db.execute("SELECT job FROM jobs WHERE status = 'done' ORDER BY job")]
        for last in jobs:
            with db:  # as it is where the system lets this part be the last
                db.execute("UPDATE measurements SET job = ?", (last,))
            with closing(StateReader.peek(Path("out/state.sqlite3"))) as store:
                [item] = item_records(store)
            assert (item.job, item.remote_id) == (first["job"], first["remote_id"])


@pytest.mark.sweep
def test_what_breaks_a_measurer_fails_one_source_and_names_the_measurer(folder: Path) -> None:
    one = manifest({"letters": {}}, sources={"text": ["fine", "please break", "fine too"]})
    result = hume_runner.run(one)
    assert result.exit_code == 3
    assert (result.counts.items["done"], result.counts.items["failed"]) == (2, 1)
    [error] = table("errors")
    assert error["reason"] == "measurer_failed"
    assert "letters" in error["message"]
    assert "broken letters" in error["message"]


@pytest.mark.sweep
def test_a_killed_worker_costs_its_piece_a_second_try_and_nothing_else(folder: Path) -> None:
    texts = [f"die once at {folder / 'mark'}" + " " * 30_000, "x" * 30_000, "y" * 30_000]
    one = manifest({"letters": {}}, sources={"text": texts}, batching={"max_sources": 1})
    result = hume_runner.run(one)
    assert (result.exit_code, result.counts.items["done"]) == (0, 3)
    assert (folder / "mark").exists()


@pytest.mark.sweep
def test_a_text_that_kills_every_worker_fails_alone(folder: Path) -> None:
    one = manifest({"letters": {}}, sources={"text": ["x" * 30_000, "die always" + " " * 30_000, "y" * 30_000]})
    result = hume_runner.run(one)
    assert result.exit_code == 3
    [error] = table("errors")
    assert error["reason"] == "worker_died"
    assert "SIGKILL" in error["message"]
    assert len(table("letters")) == 2


@pytest.mark.sweep
def test_a_text_that_nothing_measures_says_which_model_would(folder: Path) -> None:
    tone_file(folder / "a.wav", 1)
    result = hume_runner.run(manifest({"loud": {}}, sources={"text": ["One"], "files": ["a.wav"]}))
    assert result.exit_code == 3
    [error] = table("errors")
    assert "`models.language` does" in error["message"]


def test_a_foreign_measurer_s_options_are_judged_by_its_own_schema(folder: Path) -> None:
    assert "letters" in schema(offered=frozenset({"letters"}))["properties"]["models"]["properties"]
    wrong = hume_runner.validate(manifest({"letters": {"uper": True}}, sources={"text": ["One"]}))
    assert [problem.path for problem in wrong.problems] == ["models.letters.uper"]
    assert "did you mean 'upper'?" in wrong.problems[0].hint
    elsewhere = manifest(
        {"letters": {}}, sources={"text": ["One"]}, service={"api": "batch-v0", "endpoint": "emulator"}
    )
    del elsewhere["execution"]
    assert [problem.path for problem in hume_runner.validate(elsewhere).problems] == ["models.letters"]


@pytest.mark.sweep
def test_a_package_that_cannot_be_loaded_hinders_no_manifest_that_does_not_name_it(folder: Path) -> None:
    broken = folder.parent / "packages" / "broken-1.dist-info"
    broken.mkdir()
    (broken / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (broken / "entry_points.txt").write_text(f"[{found.GROUP}]\nbroken = no_such_module:BROKEN\n")
    look_again()
    hosted = manifest({"language": {}}, sources={"text": ["One"]}, service={"api": "batch-v0", "endpoint": "emulator"})
    del hosted["execution"]

    result = hume_runner.run(hosted)

    assert (result.exit_code, result.counts.items["done"]) == (0, 1)
    for model in ("letters", "language"):
        here = manifest({model: {}}, sources={"text": ["One"]}, outputs={"directory": model, "tables": ["csv"]})
        assert hume_runner.run(here).exit_code == 0
        assert len(table(model, out=model)) == 1
    with pytest.raises(UsageError, match=r"'broken' of the package broken cannot be used: it cannot be loaded"):
        hume_runner.validate(manifest({"broken": {}}, sources={"text": ["One"]}))


def test_options_that_can_never_measure_are_refused_before_anything_is_tried() -> None:
    sources = {"text": ["One"]}
    for language, model, told in (
        ("de", None, ("whisper-tiny.en knows English only", "write model: base beside it")),
        ("de", "small.en", ("whisper-small.en knows English only", "write model: small beside it")),
        ("xx", "base", ("whisper-base knows no language 'xx'", "Whisper's code")),
        ("yue", "base", ("whisper-base knows no language 'yue'", "Whisper's code")),
    ):
        options = {"language": language} | ({"model": model} if model else {})
        [problem] = hume_runner.validate(manifest({"speech": options}, sources=sources)).problems
        assert problem.path == "models.speech.language"
        assert (told[0] in problem.message, told[1] in problem.hint) == (True, True)
    for fits in ({"language": "en"}, {"language": "de", "model": "base"}, {"language": "yue", "model": "large-v3"}, {}):
        assert not hume_runner.validate(manifest({"speech": fits}, sources=sources)).problems


@pytest.mark.sweep
def test_who_reads_a_transcript_has_measured_nothing_where_there_is_none(folder: Path) -> None:
    """It counted as measured, and a recording of which nothing was heard was done."""
    tone_file(folder / "a.wav", 1)
    (folder / "plain.wav").write_bytes(bytes(44) + (folder / "a.wav").read_bytes()[44:])
    detail = {"first": 0, "samples": 16_000, "part": 0, "parts": 1, "start_ms": 0}
    wanted = (Wanted(model="speech", options="{}"), Wanted(model="letters", options="{}"))
    part = SoundPart(path=str(folder / "plain.wav"), name="a.wav", detail=detail)
    [source] = json.loads(measure(Task(wanted=wanted, material=part)))["sources"]
    assert not source["measured"]
    assert [error["model"] for error in source["errors"]] == ["speech"]


def test_an_answer_is_what_its_schema_says(folder: Path) -> None:
    from jsonschema import Draft202012Validator

    hume_runner.run(manifest({"letters": {}}, sources={"text": ["One", "break"]}))
    rules = json.loads((Path(__file__).parents[3] / "schemas" / "local-answer-v1.schema.json").read_text())
    [answer] = Path("out/raw").glob("*/response.json")
    Draft202012Validator(rules).validate(json.loads(answer.read_bytes()))


@pytest.mark.sweep
def test_what_a_service_measured_and_what_is_measured_here_are_not_mixed(folder: Path) -> None:
    hosted = manifest({"language": {}}, sources={"text": ["One"]}, service={"api": "batch-v0", "endpoint": "emulator"})
    del hosted["execution"]
    assert hume_runner.run(hosted).exit_code == 0
    here = manifest({"letters": {}}, sources={"text": ["One"]})
    for would in (hume_runner.run, hume_runner.plan):
        with pytest.raises(UsageError, match="the two are not mixed") as mixed:
            would(here)
        assert mixed.value.hint.endswith(f"--output-dir {folder / 'out-here'}"), "it can be typed as it stands"
    here["outputs"]["directory"] = "elsewhere"
    assert hume_runner.run(here).exit_code == 0
    hosted["outputs"]["directory"] = "elsewhere"
    for would in (hume_runner.run, hume_runner.plan):
        with pytest.raises(UsageError, match="holds real measurements"):
            would(hosted)


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("harm", "kept"),
    [
        (lambda whole: whole[:-9], ["response.json.bak"]),  # a disk may have cut it, a person may be halfway through it
        (lambda whole: b"", []),
        (lambda whole: bytes(len(whole)), []),
    ],
    ids=["cut", "emptied", "zeros"],
)
def test_an_answer_that_is_lost_is_measured_again_for_nothing(
    folder: Path, harm: Callable[[bytes], bytes], kept: list[str]
) -> None:
    one = manifest({"letters": {}}, sources={"text": ["One", "Two"]})
    hume_runner.run(one)
    before = Path("out/tables/letters.csv").read_text()
    [answer] = Path("out/raw").glob("*/response.json")
    answer.write_bytes(harm(answer.read_bytes()))
    assert hume_runner.verify(one).exit_code != 0
    again = hume_runner.run(one)
    assert (again.exit_code, again.requests) == (0, {"measured": 1})
    strip = {"job", "remote_id"}
    left = [{name: value for name, value in row.items() if name not in strip} for row in table("letters")]
    assert left == [
        {name: value for name, value in row.items() if name not in strip} for row in csv.DictReader(before.splitlines())
    ]
    assert hume_runner.verify(one).exit_code == 0
    assert [path.name for path in answer.parent.glob("*")] == kept
    assert len(list(Path("out/raw").iterdir())) == 1 + bool(kept)


@pytest.mark.sweep
def test_of_a_lost_answer_only_what_the_run_made_itself_is_cleared_away(folder: Path) -> None:
    one = manifest({"letters": {}}, sources={"text": ["One", "Two", "Three"]}, batching={"max_sources": 1})
    hume_runner.run(one)
    gone, edited, beside = sorted(Path("out/raw").iterdir())
    (gone / "response.json").unlink()
    corrected = (edited / "response.json").read_text().replace('"length":', '"length": 1')
    (edited / "response.json").write_text(corrected)  # by hand, and whole
    (beside / "response.json").write_bytes(b"")
    (beside / "notes.txt").write_text("mine")
    assert hume_runner.run(one).requests == {"measured": 3}
    assert not gone.exists()
    assert (edited / "response.json").read_text() == corrected
    assert [path.name for path in beside.iterdir()] == ["notes.txt"]
    assert len([path for path in Path("out/raw").iterdir() if (path / "request.json").exists()]) == 3


@pytest.mark.sweep
def test_a_plan_says_what_a_run_does_about_a_lost_answer(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = manifest({"letters": {}}, sources={"text": ["One", "Two"]}, batching={"max_sources": 1})
    Path("m.yaml").write_text(json.dumps(one))
    assert main(["m.yaml"]) == 0
    first, _ = sorted(Path("out/raw").glob("*/response.json"))
    state = Path("out/state.sqlite3").read_bytes()
    capsys.readouterr()
    assert main(["plan", "m.yaml", "--detailed-exitcode"]) == 0
    assert "a run would do nothing" in capsys.readouterr().out
    for harm in (first.unlink, lambda: first.write_bytes(b"{}")):
        harm()
        assert main(["plan", "m.yaml", "--detailed-exitcode", "--items", "--out", "plan.json"]) == 2
        said = capsys.readouterr().out
        assert "items  1 retry, 1 done" in said
        assert "its answer was lost on disk" in said
    assert Path("out/state.sqlite3").read_bytes() == state  # who plans writes nothing
    result = hume_runner.run("m.yaml", plan="plan.json")
    assert (result.exit_code, result.requests) == (0, {"measured": 1})
    request = next(Path("out/raw").glob("*/request.json"))
    request.unlink()
    assert hume_runner.plan(one).summary.answers_again == 1
    assert hume_runner.run(one).requests == {"measured": 0}
    assert request.exists()
    assert hume_runner.plan(one).summary.unfinished == 0


@pytest.mark.sweep
def test_who_has_no_weights_is_cited_without_the_hash_of_nothing(folder: Path) -> None:
    assert hume_runner.run(manifest({"letters": {}}, sources={"text": ["One"]})).exit_code == 0
    codebook = Path("out/codebook.md").read_text(encoding="utf-8")
    assert "letters 1 (MIT, no weights)" in codebook
    assert "weights SHA-256 e3b0c442" not in codebook
    crate = json.loads(Path("out/ro-crate-metadata.json").read_text(encoding="utf-8"))
    [who] = [one for one in crate["@graph"] if str(one["@id"]).startswith("#letters@")]
    assert "identifier" not in who


def test_a_plan_ends_as_the_run_would_that_lacks_a_model(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    need_module("spacy")  # or the extra is what is lacking
    monkeypatch.setenv("HUME_RUNNER_MODELS", str(folder / "none"))
    one = manifest({"letters": {}, "ner": {}}, sources={"text": ["One"]})
    Path("m.yaml").write_text(json.dumps(one))
    said = {}
    for command in ("plan", "run"):
        assert main([command, "m.yaml"]) == 64
        out, err = capsys.readouterr()
        said[command] = [line for line in err.splitlines() if "not on this machine" in line or "models pull" in line]
        assert command == "run" or "items  1 new" in out
    assert said["plan"] == said["run"]
    assert said["plan"]
    with pytest.raises(MissingWeights):
        hume_runner.plan(one)
    Path("m.yaml").write_text(json.dumps(manifest({"letters": {}}, sources={"text": ["One"]})))
    assert main(["plan", "m.yaml"]) == 0


def test_a_plan_says_of_recordings_that_english_alone_is_heard(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tone_file(folder / "a.wav", 1)
    for sources, told in (({"files": ["a.wav"]}, True), ({"text": ["One"]}, False)):
        Path("m.yaml").write_text(json.dumps(manifest({"speech": {}, "letters": {}}, sources=sources)))
        main(["plan", "m.yaml"])
        assert ("note   speech: whisper-tiny.en knows English only" in capsys.readouterr().out) == told


@pytest.mark.sweep
def test_stills_videos_and_archives_are_measured_picture_by_picture(folder: Path) -> None:
    for number, level in enumerate((40, 80, 120)):
        ffmpeg(
            "-f", "lavfi", "-i", f"color=0x{level:02x}{level:02x}{level:02x}:s=32x32", "-frames:v", 1, f"{number}.png"
        )
    ffmpeg(*ramp(seconds=4), *tone(seconds=4), "-c:v", "libx264", "-shortest", "film.mp4")
    with zipfile.ZipFile("more.zip", "w") as file:
        file.write("0.png", "inside/first.png")
        file.writestr("inside/broken.png", b"\x89PNG\r\n\x1a\n" + b"x" * 40)
        file.writestr("inside/cut.png", Path("1.png").read_bytes()[:-20])
    sources = {"files": ["*.png", "film.mp4", "more.zip"]}
    one = manifest({"bright": {"fps": 2}, "loud": {}}, sources=sources)
    result = hume_runner.run(one)
    assert result.exit_code == 3
    told = {error["item_id"].rpartition("/")[2]: error["message"] for error in table("errors")}
    assert set(told) == {"broken.png", "cut.png"}
    assert all(name in message for name, message in told.items())
    rows = table("bright")
    stills = {row["item_id"]: float(row["mean"]) for row in rows if not row["time_s"]}
    assert [stills[name] for name in ("0.png", "1.png", "2.png")] == pytest.approx([40, 80, 120], abs=2)
    assert next(mean for name, mean in stills.items() if "first.png" in name) == stills["0.png"]
    film = [(float(row["time_s"]), float(row["mean"])) for row in rows if row["time_s"]]
    assert [at for at, _ in film] == [pytest.approx(number / 2, abs=0.03) for number in range(8)]
    assert all(before[1] < after[1] for before, after in pairwise(film))
    peaks = [float(row["peak"]) for row in table("loud")]
    assert [peak > 0.1 for peak in peaks[:4]] == [False, True, False, True]


@pytest.mark.sweep
def test_a_setting_for_pictures_leaves_the_sound_of_a_video_measured(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ffmpeg(*ramp(seconds=4), *tone(seconds=4), "-c:v", "libx264", "-shortest", "film.mp4")
    sources = {"files": ["film.mp4"]}

    def at(fps: float) -> dict[str, Any]:
        return manifest({"bright": {"fps": fps}, "loud": {}}, sources=sources)

    assert hume_runner.run(at(2)).requests == {"measured": 2}
    before = table("loud")
    Path("m.yaml").write_text(json.dumps(at(4)))
    assert main(["plan", "m.yaml"]) == 0
    assert "whose own settings are as before are not measured again" in capsys.readouterr().out
    assert hume_runner.run(at(4)).requests == {"measured": 1}
    told = [{name: row[name] for name in ("begin_s", "peak", "measured_by")} for row in table("loud")]
    assert told == [{name: row[name] for name in told[0]} for row in before]
    assert len(table("bright")) == 16
    assert main(["verify", "m.yaml"]) == 0
    # An answer that is not what it was is no answer: each that has the sound.
    for answer in Path("out/raw").glob("*/response.json"):
        if "loud" in answer.read_text():
            answer.write_text(answer.read_text().replace("peak", "leak"))
    assert hume_runner.run(at(8)).requests == {"measured": 2}
    assert [row["peak"] for row in table("loud")] == [row["peak"] for row in before]


def test_a_file_that_changes_after_it_was_planned_is_not_measured_as_if_it_had_not(folder: Path) -> None:
    tone_file(folder / "a.wav", 2)
    one = manifest({"loud": {}}, sources={"files": ["a.wav"]})

    def change(event: object) -> None:
        if type(event).__name__ == "Planned":
            tone_file(folder / "a.wav", 2, loud=0.1)

    result = hume_runner.run(one, on_event=change)
    assert result.exit_code == 3
    [error] = table("errors")
    assert error["reason"] == "source_changed"


@pytest.mark.sweep
def test_what_is_lost_here_asks_nobody_to_pay_and_for_no_backup(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("m.yaml").write_text(json.dumps(manifest({"letters": {}}, sources={"text": ["One"]})))
    assert main(["m.yaml"]) == 0
    assert main(["verify", "m.yaml", "--remote"]) == 0  # there is nobody who could not know the job
    [answer] = Path("out/raw").glob("*/response.json")
    answer.unlink()
    capsys.readouterr()
    for words in (["verify", "m.yaml"], ["verify", "m.yaml", "--repair"]):
        assert main(words) == 3, "nobody has to decide what costs nothing"
        said = "".join(capsys.readouterr())
        assert "`hume-runner run m.yaml` measures again what is lost, for nothing" in said
        assert not re.search("pay|backup|cannot be had", said), said
    assert main(["m.yaml"]) == 0
    said = "".join(capsys.readouterr())
    assert "response.json is missing: a run measures it again, for nothing" in said
    assert "cannot be had" not in said
    assert main(["verify", "m.yaml"]) == 0


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("edit", "kept"),
    [
        (lambda whole: whole + b"my notes of a long evening\n", "response.json.2.bak"),
        (lambda whole: whole[: len(whole) // 2], "response.json.2.bak"),
        (lambda whole: b"my notes\n", "response.json.2.bak"),
        (lambda whole: b'{"mine": 1}', "response.json"),
        (lambda whole: bytes(len(whole)), None),
        (lambda whole: b"", None),
    ],
    ids=["notes behind it", "half", "notes", "another answer", "zeros", "nothing"],
)
def test_what_a_person_may_have_written_in_an_answer_is_kept_where_it_is_measured_again(
    folder: Path, capsys: pytest.CaptureFixture[str], edit: Callable[[bytes], bytes], kept: str | None
) -> None:
    Path("m.yaml").write_text(json.dumps(manifest({"letters": {}}, sources={"text": ["One"]})))
    assert main(["m.yaml"]) == 0
    [answer] = Path("out/raw").glob("*/response.json")
    edited = edit(answer.read_bytes())
    answer.write_bytes(edited)
    (taken := answer.with_name("response.json.bak")).write_text("an earlier one")
    capsys.readouterr()
    assert main(["m.yaml"]) == 0
    said = "".join(capsys.readouterr())
    there = [path for path in Path("out/raw").rglob("*") if path.is_file() and path.read_bytes() == edited]
    assert there == ([] if kept is None else [answer.with_name(kept)])
    assert taken.read_text() == "an earlier one"
    path = answer.relative_to("out")
    told = f"what was in {path} is kept as {path.with_name('response.json.2.bak')}"
    assert (told in said) == (kept == "response.json.2.bak"), said
    assert main(["verify", "m.yaml"]) == 0


def test_all_that_is_lacking_is_told_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line and one command, not a line for each try."""
    for module in ("spacy", "faster_whisper"):
        need_module(module)  # or the extra is what is lacking
    monkeypatch.setenv("HUME_RUNNER_MODELS", str(folder / "none"))
    tone_file(folder / "a.wav", 1)
    with pytest.raises(MissingWeights) as lacking:
        hume_runner.run(manifest({"speech": {}, "ner": {}}, sources={"files": ["a.wav"]}))
    assert "hume-runner models pull en_core_web_sm whisper-tiny.en silero-vad-v6" in lacking.value.hint
    assert not list(Path("out").glob("raw/*"))


@pytest.mark.sweep
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_is_broken_off_here_speaks_of_no_service(
    folder: Path, number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    one = manifest({"letters": {}}, sources={"text": [f"wait at {folder / 'mark'}" + " " * 30_000]})
    Path("m.yaml").write_text(json.dumps(one))
    environ = {**os.environ, "PYTHONPATH": f"{folder.parent / 'packages'}:{Path(__file__).parents[3]}"}
    words = [sys.executable, "-m", "hume_runner", "m.yaml"]
    with WarmPopen(words, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        while not (folder / "mark").exists():
            assert run.poll() is None, run.communicate()
            time.sleep(0.02)
        assert main(["status", "m.yaml"]) == 0
        assert "1 being measured" in capsys.readouterr().out
        run.send_signal(number)
        out, err = run.communicate()
    assert main(["plan", "m.yaml", "--items"]) == 0
    planned = capsys.readouterr().out
    assert main(["status", "m.yaml"]) == 0
    stands = capsys.readouterr().out
    assert main(["m.yaml"]) == 0
    went_on = "".join(capsys.readouterr())
    if number == signal.SIGINT:
        assert run.returncode == 130
        assert "SIGINT: beginning nothing more, and giving up what is being measured" in err
        assert "next: `hume-runner run m.yaml` goes on where it was" in err
        assert "retry: tried before: the run was interrupted" in planned
    else:
        assert "1 begun and not finished" in planned
        assert "1 broken off" in stands
        assert "was broken off; it is measured anew" in went_on
    for said in (out, err, planned, stands, went_on):
        assert not re.search("service|submit|refused|in flight|to ask", said.replace("in_flight", "")), said


@pytest.mark.sweep
def test_whoever_watches_a_run_here_reads_of_no_service_that_is_asked(folder: Path) -> None:
    told: list[str] = []
    hume_runner.run(
        manifest({"letters": {}}, sources={"text": ["One"]}),
        on_event=lambda event: told.append(event.phase) if isinstance(event, events.Phase) else None,
    )
    assert told == ["reading", "planning", "working", "writing"]


@pytest.mark.sweep
def test_the_summary_counts_what_people_count_and_all_of_the_time(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tone_file(folder / "a.wav", 1)
    (folder / "b.wav").touch()
    one = manifest({"loud": {}}, sources={"files": ["*.wav"]})
    Path("m.yaml").write_text(json.dumps(one))

    def slow(event: events.Event) -> None:
        if isinstance(event, events.Phase) and event.phase == "writing":
            time.sleep(0.4)

    result = hume_runner.run("m.yaml", on_event=slow)

    head, _, jobs, *_ = result.summary.splitlines()
    assert float(head.removesuffix(" s").rpartition(" ")[2]) >= 0.4
    assert json.loads(Path("out/run.json").read_text())["duration_s"] >= 0.4
    assert jobs.split() == ["jobs", "1", "done"], "one failed item is told once"
    assert result.counts.jobs["failed"] == 1
    capsys.readouterr()
    assert main(["status", "m.yaml"]) == 0
    assert "  jobs   1 done\n" in capsys.readouterr().out

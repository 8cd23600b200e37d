"""docs/troubleshooting.md: each line that it shows is printed by the situation that it is about."""

from __future__ import annotations

import re
import shutil
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hume_runner.state.lock import StateLock
from tests.cli.project import JOBS, Project
from tests.commands import Ran
from tests.tiers import sampled

PAGE = Path(__file__).parents[2] / "docs" / "troubleshooting.md"
Situation = Callable[[Project, pytest.MonkeyPatch], Ran]
SITUATIONS: dict[str, Situation] = {}


def situation(title: str) -> Callable[[Situation], Situation]:
    """What brings about the symptom that has this heading on the page."""

    def known(function: Situation) -> Situation:
        SITUATIONS[title] = function
        return function

    return known


@situation("There is no key")
def _no_key(project: Project, patch: pytest.MonkeyPatch) -> Ran:
    project.environ.clear()
    return project.run()


@situation("The key is not accepted")
def _wrong_key(project: Project, patch: pytest.MonkeyPatch) -> Ran:
    project.environ["HUME_API_KEY"] = "not-this-one"
    return project.run()


@situation("The API is closed")
def _closed(project: Project, patch: pytest.MonkeyPatch) -> Ran:
    said = {"code": 403, "message": "The Expression Measurement API has been discontinued."}
    project.emulator.inject([{"action": {"status": 403, "body": said}}])
    try:
        return project.run()
    finally:
        project.emulator.inject([])


@situation("There is no host of that name")
def _no_host(project: Project, patch: pytest.MonkeyPatch) -> Ran:
    project.manifest["service"]["endpoint"] = "https://measure.invalid"
    return project.run()


@situation("The service does not answer")
def _nobody_there(project: Project, patch: pytest.MonkeyPatch) -> Ran:
    project.manifest["service"]["endpoint"] = "http://127.0.0.1:1"
    return project.run()


@situation("Another run holds the state")
def _held(project: Project, patch: pytest.MonkeyPatch) -> Ran:
    project.out.mkdir()
    with StateLock(project.out / "state.sqlite3"):
        return project.run()


@situation("Another run has the same items under way")
def _under_way(project: Project, patch: pytest.MonkeyPatch) -> Ran:
    project.emulator.inject([{"route": JOBS, "action": {"delay": "30s"}}])
    other = project.start("run", "manifest.yaml", "--no-progress", "--output-dir", "another")
    try:
        while JOBS not in project.requests():
            assert other.poll() is None
            time.sleep(0.02)
        return project.run()
    finally:
        other.kill()
        other.communicate()
        project.emulator.inject([])


@situation("An extra is missing")
def _no_extra(project: Project, patch: pytest.MonkeyPatch) -> Ran:
    assert project.run().code == 0
    patch.setitem(sys.modules, "jinja2", None)
    return project.call("report")


@situation("A model's weights are not here")
def _no_weights(project: Project, patch: pytest.MonkeyPatch) -> Ran:
    patch.setenv("HUME_RUNNER_MODELS", str(project.folder / "models"))
    project.manifest |= {"service": {"api": "local"}, "sources": {"files": ["media/*"]}, "models": {"speech": {}}}
    del project.manifest["execution"]
    return project.run()


@situation("No file matches")
def _no_match(project: Project, patch: pytest.MonkeyPatch) -> Ran:
    project.manifest["sources"]["files"] = ["media/*.WAV"]
    return project.call("validate")


def _validated_with(project: Project, text: str) -> Ran:
    path = project.write()
    path.write_text(path.read_text().replace("text: Hello.", text))
    return project.plain_call("validate", str(path))


@situation("A text has a colon in it")
def _colon(project: Project, patch: pytest.MonkeyPatch) -> Ran:
    return _validated_with(project, "text: I said: hello")


@situation("A word means something else in YAML")
def _yaml_word(project: Project, patch: pytest.MonkeyPatch) -> Ran:
    return _validated_with(project, "text: no")


@situation("A member is unknown")
def _unknown(project: Project, patch: pytest.MonkeyPatch) -> Ran:
    project.manifest["execution"]["max_failure"] = "5%"
    return project.call("validate")


@situation("A model belongs to another API")
def _other_api(project: Project, patch: pytest.MonkeyPatch) -> Ran:
    project.manifest["models"]["audio"] = {}
    return project.call("validate")


@situation("A signed link has expired")
def _expired(project: Project, patch: pytest.MonkeyPatch) -> Ran:
    project.manifest["sources"] = {"urls": ["https://example.org/a.mp4?Expires=1000000000&Signature=x&Key-Pair-Id=k"]}
    return project.run()


@situation("Some items failed")
def _failed(project: Project, patch: pytest.MonkeyPatch) -> Ran:
    project.manifest["sources"]["urls"] = ["https://nowhere.invalid/one.mp4"]
    return project.run()


@situation("Too many items failed")
def _budget(project: Project, patch: pytest.MonkeyPatch) -> Ran:
    project.manifest["sources"]["urls"] = ["https://nowhere.invalid/one.mp4"]
    project.manifest["execution"]["max_failures"] = 0
    return project.run()


@situation("The bill would be higher than allowed")
def _capped(project: Project, patch: pytest.MonkeyPatch) -> Ran:
    project.manifest["service"]["api"] = "expression-v1"
    project.manifest |= {"sources": {"files": ["media/*"]}, "models": {"audio": {}}}
    return project.run("--max-billable-seconds", "0.2")


@situation("Nobody can tell whether a submission arrived")
def _lost(project: Project, patch: pytest.MonkeyPatch) -> Ran:
    project.emulator.inject([{"route": JOBS, "nth": [1], "action": {"drop": "before"}}])
    return project.run()


@situation("It was agreed to for an earlier run")
def _agreed_before(project: Project, patch: pytest.MonkeyPatch) -> Ran:
    assert _lost(project, patch).code == 9
    project.emulator.inject([{"route": JOBS, "action": {"status": 503}}])
    assert project.run("--pay-again").code == 5
    project.emulator.inject([])
    return project.run()


@situation("Nobody can tell what is paid for already")
def _unsure(project: Project, patch: pytest.MonkeyPatch) -> Ran:
    assert project.run().code == 0
    shutil.rmtree(project.out)
    project.emulator.make_difficult({"jobs": {"leaves_out": ["job_id"]}})
    return project.run()


@situation("Answers lie there, and the state knows nothing of them")
def _without_a_state(project: Project, patch: pytest.MonkeyPatch) -> Ran:
    assert project.run().code == 0
    (project.out / "state.sqlite3").unlink()
    project.emulator.make_difficult({"jobs": {"status": 404}})
    return project.run()


@situation("The output directory belongs to another manifest")
def _foreign_outputs(project: Project, patch: pytest.MonkeyPatch) -> Ran:
    assert project.run().code == 0
    project.manifest["name"] = "other"
    return project.run("--state", str(project.folder / "other.sqlite3"))


@situation("A file of somebody's own is where a run writes")
def _in_the_way(project: Project, patch: pytest.MonkeyPatch) -> Ran:
    project.manifest["outputs"]["report"] = True
    project.out.mkdir()
    (project.out / "report.html").write_text("mine")
    return project.run()


@situation("A rehearsal would go beside measurements")
def _rehearsal(project: Project, patch: pytest.MonkeyPatch) -> Ran:
    assert project.run().code == 0
    db = sqlite3.connect(project.out / "state.sqlite3")
    with db:  # as if a real service had measured
        db.execute("UPDATE measurements SET simulated = 0")
        db.execute("UPDATE jobs SET simulated = 0")
    db.close()
    (project.out / "state.sqlite3.seal").unlink()
    return project.run("--endpoint", "emulator")


@situation("A newer version wrote the state")
def _newer(project: Project, patch: pytest.MonkeyPatch) -> Ran:
    assert project.run().code == 0
    db = sqlite3.connect(project.out / "state.sqlite3")
    db.execute("PRAGMA user_version = 999")
    db.close()
    (project.out / "state.sqlite3.seal").unlink()
    return project.run()


@situation("The state is not what the last run left")
def _changed(project: Project, patch: pytest.MonkeyPatch) -> Ran:
    assert project.run().code == 0
    db = sqlite3.connect(project.out / "state.sqlite3")
    with db:
        db.execute("UPDATE jobs SET reason = 'by hand'")
    db.close()
    return project.run()


@situation("An answer is missing or changed on disk")
def _harmed(project: Project, patch: pytest.MonkeyPatch) -> Ran:
    assert project.run().code == 0
    next(project.out.glob("raw/*/predictions.json")).write_text("[]")
    return project.call("verify")


@situation("A list is separated otherwise")
def _separated(project: Project, patch: pytest.MonkeyPatch) -> Ran:
    (project.folder / "answers.csv").write_text("id;answer\np01;I could not be happier.\np02;Leave me alone.\n")
    project.manifest["sources"] = {"text": [{"from": "answers.csv", "column": "answer"}]}
    return project.call("validate")


@situation("A command is mistyped")
def _mistyped(project: Project, patch: pytest.MonkeyPatch) -> Ran:
    return project.plain_call("vaildate", str(project.write()))


def symptoms() -> dict[str, str]:
    """Heading -> what is below it."""
    parts = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return {title: body for title, _, body in (part.partition("\n") for part in parts)}


def test_every_symptom_is_brought_about_and_every_situation_is_told() -> None:
    assert list(symptoms()) == list(SITUATIONS)


@sampled(8)
@pytest.mark.parametrize("title", SITUATIONS)
def test_a_symptom_is_printed_as_the_page_shows_it(
    title: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = symptoms()[title]
    shown = re.findall(r"^```text\n(.*?)^```$", body, flags=re.MULTILINE | re.DOTALL)[0].splitlines()
    assert re.search(r"^\*\*Cause\.\*\* ", body, re.MULTILINE)
    assert re.search(r"^\*\*Next\.\*\* ", body, re.MULTILINE)
    ran = SITUATIONS[title](project, monkeypatch)
    (code,) = re.findall(r"exit (\d+)", body)[:1]
    assert ran.code == int(code)
    printed = "\n".join((ran.out, ran.err)).splitlines()
    for line in shown:
        pattern = ".*".join(re.escape(part) for part in line.strip().split("…"))
        assert any(re.fullmatch(rf"\s*{pattern}\s*", one) for one in printed), (line, printed)

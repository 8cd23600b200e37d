"""What is told of answers that came from files: nobody knows by itself whether, and when, a service measured them."""

from __future__ import annotations

import csv
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from hume_runner.http.retry import NO_RETRY
from hume_runner.http.transport import RequestsTransport
from hume_runner.services.batch_v0.client import AUTH_HEADER, BatchV0Api
from tests.cli.project import JOBS, Project
from tests.emulator.api import Api
from tests.published import validator

MODELS = {"language": {"granularity": "sentence"}}


def kept(project: Project, *texts: str) -> Path:
    """The answer to these texts in a file, as the emulator behind the manifest's endpoint gave it."""
    with RequestsTransport(project.emulator.url, project.emulator.api_key, AUTH_HEADER) as transport:
        job_id = BatchV0Api(transport, NO_RETRY).start_job({"models": MODELS, "text": texts}, deadline_s=30).job_id
    api = Api(project.emulator.url, project.emulator.api_key)
    assert api.ended(job_id)
    path = project.folder / f"{len(texts)}.json"
    path.write_text(json.dumps(api.predictions(job_id)))
    return path


@pytest.fixture
def trial(project: Project) -> Project:
    project.manifest |= {"models": MODELS, "sources": {"text": ["Hello.", "Goodbye."]}}
    project.manifest["outputs"] = {"directory": "out", "tables": ["csv"], "report": False}
    return project


def cells(project: Project) -> set[str]:
    with (project.out / "tables" / "items.csv").open(encoding="utf-8", newline="") as file:
        return {row["simulated"] for row in csv.DictReader(file)}


def told(project: Project) -> dict[str, Any]:
    return {
        "run.json": project.run_json()["simulated"],
        "results": {line["simulated"] for line in project.results()},
        "tables": cells(project),
        "status": project.call("status", "--json").json["simulated"],
        "package": json.loads((project.out / "datapackage.json").read_text(encoding="utf-8"))["simulated"],
    }


def everywhere(value: bool | None, cell: str) -> dict[str, Any]:
    alone = dict.fromkeys(("run.json", "status", "package"), value)
    return {**alone, "results": {value}, "tables": {cell}}


@pytest.mark.sweep
def test_nothing_says_of_an_answer_from_a_file_that_it_was_measured(trial: Project) -> None:
    trial.manifest["outputs"]["report"] = True
    ran = trial.call("adopt", str(kept(trial, "Hello.", "Goodbye.")))
    assert "`simulated` is null" in ran.err
    ran = trial.run()
    assert ran.code == 0, ran.err
    assert "measured or simulated: nobody said" in ran.out
    assert told(trial) == everywhere(None, "")
    validator("run").validate(trial.run_json())
    page = (trial.out / "report.html").read_text(encoding="utf-8")
    assert "Measured or simulated: nobody said." in page
    assert "Nobody said of the answers from files" in page


@pytest.mark.parametrize(
    ("flag", "value", "cell"),
    [pytest.param("--simulated", True, "true", marks=pytest.mark.sweep), ("--measured", False, "false")],
)
def test_whoever_knows_says_so_at_once_or_later(trial: Project, flag: str, value: bool, cell: str) -> None:
    path = str(kept(trial, "Hello.", "Goodbye."))
    trial.manifest["service"]["endpoint"] = trial.emulator.url if value else "https://measure.invalid"
    trial.call("adopt", flag, path)
    ran = trial.run()
    assert ran.code == 0, ran.err
    assert told(trial) == everywhere(value, cell)
    later = trial.folder / "later"
    trial.manifest["outputs"]["directory"] = "later"
    trial.out = later
    trial.call("adopt", path)
    assert trial.call("adopt", flag, path).out.endswith(f"has it already, as {'simulated' if value else 'measured'}\n")
    assert trial.run().code == 0
    assert told(trial) == everywhere(value, cell)


@pytest.mark.sweep
def test_a_rehearsal_does_not_go_on_where_answers_may_be_measurements_until_somebody_knows(trial: Project) -> None:
    path = kept(trial, "Hello.")
    assert trial.call("adopt", str(path)).code == 0
    ran = trial.run()
    assert ran.code == 64
    assert "nobody said whether a service measured them" in ran.err
    assert f"adopt {trial.path} --simulated {path}" in ran.err
    ran = trial.run("--endpoint", "emulator")
    assert (ran.code, "nobody said" in ran.err) == (64, True)
    assert trial.requests()[JOBS] == 1
    assert trial.call("adopt", "--simulated", str(path)).code == 0
    ran = trial.run()
    assert ran.code == 0, ran.err
    assert told(trial) == everywhere(True, "true")


@pytest.mark.sweep
@pytest.mark.parametrize(("flag", "code", "told"), [(None, 64, "the others may be one"), ("--simulated", 0, "")])
def test_answers_of_which_nobody_knows_are_not_compared_with_simulated_ones(
    trial: Project, flag: str | None, code: int, told: str
) -> None:
    path = str(kept(trial, "Hello.", "Goodbye."))
    assert trial.run().code == 0  # simulated
    trial.manifest["outputs"]["directory"] = "kept"
    trial.manifest["service"]["endpoint"] = trial.emulator.url if flag else "https://measure.invalid"
    trial.call("adopt", *([flag] if flag else []), path)
    assert trial.run().code == 0
    ran = trial.plain_call("compare", str(trial.out), str(trial.folder / "kept"))
    assert ran.code == code, ran.err
    assert told in ran.err


def test_what_is_said_of_files_needs_a_file(trial: Project) -> None:
    ran = trial.call("adopt", "--measured", "00000000-0000-4000-8000-000000000000")
    assert ran.code == 64
    assert "none is named" in ran.err


def test_a_rehearsing_manifest_takes_nothing_for_measured(trial: Project) -> None:
    trial.manifest["service"]["endpoint"] = "emulator"
    ran = trial.call("adopt", "--measured", str(kept(trial, "Hello.")))
    assert ran.code == 64
    assert "the manifest rehearses" in ran.err


def test_what_an_earlier_version_took_for_measured_nobody_knows(trial: Project) -> None:
    trial.manifest["service"]["endpoint"] = "https://measure.invalid"
    trial.call("adopt", str(kept(trial, "Hello.", "Goodbye.")))
    db = sqlite3.connect(trial.out / "state.sqlite3")
    with db:  # as it was recorded then
        db.execute("UPDATE jobs SET request = '{\"adopted\":true}' WHERE endpoint LIKE 'file:%'")
    db.close()
    (trial.out / "state.sqlite3.seal").unlink()  # the change was made on purpose
    assert trial.run().code == 0
    assert told(trial) == everywhere(None, "")


# -- when -------------------------------------------------------------------------------------------------------------


@pytest.mark.sweep
def test_the_day_of_an_answer_from_a_file_is_not_known_and_not_today(trial: Project) -> None:
    trial.manifest["outputs"]["report"] = True
    trial.manifest["service"]["endpoint"] = "https://measure.invalid"
    trial.call("adopt", "--measured", str(kept(trial, "Hello.", "Goodbye.")))
    assert trial.run().code == 0
    today = trial.run_json()["ended_at"][:10]
    cited = "Measured on days that are not known (answers from files) by the service batch-v0"
    for name in ("codebook.md", "datapackage.json", "ro-crate-metadata.json"):
        assert cited in (trial.out / name).read_text(encoding="utf-8")
    assert f"Measured on {today}" not in (trial.out / "codebook.md").read_text(encoding="utf-8")
    crate = json.loads((trial.out / "ro-crate-metadata.json").read_text(encoding="utf-8"))["@graph"]
    (action,) = [one for one in crate if one["@type"] == "CreateAction"]
    assert "startTime" not in action
    assert "at a time that is not known (1 answer from files)" in (trial.out / "report.html").read_text(
        encoding="utf-8"
    )


# -- no false alarm ---------------------------------------------------------------------------------------------------


@pytest.mark.sweep
def test_an_adopted_file_is_no_answer_that_the_state_knows_nothing_of(trial: Project) -> None:
    path = kept(trial, "Hello.")
    assert trial.call("adopt", "--simulated", str(path)).code == 0
    ran = trial.run()
    assert ran.code == 0, ran.err
    assert trial.requests()[JOBS] == 2  # there was something left to submit, so that it looked
    assert "knows nothing of" not in ran.err

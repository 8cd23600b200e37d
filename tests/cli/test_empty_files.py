"""What is wrong inside one medium fails that item alone, and is looked at again when the medium changed."""

from __future__ import annotations

import json

import pytest

from tests.cli.project import JOBS, Project, tone
from tests.expression.runs import Folder
from tests.media_files import speech, write_wav

pytestmark = pytest.mark.usefixtures("keyed_environment")


def by_source(project: Project) -> dict[str, tuple[str, str | None]]:
    return {line["source"]: (line["status"], line["error"]) for line in project.results()}


@pytest.mark.sweep
def test_an_empty_file_fails_alone_and_is_measured_once_it_holds_something(project: Project) -> None:
    project.add_file("empty.wav", b"")
    project.manifest["sources"] = {"files": ["media/*"]}
    told = project.call("validate")
    assert (told.code, "empty.wav' is empty" in told.err) == (0, True)
    plan = project.plan("--items")
    assert [one["reason"] for one in plan["items"] if "empty" in one["id"]] == ["will fail: 'media/empty.wav' is empty"]
    ran = project.run()
    assert ran.code == 3, ran.err
    assert by_source(project)["media/one.wav"][0] == "done"
    assert by_source(project)["media/empty.wav"] == ("failed", "'media/empty.wav' is empty")
    assert project.run_json()["failures"] == {"empty": 1}
    assert project.requests()[JOBS] == 1
    assert project.run().code == 3
    assert project.run("--retry-failed").code == 3
    assert project.requests()[JOBS] == 1
    project.add_file("empty.wav", tone(9))
    assert project.run().code == 0
    assert project.requests()[JOBS] == 2
    assert {status for status, _ in by_source(project).values()} == {"done"}


@pytest.mark.sweep
def test_the_errors_table_forgets_what_was_measured_after_it_had_failed(project: Project) -> None:
    project.manifest["sources"] = {"text": ["one", "two"]}
    project.manifest["models"] = {"language": {"granularity": "sentence"}}
    project.manifest["outputs"] = {"directory": "out", "tables": ["jsonl"]}
    body = [
        {
            "source": {"type": "text"},
            "results": {
                "predictions": [{"file": "2", "file_type": "text", "models": {}}],
                "errors": [{"file": "1", "message": "unsupported today"}],
            },
        }
    ]
    route = "GET /v0/batch/jobs/{id}/predictions"
    project.emulator.inject([{"route": route, "nth": [1], "action": {"status": 200, "body": body}}])
    assert project.run().code == 3
    table = project.out / "tables" / "errors.jsonl"
    (error,) = [json.loads(line) for line in table.read_text().splitlines()]
    assert (error["item_id"], error["message"]) == (project.results()[0]["id"], "unsupported today")
    assert project.run("--retry-failed").code == 0
    assert table.read_text() == ""
    items = [json.loads(line) for line in (project.out / "tables" / "items.jsonl").read_text().splitlines()]
    assert {one["status"] for one in items} == {"done"}


@pytest.mark.sweep
def test_a_medium_that_could_not_be_read_is_looked_at_again_when_it_can(project: Project) -> None:
    folder = Folder(path=project.folder, url=project.emulator.url, key=project.emulator.api_key)
    write_wav(folder.path / "good.wav", speech([("speech", 1.2)], seed=1))
    write_wav(folder.path / "bad.wav", speech([("speech", 1.2)], seed=2))
    whole = (folder.path / "bad.wav").read_bytes()
    (folder.path / "bad.wav").write_bytes(whole[:30])
    folder.write({"files": ["*.wav"]}, models={"audio": {}})
    assert folder.run().code == 3
    assert folder.results()["bad.wav"]["status"] == "failed"
    (folder.path / "bad.wav").write_bytes(whole)
    ran = folder.run()
    assert ran.code == 0, ran.err
    assert folder.results()["bad.wav"]["status"] == "done"


@pytest.mark.sweep
def test_a_medium_that_could_not_be_read_then_is_looked_at_anew_with_the_same_bytes(project: Project) -> None:
    """As when an extra or a newer library is there now: what the state remembers of it is a look that failed."""
    folder = Folder(path=project.folder, url=project.emulator.url, key=project.emulator.api_key)
    write_wav(folder.path / "good.wav", speech([("speech", 1.2)], seed=1))
    folder.write({"files": ["*.wav"]}, models={"video": {}})  # nothing in it for these models
    assert folder.run().code == 3
    folder.write({"files": ["*.wav"]}, models={"video": {}, "audio": {}})
    ran = folder.run()
    assert ran.code == 0, ran.err
    assert folder.results()["good.wav"]["status"] == "done"

from __future__ import annotations

import pytest

from tests.cli.project import Project
from tests.commands import Ran


def state(project: Project, action: str) -> Ran:
    return project.plain_call("state", action, str(project.write()))


def test_the_export_is_one_object_with_everything(project: Project) -> None:
    project.run()
    export = state(project, "export").json
    assert export["schema"] == 1
    assert len(export["items"]) == len(export["measurements"]) == 4
    assert [job["status"] for job in export["jobs"]] == ["done"]
    assert [attempt["event"] for attempt in export["attempts"]] == ["intend", "accept", "finish"]
    assert {answer["name"] for answer in export["answers"]} == {"predictions.json", "request.json"}
    assert export["duplicates"] == []
    assert {output["path"] for output in export["outputs"]} >= {"results.jsonl", "run.json"}


@pytest.mark.parametrize("action", ["export", "unlock"])
def test_without_a_state_there_is_nothing_to_do(project: Project, action: str) -> None:
    ran = state(project, action)
    assert ran.code == 64
    assert "there is no state yet" in ran.err


def test_nothing_is_released_where_nobody_holds(project: Project) -> None:
    project.run()
    ran = state(project, "unlock")
    assert ran.code == 0
    assert "nobody holds the state" in ran.err


def test_a_dead_owner_s_note_is_removed_and_named(project: Project) -> None:
    project.run()
    note = project.out / "state.sqlite3.owner.json"
    note.write_text('{"pid": 4194304, "host": "gone", "since": 0.0, "command": "hume-runner"}')
    ran = state(project, "unlock")
    assert ran.code == 0
    assert "it was held by process 4194304 on gone" in ran.err
    assert not note.exists()
    assert project.run().code == 0


def test_an_unknown_action_is_bad_usage(project: Project) -> None:
    assert state(project, "explode").code == 64

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import pytest

from hume_runner.cli.validate import github_line
from hume_runner.errors import Problem
from tests.cli.project import Project
from tests.commands import call
from tests.manifest.writing import HEAD, write

run = partial(call, "validate")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """good.yaml, bad.yaml (a member and a file are wrong) and missing.yaml (a file alone is)."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "{text: [Hello.], urls: ['https://example.org/a']}", name="good.yaml")
    write(tmp_path, "{files: [absent.wav], text: [Hello.]}", head=HEAD.replace("face", "fase"), name="bad.yaml")
    write(tmp_path, "{files: [absent.wav]}", name="missing.yaml")
    return tmp_path


def test_a_good_manifest_is_ok_and_counted(folder: Path) -> None:
    assert run("good.yaml") == (0, "good.yaml: ok, 2 items (1 url, 1 text)\n", "")
    assert run("good.yaml", "-q") == (0, "", "")


def test_problems_of_members_and_of_sources_come_together(folder: Path) -> None:
    code, out, err = run("bad.yaml")
    assert code == 65
    assert out.splitlines()[0] == "bad.yaml:4:10: models.fase: unknown member 'fase'"
    assert out.splitlines()[1] == "  next: did you mean 'face'?"
    assert out.splitlines()[2] == "bad.yaml:5:19: sources.files[0]: there is no file 'absent.wav'"
    assert err == "2 problems in 1 manifest; nothing was sent\n"


def test_the_exit_code_tells_a_bad_manifest_from_a_missing_source(folder: Path) -> None:
    assert run("missing.yaml")[0] == 66
    assert run("missing.yaml", "good.yaml")[0] == 66
    assert run("missing.yaml", "bad.yaml", "good.yaml")[0] == 65
    assert run("nowhere.yaml")[0] == 65


def test_json_is_one_object(folder: Path) -> None:
    code, out, _ = run("good.yaml", "bad.yaml", "--format", "json")
    document = json.loads(out)
    assert code == 65
    assert document["schema"] == 1
    assert [(one["path"], one["ok"]) for one in document["manifests"]] == [("good.yaml", True), ("bad.yaml", False)]
    assert document["manifests"][1]["problems"][0] == {
        "file": "bad.yaml",
        "line": 4,
        "column": 10,
        "path": "models.fase",
        "message": "unknown member 'fase'",
        "hint": "did you mean 'face'?",
    }


def test_events_begin_with_launch_and_end_with_done(folder: Path) -> None:
    code, out, err = run("good.yaml", "bad.yaml", "--json")
    events = [json.loads(line) for line in out.splitlines()]
    assert err == ""
    assert [event["event"] for event in events] == ["launch", "problem", "problem", "done"]
    assert all(event["schema"] == 1 for event in events)
    assert events[-1]["exit_code"] == code == 65
    assert events[-1]["counts"] == {"manifests": 2, "ok": 1, "problems": 2, "items": 3}


def test_github_shows_problems_beside_their_lines(folder: Path) -> None:
    _, out, _ = run("bad.yaml", "--format", "github")
    assert re.fullmatch(r"(::error file=bad\.yaml,line=\d+,col=\d+::[^\n]+%0Anext: [^\n]+\n){2}", out)


def test_github_lines_cannot_be_broken_out_of() -> None:
    problem = Problem(file="a,b:c.yaml", line=1, column=2, path="x", message="100%\n::error::no", hint="")
    assert github_line(problem) == "::error file=a%2Cb%3Ac.yaml,line=1,col=2::x: 100%25%0A::error::no"


def test_a_wrong_endpoint_on_the_command_line_is_bad_usage(folder: Path) -> None:
    code, out, err = run("good.yaml", "--endpoint", "http://example.org")
    assert (code, out) == (64, "")
    assert err.startswith("--endpoint 'http://example.org' must be https")


def test_validating_leaves_nothing_behind(folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    run("good.yaml", "bad.yaml", "missing.yaml")
    assert sorted(folder.rglob("*")) == before


def test_a_checkout_without_media_validates(folder: Path) -> None:
    (folder / "there.csv").write_text("path,wave\na.wav,1\nb.wav,2\n")
    sources = "{files: [absent.wav, 'media/**/*.wav', {from: there.csv}, {from: gone.csv}], text: [Hello.]}"
    write(folder, sources, name="media.yaml")
    assert run("media.yaml")[0] == 66
    told = "media.yaml: ok, 4 items (3 files, 1 text); 2 patterns and lists were not looked at\n"
    assert run("media.yaml", "--no-files") == (0, told, "")


def test_without_media_nothing_is_looked_for(folder: Path) -> None:
    (folder / "empty.wav").write_bytes(b"")
    write(folder, "{files: ['*.wav']}", name="one.yaml")
    assert run("one.yaml")[1:] == (
        "one.yaml: ok, 1 item (1 file)\n",
        "one.yaml:5:19: 'empty.wav' is empty: it will fail by itself\n",
    )
    assert run("one.yaml", "--no-files")[1:] == ("one.yaml: ok, 0 items; 1 pattern or list was not looked at\n", "")


def test_without_media_what_is_written_is_still_judged(folder: Path) -> None:
    (folder / "bad.csv").write_text("path,id\na.wav,a\n,b\n")
    write(folder, "{files: [{from: bad.csv}, 'media/*']}", name="lists.yaml")
    code, out, _ = run("lists.yaml", "--no-files")
    assert (code, out.splitlines()[0]) == (65, "bad.csv:3:1: sources.files[0]: has no path")
    code, out, _ = run("bad.yaml", "--no-files")
    assert (code, len(out.splitlines())) == (65, 2)


@pytest.mark.parametrize("endpoint", [None, "https://api.hume.ai", "https://api.hume.ai/"])
def test_a_host_that_closed_is_told_before_anybody_looks_for_a_key(project: Project, endpoint: str | None) -> None:
    project.environ.clear()
    project.manifest["service"] = {"api": "batch-v0", **({"endpoint": endpoint} if endpoint else {})}
    for command in ("validate", "plan", "run"):
        ran = project.call(command)
        assert "this host of batch-v0 closed on 14 June 2026, and no key helps" in ran.err, command
        assert f"`hume-runner migrate {project.path}`" in ran.err
        assert ran.code == (7 if command == "run" else 0)
    for elsewhere in ({"api": "batch-v0", "endpoint": "https://compatible.example"}, {"api": "local"}):
        project.manifest["service"] = elsewhere
        project.manifest["sources"], project.manifest["models"] = {"text": ["a"]}, {"language": {}}
        project.manifest.pop("execution", None)
        assert "closed" not in project.call("plan").err

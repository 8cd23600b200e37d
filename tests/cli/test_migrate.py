from __future__ import annotations

import json
import re
import shlex
from functools import partial
from pathlib import Path

import pytest

from hume_runner.manifest.load import load_manifest
from tests.commands import call

OLD = """\
version: 1
name: wave
service: {api: batch-v0, endpoint: emulator}
sources:
  files: [a.wav]
  text: [I am glad.]
models: {prosody: {granularity: word}, language: {}}
"""

run = partial(call, "migrate")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.yaml").write_text(OLD)
    return tmp_path


def test_it_writes_a_manifest_that_loads_and_tells_what_was_left_out(folder: Path) -> None:
    code, out, err = run("old.yaml", "--out", "new.yaml")
    assert (code, out) == (0, "wrote new.yaml\n")
    assert load_manifest(Path("new.yaml")).service.api == "expression-v1"
    assert (folder / "old.yaml").read_text() == OLD
    lines = err.splitlines()
    assert lines.index("changed:") < lines.index("no equivalent, left out:")
    left_out = lines[lines.index("no equivalent, left out:") + 1 : -1]
    assert [line.split()[0] for line in left_out] == ["sources.text", "models.prosody.granularity", "models.language"]
    assert lines[-1] == "next: hume-runner plan new.yaml"


def test_without_out_the_manifest_is_all_that_stdout_has(folder: Path) -> None:
    code, out, err = run("old.yaml")
    assert code == 0
    (folder / "piped.yaml").write_text(out)
    assert load_manifest(Path("piped.yaml")).name == "wave"
    assert "models.language" in err
    assert run("old.yaml", "--quiet") == (0, out, "")


def test_with_json_members_and_counts_are_data(folder: Path) -> None:
    code, out, err = run("old.yaml", "--out", "new.yaml", "--json")
    events = [json.loads(line) for line in out.splitlines()]
    assert (code, err) == (0, "")
    launch = {"schema": 1, "event": "launch", "command": "migrate", "manifests": ["old.yaml"]}
    assert launch.items() <= events[0].items()
    members = [event for event in events if event["event"] == "member"]
    assert {"member": "models.language", "verdict": "none", "becomes": ""}.items() <= members[-1].items()
    counts = {"changed": 1, "none": 3}
    done = {"schema": 1, "event": "done", "exit_code": 0, "path": "new.yaml", "counts": counts}
    assert done.items() <= events[-1].items()
    printed = [json.loads(line) for line in run("old.yaml", "--json")[1].splitlines()]
    assert (printed[-2]["event"], printed[-2]["text"]) == ("manifest", Path("new.yaml").read_text())


@pytest.mark.parametrize("kind", ["file", "dangling link"])
def test_no_file_is_overwritten(kind: str, folder: Path) -> None:
    out = folder / "new.yaml"
    if kind == "file":
        out.write_text("mine")
    else:
        out.symlink_to(folder / "nowhere")
    code, _, err = run("old.yaml", "--out", "new.yaml")
    assert code == 64
    assert "exists already" in err
    assert (out.read_text() if kind == "file" else out.is_symlink()) in ("mine", True)
    assert not (folder / "nowhere").exists()


def test_the_manifest_itself_is_never_the_output(folder: Path) -> None:
    assert run("old.yaml", "--out", "old.yaml")[0] == 64
    assert (folder / "old.yaml").read_text() == OLD


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        (OLD.replace("files: [a.wav]", ""), 65, "nothing but text"),
        (OLD.replace("name: wave", "nome: wave"), 65, "nome"),
        (None, 65, "no such file"),
    ],
)
def test_what_cannot_be_migrated_leaves_no_file(text: str | None, code: int, said: str, folder: Path) -> None:
    (folder / "old.yaml").write_text(text) if text else (folder / "old.yaml").unlink()
    found = run("old.yaml", "--out", "new.yaml")
    assert found[0] == code
    assert said in found[2]
    assert "next: " in found[2]
    assert not (folder / "new.yaml").exists()


def test_a_place_that_cannot_be_written_is_an_error_of_usage(folder: Path) -> None:
    code, _, err = run("old.yaml", "--out", "nowhere/new.yaml")
    assert code == 64
    assert "cannot be written" in err


def test_the_endpoint_of_the_command_line_is_written(folder: Path) -> None:
    run("old.yaml", "--out", "new.yaml", "--endpoint", "https://api.example.org")
    assert load_manifest(Path("new.yaml")).service.endpoint == "https://api.example.org"


def test_a_manifest_of_the_new_api_is_an_error(folder: Path) -> None:
    run("old.yaml", "--out", "new.yaml")
    code, _, err = run("new.yaml")
    assert code == 64
    assert "is for expression-v1 already" in err


def test_to_local_keeps_the_texts_and_says_what_is_measured_instead(folder: Path) -> None:
    code, out, err = run("old.yaml", "--to", "local", "--out", "new.yaml")
    assert (code, out) == (0, "wrote new.yaml\n")
    manifest = load_manifest(Path("new.yaml"))
    assert manifest.service.api == "local"
    assert set(manifest.settings["models"]) == {"acoustics", "speech", "language"}
    assert {entry.kind for entry in manifest.sources} == {"file", "text"}
    assert "service.endpoint" in err
    assert run("old.yaml", "--to", "local", "--endpoint", "emulator")[0] == 64


@pytest.mark.parametrize(
    ("sources", "models"),
    [
        ("{text: [I am glad.]}", "{language: {}}"),
        ("{files: [a.mp4]}", "{facemesh: {}}"),
        ("{text: [Hi.]}", "{ner: {}}"),
    ],
)
def test_what_only_this_machine_measures_is_told_with_its_command(sources: str, models: str, folder: Path) -> None:
    text = f"version: 1\nname: wave\nservice: {{api: batch-v0}}\nsources: {sources}\nmodels: {models}\n"
    (folder / "my old.yaml").write_text(text)
    code, _, err = run("my old.yaml")
    assert code == 65
    told = re.search("next: `hume-runner migrate (.*?)`", err)
    assert told is not None, err
    assert run(*shlex.split(told[1]))[0] == 0


def test_what_nothing_measures_has_no_such_way_out(folder: Path) -> None:
    (folder / "old.yaml").write_text(
        OLD.replace("files: [a.wav]\n", "").replace("prosody: {granularity: word}, language", "face")
    )
    for to in ("local", "expression-v1"):
        code, _, err = run("old.yaml", "--to", to)
        assert code == 65
        assert "--to" not in err
    (folder / "old.yaml").write_text("version: 1\n")
    assert "--to" not in run("old.yaml")[2]


def test_the_lines_on_top_fit_a_narrow_terminal(folder: Path) -> None:
    for to in ("local", "expression-v1"):
        head = run("old.yaml", "--to", to)[1].partition("\n#\n")[0].splitlines()
        assert len(head) > 2
        assert max(map(len, head)) <= 60

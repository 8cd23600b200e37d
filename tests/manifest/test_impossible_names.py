"""A name that no system can be asked for is a problem with its place, wherever a manifest or a list has it."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from hume_runner.cli.console import Console
from hume_runner.cli.main import main

HEAD = "version: 1\nname: p\n"
SERVICE = 'service: {api: batch-v0, endpoint: "http://127.0.0.1:1"}\n'
TEXT = "sources: {text: [a]}\n"
MODELS = "models: {language: {}}\n"
KEY = 'service: {api: batch-v0, endpoint: "http://127.0.0.1:1", api_key: {KIND: "a@@"}}\n'
PLACES = {
    "service.api_key.file": HEAD + KEY.replace("KIND", "file") + TEXT + MODELS,
    "service.api_key.env": HEAD + KEY.replace("KIND", "env") + TEXT + MODELS,
    "outputs.directory": HEAD + SERVICE + TEXT + MODELS + 'outputs: {directory: "a@@"}\n',
    "state": HEAD + SERVICE + TEXT + MODELS + 'state: "s3://a/b@@"\n',
    "sources.files[0]": HEAD + SERVICE + 'sources: {files: ["a@@"]}\n' + MODELS,
    "sources.files[0].path": HEAD + SERVICE + 'sources: {files: [{path: "a@@"}]}\n' + MODELS,
    "sources.files[0] (glob)": HEAD + SERVICE + 'sources: {files: ["*a@@"]}\n' + MODELS,
    "sources.urls[0].from": HEAD + SERVICE + 'sources: {urls: [{from: "a@@.csv"}]}\n' + MODELS,
    "sources.urls[0].id": HEAD + SERVICE + 'sources: {urls: [{url: "https://a/b", id: "a@@"}]}\n' + MODELS,
    "events[0].from": HEAD + SERVICE + TEXT + MODELS + 'events: [{from: "a@@.csv"}]\n',
}


@pytest.mark.parametrize("command", ["validate", "plan"])
@pytest.mark.parametrize("odd", [r"\0", r"\ud800"], ids=["NUL", "half of a pair"])
@pytest.mark.parametrize("member", PLACES)
def test_it_is_refused_with_its_place(tmp_path: Path, member: str, odd: str, command: str) -> None:
    path = tmp_path / "m.yaml"
    text = PLACES[member].replace("@@", odd)
    path.write_text(text)
    said = io.StringIO()
    assert main([command, str(path)], Console(out=said, err=said)) == 65, said.getvalue()
    assert "Traceback" not in said.getvalue()
    line = next(at for at, one in enumerate(text.splitlines(), start=1) if odd in one)
    assert f"m.yaml:{line}:" in said.getvalue()


def test_a_list_says_so_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "l.jsonl").write_text('{"path": "a.txt"}\n{"path": "a\\u0000"}\n{"path": "\\ud800"}\n')
    (tmp_path / "a.txt").write_text("a")
    path = tmp_path / "m.yaml"
    path.write_text(HEAD + SERVICE + "sources: {files: [{from: l.jsonl}]}\n" + MODELS)
    err = io.StringIO()
    assert main(["plan", str(path)], Console(out=io.StringIO(), err=err)) == 65
    assert "l.jsonl:2:" in err.getvalue()
    assert "l.jsonl:3:" in err.getvalue()


COMMANDS = ["validate", "plan", "run", "status", "verify", "tables", "report"]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("where", ["name", "folder"])
def test_a_manifest_whose_path_is_no_text_is_refused_by_every_command(
    tmp_path: Path, where: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system takes any bytes for a name; nobody could type what a message advises, and no table could hold it."""
    odd = os.fsdecode(b"m\xff")
    path = tmp_path / f"{odd}.yaml" if where == "name" else tmp_path / odd / "m.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(HEAD + "service: {api: local}\n" + TEXT + MODELS)
    monkeypatch.chdir(path.parent)
    said = io.StringIO()
    assert main([command, path.name], Console(out=said, err=said)) == 65, said.getvalue()
    assert "no text in UTF-8" in said.getvalue()
    assert f"next: rename {'it' if where == 'name' else 'the folder'}" in said.getvalue()
    assert "hume-runner" not in said.getvalue()
    assert [one.name for one in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("command", COMMANDS[1:])
@pytest.mark.parametrize("flag", ["--output-dir", "--state", "link"])
def test_a_place_whose_path_is_no_text_is_refused_by_every_command(
    tmp_path: Path, flag: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    odd = os.fsdecode(b"o\xff")
    Path("m.yaml").write_text(HEAD + "service: {api: local}\n" + TEXT + MODELS)
    words = [command, "m.yaml", *((flag, odd) if flag != "link" else ("--output-dir", "out"))]
    if flag == "link":
        Path(odd).mkdir()
        Path("out").symlink_to(odd)
    err = io.StringIO()
    assert main(words, Console(out=io.StringIO(), err=err)) == 64, err.getvalue()
    assert "no text in UTF-8" in err.getvalue()
    assert "Traceback" not in err.getvalue()

"""What an API is registered with decides what its manifests may ask for: of one from outside as of those that the
published schema names."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import hume_runner
from hume_runner import registry
from hume_runner.cli.main import main
from hume_runner.manifest.capabilities import CAPABILITIES
from hume_runner.manifest.published import schema, schema_text
from hume_runner.registry import Registered, all_registered
from tests.services.test_third import THIRD, manifest

PACKAGE = Path(hume_runner.__file__).parent
ELSEWHERE = {"here": False, "host": "https://lengths.example.org"}
SERVICE = "service: {api: lengths, "
# (the line of the manifest that asks, where it is wrong, what an API is registered with that cannot, and that can)
ASKED: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
    ("sources: {urls: ['https://example.org/a.mp4']}", "urls", {}, {"kinds": frozenset({"url"})}),
    ("sources: {files: [a.wav]}", "files", {}, {"kinds": frozenset({"file"})}),
    ("sources: {text: [One]}", "text", {"kinds": frozenset({"url"})}, {}),
    (f"{SERVICE}endpoint: 'https://example.org'}}", "endpoint", {}, ELSEWHERE),
    (f"{SERVICE}api_key: {{env: KEY}}}}", "api_key", {}, {"needs_key": True}),
    (f"{SERVICE}limits: {{sources_per_job: 5}}}}", "limits", {}, {"host_limits": True}),
    (f"{SERVICE}allow_hosts: [media.local]}}", "allow_hosts", {}, {"downloads": True}),
    (f"{SERVICE}timeout: 5s}}", "timeout", {}, ELSEWHERE),
    ("transcription: {language: en}", "{", {}, {"transcribes": True}),
    ("notify: {email: true}", "true", {}, {"mails": True}),
    (
        "notify: {callback_secret: {env: KEY}, callback_url: 'https://example.org'}",
        "callback_secret",
        {"calls_back": True},
        {},
    ),
    ("outputs: {artifacts: true}", "true", {}, {"hands_out_artifacts": True}),
    ("batching: {pack_short_audio: true}", "true", {}, {"packs_audio": True}),
    ("execution: {max_billable_seconds: 60}", "60", {}, {"bills": True}),
    ("execution: {on_lost_answer: stop}", "stop", {}, {**ELSEWHERE, "keeps_answers": False}),
    ("execution: {workers: 2}", "workers", ELSEWHERE, {}),
    ("execution: {max_jobs_in_flight: 3}", "3", {}, ELSEWHERE),
    ("execution: {transfer_workers: 3}", "3", {}, ELSEWHERE),
    ("execution: {requests_per_second: 3}", "3", {}, ELSEWHERE),
    ("execution: {look_back: 1d}", "1d", {}, ELSEWHERE),
]
ASKING = pytest.mark.parametrize(("line", "wrong", "cannot", "can"), ASKED, ids=[line for line, *_ in ASKED])


def untouched(*_: object) -> Any:
    raise AssertionError("a manifest that is refused has no service")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    yield tmp_path
    registry.unregister("lengths")


def asking(line: str, folder: Path) -> str:
    """Writes a manifest that has this line before all others, and gives the member that it asks with."""
    asked = yaml.safe_load(line)
    rest = {name: value for name, value in manifest().items() if name not in asked}
    (folder / "m.yaml").write_text(f"{line}\n{yaml.safe_dump(rest)}", encoding="utf-8")
    (section, members), *_ = asked.items()
    if section == "transcription":
        return section
    return f"{section}.{next(name for name in members if name != 'api')}"


@ASKING
def test_what_an_api_cannot_is_refused_before_anything_is_sent(
    line: str,
    wrong: str,
    cannot: dict[str, Any],
    can: dict[str, Any],
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    registry.register(replace(THIRD, build=registry.Dotted(f"{__name__}:untouched"), **cannot))
    member = asking(line, folder)
    before = sorted(folder.iterdir())
    assert main(["run", "m.yaml"]) == 65
    told = capsys.readouterr().err
    assert f"m.yaml:1:{line.index(wrong) + 1}: {member}: " in told
    (problem,) = hume_runner.validate("m.yaml").problems
    assert problem.hint
    assert f"next: {problem.hint}\n" in told
    assert sorted(folder.iterdir()) == before


@ASKING
def test_what_an_api_can_is_accepted(
    line: str, wrong: str, cannot: dict[str, Any], can: dict[str, Any], folder: Path
) -> None:
    registry.register(replace(THIRD, **can))
    asking(line, folder)
    assert hume_runner.validate("m.yaml").problems == ()


def test_every_capability_is_asked_for(folder: Path) -> None:
    assert sorted(asking(line, folder) for line, *_ in ASKED) == sorted(".".join(one.path) for one in CAPABILITIES)


def test_what_asks_for_nothing_may_stand(folder: Path) -> None:
    registry.register(THIRD)
    # Nobody has to be able to do it: the runner posts this itself, for whoever does not.
    assert hume_runner.validate(manifest(notify={"callback_url": "https://example.org"})).problems == ()
    for one in CAPABILITIES:
        if "const" in one.idle:
            members: Any = one.idle["const"]
            for step in reversed(one.path):
                members = {step: members}
            assert hume_runner.validate({**manifest(), **members}).problems == (), one.path


def test_what_stands_idle_is_the_default() -> None:
    idle = [one for one in CAPABILITIES if "const" in one.idle]
    assert idle
    for one in idle:
        member: Any = json.loads(schema_text())
        for step in one.path:
            member = member["properties"][step]
        assert member.get("default") == one.idle["const"], one.path


def test_the_published_schema_refuses_what_the_registered_apis_cannot() -> None:
    assert schema() == json.loads(schema_text())


@pytest.mark.parametrize("known", [one for one in all_registered() if not one.bills], ids=lambda one: one.api)
def test_what_is_registered_decides_for_the_published_apis_too(known: Registered) -> None:
    capped = {**manifest(), "service": {"api": known.api}, "models": {"language": {}}}
    capped["execution"] = {"max_billable_seconds": 60}
    assert [one.path for one in hume_runner.validate(capped).problems] == ["execution.max_billable_seconds"]
    registry.register(replace(known, bills=True))
    try:
        assert hume_runner.validate(capped).problems == ()
    finally:
        registry.register(known)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--endpoint", "https://example.org"], "lengths measures on this machine, so there is no endpoint"),
        (["--max-billable-seconds", "60"], "lengths states no bill that could be capped"),
    ],
)
def test_the_command_line_asks_for_no_more(
    words: list[str], told: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registry.register(replace(THIRD, build=registry.Dotted(f"{__name__}:untouched")))
    (folder / "m.yaml").write_text(json.dumps(manifest()), encoding="utf-8")
    assert main(["run", "m.yaml", *words]) == 64
    assert f"{words[0]}" in (said := capsys.readouterr().err)
    assert told in said


def test_everything_that_an_api_is_registered_with_is_read() -> None:
    paths = [path for path in PACKAGE.rglob("*.py") if path.name != "registry.py"]
    read = {
        node.attr
        for path in paths
        if "hume_runner.registry" in (text := path.read_text(encoding="utf-8"))
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Attribute)
    }
    assert {one.name for one in fields(Registered)} - read == set()

"""Every command speaks JSON Lines alike: launch, events, done, each as the published schemas say."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hume_runner.cli.console import Console
from hume_runner.cli.main import COMMANDS
from hume_runner.cli.state import Exported
from hume_runner.emulator.server import Emulator
from hume_runner.machine import Machine
from hume_runner.settings import Settings
from hume_runner.state.disk import Disk
from tests.cli.project import Project
from tests.commands import Ran, call
from tests.published import check
from tests.tiers import sampled

ENVELOPE = ["schema", "event", "at", "manifest"]
# What each command is called with, what it ends with, and the events between launch and done. {m}: a manifest that
# ran, {b}: another one of the same sources; {new}, {first}: that never ran; {bad}: with problems; {out}: a new name.
CASES: dict[str, tuple[str, int, list[str]]] = {
    "run": ("run {first}", 0, ["planned", "submitted", "ended", "finished"]),
    "run, nothing to do": ("run {m}", 0, ["planned"]),
    "run, some failed": ("run {spoilt}", 3, ["planned", "item_failed"]),
    "run, bad manifest": ("run {bad}", 65, []),
    "run, missing source": ("run {gone}", 66, []),
    "run, several": ("run {m} {gone}", 66, ["planned"]),
    "validate": ("validate {m}", 0, []),
    "validate, bad": ("validate {m} {bad}", 65, ["problem"]),
    "validate, empty file": ("validate {spoilt}", 0, ["warning"]),
    "plan": ("plan {m} --items", 0, ["plan"]),
    "plan, something to do": ("plan {new} --detailed-exitcode", 2, ["plan"]),
    "plan, a part": ('plan {m} --select kind=="text" --limit 1', 0, ["plan"]),
    "plan, several": ("plan {m} {gone} {b}", 66, ["plan", "plan"]),
    "plan, bad": ("plan {bad}", 65, []),
    "status": ("status {m} --jobs", 0, ["status"]),
    "status, never ran": ("status {new}", 0, ["status"]),
    "status, bad": ("status {bad}", 65, []),
    "verify": ("verify {m} --remote", 0, ["file", "job", "verify"]),
    "verify, changed": ("verify {harmed}", 3, ["file", "verify"]),
    "verify, never ran": ("verify {new}", 64, []),
    "tables": ("tables {m} --format csv", 0, ["tables"]),
    "tables, never ran": ("tables {new}", 64, []),
    "report": ("report {m} --out {out}", 0, ["report"]),
    "report, never ran": ("report {new}", 64, []),
    "compare": ("compare {m} {b}", 0, ["compare"]),
    "compare, no such thing": ("compare {m} nowhere", 64, []),
    "adopt": ("adopt {lost} {id}", 0, ["adopted"]),
    "adopt, unknown": ("adopt {m} not-an-id", 64, ["skipped"]),
    "init": ("init {media} --api batch-v0 --out {out}", 0, []),
    "init, no file": ("init nowhere --out {out}", 66, []),
    "migrate": ("migrate {m} --to local", 0, ["member", "manifest"]),
    "migrate, bad": ("migrate {bad}", 65, []),
    "schema": ("schema", 0, ["schema"]),
    "state export": ("state export {m}", 0, ["state"]),
    "state export, never ran": ("state export {new}", 64, []),
    "state unlock": ("state unlock {m}", 0, ["state"]),
    "state merge": ("state merge {parts} {part}", 0, ["state"]),
    "state merge, no state": ("state merge {parts} nowhere", 64, []),
    "models list": ("models list", 0, ["model"]),
    "models list, unknown": ("models list nobody", 64, []),
    "models verify": ("models verify whisper-tiny.en", 3, ["file"]),
    "models pull, no": ("models pull whisper-tiny.en", 64, ["licence"]),
    "doctor": ("doctor {m}", 0, ["check", "doctor"]),
    "doctor, bad": ("doctor {bad}", 65, ["check", "doctor"]),
    "completion": ("completion bash", 0, ["completion"]),
    "completion, no shell": ("completion tcsh", 64, []),
    "ctl status, no run": ("ctl {m} status", 64, []),
    "emulate, bad usage": ("emulate --processing-time soon", 64, []),
}
# Tried in a process of its own below.
APART = {"emulate", "ctl"}


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Manifests in every condition, by name; `project` calls commands."""
    folder = tmp_path_factory.mktemp("studies")
    with Emulator(processing_time_s=0.01) as emulator:
        project = Project(folder / "project", emulator)
        project.manifest["outputs"]["tables"] = ["csv"]
        project.manifest["execution"]["look_back"] = 0
        assert project.run().code == 0
        names: dict[str, Any] = {"m": project.path, "media": project.folder / "media"}
        first = dict(project.manifest)

        def another(name: str, **changes: Any) -> None:
            project.manifest = {**first, "name": name, "outputs": {"directory": name}, **changes}
            names[name] = project.write(project.folder / f"{name}.yaml")

        another("b")
        another("new")
        another("first")
        another("lost")
        another("bad", models={"fase": {}})
        another("gone", sources={"files": ["absent.wav"]})
        (project.folder / "empty.wav").write_bytes(b"")
        another("spoilt", sources={"files": ["empty.wav"]})
        another("harmed")
        another("parts")
        assert project.plain_call("run", str(names["parts"]), "--shard", "1/2").code == 0
        names["part"] = project.folder / "parts" / "shards" / "1-of-2"
        for name in ("b", "harmed"):
            assert project.plain_call("run", str(names[name])).code == 0
        (project.folder / "harmed" / "results.jsonl").write_text("{}\n")
        job = emulator_job(project)
        yield {**names, "project": project, "id": job}


def emulator_job(project: Project) -> str:
    lines = (project.out / "results.jsonl").read_text(encoding="utf-8").splitlines()
    return str(json.loads(lines[0])["remote_id"])


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, studies: dict[str, Any], tmp_path: Path) -> None:
    monkeypatch.setenv("HUME_API_KEY", studies["project"].emulator.api_key)
    monkeypatch.setenv("HUME_RUNNER_MODELS", str(tmp_path / "models"))
    monkeypatch.chdir(tmp_path)


def called(studies: dict[str, Any], line: str, out: Path) -> Ran:
    places = {name: str(place) for name, place in studies.items()}
    words = [word.format(**places, out=out) for word in line.split()]
    ran: Ran = studies["project"].plain_call(*words, "--json")
    return ran


def checked(ran: Ran, code: int) -> list[str]:
    """The names of the events between launch and done; each line was held against its schema."""
    lines = ran.lines
    assert ran.code == code, ran.err
    for line in lines:
        assert list(line)[:4] == ENVELOPE
        check(line, "events")
    assert [line["event"] for line in (lines[0], lines[-1])] == ["launch", "done"]
    assert lines[-1]["exit_code"] == code
    told = {line["event"] for line in lines} & {"problem", "check"}
    assert bool(code in (0, 2, 3) or told) != bool(lines[-1].get("errors")), lines[-1]
    assert "Traceback" not in ran.err
    return [line["event"] for line in lines[1:-1]]


@sampled(27)
@pytest.mark.parametrize("case", CASES)
def test_a_command_tells_launch_events_and_done(case: str, studies: dict[str, Any], tmp_path: Path) -> None:
    line, code, events = CASES[case]
    ran = called(studies, line, tmp_path / "out.yaml")
    assert list(dict.fromkeys(checked(ran, code))) == list(dict.fromkeys(events)), ran.out
    command = ran.lines[0]["command"]
    assert case.startswith(command), command


@pytest.mark.parametrize("command", COMMANDS)
def test_a_flag_that_nobody_knows_is_told_in_json_as_well(
    command: str, studies: dict[str, Any], tmp_path: Path
) -> None:
    ran = called(studies, f"{command} --frobnicate", tmp_path)
    assert checked(ran, 64) == []
    assert ran.lines[0]["command"] == command
    assert ran.lines[-1]["errors"][0]["reason"] == "usage_error"


def test_every_command_is_in_the_table() -> None:
    tried = {line.split()[0] for line, code, _ in CASES.values() if code == 0} | APART
    assert tried == set(COMMANDS)
    failed = {line.split()[0] for line, code, _ in CASES.values() if code}
    assert failed == set(COMMANDS) - {"schema"}


class WithoutClock(Machine):
    """As no machine is."""

    def monotonic(self) -> float:
        raise RuntimeError("odd")


def test_a_bug_ends_with_done_and_1(project: Project) -> None:
    machine = WithoutClock(disk=Disk(), environ={}, settings=Settings())
    ran = call("run", str(project.write()), "--json", machine=machine)
    assert ran.code == 1
    lines = ran.lines
    for line in lines:
        check(line, "events")
    assert [line["event"] for line in lines] == ["launch", "done"]
    assert lines[-1]["errors"][0]["reason"] == "bug"


@pytest.mark.sweep
def test_the_stand_in_tells_where_it_listens_and_that_it_ended(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "hume_runner", "emulate", "--json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        first = [process.stdout.readline() for _ in range(2)]
        process.send_signal(signal.SIGTERM)
        rest, err = process.communicate(timeout=30)
    finally:
        process.kill()
    ran = Ran(code=process.returncode, out="".join(first) + rest, err=err)
    assert checked(ran, 0) == ["emulate"]


@pytest.mark.parametrize(
    ("line", "schema"),
    [("plan {m} --items --format json", "plan"), ("validate {m} {bad} --format json", "validate")],
)
def test_bare_objects_fit_their_schemas(line: str, schema: str, studies: dict[str, Any]) -> None:
    words = [word.format(**{name: str(place) for name, place in studies.items()}) for word in line.split()]
    ran = studies["project"].plain_call(*words)
    check(json.loads(ran.out), schema)
    assert "event" not in json.loads(ran.out)


def test_the_exported_state_fits_its_schema(studies: dict[str, Any]) -> None:
    ran = studies["project"].plain_call("state", "export", str(studies["m"]))
    check(json.loads(ran.out), "state")
    event = studies["project"].plain_call("state", "export", str(studies["m"]), "--json").json
    assert event["tables"] == json.loads(ran.out)


def test_the_schemas_refuse_what_is_not_told() -> None:
    envelope = {"schema": 1, "at": "2026-11-26T04:06:49.000Z", "manifest": None}
    done = {**envelope, "event": "done", "exit_code": 0, "counts": {}}
    check(done, "events")
    for wrong in ({**done, "more": 1}, {**done, "at": "yesterday"}, {**done, "event": "ended"}, {"event": "done"}):
        with pytest.raises(AssertionError):
            check(wrong, "events")


@pytest.mark.parametrize("command", ["plan", "validate"])
def test_two_forms_at_once_are_bad_usage(command: str, studies: dict[str, Any]) -> None:
    form = {"plan": "markdown", "validate": "github"}[command]
    ran = studies["project"].plain_call(command, str(studies["m"]), "--json", "--format", form)
    assert checked(ran, 64) == []


def test_a_result_that_breaks_off_leaves_done_on_a_line_of_its_own() -> None:
    out = io.StringIO()
    console = Console(out=out, err=io.StringIO())
    console.json = True
    console.begin("state export", manifests=[])

    def break_off() -> None:
        with console.streamed_event(Exported()) as stream:
            stream.write(', "tables": {')
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()
    console.end(10)
    launch, broken, done = out.getvalue().splitlines()
    assert [json.loads(line)["event"] for line in (launch, done)] == ["launch", "done"]
    assert broken.endswith(', "tables": {')

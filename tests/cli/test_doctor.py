from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import time
import tomllib
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner import installing
from hume_runner.api.doctor import EXTRAS, _numbers
from hume_runner.emulator.server import Emulator
from tests.commands import call
from tests.servers import Quiet, Server

PROJECT = Path(__file__).parents[2]
KEY = "a-key-that-nobody-may-see"
MANIFEST = """
version: 1
name: check
service: {api: batch-v0, endpoint: %s}
sources: {text: [Hello., Goodbye.]}
models: {language: {}}
"""


def doctor(*arguments: object) -> tuple[int, str, str]:
    return call("doctor", *map(str, arguments))


def line(out: str, name: str) -> str:
    """The one line about `name`."""
    (found,) = (line for line in out.splitlines() if line[4:].split(" ")[0] == name)
    return found


def write(folder: Path, endpoint: str) -> Path:
    path = folder / "check.yaml"
    path.write_text(MANIFEST % endpoint, encoding="utf-8")
    return path


@pytest.fixture
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HUME_API_KEY", raising=False)


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUME_API_KEY", KEY)


@pytest.mark.usefixtures("no_key")
def test_without_a_manifest_the_machine_alone_is_checked() -> None:
    code, out, err = doctor()
    assert (code, err) == (0, "")
    assert line(out, "python").startswith(f"ok  python      {sys.version.split()[0]}")
    assert line(out, "core").startswith("ok")
    assert line(out, "[emulator]").startswith("ok")
    assert line(out, "folder").startswith("ok")
    assert line(out, "key").startswith("--")


@pytest.mark.usefixtures("no_key")
def test_the_emulator_needs_neither_key_nor_network(tmp_path: Path) -> None:
    code, out, _ = doctor(write(tmp_path, "emulator"))
    assert code == 0
    assert line(out, "manifest") == "ok  manifest    check: 2 items for batch-v0"
    assert line(out, "state") == "ok  state       none yet: the first run makes it"
    assert line(out, "endpoint").startswith("ok  endpoint    emulator")
    assert [path.name for path in tmp_path.iterdir()] == ["check.yaml"]  # nothing was made


@pytest.mark.usefixtures("no_key")
def test_a_missing_key_is_code_7_and_says_where_it_was_looked_for(tmp_path: Path) -> None:
    code, out, err = doctor(write(tmp_path, "https://127.0.0.1:1"))
    assert (code, err) == (7, "1 problem\n")
    assert "HUME_API_KEY" in line(out, "key")
    assert line(out, "key").startswith("!!")
    assert out.splitlines()[-1].startswith("    next: ")


@pytest.mark.usefixtures("key")
def test_an_endpoint_that_answers_is_reached_and_its_clock_compared(tmp_path: Path) -> None:
    with Emulator(api_keys=[KEY]) as emulator:
        code, out, _ = doctor(write(tmp_path, emulator.url), "-v")
    assert code == 0
    assert line(out, "key") == "ok  key         from HUME_API_KEY (its value is not shown)"
    assert line(out, "endpoint") == f"ok  endpoint    {emulator.url} answers and takes the key"
    assert line(out, "clock").startswith("ok")
    assert KEY not in out


@pytest.mark.usefixtures("key")
def test_a_key_that_is_refused_is_code_7(tmp_path: Path) -> None:
    with Emulator(api_keys=["another"]) as emulator:
        code, out, err = doctor(write(tmp_path, emulator.url))
    assert code == 7
    assert line(out, "endpoint").startswith("!!")
    assert KEY not in out + err


@pytest.mark.usefixtures("key")
def test_an_endpoint_that_nobody_serves_is_code_5(tmp_path: Path) -> None:
    code, out, _ = doctor(write(tmp_path, "http://127.0.0.1:1"))
    assert code == 5
    assert "refused" in line(out, "endpoint")


@pytest.fixture
def hour_ahead() -> Iterator[str]:
    """A host with no jobs whose clock is an hour ahead."""

    class Handler(Quiet):
        def do_GET(self) -> None:
            self.send_response_only(200)
            self.send_header("Date", formatdate(time.time() + 3600, usegmt=True))
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"[]")

    with Server(Handler) as server:
        yield server.url


@pytest.mark.usefixtures("key")
def test_a_clock_that_is_far_off_is_a_problem(tmp_path: Path, hour_ahead: str) -> None:
    code, out, _ = doctor(write(tmp_path, hour_ahead))
    assert code == 64
    assert line(out, "clock").startswith("!!")
    assert "behind the endpoint's" in line(out, "clock")


@pytest.mark.usefixtures("no_key")
def test_a_bad_manifest_is_code_65_with_every_problem(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("version: 1\nnane: x\nservice: {api: batch-v0}\nmodels: {face: {}}\nsources: {text: [Hi.]}\n")
    code, out, _ = doctor(path)
    assert code == 65
    assert f"!!  manifest    {path}:2:1: nane: unknown member 'nane'" in out
    assert "    next: did you mean 'name'?" in out


@pytest.mark.usefixtures("no_key")
def test_a_missing_source_is_code_66(tmp_path: Path) -> None:
    path = write(tmp_path, "emulator")
    path.write_text(path.read_text().replace("{text: [Hello., Goodbye.]}", "{files: [absent.wav]}"))
    code, out, _ = doctor(path)
    assert code == 66
    assert "there is no file 'absent.wav'" in out


@pytest.mark.usefixtures("no_key")
def test_an_output_directory_that_cannot_be_made_is_code_10(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    code, out, _ = doctor(write(tmp_path, "emulator"), "--output-dir", tmp_path / "file" / "results")
    assert code == 10
    assert "cannot write" in line(out, "outputs")


@pytest.mark.usefixtures("no_key")
def test_a_damaged_state_is_code_10(tmp_path: Path) -> None:
    state = tmp_path / "state.sqlite3"
    state.write_bytes(b"this was never a database" * 100)
    code, out, _ = doctor(write(tmp_path, "emulator"), "--state", state)
    assert code == 10
    assert line(out, "state").startswith("!!")


@pytest.mark.usefixtures("no_key")
def test_json_begins_with_launch_and_ends_with_done(tmp_path: Path) -> None:
    code, out, err = doctor(write(tmp_path, "https://127.0.0.1:1"), "--json")
    events = [json.loads(line) for line in out.splitlines()]
    assert err == ""
    launch = {"schema": 1, "event": "launch", "command": "doctor", "manifests": [str(tmp_path / "check.yaml")]}
    assert launch.items() <= events[0].items()
    checks = {event["name"]: event for event in events if event["event"] == "check"}
    assert events[-2]["event"] == "doctor"
    assert events[-2]["ready"] is False
    assert checks["manifest"]["status"] == "ok"
    assert checks["key"]["status"] == "problem"
    assert checks["key"]["next"]
    assert events[-1]["event"] == "done"
    assert events[-1]["exit_code"] == code == 7
    assert events[-1]["counts"]["problem"] == 1


def without(tmp_path: Path, *prefixes: str) -> dict[str, str]:
    """An environment in which the installed packages are there, save those whose names begin so."""
    site = tmp_path / "site"
    site.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith(prefixes):
            (site / entry.name).symlink_to(entry)
    kept = {name: value for name, value in os.environ.items() if name != "HUME_API_KEY"}
    return {**kept, "PYTHONPATH": os.pathsep.join([str(PROJECT), str(site)])}


@pytest.mark.sweep
def test_an_extra_that_the_manifest_needs_is_code_64_with_the_pip_command(tmp_path: Path) -> None:
    environment = without(tmp_path, "starlette", "av")
    # -S: the environment's own packages are not added.
    command = [sys.executable, "-S", "-m", "hume_runner", "doctor", str(write(tmp_path, "emulator"))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 64, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    problem = lines.index(line(done.stdout, "[emulator]"))
    assert lines[problem].startswith("!!")
    assert lines[problem + 1] == f"    next: {installing.extras('emulator')}"
    assert line(done.stdout, "[media]").startswith("--")  # missing too, and this manifest does well without


@given(st.lists(st.integers(0, 400), min_size=1, max_size=4), st.lists(st.integers(0, 400), min_size=1, max_size=4))
def test_versions_compare_as_numbers(one: list[int], other: list[int]) -> None:
    def text(numbers: list[int]) -> str:
        return ".".join(map(str, numbers))

    padded = [numbers + [0] * (4 - len(numbers)) for numbers in (one, other)]
    assert (_numbers(text(one)) < _numbers(text(other))) == (padded[0] < padded[1])
    assert _numbers(text(one) + "rc1") == _numbers(text(one))


def test_every_extra_that_can_be_installed_is_looked_for() -> None:
    offered = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"]

    assert set(EXTRAS) == set(offered) - {"all", "dev", "lint"}

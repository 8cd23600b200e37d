from __future__ import annotations

import importlib.util
import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hume_runner._version import __version__
from hume_runner.cli.console import Console
from hume_runner.cli.main import COMMANDS, main
from tests.commands import call
from tests.fakes import BrokeOff

MANIFEST = """
version: 1
name: small
service: {api: batch-v0, endpoint: emulator}
sources: {text: [Hello.]}
models: {language: {}}
outputs: {directory: results}
"""
WRITTEN = [name for name in COMMANDS if importlib.util.find_spec(f"hume_runner.cli.{name}")]


def python(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "small.yaml").write_text(MANIFEST, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_arguments_the_commands_are_listed_and_the_code_is_bad_usage(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([]) == 64
    listed = re.findall(r"^  ([a-z]+)  ", capsys.readouterr().out, flags=re.MULTILINE)
    assert listed == list(COMMANDS)


@pytest.mark.parametrize("word", ["-h", "--help", "help"])
def test_asking_for_help_is_no_error(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([word]) == 0
    assert "usage: hume-runner" in capsys.readouterr().out


@pytest.mark.parametrize("command", WRITTEN)
def test_every_command_tells_its_options(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])
    assert left.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: hume-runner {command} ")
    assert "--output-dir DIR" in out


NUMBERS = [
    ("tables", "--above", "no number"),
    ("report", "--width", "no number"),
    ("run", "--max-billable-seconds", "no number"),
    *((command, "--limit", "no whole number") for command in ("run", "plan")),
    *(("emulate", flag, "no whole number") for flag in ("--port", "--seed", "--max-concurrent-jobs")),
]


@pytest.mark.parametrize("given", ["0x1", "", "many\nlines"])
@pytest.mark.parametrize(("command", "flag", "said"), NUMBERS)
def test_what_is_no_number_is_told_so_without_a_name_of_ours(command: str, flag: str, said: str, given: str) -> None:
    words = () if command == "emulate" else ("m.yaml",)
    code, _, err = call(command, *words, flag, given)
    assert code == 64
    assert f"hume-runner {command}: argument {flag}: {said}: {given!r}" in err


def test_the_version_is_told_without_loading_what_a_run_needs(folder: Path) -> None:
    code = (
        "import sys; from hume_runner.cli.main import main; status = main(['--version']); "
        "heavy = {'requests', 'yaml', 'jsonschema', 'sqlite3', 'rich', 'tenacity', 'starlette'} & set(sys.modules); "
        "sys.exit(f'loaded: {heavy}' if heavy else status)"
    )
    done = python("-c", code, cwd=folder)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"hume-runner {__version__}\n", "")


@pytest.mark.sweep
def test_a_manifest_alone_means_run(folder: Path) -> None:
    done = python("-m", "hume_runner", "small.yaml", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("small: done in ")
    assert (folder / "results" / "run.json").exists()


def test_flags_may_stand_before_the_command(folder: Path) -> None:
    code, out, err = call("--json", "plan", "small.yaml")
    assert (code, err) == (0, "")
    assert out.startswith('{"schema": 1, "event": "launch", ')


@pytest.mark.parametrize(
    "words",
    [
        ("state", "merge", "m.yaml", "--take-over", "one", "two"),
        ("ctl", "m.yaml", "--shard", "1/2", "set", "transfer_workers=3", "--json", "max_jobs_in_flight=4"),
        ("run", "m.yaml", "--no-progress", "m.yaml", "-q", "m.yaml"),
        ("adopt", "m.yaml", "--shard", "1/2", "one", "--json", "two"),
        ("tables", "--from", "one", "two", "--format", "csv"),
    ],
)
def test_flags_may_stand_between_words(folder: Path, words: tuple[str, ...]) -> None:
    code, _, err = call(*words)
    assert code in (64, 65, 66)  # nothing of it is there
    assert "unrecognized" not in err
    assert "required" not in err


def test_a_word_after_a_manifest_is_no_command(folder: Path) -> None:
    code, _, err = call("small.yaml", "plan")
    assert code == 65
    assert "plan: there is no such file" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("run",),
        ("run", "small.yaml", "--frobnicate"),
        ("plan", "small.yaml", "--format", "xml"),
        ("run", "small.yaml", "--max-billable-seconds", "many"),
        ("status", "small.yaml", "other.yaml"),
        ("plan", "small.yaml", "--endpoint", "ftp://example.org"),
    ],
)
def test_bad_usage_is_64_in_two_lines_and_writes_nothing(folder: Path, arguments: tuple[str, ...]) -> None:
    code, out, err = call(*arguments)
    assert (code, out) == (64, "")
    problem, hint = err.splitlines()
    assert problem
    assert hint.startswith("next: ")
    assert [path.name for path in folder.iterdir()] == ["small.yaml"]


@pytest.mark.sweep
def test_a_reader_that_goes_away_is_no_error(folder: Path) -> None:
    """`hume-runner plan … | head -1`, with more lines than a pipe holds."""
    texts = ", ".join(f"number {n}" for n in range(20_000))
    (folder / "long.yaml").write_text(MANIFEST.replace("[Hello.]", f"[{texts}]"), encoding="utf-8")
    command = [sys.executable, "-m", "hume_runner", "plan", "long.yaml", "--items"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "small: batch-v0 at emulator\n"
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 0


@pytest.mark.parametrize("kind", [RuntimeError, BrokeOff])
def test_an_unexpected_error_is_1_asks_for_a_report_and_hides_what_urls_carry(
    kind: type[BaseException],
) -> None:
    class Broken(io.StringIO):
        def write(self, text: str) -> int:
            raise kind(f"no room for {text} of https://example.org/a?signature=abc")

    err = io.StringIO()
    assert main(["schema"], Console(out=Broken(), err=err)) == 1
    said = err.getvalue()
    assert said.startswith(f"unexpected error: {kind.__name__}: ")
    assert "please report it" in said.splitlines()[-1]
    assert "signature" not in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_while_the_last_words_are_said_are_remembered_and_raise_nothing(number: signal.Signals) -> None:
    class Rude(io.StringIO):
        """Each word that is said brings two signals more."""

        def write(self, text: str) -> int:
            for _ in range(2):
                signal.raise_signal(number)
            return super().write(text)

    said = Rude()
    assert main(["run", "nowhere.yaml"], Console(out=io.StringIO(), err=said)) == 128 + number
    assert "interrupted; nothing is lost" in said.getvalue()


def test_what_follows_two_dashes_is_a_word_and_no_flag() -> None:
    ran = call("plan", "--", "--help")

    assert (ran.code, ran.out) == (65, "")
    assert "--help" in ran.err

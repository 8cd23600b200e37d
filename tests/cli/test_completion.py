"""`completion`: the scripts, run by the shells themselves."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hume_runner.cli.main import COMMANDS
from tests.cli.project import Project
from tests.commands import Ran
from tests.tiers import sampled

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("study.yaml", "other study.yml", "notes.txt", "data.csv"):
        (tmp_path / name).touch()
    (tmp_path / "media").mkdir()
    return tmp_path


def script(shell: str, folder: Path) -> Path:
    told = subprocess.run(
        [sys.executable, "-m", "hume_runner", "completion", shell],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    path = folder / f".completion.{shell}"
    path.write_text(told.stdout)
    return path


def bash(folder: Path, *words: str) -> list[str]:
    """What bash offers for the last of these words."""
    line = " ".join(f"'{word}'" for word in ("hume-runner", *words))
    program = (
        f"source {script('bash', folder)}; COMP_WORDS=({line}); COMP_CWORD={len(words)}; _hume_runner; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    ran = subprocess.run(
        ["bash", "--norc", "--noprofile", "-uc", program], cwd=folder, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr
    return sorted(ran.stdout.split("\n")[:-1]) if ran.stdout.strip() else []


@sampled(3)
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["sta"], ["state", "status"]),
        (["val"], ["validate"]),
        (["run", ""], ["media", "other study.yml", "study.yaml"]),
        (["stu"], ["study.yaml"]),
        (["status", "--j"], ["--jobs", "--json"]),
        (["study.yaml", "--deta"], ["--detach"]),
        (["plan", "--format", ""], ["json", "markdown", "text"]),
        (["run", "--limit", ""], []),
        (["run", "--plan", "no"], ["notes.txt"]),
        (["run", "--output-dir", ""], ["media"]),
        (["completion", ""], ["bash", "fish", "zsh"]),
        (["--json", "sta"], ["state", "status"]),
        (["state", "m"], ["media", "merge"]),
        (["state", "merge", "m"], ["media"]),
        (["ctl", "study.yaml", "re"], ["resume"]),
        (["ctl", "study.yaml", "set", "re"], ["requests_per_second="]),
        (["ctl", "study.yaml", "set", ""], ["max_jobs_in_flight=", "requests_per_second=", "transfer_workers="]),
    ],
)
def test_bash_offers_commands_flags_choices_and_manifests(words: list[str], offered: list[str], folder: Path) -> None:
    assert bash(folder, *words) == offered


def test_bash_offers_every_command_at_the_beginning(folder: Path) -> None:
    assert set(bash(folder, "")) == {*COMMANDS, "media", "study.yaml", "other study.yml"}


@pytest.mark.sweep
def test_a_tab_in_a_real_bash_completes(folder: Path) -> None:
    path = script("bash", folder)
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(folder)
        os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], {**os.environ, "PS1": "> ", "TERM": "dumb"})
    try:
        os.write(terminal, f"source {path}\n".encode())
        os.write(terminal, b"hume-runner valid\tstu\t")
        seen, until = "", time.monotonic() + 30
        while "hume-runner validate study.yaml" not in seen and time.monotonic() < until:
            if select.select([terminal], [], [], 0.2)[0]:
                with contextlib.suppress(OSError):
                    seen += os.read(terminal, 4096).decode(errors="replace")
        assert "hume-runner validate study.yaml" in seen
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(terminal)


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_read_their_scripts(shell: str, folder: Path) -> None:
    path = script(shell, folder)
    text = path.read_text()
    assert all(name in text for name in COMMANDS)
    assert all(flag in text for flag in (("--detach", "--shard") if shell == "zsh" else ("-l detach", "-l shard")))
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not here")
    ran = subprocess.run([program, "-n", str(path)], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


def test_asking_for_a_script_loads_nothing_that_takes_time() -> None:
    code = (
        "import sys\nfrom hume_runner.cli.main import main\ncode = main(['completion', 'bash'])\n"
        "heavy = {'jsonschema', 'yaml', 'rich', 'requests', 'sqlite3', 'hume_runner.api'} & set(sys.modules)\n"
        "sys.stdout = sys.__stdout__\nprint('HEAVY', sorted(heavy))"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.endswith("HEAVY []\n")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run", "m.yaml", "--retry-faild"], "did you mean --retry-failed?"),
        (["run", "m.yaml", "--limmit=3"], "did you mean --limit=3?"),
        (["plan", "m.yaml", "--formt", "json"], "did you mean --format?"),
        (["state", "exprt", "m.yaml"], "did you mean export?"),
        (["plan", "m.yaml", "--format", "jsn"], "did you mean json?"),
        (["stauts", "m.yaml"], "did you mean `hume-runner status m.yaml`?"),
        (["ctl", "m.yaml", "stop"], "did you mean drain?"),
        (["ctl", "m.yaml", "continue"], "did you mean resume?"),
        (["run", "m.yaml", "--frobnicate"], "hume-runner run --help"),
    ],
)
def test_a_mistyped_word_is_told_with_the_one_that_was_meant(project: Project, words: list[str], told: str) -> None:
    ran: Ran = project.plain_call(*words)
    assert (ran.code, told in ran.err) == (64, True), ran.err

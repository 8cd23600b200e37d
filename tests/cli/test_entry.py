"""A signal in the first moments of the command, while it imports, and in the last, while Python tidies up: there is no
traceback, and the exit code tells of it.

Each needs an interpreter of its own: what is imported and when Python ends is what this is about.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiers import Tier, in_two_tiers

ROOT = Path(__file__).parents[2]
# The command as its script calls it, in a process that sends itself signals: at the nth import from when we were
# reached, and at the end, before and after what the command itself has Python do there.
PROGRAM = """
import atexit, os, sys

number, at_import, early, late = map(int, sys.argv[1:5])
sys.argv[1:] = sys.argv[5:]
seen = 0

class Counting:
    def find_spec(self, name, path=None, target=None):
        global seen
        seen += reached
        if seen == at_import and reached:
            os.kill(os.getpid(), number)

def end():
    if early:
        os.kill(os.getpid(), number)

if late:
    atexit.register(os.kill, os.getpid(), number)
reached = False
sys.meta_path.insert(0, Counting())
from hume_runner.cli.entry import entry_point
import importlib.util

class Later:
    def find_spec(self, name, path=None, target=None):
        if name == "hume_runner.cli.main":
            atexit.register(end)  # the last to be registered, and so the first to be called

sys.meta_path.insert(0, Later())
reached = True
atexit.register(lambda: print(seen, file=sys.stderr))
entry_point()
"""


def ended(
    folder: Path, *words: str, number: int = 2, at_import: int = 0, early: bool = False, late: bool = False
) -> tuple[int, str]:
    command = [sys.executable, "-c", PROGRAM, *map(str, (number, at_import, int(early), int(late)))]
    done = subprocess.run(
        [*command, *words], cwd=folder, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "m.yaml").write_text(
        "version: 1\nname: s\nservice: {api: local}\nsources: {text: [I am happy.]}\nmodels: {language: {}}\n"
    )
    return tmp_path


CODES = {2: 130, 15: 143, 1: 143}


@pytest.mark.sweep
@in_two_tiers
def test_a_signal_at_any_import_is_told_by_the_exit_code_alone(folder: Path, tier: Tier) -> None:
    code, said = ended(folder, "validate", "m.yaml")
    assert code == 0, said
    imports = int(said.split()[-1])
    assert imports > 60
    for at in tier.of(range(1, imports + 1, 7), 5):
        number = (2, 15, 2, 1)[at // 7 % 4]
        code, said = ended(folder, "validate", "m.yaml", number=number, at_import=at)
        assert code == CODES[number], (at, said)
        assert "Traceback" not in said, (at, said)


@pytest.mark.parametrize(
    "number", [pytest.param(2, id="SIGINT"), pytest.param(15, id="SIGTERM", marks=pytest.mark.sweep)]
)
def test_a_signal_while_python_tidies_up_changes_nothing_that_was_told(folder: Path, number: int) -> None:
    assert ended(folder, "--version", number=number, early=True)[0] == 0
    assert ended(folder, "--version", number=number, late=True)[0] == 0
    assert ended(folder, "nonsense", number=number, early=True, late=True)[0] == ended(folder, "nonsense")[0]


@pytest.mark.sweep
def test_a_second_one_at_the_end_leaves_the_code_of_the_first(folder: Path) -> None:
    for early, late in ((True, False), (False, True)):
        code, said = ended(folder, "validate", "m.yaml", at_import=40, early=early, late=late)
        assert code == 130
        assert "Traceback" not in said


def test_next_to_nothing_is_imported_before_somebody_listens(folder: Path) -> None:
    """Until then a Ctrl-C is Python's own traceback."""
    code = "import sys; before = {*sys.modules}; import hume_runner.cli.entry; print(*({*sys.modules} - before))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    ours = {name for name in done.stdout.split() if name.startswith("hume_runner")}
    assert {*done.stdout.split()} - ours <= {"__future__", "_signal", "atexit"}
    assert len(ours) <= 6


@pytest.mark.sweep
def test_what_was_ignored_when_the_command_began_stays_ignored(folder: Path) -> None:
    """As by `nohup`, or in a job that a shell put into the background."""
    code = f"import signal; signal.signal(2, signal.SIG_IGN); exec({PROGRAM!r})"
    words = [sys.executable, "-c", code, "2", "20", "1", "1", "validate", "m.yaml"]
    done = subprocess.run(words, cwd=folder, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

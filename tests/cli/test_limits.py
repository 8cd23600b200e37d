"""A machine that gives too little: real processes under real limits, each told in one clear line with the next step."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import warm
from tests.cli.project import Project, tone
from tests.commands import Ran
from tests.tiers import Tier, only_swept, sampled

ROOT = Path(__file__).parents[2]
LAUNCHER = """
import os, resource, sys
limits, words = eval(sys.argv[1]), sys.argv[2:]
for name, most in limits.items():
    hard = resource.getrlimit(getattr(resource, name))[1]
    resource.setrlimit(getattr(resource, name), (most, hard))
os.execv(sys.executable, [sys.executable, "-m", "hume_runner", *words])
"""
# The same without an interpreter of its own, for limits that say nothing about what an interpreter has.
IN_PLACE = (
    LAUNCHER.rpartition("\nos.execv")[0]
    + """
import runpy
sys.argv[1:] = words
runpy.run_module("hume_runner", run_name="__main__", alter_sys=True)
"""
)
SMALL_FOLDER = 'mount -t tmpfs -o size=16k none "$0" && exec "$@"'


def limited(
    project: Project,
    *words: str,
    limits: Mapping[str, int] | None = None,
    environ: Mapping[str, str | None] | None = None,
    before: tuple[str, ...] = (),
    cwd: Path | None = None,
) -> Ran:
    """A command in a process of its own under these limits; what hangs fails the test."""
    variables = {
        **os.environ,
        **project.environ,
        "PYTHONPATH": str(ROOT),
        "HUME_RUNNER_SETTLE": "0.2",
        **(environ or {}),
    }
    # How much memory a process has is known to the interpreter that starts in it, how large stacks are to its threads.
    fresh = bool(before or environ or {"RLIMIT_AS", "RLIMIT_STACK"} & {*(limits or {})})
    done = (subprocess.run if fresh else warm.run)(
        [*before, sys.executable, "-c", LAUNCHER if fresh else IN_PLACE, repr(dict(limits or {})), *words],
        cwd=cwd or project.folder,
        env={name: value for name, value in variables.items() if value is not None},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=60,
        check=False,
    )
    return Ran(code=done.returncode, out=done.stdout, err=done.stderr)


def assert_clear(ran: Ran, code: int, *words: str) -> None:
    """One line that says what and where, one that says what next, no traceback."""
    assert ran.code == code, ran.err
    assert "Traceback" not in ran.err
    assert "this is a bug" not in ran.err
    for word in words:
        assert word in ran.err
    assert ran.err.count("next: ") == 1, ran.err


# -- what is no file ---------------------------------------------------------------------------------------------------


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the name of a socket is short
    try:
        with socket.socket(socket.AF_UNIX) as opened:
            opened.bind(path.name)
    finally:
        os.chdir(here)


def a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def a_folder(path: Path) -> None:
    path.mkdir()


Here = Callable[..., Ran]


@pytest.fixture
def here(project: Project, monkeypatch: pytest.MonkeyPatch) -> Here:
    """A command in the project's folder, in this process; what hangs, hangs until the test's own time is over."""
    monkeypatch.chdir(project.folder)
    return project.plain_call


KINDS: list[tuple[Callable[[Path], None], str]] = [
    (a_pipe, "a pipe"),
    (a_socket, "a socket"),
    (a_device, "a device"),
    (a_folder, "a folder"),
]


@pytest.mark.parametrize("command", ["run", "validate"])
@pytest.mark.parametrize(("make", "word"), KINDS)
def test_what_is_no_file_is_no_list(
    here: Here, project: Project, make: Callable[[Path], None], word: str, command: str
) -> None:
    make(project.folder / "list.txt")
    project.manifest["sources"] = {"urls": [{"from": "list.txt"}]}
    project.write()
    ran = here(command, "manifest.yaml")
    assert ran.code == (66 if word == "a folder" else 65), ran.err
    assert f"'list.txt' is {word}, not a" in ran.err + ran.out
    assert not project.out.exists()


@pytest.mark.parametrize("command", ["run", "validate", "migrate"])
@pytest.mark.parametrize(("make", "word"), KINDS)
def test_what_is_no_file_is_no_manifest(
    here: Here, project: Project, make: Callable[[Path], None], word: str, command: str
) -> None:
    make(project.folder / "other.yaml")
    ran = here(command, "other.yaml")
    assert ran.code == 65, ran.err
    assert f"other.yaml: is {word}, not a" in ran.err + ran.out


@pytest.mark.parametrize(("make", "word"), KINDS)
def test_what_is_no_file_is_no_source(here: Here, project: Project, make: Callable[[Path], None], word: str) -> None:
    make(project.folder / "media" / "two.wav")
    project.manifest["sources"] = {"files": ["media/two.wav"]}
    project.write()
    assert_clear(here("run", "manifest.yaml"), 66, "'media/two.wav' is ")
    assert not project.out.exists()


@pytest.mark.parametrize(("make", "word"), KINDS)
def test_what_is_no_file_holds_no_key(here: Here, project: Project, make: Callable[[Path], None], word: str) -> None:
    make(project.folder / "key.txt")
    project.manifest["service"]["api_key"] = {"file": "key.txt"}
    project.write()
    assert_clear(here("run", "manifest.yaml"), 7, "cannot read the API key from", "key.txt")


@pytest.mark.parametrize(("make", "word"), KINDS)
def test_what_is_no_file_is_no_saved_plan(
    here: Here, project: Project, make: Callable[[Path], None], word: str
) -> None:
    make(project.folder / "plan.json")
    project.write()
    assert_clear(here("run", "manifest.yaml", "--plan", "plan.json"), 64, "plan.json: ")


@pytest.mark.parametrize("command", ["run", "status"])
@pytest.mark.parametrize(("make", "word"), KINDS)
def test_what_is_no_file_is_no_state(
    here: Here, project: Project, make: Callable[[Path], None], word: str, command: str
) -> None:
    make(project.folder / "state")
    project.write()
    assert_clear(here(command, "manifest.yaml", "--state", "state"), 10, "cannot read the state")


# -- places ------------------------------------------------------------------------------------------------------------


@pytest.mark.sweep
def test_a_file_where_the_outputs_should_be_is_64(project: Project) -> None:
    project.write()
    project.out.write_text("in the way")
    assert_clear(limited(project, "run", "manifest.yaml"), 64, str(project.out), "a file is where a folder should be")
    assert project.out.read_text() == "in the way"
    assert project.requests() == {}


@pytest.mark.sweep
def test_a_file_above_the_outputs_is_64_as_well(project: Project) -> None:
    project.write()
    (project.folder / "file").write_text("in the way")
    assert_clear(limited(project, "run", "manifest.yaml", "--output-dir", "file/out"), 64, "a file is where a folder")


@pytest.mark.sweep
@pytest.mark.parametrize("tmpdir", ["absent", "file"])
def test_a_temporary_folder_that_is_not_there_is_done_without(project: Project, tmpdir: str) -> None:
    project.write()
    (project.folder / "file").write_text("")
    ran = limited(project, "run", "manifest.yaml", environ={"TMPDIR": str(project.folder / tmpdir)})
    assert ran.code == 0, ran.err


def small_folder(folder: Path) -> tuple[str, ...]:
    """What makes a folder a disk of a few pages, for the command that follows."""
    folder.mkdir()
    command = ("unshare", "-rm", "sh", "-c", SMALL_FOLDER, str(folder))
    if shutil.which("unshare") is None or subprocess.run([*command, "true"], check=False).returncode:
        pytest.skip("no small disks can be made here")
    return command


@pytest.mark.sweep
@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_full_temporary_folder_is_told(project: Project, command: str) -> None:
    project.manifest["sources"]["text"] = [f"Sentence number {number}." for number in range(3000)]
    project.write()
    folder = project.folder / "small"
    ran = limited(project, command, "manifest.yaml", before=small_folder(folder), environ={"TMPDIR": str(folder)})
    assert_clear(ran, 5, "full", "free some space")
    assert project.requests() == {}


READ_ONLY = """
for place in /tmp /var/tmp /usr/tmp; do
  [ ! -d "$place" ] || { mount --bind "$place" "$place" && mount -o remount,ro,bind "$place"; } || exit 99
done
cd "$0" && exec "$@"
"""


@pytest.mark.sweep
@pytest.mark.parametrize("api", ["batch-v0", "local"])
def test_without_a_folder_for_temporary_files_a_run_says_so_and_goes_on_in_one_that_is_named(
    project: Project, tmp_path: Path, api: str
) -> None:
    """As in a container whose file system is read-only but for the outputs."""
    memory = Path(tempfile.mkdtemp(dir="/dev/shm"))
    try:
        project = Project(memory / "project", project.emulator)
        if api == "local":
            project.manifest |= {
                "service": {"api": "local"},
                "models": {"language": {}},
                "sources": {"text": ["Hello."]},
            }
            del project.manifest["execution"]
        path = str(project.write())
        without = {"TMPDIR": None, "TMP": None, "TEMP": None, "HUME_RUNNER_RUNS": None}
        before = ("unshare", "-m", "sh", "-c", READ_ONLY, "/proc")
        try:
            ran = limited(project, "run", path, before=before, environ=without)
        except FileNotFoundError:
            pytest.skip("no unshare")
        if (ran.code in (1, 99) and "mount" in ran.err) or "unshare" in ran.err:
            pytest.skip("nothing may be mounted here")
        assert_clear(ran, 64, "no folder for temporary files can be written", "TMPDIR")
        assert "current folder" not in ran.err
        ran = limited(project, "run", path, before=before, environ={**without, "TMPDIR": str(memory)})
        assert "no folder" not in ran.err
        assert ran.code == (0 if api == "batch-v0" else ran.code), ran.err
    finally:
        shutil.rmtree(memory)


@pytest.mark.sweep
def test_full_outputs_are_told_and_the_next_run_goes_on(project: Project) -> None:
    project.write()
    ran = limited(project, "run", "manifest.yaml", before=small_folder(project.folder / "out"))
    assert_clear(ran, 5, "free some space")
    project.out.rmdir()
    project.assert_resumes(1)


@only_swept
def test_a_folder_that_was_removed_under_us_is_told_or_done_without(project: Project, tier: Tier) -> None:
    path = project.write()
    gone = project.folder / "gone"
    command = ("sh", "-c", 'mkdir "$0"; cd "$0"; rmdir "$0"; exec "$@"', str(gone))
    assert_clear(limited(project, "run", "manifest.yaml", before=command), 64, "the current folder does not exist")
    assert limited(project, "run", str(path), before=command).code == 0
    for words in tier.of(
        [["plan", str(path)], ["validate", str(path)], ["status", str(path)], ["doctor", str(path)]], 1
    ):
        assert limited(project, *words, before=command).code == 0
    refused = [["run", str(path), "--output-dir", "out2"], ["init", "media"], ["plan", str(path), "--out", "p"]]
    for words in tier.of(refused, 1):
        ran = limited(project, *words, before=command)
        assert ran.code in (64, 66), ran.err
        assert "Traceback" not in ran.err
        assert "next: " in ran.err


# -- scarce things -----------------------------------------------------------------------------------------------------

# A thread's stack is as large as this limit says, so that none, or only a handful, finds room.
NO_THREADS = {"RLIMIT_STACK": 2**46}


@pytest.mark.sweep
def test_without_threads_there_is_no_emulator_either(project: Project) -> None:
    project.manifest["service"]["endpoint"] = "emulator"
    project.write()
    assert_clear(limited(project, "run", "manifest.yaml", limits=NO_THREADS), 5, "starts no more threads")


@pytest.mark.sweep
def test_without_threads_the_run_says_so_and_sends_nothing(project: Project) -> None:
    project.write()
    ran = limited(project, "run", "manifest.yaml", limits=NO_THREADS)
    assert_clear(ran, 5, "starts no more threads")
    assert project.emulator.requests()["jobs_accepted"] == 0
    project.assert_resumes(1)


@pytest.mark.sweep
@pytest.mark.parametrize("most", [2**45, 2**44, 2**43])
def test_with_few_threads_the_run_does_what_it_can(project: Project, most: int) -> None:
    project.write()
    ran = limited(project, "run", "manifest.yaml", limits={"RLIMIT_STACK": most})
    if ran.code:
        assert_clear(ran, 5, "starts no more threads")
    project.assert_resumes(1)


@pytest.mark.sweep
@pytest.mark.parametrize("megabytes", [72, 83, 93])
def test_little_memory_is_told_and_nothing_hangs(project: Project, megabytes: int) -> None:
    """With the first no thread finds room, with the others one or two. Each is megabytes away from where a thread just
    begins: there the interpreter itself gives up (a thread that dies before it says that it runs, a `SystemError`), as
    it does with much less."""
    project.write()
    ran = limited(project, "run", "manifest.yaml", limits={"RLIMIT_AS": megabytes * 2**20})
    assert "this is a bug" not in ran.err
    assert ran.code in (0, 5), ran.err
    project.assert_resumes(1)


@pytest.mark.sweep
@sampled(3)
@pytest.mark.parametrize("most", [4096, 20_000, 60_000, 110_000, 135_000, 150_000, 200_000])
def test_a_small_limit_of_a_file_s_size_is_told_and_nothing_is_lost(project: Project, most: int) -> None:
    project.add_file("two.wav", tone(2) * 5)
    project.write()
    ran = limited(project, "run", "manifest.yaml", limits={"RLIMIT_FSIZE": most})
    if ran.code:
        assert_clear(ran, 5, "File too large", "`ulimit -f`")
    project.assert_resumes(1)


@pytest.mark.sweep
@sampled(3)
@pytest.mark.parametrize("most", [8, *range(10, 33)])
def test_few_open_files_are_told_and_nothing_is_lost(project: Project, most: int) -> None:
    project.write()
    ran = limited(project, "run", "manifest.yaml", limits={"RLIMIT_NOFILE": most})
    assert "Traceback" not in ran.err
    if ran.code:
        assert_clear(ran, 5, "Too many open files")
    project.assert_resumes(1)


# -- surroundings ------------------------------------------------------------------------------------------------------


@pytest.mark.sweep
@pytest.mark.parametrize(
    "environ",
    [
        {"HOME": None, "USER": None, "LOGNAME": None},
        {"TERM": "dumb"},
        {"TERM": None, "COLUMNS": "x"},
        {"LC_ALL": "C", "LANG": None},
        {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1:strict"},
        {"PATH": None},
        {"TZ": "nowhere"},
    ],
    ids=",".join,
)
def test_odd_surroundings_change_nothing(project: Project, environ: dict[str, Any]) -> None:
    project.manifest["sources"]["text"].append("Ein schöner Tag … 😀")
    project.add_file("schön 😀.wav", tone(3))
    project.write()
    ran = limited(project, "run", "manifest.yaml", "-v", environ=environ, before=("setsid", "-w"))
    assert ran.code == 0, ran.err
    for command in (["status", "manifest.yaml"], ["plan", "manifest.yaml", "--items"], ["verify", "manifest.yaml"]):
        told = limited(project, *command, environ=environ)
        assert told.code == 0, told.err
        assert told.err == ""


def test_the_limits_are_real(project: Project) -> None:
    """Or all of the above would pass on a machine that ignores them."""
    code = LAUNCHER.replace('"-m", "hume_runner"', '"-c", "import threading; threading.Thread(target=print).start()"')
    command = [sys.executable, "-c", code, repr(NO_THREADS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "can't start new thread" in done.stderr

"""Pulls as a whole: what they leave, on full and closed disks, killed, two at once, and what is agreed to."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hume_runner.errors import HumeRunnerError, NoRoom, UsageError
from hume_runner.services.local.model_files import File
from hume_runner.services.local.pull import Licence, Step, pull_agreed, remember_agreed
from hume_runner.services.local.weights import Verdict
from hume_runner.settings import ModelSettings
from tests import warm
from tests.cli.test_read_only import without_privilege
from tests.services.local.mirror import (
    CONFIG,
    WEIGHTS,
    Mirror,
    command,
    environ,
    package_of_models,
    tiny,
)
from tests.services.local.puller import WHOLE, Puller

# -- what goes well --------------------------------------------------------------------------------------------------


def test_a_model_arrives_checked_and_alone(puller: Puller, mirror: Mirror) -> None:
    files = (tiny(), tiny("tiny/config.json"))
    assert puller(*files) == files
    assert puller.there() == {*WHOLE, "tiny/config.json"}
    assert (puller.root / "tiny/model.bin").read_bytes() == WEIGHTS
    assert puller.told("pulled") == [(f"the mirror {mirror.url}", "")] * 2
    assert puller.weights.look(tiny()) is Verdict.SAME  # nobody has to read it again


def test_what_is_here_and_right_is_not_asked_for(puller: Puller, mirror: Mirror) -> None:
    puller(tiny())
    assert puller(tiny()) == ()
    assert len(mirror.requests) == 1
    assert puller.steps[-1] == Step(kind="present", file=tiny())


def test_what_is_here_and_wrong_is_replaced(puller: Puller) -> None:
    (puller.root / "tiny").mkdir(parents=True)
    (puller.root / "tiny/model.bin").write_bytes(b"x" * len(WEIGHTS))
    puller(tiny())
    assert (puller.root / "tiny/model.bin").read_bytes() == WEIGHTS


def test_the_bytes_that_are_here_are_told(puller: Puller) -> None:
    puller(tiny())
    told = [step.size_bytes for step in puller.steps if step.kind == "bytes"]
    assert told == sorted(told)
    assert told[-1] == len(WEIGHTS)


def test_a_file_may_lie_deep_in_its_model(puller: Puller, mirror: Mirror) -> None:
    mirror.content["tiny/a/b/cfg"] = CONFIG
    puller(tiny("tiny/a/b/cfg", CONFIG))
    assert puller.there() == {"tiny/a/b/cfg", "tiny/.verified.json"}


# -- processes, disks ------------------------------------------------------------------------------------------------


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return package_of_models(tmp_path / "others")


@pytest.mark.sweep
def test_a_pull_that_was_killed_is_gone_on_with(tmp_path: Path, mirror: Mirror, models: Path) -> None:
    root = tmp_path / "models"
    mirror.stall_after = 200_000
    child = warm.WarmPopen(command("pull", "tiny", "--yes", "--json"), env=environ(root, mirror, models))
    try:
        assert mirror.stalled.wait(30)
        for _ in range(200):
            parts = [path.stat().st_size for path in root.rglob("*.part")]
            if parts and parts[0] >= 100_000:
                break
            mirror.over.wait(0.05)
    finally:
        child.kill()
        child.wait()
    mirror.stall_after = None
    done = subprocess.run(
        command("pull", "tiny"), env=environ(root, mirror, models), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "2 pulled, 0 here already\n"), done.stderr
    asked = [range_ for path, range_ in mirror.requests if path == "tiny/model.bin"]
    assert asked[0] == ""
    assert int(asked[-1].removeprefix("bytes=").removesuffix("-")) >= 100_000
    assert (root / "tiny/model.bin").read_bytes() == WEIGHTS
    assert list(root.rglob("*.part")) == []


@pytest.mark.sweep
def test_two_at_once_fetch_each_file_once(tmp_path: Path, mirror: Mirror, models: Path) -> None:
    variables = environ(tmp_path / "models", mirror, models)
    children = [
        warm.WarmPopen(command("pull", "tiny", "--yes"), env=variables, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [child.communicate(timeout=60)[1] for child in children]
    assert [child.returncode for child in children] == [0, 0], said
    assert sorted(path for path, _ in mirror.requests) == ["tiny/config.json", "tiny/model.bin"]


LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
os.execv(sys.executable, [sys.executable, "-m", "hume_runner", "models", *sys.argv[1:]])
"""


@pytest.mark.sweep
def test_a_disk_that_takes_no_more_is_one_line_and_with_room_it_goes_on(
    tmp_path: Path, mirror: Mirror, models: Path
) -> None:
    root = tmp_path / "models"
    variables = environ(root, mirror, models)
    full = subprocess.run(
        [sys.executable, "-c", LIMITED, "pull", "tiny", "--yes"],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert full.returncode == 5, full.stderr
    assert full.stderr.splitlines()[-2:] == [
        f"{root}: File too large",
        "next: free some space, then run the same command again: it resumes",
    ]
    assert not (root / "tiny/model.bin").exists()
    done = warm.run(command("pull", "tiny"), env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [range_ for path, range_ in mirror.requests if path == "tiny/model.bin"][-1] == "bytes=100000-"


def test_what_surely_does_not_fit_is_not_begun(puller: Puller, mirror: Mirror) -> None:
    with pytest.raises(NoRoom, match=r"bytes are due, and .* are free"):
        puller(File(name="tiny/model.bin", size_bytes=10**18, sha256="0" * 64))
    assert mirror.requests == []


@pytest.mark.sweep
@pytest.mark.skipif(sys.platform != "linux", reason="takes away what root may do, as Linux has it")
def test_a_folder_that_nobody_may_write_is_one_line(tmp_path: Path, mirror: Mirror, models: Path) -> None:
    root = tmp_path / "models"
    root.mkdir()
    root.chmod(0o555)
    try:
        done = subprocess.run(
            command("pull", "tiny", "--yes", "-q"),
            env=environ(root, mirror, models),
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=without_privilege,
        )
    finally:
        root.chmod(0o755)
    assert done.returncode == 64
    assert done.stderr.splitlines() == [
        f"{root} cannot be written: Permission denied",
        "next: HUME_RUNNER_MODELS names another folder",
    ]


@pytest.mark.parametrize("place", ["tiny", "tiny/model.bin"])
def test_a_planted_link_leads_nothing_elsewhere(puller: Puller, tmp_path: Path, place: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "victim").write_bytes(b"as it was")
    (puller.root / "tiny").mkdir(parents=True)
    link = puller.root / place
    with contextlib.suppress(OSError):
        link.rmdir()
    link.symlink_to(elsewhere / "victim" if place == "tiny/model.bin" else elsewhere)
    with contextlib.suppress(OSError, HumeRunnerError):
        puller(tiny())
    assert [path.name for path in elsewhere.iterdir()] == ["victim"]
    assert (elsewhere / "victim").read_bytes() == b"as it was"


# -- licences --------------------------------------------------------------------------------------------------------


def agreed(puller: Puller, agree: bool | Callable[[object], bool], *files: File) -> None:
    settings = ModelSettings(root=puller.root, mirror=puller.mirror)
    pull_agreed(files, settings, agree=agree, environ=dict(os.environ))


def test_a_licence_is_agreed_to_once(puller: Puller, mirror: Mirror) -> None:
    asked: list[object] = []

    def ask(licences: object) -> bool:
        asked.append(licences)
        return True

    agreed(puller, ask, tiny())
    (puller.root / "tiny/model.bin").unlink()
    agreed(puller, ask, tiny())
    agreed(puller, False, tiny())  # nothing is left to agree to
    assert len(mirror.requests) == 2
    assert asked == [
        (
            Licence(
                model="tiny/model.bin",
                licence="not known here: whoever named the file has to know it",
                url="",
                size_bytes=len(WEIGHTS),
            ),
        )
    ]


def test_a_no_downloads_nothing(puller: Puller, mirror: Mirror) -> None:
    with pytest.raises(UsageError, match="nobody agreed to the licences of tiny"):
        agreed(puller, False, tiny())
    assert mirror.requests == []
    assert not puller.root.exists()


@pytest.mark.parametrize("place", ["", "tiny", "tiny/model.bin", ".lock", ".licences.json"])
@pytest.mark.parametrize("what", ["file", "folder", "link"])
def test_what_is_in_the_way_of_a_pull_is_one_line(puller: Puller, tmp_path: Path, place: str, what: str) -> None:
    """Never an unexpected error, and no advice that is about something else."""
    path = puller.root / place if place else puller.root
    path.parent.mkdir(parents=True, exist_ok=True)
    if what == "file":
        path.write_text("mine")
    elif what == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "nowhere")
    found: list[HumeRunnerError] = []
    try:
        remember_agreed([Licence(model="tiny", licence="MIT", url="https://example.org")], puller.weights)
        puller(tiny())
    except HumeRunnerError as error:
        found.append(error)
    if not found:
        assert (puller.root / "tiny/model.bin").read_bytes() == WEIGHTS
        return
    assert found[0].exit_code == 64
    assert "--output-dir" not in found[0].hint
    assert not path.is_file() or path.read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()

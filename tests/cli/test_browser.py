"""`report --open`: in the browser that BROWSER names, and the path where there is none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hume_runner.cli.browser import can_open
from tests.cli.project import Project

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("environ", "platform", "opens"),
    [
        ({}, "linux", False),
        ({"TERM": "xterm"}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({"BROWSER": "firefox"}, "linux", True),
        ({}, "darwin", True),
        ({}, "win32", True),
    ],
)
def test_a_browser_is_expected_where_there_is_a_screen_or_one_is_named(
    environ: dict[str, str], platform: str, opens: bool
) -> None:
    assert can_open(environ, platform) is opens


def report(project: Project, **environ: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")}
    return subprocess.run(
        [sys.executable, "-m", "hume_runner", "report", "manifest.yaml", "--open"],
        cwd=project.folder,
        env={**kept, **project.environ, "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.sweep
def test_the_report_is_opened_in_the_browser_that_is_named_or_its_path_is_told(project: Project) -> None:
    project.manifest["sources"] = {"text": ["Hello."]}
    project.manifest["models"] = {"language": {}}
    assert project.run().code == 0
    page = project.out / "report.html"
    browser = project.folder / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {project.folder}/opened\n')
    browser.chmod(0o755)
    ran = report(project, BROWSER=str(browser))
    assert (ran.returncode, ran.stderr) == (0, "")
    assert (project.folder / "opened").read_text() == f"{page.resolve().as_uri()}\n"
    ran = report(project)
    assert ran.returncode == 0
    assert ran.stdout == f"{page}\n"
    assert ran.stderr == f"no browser here: open {page} in one, on this machine or on another\n"
    ran = report(project, BROWSER=str(project.folder / "there is none"))
    assert "no browser here" in ran.stderr


def test_pictures_have_no_page_to_open(project: Project) -> None:
    ran = project.call("report", "--figures", "pictures", "--open")
    assert ran.code in (64, 66)

"""The documents say what the program does: README and commands.md are compared with the real thing."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from hume_runner import errors
from hume_runner.cli.main import COMMANDS

PROJECT = Path(__file__).parents[1]
README = (PROJECT / "README.md").read_text(encoding="utf-8")
PAGES = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")])


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_readme_and_has_a_section(command: str) -> None:
    assert f"`{command}`" in README
    assert f"\n## {command}\n" in (PROJECT / "docs" / "commands.md").read_text(encoding="utf-8")


def test_the_help_that_is_documented_is_the_help_that_is_printed() -> None:
    script = PROJECT / "docs" / "write_commands.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_readme_explains_every_exit_code() -> None:
    explained = {int(code) for row in re.findall(r"^\| ([\d, ]+) \|", README, re.MULTILINE) for code in row.split(",")}
    raised = {
        kind.exit_code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, Exception) and hasattr(kind, "exit_code")
    }
    assert raised | {0, 2, 3, 130, 143} == explained


def test_links_between_the_pages_lead_somewhere() -> None:
    links = [
        (page, target) for page in PAGES for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8"))
    ]
    assert len(links) > 30
    for page, target in links:
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{page.name} links to {target}"
        if anchor:
            titles = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
            assert anchor in anchors, f"{page.name} links to {target}"


def test_every_page_is_reachable_from_the_index() -> None:
    index = (PROJECT / "docs" / "README.md").read_text(encoding="utf-8")
    index += (PROJECT / "docs" / "apis" / "README.md").read_text(encoding="utf-8").replace("](", "](apis/")
    pages = list(PROJECT.glob("docs/**/*.md"))
    assert len(pages) > 5
    for page in pages:
        relative = page.relative_to(PROJECT / "docs").as_posix()
        assert relative == "README.md" or f"({relative})" in index, f"docs/README.md does not name {relative}"


def test_files_that_contributors_are_sent_to_exist() -> None:
    text = (PROJECT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    names = set(re.findall(r"`([a-z_]+/[a-z_0-9.]+\.(?:py|json|md))`", text))
    assert len(names) > 20
    for name in names:
        assert (PROJECT / name).exists() or (PROJECT / "hume_runner" / name).exists(), name


def test_files_that_pages_about_the_apis_name_exist() -> None:
    """In full below the package, or as what lies beside the one that was named before on the same line."""
    found = 0
    for page in PROJECT.glob("docs/apis/*.md"):
        for line in page.read_text(encoding="utf-8").splitlines():
            folder = PROJECT / "hume_runner"
            for name in re.findall(r"`([\w/]+\.py)`", line):
                at = next((at for at in (PROJECT, PROJECT / "hume_runner", folder) if (at / name).is_file()), None)
                assert at is not None, f"{page.name} names {name}"
                folder, found = (at / name).parent, found + 1
    assert found > 5


def test_changes_that_are_not_released_come_first() -> None:
    changes = (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (.*)$", changes, re.MULTILINE)[0] == "[Unreleased]"


def test_the_calls_that_are_told_of_official_packages_are_the_ones_that_are_tried() -> None:
    page = (PROJECT / "docs" / "emulator.md").read_text(encoding="utf-8")
    told = page.partition("## Official packages\n")[2].partition("\n## ")[0]
    calls = re.findall(r"`([a-z_.]+)`", told.partition("Whatever is")[0])
    scripts = {path: path.read_text(encoding="utf-8") for path in PROJECT.glob("tests/emulator/official/use_*.py")}
    assert len(scripts) == 3
    assert len(calls) > 15
    for call in set(calls) - {"hume"}:
        assert any(re.search(rf"\b{re.escape(call)}\b", script) for script in scripts.values()), call
    changes = (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")
    for call in calls:
        assert f"`{call}`" in changes, call

"""The README, followed as it is printed, and what stands behind each of its claims."""

from __future__ import annotations

import ast
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

PROJECT = Path(__file__).parents[1]
README = (PROJECT / "README.md").read_text(encoding="utf-8")
SHOWN = re.compile(r"<!-- shown by (.+?) -->")
NINETY_S = 90


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def sessions(block: str) -> list[tuple[str, str]]:
    """(command, output) pairs of one block."""
    parts = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    return [(command, output) for command, _, output in (part.partition("\n") for part in parts)]


def section(title: str) -> str:
    return README.partition(f"## {title}\n")[2].partition("\n## ")[0]


def without_variables(text: str) -> str:
    """Times and folders differ from one machine to another; on a slow one a run tells how far it is."""
    text = re.sub(r"^\S+: (?:so far |starting|reading|planning|asking|writing).*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"\d+\.\d s|\d+ min \d\d s", "N s", text)
    return re.sub(r"/\S+/results/", "…/results/", text)


def called(command: str, folder: Path) -> str:
    """What a command of the program prints, both streams as a terminal shows them."""
    program, *arguments = command.split()
    assert program == "hume-runner"
    done = subprocess.run(
        [sys.executable, "-m", "hume_runner", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.sweep
def test_the_readme_runs_as_printed(tmp_path: Path) -> None:
    (manifest,) = blocks(README, "yaml")
    assert len(manifest.splitlines()) == 10
    (tmp_path / "first.yaml").write_text(manifest, encoding="utf-8")
    shutil.copy(PROJECT / "manifests" / "lists" / "visits.csv", tmp_path)
    ran = 0
    for block in blocks(README, "console"):
        for command, shown in sessions(block):
            if shown:
                assert without_variables(called(command, tmp_path)) == without_variables(shown)
                ran += 1
    assert ran == 4


def test_the_python_of_the_readme_runs_as_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (manifest,), (code,) = blocks(README, "yaml"), blocks(README, "python")
    (tmp_path / "first.yaml").write_text(manifest, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    *told, scores = capsys.readouterr().out.partition("\n0 3 ")
    assert "Planned(new=3" in told[0]
    assert scores.startswith(str(tmp_path / "results" / "first"))
    # One score a sentence, as the session above tells joy of the third text.
    assert "0.62" in scores


@pytest.mark.sweep
def test_the_scores_that_the_readme_tells_are_measured(tmp_path: Path) -> None:
    shutil.copy(PROJECT / "manifests" / "lists" / "visits.csv", tmp_path)
    for command, shown in sessions(blocks(section("Ninety seconds to a real result"), "console")[0]):
        if shown:
            called(command, tmp_path)
    (answer,) = (tmp_path / "results" / "visits" / "raw").glob("*/response.json")
    texts = json.loads(answer.read_text(encoding="utf-8"))["sources"]
    rows = [row for text in texts for row in text["tables"]["language"] if row["text"].startswith("Thank you to")]
    score, said = re.findall(r'gratitude ([\d.]+) in "(.+?)"', README)[0]
    assert [f"{row['goemotions']['gratitude']:.3f}" for row in rows] == [score]
    assert rows[0]["text"] == said
    assert len(rows[0]["goemotions"]) == 28


# pip asks an index, and builds the package.
@pytest.mark.sweep
@pytest.mark.timeout(600)
def test_a_newcomer_has_a_real_result_in_ninety_seconds(tmp_path: Path) -> None:
    checkout = tmp_path / "hume-runner"
    kept = ("hume_runner", "schemas", "manifests")
    for name in kept:
        shutil.copytree(PROJECT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, checkout)
    commands = [command for command, _ in sessions(blocks(section("Ninety seconds to a real result"), "console")[0])]
    assert commands[0] == "python3 -m venv .venv"
    assert commands[2].startswith("pip install ")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").symlink_to(sys.executable)
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    environ["PATH"] = f"{tmp_path / 'bin'}:{environ['PATH']}"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        ["bash", "-euc", "\n".join(commands)], cwd=checkout, env=environ, capture_output=True, text=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert (checkout / "results" / "visits" / "report.html").stat().st_size > 50_000
    # Of the machine's own time: what others do on it, and how far the index is, nobody can promise.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < NINETY_S


# -- claims -----------------------------------------------------------------------------------------------------------


def prose() -> str:
    """The README without its blocks, its table of code and what is no claim but a way."""
    text = re.sub(r"^```.*?^```$", "", README, flags=re.MULTILINE | re.DOTALL)
    return text.partition("## The code")[0]


def claims() -> list[str]:
    """Every entry of a list, and every paragraph that begins with a bold word."""
    paragraphs = re.split(r"\n\n|\n(?=- )", prose())
    return [one.strip() for one in paragraphs if one.strip().startswith(("- ", "**"))]


def test_every_claim_names_what_shows_it() -> None:
    assert len(claims()) > 15
    assert [claim for claim in claims() if not SHOWN.search(claim)] == []


@pytest.mark.parametrize("shown", sorted({one for found in SHOWN.findall(README) for one in found.split()}))
def test_what_shows_a_claim_exists(shown: str) -> None:
    name, _, test = shown.partition("::")
    path = PROJECT / name
    assert path.is_file(), shown
    assert name.startswith(("tests/", "benchmarks/"))
    defined = {node.name for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if hasattr(node, "name")}
    if name.startswith("tests/"):
        assert any(one.startswith("test_") for one in defined)
    assert not test or test in defined


def test_every_figure_names_its_benchmark() -> None:
    rows = re.findall(r"^\|.*\| ([^|]+) \|$", section("Figures"), re.MULTILINE)[2:]
    assert len(rows) > 15
    named = [one for row in rows for one in re.findall(r"`(\w+)`", row)]
    assert len(named) >= len(rows)
    for one in named:
        assert (PROJECT / "benchmarks" / f"{one}.py").is_file(), one


# -- pictures ---------------------------------------------------------------------------------------------------------


def test_the_pictures_are_there_small_and_described() -> None:
    pictures = re.findall(r"!\[(.*)\]\((.+?)\)", README)
    assert {Path(path).suffix for _, path in pictures} == {".svg", ".png"}
    for described, path in pictures:
        assert len(described) > 30
        assert (PROJECT / path).stat().st_size < 150_000


def test_the_picture_of_the_terminal_shows_what_is_printed_and_asks_for_nothing() -> None:
    drawn = (PROJECT / "docs" / "pictures" / "terminal.svg").read_text(encoding="utf-8")
    words = re.sub(r"\s+", " ", " ".join(ElementTree.fromstring(drawn).itertext()).replace("\xa0", " "))
    for block in blocks(section("Ninety seconds to a real result"), "console"):
        for command, shown in sessions(block):
            for line in (command, *without_variables(shown).splitlines()) if shown else ():
                for part in re.split(r"N s|…/results/", line):
                    assert " ".join(part.split()) in words, part
    assert not re.search(r"url\((?!#)|href=|<image", drawn)


# It starts a browser.
@pytest.mark.sweep
def test_the_pictures_are_made_by_one_command(tmp_path: Path) -> None:
    if not Path("/usr/bin/chromium").exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("/usr/bin/chromium is not installed")
    made = subprocess.run(
        [sys.executable, PROJECT / "docs" / "pictures.py", tmp_path], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"report.png", "terminal.svg"}
    assert (tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")

"""Every command in every document is one: those of the program go through its own parser, those of others lead to
something that is there. What the tests of README, gitops, shards, analysis and troubleshooting run is parsed, too."""

from __future__ import annotations

import argparse
import io
import re
import shlex
from pathlib import Path

import pytest

from hume_runner.cli.console import Console
from hume_runner.cli.main import COMMANDS, _load, _Parser, _split, common_flags
from hume_runner.errors import UsageError

PROJECT = Path(__file__).parents[1]
PAGES = sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")])
ENDS = re.compile(r"^(\|\|?|&&?|;|[0-9]?>>?|<|2>&1)$")
# Words of a shell that begin a line of a script and are no program.
SHELL = re.compile(r"^(if|then|else|fi|for|do|done|while|case|esac|export|set|test|\[|#|\.|echo|exit|case|[A-Z_]+=)")


def name_of(page: Path) -> str:
    return page.relative_to(PROJECT).as_posix()


def in_blocks(text: str) -> list[str]:
    """The lines that a reader types or puts into a script."""
    found: list[str] = []
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL):
        for line in re.sub(r" *\\\n\s*", " ", block).splitlines():
            if language == "console" and line.startswith("$ "):
                found.append(line[2:])
            elif (language in ("sh", "bash") and line.strip()) or (language == "" and line.startswith("hume-runner ")):
                found.append(line.strip())
    return found


def in_prose(text: str) -> list[str]:
    """Commands that a sentence names."""
    plain = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return [" ".join(one.split()) for one in re.findall(r"`((?:hume-runner|make|pip) [^`]+)`", plain)]


def parts(command: str) -> list[list[str]]:
    """The simple commands of one line."""
    words = shlex.split(command, comments=True)
    simple: list[list[str]] = [[]]
    for word in words:
        if ENDS.match(word):
            simple.append([])
        elif word.endswith(";"):
            simple[-1].append(word[:-1])
            simple.append([])
        else:
            simple[-1].append(word)
    return [one for one in simple if one]


def parsed(words: list[str]) -> argparse.Namespace | None:
    """What the program makes of these words; None for `--help` and the like. Raises: UsageError."""
    if not words or words[0] in ("--help", "--version", "-h"):
        return None
    command, rest = _split(words)
    console = Console(out=io.StringIO(), err=io.StringIO())
    parser = _Parser(console, {}, prog=f"hume-runner {command}")
    common_flags(parser)
    _load(command).configure(parser)
    try:
        return parser.parse_args(rest)
    except SystemExit:
        return None


def check(words: list[str], *, whole: bool) -> None:
    """`whole`: it is typed as it stands; else a sentence may name a command without all that it takes."""
    program, *rest = words
    if program == "hume-runner":
        try:
            parsed(rest)
        except UsageError as error:
            if whole or "the following arguments are required" not in str(error):
                raise
    elif program == "make":
        targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
        assert {word for word in rest if "=" not in word and not word.startswith("-")} <= targets, words
    elif program.rpartition("/")[2].startswith("python") and rest[:1] == ["-m"]:
        module = rest[1].replace(".", "/")
        known = module in ("venv", "pip", "http/server") or (PROJECT / f"{module}.py").exists()
        assert known or (PROJECT / module).is_dir(), words
    elif program.rpartition("/")[2].startswith("python") and rest and rest[0].endswith(".py"):
        assert (PROJECT / rest[0]).exists(), words


def cases() -> list[tuple[str, str, bool]]:
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        # What was said of earlier versions stays as it was.
        typed = [] if page.name == "CHANGELOG.md" else in_blocks(text)
        found += [(name_of(page), command, True) for command in typed]
        found += [(name_of(page), command, False) for command in in_prose(text)]
    return found


CASES = cases()


def test_there_are_commands_on_many_pages() -> None:
    assert len(CASES) > 120
    assert len({page for page, _, _ in CASES}) > 15
    named = {word for _, command, _ in CASES if command.startswith("hume-runner ") for word in command.split()[1:2]}
    assert set(COMMANDS) - named == set()


@pytest.mark.parametrize("page", sorted({page for page, _, _ in CASES}))
def test_each_command_of_a_page_is_one(page: str) -> None:
    wrong = []
    for where, command, whole in CASES:
        if where != page or SHELL.match(command):
            continue
        try:
            for words in parts(command):
                check(words, whole=whole)
        except (UsageError, AssertionError, ValueError) as error:
            wrong.append(f"{command}: {error}")
    assert wrong == []


@pytest.mark.parametrize(
    "command", ["hume-runner run", "hume-runner plan --markdwon a.md b.yaml", "make demos", "python a.py"]
)
def test_a_command_that_is_none_is_noticed(command: str) -> None:
    (words,) = parts(command)
    with pytest.raises((UsageError, AssertionError)):
        check(words, whole=True)

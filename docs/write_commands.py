"""Writes docs/commands.md, and the words that shells complete, from what the commands say of themselves (`make docs`);
`--check` compares instead."""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import json
import os
import re
import sys
from pathlib import Path

from hume_runner.api.commanding import SETTINGS
from hume_runner.cli import completion
from hume_runner.cli.main import COMMANDS, common_flags, main

TARGET = Path(__file__).with_name("commands.md")
WORDS = Path(completion.__file__).with_name("completions.json")
HEAD = """\
# Commands

Written by `make docs` from each command's own `--help`; edit the help, not this file. Exit codes are in the
[README](../README.md#exit-codes), what the commands promise in [how it works](how-it-works.md).

"""


COMMON = re.compile(r"\[-h\] \[--state FILE\].*\[--version\] ?")


def help_of(*arguments: str) -> str:
    """What `hume-runner …` prints, for a terminal of 100 columns."""
    out = io.StringIO()
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "100"
    try:
        with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
            main(arguments)
    finally:
        del os.environ["COLUMNS"]
        if before is not None:
            os.environ["COLUMNS"] = before
    return out.getvalue()


def section(command: str) -> tuple[str, str]:
    """A command's help without the flags that every command takes, and those flags."""
    usage, _, rest = help_of(command, "--help").partition("\n\n")
    own, _, common = rest.partition("\n\ncommon:\n")
    # One line, and without the common flags: Python's releases differ in where they break it.
    usage = COMMON.sub("", re.sub(r"\n +", " ", usage)).rstrip()
    own = re.sub(r"^  -h, --help .*\n?", "", own, flags=re.MULTILINE)
    return f"{usage}\n\n{own.strip().removesuffix('options:').strip()}\n", common


def page() -> str:
    """The whole of docs/commands.md."""
    sections = []
    common = ""
    for command in COMMANDS:
        sections.append(f"\n## {command}\n\n")
        if importlib.util.find_spec(f"hume_runner.cli.{command}") is None:
            sections.append("Not in this version yet.\n")
            continue
        own, common = section(command)
        sections.append(f"```text\n{own}```\n")
    overview = f"```text\n{help_of('--help')}```\n\nEvery command takes these as well:\n\n```text\n{common}```\n"
    return HEAD + overview + "".join(sections)


def words() -> str:
    """What `hume-runner completion` completes, a command a line."""
    parsers = {}
    for command in COMMANDS:
        parsers[command] = argparse.ArgumentParser()
        common_flags(parsers[command])
        importlib.import_module(f"hume_runner.cli.{command}").configure(parsers[command])
    after = {"ctl": {"set": [f"{name}=" for name in SETTINGS]}}
    known = completion.gathered(parsers, COMMANDS, after)
    return "{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(known[name])}" for name in known) + "\n}\n"


if __name__ == "__main__":
    for target, text in ((TARGET, page()), (WORDS, words())):
        if sys.argv[1:] != ["--check"]:
            target.write_text(text, encoding="utf-8")
        elif target.read_text(encoding="utf-8") != text:
            sys.exit(f"{target.name} has drifted: run `make docs`")

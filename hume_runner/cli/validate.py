"""`validate`: every problem of one or more manifests at once, those of their sources included."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import ClassVar

from hume_runner.amounts import counted
from hume_runner.api import Validated, validate
from hume_runner.cli.console import SCHEMA, Console
from hume_runner.cli.lines import Line
from hume_runner.errors import Problem, UsageError
from hume_runner.events import Warned
from hume_runner.frozen import frozen

_GITHUB_ESCAPES = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_GITHUB_PROPERTY_ESCAPES = {**_GITHUB_ESCAPES, ":": "%3A", ",": "%2C"}


@frozen
class Wrong(Line):
    """One thing that is wrong with a manifest or its sources."""

    event: ClassVar[str] = "problem"
    file: str
    line: int | None
    column: int | None
    path: str
    message: str
    hint: str


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("manifests", nargs="+", metavar="MANIFEST", type=Path)
    parser.add_argument("--format", choices=("text", "json", "github"), help="form of the answer (default: text)")
    parser.add_argument(
        "--no-files",
        action="store_true",
        help="do not look at the sources, as media are not in git; lists that are there are read",
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Judge each manifest; 65 if any is wrong, else 66 if any source is missing, else 0."""
    if console.json and args.format not in (None, "json"):
        raise UsageError(f"--json and --format {args.format} exclude each other", hint="leave one of them out")
    verdicts = [
        validate(path, output_dir=args.output_dir, endpoint=args.endpoint, no_files=args.no_files)
        for path in args.manifests
    ]
    codes = {verdict.exit_code for verdict in verdicts}
    exit_code = next((code for code in (65, 66) if code in codes), 0)
    if console.json:
        _events(verdicts, console)
    elif args.format == "json":
        console.out.write(
            json.dumps({"schema": SCHEMA, "manifests": [_member(verdict) for verdict in verdicts]}) + "\n"
        )
    elif args.format == "github":
        for verdict in verdicts:
            for problem in verdict.problems:
                console.result(github_line(problem))
    else:
        _text(verdicts, console)
    return exit_code


def _text(verdicts: Sequence[Validated], console: Console) -> None:
    for verdict in verdicts:
        for told in verdict.warnings:
            console.note(told)
        for problem in verdict.problems:
            console.result(str(problem))
            if problem.hint:
                console.result(f"  next: {problem.hint}")
        if not verdict.problems and not console.quiet:
            console.result(f"{verdict.path}: ok, {_items(verdict.items)}{_unseen(verdict)}")
    wrong = [verdict for verdict in verdicts if verdict.problems]
    if wrong:
        count = sum(len(verdict.problems) for verdict in wrong)
        console.note(f"{counted(count, 'problem')} in {counted(len(wrong), 'manifest')}; nothing was sent")


def _items(items: Counter[str]) -> str:
    kinds = ", ".join(counted(items[kind], kind) for kind in ("url", "file", "text") if items[kind])
    return f"{counted(items.total(), 'item')}{f' ({kinds})' if kinds else ''}"


def _unseen(verdict: Validated) -> str:
    if not verdict.unseen:
        return ""
    were = "pattern or list was" if verdict.unseen == 1 else "patterns and lists were"
    return f"; {verdict.unseen:,} {were} not looked at"


def _member(verdict: Validated) -> dict[str, object]:
    return {
        "path": verdict.path,
        "ok": not verdict.problems,
        "warnings": list(verdict.warnings),
        "problems": [asdict(problem) for problem in verdict.problems],
    }


def _events(verdicts: Sequence[Validated], console: Console) -> None:
    for verdict in verdicts:
        console.manifest = verdict.path
        for told in verdict.warnings:
            console.event(Warned(message=told))
        for problem in verdict.problems:
            console.event(Wrong(**asdict(problem)))
    console.counts = {
        "manifests": len(verdicts),
        "ok": sum(not verdict.problems for verdict in verdicts),
        "problems": sum(len(verdict.problems) for verdict in verdicts),
        "items": sum(verdict.items.total() for verdict in verdicts),
    }


def github_line(problem: Problem) -> str:
    """A problem as a workflow command, which GitHub shows beside the line that it is about."""
    place = {"file": problem.file, "line": problem.line, "col": problem.column}
    members = ",".join(
        f"{name}={_escaped(str(value), _GITHUB_PROPERTY_ESCAPES)}" for name, value in place.items() if value is not None
    )
    text = f"{problem.path}: {problem.message}" if problem.path else problem.message
    if problem.hint:
        text += f"\nnext: {problem.hint}"
    return f"::error {members}::{_escaped(text, _GITHUB_ESCAPES)}"


def _escaped(text: str, escapes: dict[str, str]) -> str:
    return "".join(escapes.get(letter, letter) for letter in text)

"""`validate`: every problem of one or more manifests at once, those of their sources included."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from hume_runner.cli.console import SCHEMA, Console
from hume_runner.errors import ManifestError, Problem, SourceError
from hume_runner.manifest.document import ordered
from hume_runner.manifest.load import Examined, examine
from hume_runner.sources import expand, expand_entries

_GITHUB_ESCAPES = {"%": "%25", "\r": "%0D", "\n": "%0A"}
_GITHUB_PROPERTY_ESCAPES = {**_GITHUB_ESCAPES, ":": "%3A", ",": "%2C"}

_MOST_WARNINGS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is wrong with one manifest; `items` counts what it lists by kind, as far as that is known.

    `warnings` tell of items that will fail by themselves.
    """

    path: str
    problems: tuple[Problem, ...]
    items: Counter[str]
    exit_code: int
    warnings: tuple[str, ...] = ()


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("manifests", nargs="+", metavar="MANIFEST", type=Path)
    parser.add_argument("--format", choices=("text", "json", "github"), default="text", help="form of the answer")


def run(args: argparse.Namespace, console: Console) -> int:
    """Judge each manifest; 65 if any is wrong, else 66 if any source is missing, else 0."""
    if console.json:
        console.document(
            {"event": "launch", "command": "validate", "manifests": [str(path) for path in args.manifests]}
        )
    output_dir = Path(args.output_dir) if args.output_dir else None
    verdicts = [judge(path, output_dir=output_dir, endpoint=args.endpoint) for path in args.manifests]
    codes = {verdict.exit_code for verdict in verdicts}
    exit_code = next((code for code in (65, 66) if code in codes), 0)
    if console.json:
        _events(verdicts, exit_code, console)
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


def judge(path: Path, *, output_dir: Path | None, endpoint: str | None) -> Verdict:
    """All that is wrong with the manifest at `path`, and with the sources that could be understood."""
    examined = examine(path, output_dir=output_dir, endpoint=endpoint)
    items: Counter[str] = Counter()
    problems = list(examined.problems)
    wrong = bool(problems)
    warnings: list[str] = []
    try:
        _count(examined, items, warnings)
    except ManifestError as error:
        wrong = True
        problems += error.problems
    except SourceError as error:
        problems += error.problems
    exit_code = 65 if wrong else 66 if problems else 0
    if examined.problems:
        problems = ordered(problems)
    return Verdict(path=str(path), problems=tuple(problems), items=items, exit_code=exit_code, warnings=tuple(warnings))


def _count(examined: Examined, items: Counter[str], empty: list[str]) -> None:
    manifest = examined.manifest
    found = expand(manifest) if manifest else expand_entries(examined.entries, folder=examined.path.parent)
    for item in found:
        items[item.kind] += 1
        if item.path is not None and len(empty) < _MOST_WARNINGS:
            with suppress(OSError):
                if item.path.stat().st_size == 0:
                    place = f"{item.place.file}:{item.place.line}:{item.place.column}"
                    empty.append(f"{place}: {item.value!r} is empty: it will fail by itself")


def _text(verdicts: Sequence[Verdict], console: Console) -> None:
    for verdict in verdicts:
        for told in verdict.warnings:
            console.note(told)
        for problem in verdict.problems:
            console.result(str(problem))
            if problem.hint:
                console.result(f"  next: {problem.hint}")
        if not verdict.problems and not console.quiet:
            console.result(f"{verdict.path}: ok, {_items(verdict.items)}")
    wrong = [verdict for verdict in verdicts if verdict.problems]
    if wrong:
        count = sum(len(verdict.problems) for verdict in wrong)
        console.note(f"{_number(count, 'problem')} in {_number(len(wrong), 'manifest')}; nothing was sent")


def _items(items: Counter[str]) -> str:
    kinds = ", ".join(_number(items[kind], kind) for kind in ("url", "file", "text") if items[kind])
    return f"{_number(items.total(), 'item')} ({kinds})"


def _number(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _member(verdict: Verdict) -> dict[str, object]:
    return {
        "path": verdict.path,
        "ok": not verdict.problems,
        "warnings": list(verdict.warnings),
        "problems": [asdict(problem) for problem in verdict.problems],
    }


def _events(verdicts: Sequence[Verdict], exit_code: int, console: Console) -> None:
    for verdict in verdicts:
        for problem in verdict.problems:
            console.document({"event": "problem", "manifest": verdict.path, **asdict(problem)})
    counts = {
        "manifests": len(verdicts),
        "ok": sum(not verdict.problems for verdict in verdicts),
        "problems": sum(len(verdict.problems) for verdict in verdicts),
        "items": sum(verdict.items.total() for verdict in verdicts),
    }
    console.document({"event": "done", "exit_code": exit_code, "counts": counts})


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

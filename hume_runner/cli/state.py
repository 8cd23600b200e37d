"""`hume-runner state export|unlock`: the state as JSON, and the way out of a lock whose owner is dead."""

from __future__ import annotations

import argparse
import contextlib
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from hume_runner.cli.console import Console

if TYPE_CHECKING:
    from hume_runner.api import Project


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("export", "unlock"))
    parser.add_argument("manifest", metavar="MANIFEST")


def run(args: argparse.Namespace, console: Console) -> int:
    from hume_runner.cli.manifests import project

    found = project(args, console)
    found.need_state("there is no state yet")
    return _export(found, console) if args.action == "export" else _unlock(found, console)


def _export(project: Project, console: Console) -> int:
    """One object, a member a table, rows streamed."""
    with project.look() as seen, contextlib.ExitStack() as stack:
        if console.json:
            out = stack.enter_context(console.streamed_event("state", action="export"))
            out.write(', "tables": {"schema": 1')
            stack.callback(out.write, "}")
        else:
            out = console.out
            out.write('{"schema": 1')
            stack.callback(out.write, "}\n")
        for table, rows in seen.export():
            out.write(f', "{table}": [')
            for number, row in enumerate(rows):
                out.write((", " if number else "") + json.dumps(row, ensure_ascii=False))
            out.write("]")
    return 0


def _unlock(project: Project, console: Console) -> int:
    state = project.paths.state
    holder = project.unlock()
    if console.json:
        released = asdict(holder) if holder else None
        console.event("state", action="unlock", state=str(state), released=released)
    if holder is None:
        console.note(f"{state}: nobody holds the state")
    else:
        console.note(f"{state}: released; it was held by {holder}, which is gone")
    return 0

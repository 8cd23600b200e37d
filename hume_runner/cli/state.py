"""`hume-runner state export|unlock`: the state as JSON, and the way out of a lock whose owner is dead."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from hume_runner.cli.console import Console
from hume_runner.errors import UsageError

if TYPE_CHECKING:
    from hume_runner.wiring import Paths


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("export", "unlock"))
    parser.add_argument("manifest", metavar="MANIFEST")


def run(args: argparse.Namespace, console: Console) -> int:
    from hume_runner import wiring
    from hume_runner.cli.manifests import load

    manifest = load(args, console)
    paths = wiring.Paths.of(manifest, args.state)
    try:
        if not paths.state.exists():
            raise FileNotFoundError(paths.state)
        return _export(paths, manifest.name, console) if args.action == "export" else _unlock(paths, console)
    except FileNotFoundError:
        raise UsageError(f"{paths.state}: there is no state yet", hint=f"hume-runner run {args.manifest}") from None


def _export(paths: Paths, name: str, console: Console) -> int:
    """One object, a member a table, rows streamed."""
    from hume_runner.state.store import Store

    with Store.peek(paths.state, name=name) as store:
        console.out.write('{"schema": 1')
        for table, rows in store.export():
            console.out.write(f', "{table}": [')
            for number, row in enumerate(rows):
                console.out.write((", " if number else "") + json.dumps(row, ensure_ascii=False))
            console.out.write("]")
        console.out.write("}\n")
    return 0


def _unlock(paths: Paths, console: Console) -> int:
    from hume_runner.state.lock import StateLock

    holder = StateLock(paths.state).clear()
    if holder is None:
        console.note(f"{paths.state}: nobody holds the state")
    else:
        console.note(f"{paths.state}: released; it was held by {holder}, which is gone")
    return 0

"""`migrate`: a batch-v0 manifest as one for expression-v1 or this machine, and a table of what does not carry over."""

from __future__ import annotations

import argparse
import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hume_runner.api.migrating import TARGETS, migrate
from hume_runner.cli.console import Console
from hume_runner.cli.lines import Line
from hume_runner.errors import UsageError
from hume_runner.frozen import frozen

if TYPE_CHECKING:
    from hume_runner.api import Migrated

_TITLES = {"changed": "changed", "none": "no equivalent, left out"}


@frozen
class Member(Line):
    """What became of one member of the old manifest."""

    event: ClassVar[str] = "member"
    member: str
    verdict: str
    becomes: str
    why: str


@frozen
class NewManifest(Line):
    """The new manifest, where no --out names a file for it."""

    event: ClassVar[str] = "manifest"
    text: str


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("manifest", metavar="MANIFEST", type=Path, help="a batch-v0 manifest; it is not changed")
    parser.add_argument("--to", choices=TARGETS, default=TARGETS[0], help=f"what measures then (default: {TARGETS[0]})")
    parser.add_argument("--out", metavar="FILE", type=Path, help="where to write the new one (default: print it)")


def run(args: argparse.Namespace, console: Console) -> int:
    """Write or print the new manifest; what changed and what was left out goes to stderr, or with --json to stdout."""
    out: Path | None = args.out
    if out is not None and (out.exists() or out.is_symlink()):
        raise UsageError(f"{out} exists already and is not overwritten", hint="choose another name, or remove it")
    migrated = migrate(args.manifest, to=args.to, out=out, endpoint=args.endpoint)
    if console.json:
        _events(migrated, out, console)
        return 0
    if out is None:
        console.out.draw(migrated.text)
    else:
        console.result(f"wrote {out}")
    for line in table(migrated):
        console.note(line)
    if out is not None:
        console.note(f"next: hume-runner plan {shlex.quote(str(out))}")
    return 0


def _events(migrated: Migrated, out: Path | None, console: Console) -> None:
    for note in migrated.notes:
        console.event(Member(**asdict(note)))
    if out is None:
        console.event(NewManifest(text=migrated.text))
    counts = Counter(note.verdict for note in migrated.notes)
    console.counts = {"changed": counts["changed"], "none": counts["none"]}
    console.ending = {"path": None if out is None else str(out)}


def table(migrated: Migrated) -> Iterator[str]:
    """What changed and what was left out, one member a line, in columns."""
    width = max((len(note.member) for note in migrated.notes), default=0)
    for verdict, title in _TITLES.items():
        found = [note for note in migrated.notes if note.verdict == verdict]
        if found:
            yield f"{title}:"
        for note in found:
            becomes = f"{note.becomes}: " if note.becomes not in ("", note.member) else ""
            yield f"  {note.member:<{width}}  {becomes}{note.why}"

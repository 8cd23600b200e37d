"""`migrate`: a batch-v0 manifest as one for expression-v1 or this machine, and a table of what does not carry over."""

from __future__ import annotations

import argparse
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from hume_runner.cli.console import Console
from hume_runner.errors import HumeRunnerError, ManifestError, UsageError, refuse_scarce
from hume_runner.migration.manifest import Migrated, Note, migrate_manifest
from hume_runner.migration.to_local import ToLocal, migrate_to_local

_TO = {"expression-v1": migrate_manifest, ToLocal.to: migrate_to_local}
_TITLES = {"changed": "changed", "none": "no equivalent, left out"}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("manifest", metavar="MANIFEST", type=Path, help="a batch-v0 manifest; it is not changed")
    parser.add_argument(
        "--to", choices=tuple(_TO), default="expression-v1", help="what measures then (default: expression-v1)"
    )
    parser.add_argument("--out", metavar="FILE", type=Path, help="where to write the new one (default: print it)")


def run(args: argparse.Namespace, console: Console) -> int:
    """Write or print the new manifest; what changed and what was left out goes to stderr, or with --json to stdout."""
    out: Path | None = args.out
    if out is not None and (out.exists() or out.is_symlink()):
        raise UsageError(f"{out} exists already and is not overwritten", hint="choose another name, or remove it")
    try:
        migrated = _TO[args.to](args.manifest, folder=out.parent if out else None, endpoint=args.endpoint)
    except ManifestError as error:
        raise _or_here(error, args) from error
    if out is not None:
        _write(out, migrated.text)
    if console.json:
        _events(migrated, out, console)
        return 0
    if out is None:
        console.out.draw(migrated.text)
    else:
        console.result(f"wrote {out}")
    for line in table(migrated.notes):
        console.note(line)
    if out is not None:
        console.note(f"next: hume-runner plan {shlex.quote(str(out))}")
    return 0


def _or_here(error: ManifestError, args: argparse.Namespace) -> ManifestError:
    """The same error, with the way out that this machine is, where it measures what the other API does not."""
    if args.to == ToLocal.to:
        return error
    try:
        migrate_to_local(args.manifest)
    except HumeRunnerError:
        return error
    here = f"`hume-runner migrate {shlex.quote(str(args.manifest))} --to local` has it measured on this machine"
    return ManifestError(replace(one, hint=f"{here}; or {one.hint}") for one in error.problems)


def _write(out: Path, text: str) -> None:
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{out} exists already and is not overwritten", hint="choose another name") from None
    except OSError as error:
        refuse_scarce(error)
        raise UsageError(f"{out} cannot be written: {error.strerror}", hint="choose another place") from error


def _events(migrated: Migrated, out: Path | None, console: Console) -> None:
    for note in migrated.notes:
        console.event("member", **asdict(note))
    if out is None:
        console.event("manifest", text=migrated.text)
    counts = Counter(note.verdict for note in migrated.notes)
    console.counts = {"changed": counts["changed"], "none": counts["none"]}
    console.ending = {"path": None if out is None else str(out)}


def table(notes: Sequence[Note]) -> Iterator[str]:
    """What changed and what was left out, one member a line, in columns."""
    width = max((len(note.member) for note in notes), default=0)
    for verdict, title in _TITLES.items():
        found = [note for note in notes if note.verdict == verdict]
        if found:
            yield f"{title}:"
        for note in found:
            becomes = f"{note.becomes}: " if note.becomes not in ("", note.member) else ""
            yield f"  {note.member:<{width}}  {becomes}{note.why}"

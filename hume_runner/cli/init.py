"""`init`: a commented manifest from folders, media files, and lists of URLs, paths or texts."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from hume_runner.amounts import counted
from hume_runner.api.beginning import Begun, apis, begin, labels_fault, propose, usual_api
from hume_runner.cli.console import Console
from hume_runner.cli.progress import warnings_to
from hume_runner.errors import ManifestError, SourceError, UsageError


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="folder (here or in a store, s3://bucket/folder), media file, list or text file",
    )
    usual = usual_api()
    parser.add_argument("--api", choices=apis(), default=usual, help=f"which service measures (default: {usual})")
    parser.add_argument(
        "--labels",
        metavar="PATTERN",
        type=_pattern,
        help="labels from the names of the files, as '{participant}_{wave}'; without an ending, any fits",
    )
    parser.add_argument("--out", metavar="FILE", type=Path, help="where to write it (default: print it)")


def run(args: argparse.Namespace, console: Console) -> int:
    """Write the manifest, then judge it as `validate` does."""
    out: Path | None = args.out
    if console.json and out is None:
        raise UsageError("init --json needs --out, as the manifest is not JSON", hint="add --out FILE")
    if out is not None and (out.exists() or out.is_symlink()):
        raise UsageError(f"{out} exists already and is not overwritten", hint="choose another name, or remove it")
    folder = (out.parent if out is not None else Path()).absolute()
    proposed = propose(args.paths, api=args.api, folder=folder, labels=args.labels, endpoint=args.endpoint)
    if out is None:
        console.out.write(proposed.text)
        return 0
    return _tell(begin(out, proposed, on_event=warnings_to(console)), console)


def _pattern(text: str) -> str:
    if (fault := labels_fault(text)) is not None:
        raise argparse.ArgumentTypeError(fault)
    return text


def _tell(begun: Begun, console: Console) -> int:
    """Raises: ManifestError, SourceError for what is wrong with it."""
    out, verdict = begun.path, begun.verdict
    if console.json:
        console.counts = {"problems": len(verdict.problems), "items": verdict.items.total()}
        console.ending = {"path": str(out)}
    else:
        console.result(f"wrote {out}: {counted(verdict.items.total(), 'item')}")
        if begun.schema is not None:
            console.note(f"wrote {begun.schema} as well, with which editors complete it")
    if verdict.exit_code:
        raise (ManifestError if verdict.exit_code == 65 else SourceError)(verdict.problems)
    console.note(f"next: hume-runner plan {shlex.quote(str(out))}")
    return 0

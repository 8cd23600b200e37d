"""`hume-runner plan`: what a run would do, and why. Sends nothing that costs and leaves no state behind."""

from __future__ import annotations

import argparse
import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hume_runner import aside
from hume_runner.amounts import seconds_text
from hume_runner.cli.console import SCHEMA, Console
from hume_runner.cli.manifests import selection_flags
from hume_runner.cli.streams import Writer
from hume_runner.registry import registered
from hume_runner.settings import mask_secrets

if TYPE_CHECKING:
    from hume_runner.api import OpenPlan

_MOST_LINES = 50


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("manifest", metavar="MANIFEST")
    parser.add_argument("--out", metavar="FILE", help="save the plan, for `run --plan FILE`")
    parser.add_argument("--format", choices=("text", "json", "markdown"), help="default: text, or json with --json")
    selection_flags(parser)
    parser.add_argument("--items", action="store_true", help="say for every item what would happen, and why")
    parser.add_argument("--retry-failed", action="store_true", help="plan as `run --retry-failed` would run")
    parser.add_argument(
        "--detailed-exitcode", action="store_true", help="exit with 2 if a run would do something, with 0 if not"
    )


def run(args: argparse.Namespace, console: Console) -> int:
    from hume_runner.cli.manifests import project

    with project(args, console).planning(retry_failed=args.retry_failed) as plan:
        form = args.format or ("json" if args.json else "text")
        shown = _Shown(plan, items=args.items)
        if args.out:
            with _written(Path(args.out)) as file:
                shown.as_json(file)
            shard = f" --shard {args.shard}" if args.shard else ""
            console.note(f"saved; `hume-runner run {args.manifest}{shard} --plan {args.out}` runs exactly this")
        if form == "json":
            shown.as_json(console.out)
        elif form == "markdown":
            shown.as_markdown(console.out)
        elif not console.quiet:
            shown.as_text(console.out)
        return 2 if args.detailed_exitcode and plan.summary.unfinished else 0


class _Shown:
    """A plan in its three forms, each streamed."""

    def __init__(self, plan: OpenPlan, *, items: bool) -> None:
        self._manifest = plan.manifest
        self._endpoint = plan.endpoint
        self._plan = plan
        self._items = items

    def as_json(self, out: Writer) -> None:
        """One object on one line; jobs and items are written as they come."""
        manifest = self._manifest
        head = {
            "schema": SCHEMA,
            "manifest": {"name": manifest.name, "path": str(manifest.path), "sha256": manifest.sha256},
            "service": {"api": manifest.service.api, "endpoint": self._endpoint},
            "summary": self._summary(),
            **({"selection": self._plan.selection.document()} if self._plan.selection.flags else {}),
            "basis": self._plan.basis,
        }
        out.write(json.dumps(head, ensure_ascii=False)[:-1])
        jobs = (
            {
                "key": job.key,
                "sources": job.sources,
                "bytes": job.bytes,
                "billable_seconds": job.billable_seconds,
            }
            for job in self._plan.jobs()
        )
        _array(out, "jobs", jobs)
        if self._items:
            items = (
                {"id": name, "kind": kind, "action": str(decision.action), "reason": mask_secrets(decision.reason)}
                for name, kind, decision in self._plan.items()
            )
            _array(out, "items", items)
        out.write("}\n")

    def _summary(self) -> dict[str, Any]:
        summary = self._plan.summary
        return {name: getattr(summary, name) for name in summary.__slots__}

    def as_text(self, out: Writer) -> None:
        manifest, summary = self._manifest, self._plan.summary
        out.write(f"{manifest.name}: {manifest.service.api} at {self._endpoint}\n")
        if self._plan.selection.flags:
            out.write(f"  only   {shlex.join(self._plan.selection.flags)}\n")
        counts = [(name, getattr(summary, name)) for name in _COUNTS if getattr(summary, name)]
        out.write("  items  " + (", ".join(f"{number} {_words(name)}" for name, number in counts) or "none") + "\n")
        if summary.jobs:
            found = registered(manifest.service.api)
            told = "to measure, {} to read" if found is not None and found.here else "to submit, {} to upload"
            out.write(f"  jobs   {summary.jobs} {told.format(_size(self._plan.upload_bytes))}\n")
        if summary.billable_seconds is not None:
            out.write(
                f"  bill   {seconds_text(summary.billable_seconds)} billable seconds "
                f"({seconds_text(summary.billable_seconds_unpacked or 0)} without packing)\n"
            )
        if summary.unmeasured:
            out.write(f"         {_links(summary.unmeasured)}\n")
        if self._items:
            out.writelines(
                f"  {decision.action!s:<9} {name}  ({mask_secrets(decision.reason)})\n"
                for name, _, decision in self._plan.items()
            )
        if not summary.unfinished:
            out.write("  a run would do nothing\n")

    def as_markdown(self, out: Writer) -> None:
        manifest, summary = self._manifest, self._plan.summary
        out.write(f"### Plan for `{manifest.name}`\n\n{manifest.service.api} at `{self._endpoint}`\n\n")
        out.write("| items | number |\n| --- | ---: |\n")
        out.writelines(f"| {_words(name)} | {getattr(summary, name)} |\n" for name in _COUNTS)
        out.write(f"\n{summary.jobs} jobs to submit, {summary.requests} requests.\n")
        if summary.billable_seconds is not None:
            out.write(
                f"\n{seconds_text(summary.billable_seconds)} billable seconds, "
                f"{seconds_text(summary.billable_seconds_unpacked or 0)} unpacked.\n"
            )
        if summary.unmeasured:
            out.write(f"\n{_links(summary.unmeasured)}.\n")
        if self._items:
            out.write("\n| item | action | why |\n| --- | --- | --- |\n")
            for number, (name, _, decision) in enumerate(self._plan.items()):
                if number == _MOST_LINES:
                    out.write("| … | | `--format json --items` lists all |\n")
                    break
                out.write(f"| {_cell(name)} | {decision.action} | {_cell(mask_secrets(decision.reason))} |\n")


_COUNTS = ("new", "changed", "retry", "in_flight", "ambiguous", "done", "failed", "removed")


def _links(number: int) -> str:
    what = "link has no known length before it is" if number == 1 else "links have no known length before they are"
    return f"{number:,} {what} fetched, and {'is' if number == 1 else 'are'} not in the bill"


def _words(name: str) -> str:
    return {"in_flight": "in flight", "ambiguous": "ambiguous (the service will be asked)"}.get(name, name)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def _size(number: int) -> str:
    size = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _array(out: Writer, name: str, values: Iterator[dict[str, Any]]) -> None:
    out.write(f', "{name}": [')
    for number, value in enumerate(values):
        out.write((", " if number else "") + json.dumps(value, ensure_ascii=False))
    out.write("]")


@contextmanager
def _written(path: Path) -> Iterator[Writer]:
    from hume_runner.errors import UsageError, lacks_room

    try:
        with aside.written(path, private=True) as file:
            text = TextIOWrapper(file, encoding="utf-8")
            yield text
            text.flush()
            text.detach()
    except OSError as error:
        if lacks_room(error):
            raise
        raise UsageError(f"{path}: cannot write the plan: {error.strerror}", hint="choose another --out") from error

"""`hume-runner state export|unlock|merge|pull|push`: as JSON, out of a dead owner's lock, shards into one, and back."""

from __future__ import annotations

import argparse
import contextlib
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar

from hume_runner.cli.console import Console
from hume_runner.cli.lines import Line
from hume_runner.cli.manifests import project, shard_flag
from hume_runner.errors import UsageError
from hume_runner.frozen import frozen

if TYPE_CHECKING:
    from pathlib import Path

    from hume_runner.api import Project
    from hume_runner.api.values import Merged


@frozen
class Exported(Line):
    """The state as JSON; its tables are streamed behind this."""

    event: ClassVar[str] = "state"
    action: str = "export"


@frozen
class ShardsMerged(Line):
    """Shards are in the one state of the whole. `unmeasured`: items of parts that are missing or not finished."""

    event: ClassVar[str] = "state"
    action: str = "merge"
    state: str
    outputs: str
    shards: Sequence[Mapping[str, Any]]
    unmeasured: Sequence[Mapping[str, Any]]
    items: Mapping[str, int]


@frozen
class Pulled(Line):
    """A remote state is here as well now. `lock`: who runs it."""

    event: ClassVar[str] = "state"
    action: str = "pull"
    place: str
    state: str
    lock: Mapping[str, Any] | None


@frozen
class Pushed(Line):
    """A store has the state as well now; `pushed` is False where it had all of it."""

    event: ClassVar[str] = "state"
    action: str = "push"
    place: str
    state: str
    pushed: bool


@frozen
class Unlocked(Line):
    """Nobody holds the state any more. `released`: who did."""

    event: ClassVar[str] = "state"
    action: str = "unlock"
    state: str
    released: Mapping[str, Any] | None


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("export", "unlock", "merge", "pull", "push"))
    parser.add_argument("manifest", metavar="MANIFEST")
    parser.add_argument("states", nargs="*", metavar="STATE", help="merge: the folders or states of the shards")
    parser.add_argument(
        "--take-over",
        action="store_true",
        help="merge: what a shard still has at the service is the whole's to fetch, and the shard never runs again",
    )
    shard_flag(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    if args.action == "merge":
        if not args.states or args.shard:
            raise UsageError(
                "state merge takes a manifest and the shards' states",
                hint=f"`hume-runner state merge MANIFEST {_parts(args, console)}`",
            )
        return _merge(args, project(args, console), console)
    if args.states or args.take_over:
        raise UsageError(f"state {args.action} takes a manifest alone", hint="hume-runner state --help")
    found = project(args, console)
    if args.action in ("pull", "push"):
        return _pull(found, console) if args.action == "pull" else _push(found, console)
    if found.paths.remote is None:
        found.need_state("there is no state yet")
    return _export(found, console) if args.action == "export" else _unlock(found, console)


def _parts(args: argparse.Namespace, console: Console) -> str:
    """The parts of the whole as a shell spells them."""
    args.shard = None
    return f"{shlex.quote(str(project(args, console).paths.outputs / 'shards'))}/*"


def _merge(args: argparse.Namespace, found: Project, console: Console) -> int:
    found.need_extras()
    from hume_runner.api.merging import merge_shards
    from hume_runner.cli.progress import RunProgress

    with RunProgress(console, found.manifest.name, here=found.here, warn=console.error) as progress:
        merged = merge_shards(found, args.states, take_over=args.take_over, on_event=progress)
    if console.json:
        console.counts = merged.items
        console.event(
            ShardsMerged(
                state=str(merged.state),
                outputs=str(merged.outputs),
                shards=[{**asdict(one), "state": str(one.state)} for one in merged.shards],
                unmeasured=[asdict(one) for one in merged.unmeasured],
                items=dict(merged.items),
            )
        )
        return 0
    _tell(merged, console)
    return 0


def _tell(merged: Merged, console: Console) -> None:
    for shard in merged.shards:
        jobs = f"{shard.jobs} job{'' if shard.jobs == 1 else 's'}, {shard.items} items measured"
        console.result(f"shard {shard.shard}: {jobs if shard.jobs else 'nothing new'}  ({shard.state})")
        if shard.again:
            console.error(
                f"  {shard.again} of its items were measured elsewhere as well ({_some(shard.names, shard.again)}): "
                "what was merged first counts, and the other answers are kept in raw/"
            )
    for part in merged.unmeasured:
        what = "is not finished" if part.given else "is missing"
        console.error(f"shard {part.shard} {what}: {part.items} items not measured: {_some(part.names, part.items)}")
    items = merged.items
    console.result(f"{merged.outputs}: {items['done']} of {items['total']} items measured")
    if items["done"] + items["failed"] < items["total"]:
        console.note("next: `hume-runner run MANIFEST` measures the rest here; or run the shards, and merge once more")


def _some(names: tuple[str, ...], number: int) -> str:
    return ", ".join(names) + (", …" if number > len(names) else "")


def _export(project: Project, console: Console) -> int:
    """One object, a member a table, rows streamed."""
    with project.look() as seen, contextlib.ExitStack() as stack:
        if console.json:
            out = stack.enter_context(console.streamed_event(Exported()))
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


def _pull(project: Project, console: Console) -> int:
    from hume_runner.api.moving_state import pull

    pulled = pull(project)
    if console.json:
        holder = asdict(pulled.holder) if pulled.holder else None
        console.event(Pulled(place=pulled.place, state=str(pulled.state), lock=holder))
    if pulled.more:
        console.note(f"{pulled.state}: has more than {pulled.place}; `hume-runner state push MANIFEST` puts it there")
    else:
        console.note(f"{pulled.state}: as {pulled.place} is now")
    if pulled.holder is not None:
        console.note(f"  a run is on: {pulled.holder}")
    _tell_aside(pulled.aside, console)
    return 0


def _push(project: Project, console: Console) -> int:
    from hume_runner.api.moving_state import push

    pushed = push(project)
    if console.json:
        console.event(Pushed(place=pushed.place, state=str(pushed.state), pushed=pushed.pushed))
    if pushed.aside:
        console.note(f"{pushed.place}: nothing was put there; {pushed.state} is as it is there")
    else:
        what = "has what is in" if pushed.pushed else "had all of"
        console.note(f"{pushed.place}: {what} {pushed.state}")
    _tell_aside(pushed.aside, console)
    return 0


def _tell_aside(paths: tuple[Path, ...], console: Console) -> None:
    for path in paths:
        console.error(f"{path}: another state of this folder; the remote one went on without it, and counts")


def _unlock(project: Project, console: Console) -> int:
    from hume_runner.api.moving_state import unlock

    state = project.paths.remote or project.paths.state
    holder = unlock(project)
    if console.json:
        released = asdict(holder) if holder else None
        console.event(Unlocked(state=str(state), released=released))
    if holder is None:
        console.note(f"{state}: nobody holds the state")
    else:
        console.note(f"{state}: released; it was held by {holder}, which is gone")
    return 0

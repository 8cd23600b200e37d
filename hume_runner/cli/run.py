"""`hume-runner run`: validate everything first, then run one manifest after another."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hume_runner.cli.console import Console
from hume_runner.cli.signals import Interrupted
from hume_runner.errors import HumeRunnerError, ManifestError, MissingExtra, Problem, UsageError, of_system

if TYPE_CHECKING:
    from hume_runner.wiring import Machine


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("manifests", nargs="+", metavar="MANIFEST", help="YAML files, run one after another")
    parser.add_argument("--plan", metavar="FILE", help="run exactly this saved plan; refuse it if it is stale")
    parser.add_argument("--detach", action="store_true", help="leave once everything is submitted; run again to fetch")
    parser.add_argument("--retry-failed", action="store_true", help="submit items that failed before once more")
    parser.add_argument(
        "--pay-again", action="store_true", help="send what may be at the service already, where nothing can tell"
    )
    parser.add_argument(
        "--max-billable-seconds", type=_seconds, metavar="N", help="submit nothing that would exceed this bill"
    )
    parser.add_argument(
        "--cluster", metavar="ADDRESS", help="not available in this version: uploads run on this machine"
    )


def run(args: argparse.Namespace, console: Console, machine: Machine | None = None) -> int:
    if args.plan and len(args.manifests) > 1:
        raise UsageError("--plan goes with one manifest", hint="run the manifests one by one")
    if args.cluster:
        raise UsageError("--cluster is not available in this version", hint="leave it out: uploads run on this machine")
    if console.json:
        _launch(args, console)
    code = 0
    totals: dict[str, int] = {}
    try:
        for number in _codes(args, console, machine, totals):
            code = code or number
    except Interrupted as left:
        code = left.exit_code
        _say_left(console)
    except Exception as error:
        known = error if isinstance(error, HumeRunnerError) else of_system(error)
        if known is not None:
            console.mailbox.ending()
            _done(console, known.exit_code, totals)
        raise
    # What is said last is said whole, whatever comes now.
    console.mailbox.ending()
    _done(console, console.mailbox.signalled or code, totals)
    return console.mailbox.signalled or code


def _say_left(console: Console) -> None:
    if console.mailbox.begun:
        console.error("left at once; the state is safe, and the next run goes on and makes the outputs")
    else:
        console.error("interrupted before anything was sent")


def _codes(
    args: argparse.Namespace, console: Console, machine: Machine | None, totals: dict[str, int]
) -> Iterator[int]:
    """Run one manifest after another; yield each one's exit code. Raises: Interrupted before anything was sent."""
    from hume_runner import wiring

    manifests = _load_all(args)
    machine = machine or wiring.Machine.this()
    for manifest in manifests:
        console.mailbox.idle()
        code, counts = _run_or_tell(manifest, args, console, machine)
        for name, number in counts.items():
            totals[name] = totals.get(name, 0) + number
        yield code
        if code in (130, 143):
            return


def _done(console: Console, exit_code: int, counts: dict[str, int]) -> None:
    if console.json:
        console.document({"event": "done", "exit_code": exit_code, "counts": counts})


def _launch(args: argparse.Namespace, console: Console) -> None:
    from hume_runner._version import __version__

    console.document({"event": "launch", "command": "run", "version": __version__, "manifests": args.manifests})


def _load_all(args: argparse.Namespace) -> list[Any]:
    """Every manifest, or all problems of all of them: nothing runs before the last one is known to be good."""
    from hume_runner import wiring

    manifests: list[Any] = []
    problems: list[Problem] = []
    for path in args.manifests:
        try:
            manifest = wiring.load(path, output_dir=args.output_dir, endpoint=args.endpoint)
        except ManifestError as error:
            problems += error.problems
            continue
        if args.max_billable_seconds is not None:
            _check_bill(manifest)
            manifest = replace(
                manifest, execution=replace(manifest.execution, max_billable_seconds=args.max_billable_seconds)
            )
        manifests.append(manifest)
    if problems:
        raise ManifestError(problems)
    for manifest in manifests:
        _need_extras(manifest)
    directories: dict[Path, str] = {}
    for manifest in manifests:
        other = directories.setdefault(wiring.Paths.of(manifest, args.state).outputs, str(manifest.path))
        if other != str(manifest.path):
            raise UsageError(
                f"{manifest.path} and {other} share the output directory {manifest.outputs.directory}",
                hint="give each manifest an outputs.directory of its own",
            )
    return manifests


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError("must be more than 0")
    return seconds


def _check_bill(manifest: Any) -> None:
    """A cap on what an API does not bill would protect nobody. Raises: UsageError, as for the manifest's own member."""
    from hume_runner.manifest.schema import foreign_to

    fault = foreign_to(manifest.service.api, "execution", "max_billable_seconds")
    if fault is not None:
        message, _ = fault
        raise UsageError(
            f"{manifest.path.name}: --max-billable-seconds: {message}",
            hint="leave --max-billable-seconds out, or set service.api: expression-v1",
        )


def _need_extras(manifest: Any) -> None:
    """What the outputs need is missed before anything is sent, not after everything was paid."""
    outputs = manifest.outputs
    needed = {"tables": ("pyarrow", "msgspec")} if outputs.tables else {}
    if outputs.report:
        needed["report"] = ("jinja2", "msgspec")
    for extra, modules in needed.items():
        if any(find_spec(module) is None for module in modules):
            raise MissingExtra(extra, f"outputs.{extra} in {manifest.path.name}")


def _run_or_tell(manifest: Any, args: argparse.Namespace, console: Console, machine: Any) -> tuple[int, dict[str, int]]:
    """A manifest that cannot run is told of; the ones after it have their turn."""
    from hume_runner.cli.main import print_error

    try:
        return _run_one(manifest, args, console, machine)
    except Exception as error:
        known = error if isinstance(error, HumeRunnerError) else of_system(error)
        if known is None:
            raise
        print_error(known, console)
        return known.exit_code, {}


def _run_one(manifest: Any, args: argparse.Namespace, console: Console, machine: Any) -> tuple[int, dict[str, int]]:
    from hume_runner import wiring
    from hume_runner.cli.main import print_error
    from hume_runner.cli.progress import RunProgress
    from hume_runner.engine.run import RunOptions, RunResult
    from hume_runner.results.finish import Finisher

    paths = wiring.Paths.of(manifest, args.state)
    options = RunOptions(
        detach=args.detach,
        retry_failed=args.retry_failed,
        pay_again=args.pay_again,
        saved_plan=_saved_plan(args.plan) if args.plan else None,
    )
    mailbox = console.mailbox
    console.masker = masker = wiring.masker(manifest, machine)
    finisher = Finisher(
        manifest, paths.outputs, machine.disk, warn=console.error, tell=wiring.callback(manifest, machine)
    )

    def finish(store: Any, ended: RunResult) -> None:
        """Write the outputs, and again what they say of the run if a signal came meanwhile."""
        mailbox.ending()
        if mailbox.signals > 1:
            raise Interrupted(mailbox.signalled or ended.exit_code)
        written = None
        while written is None or (mailbox.signalled or written) != written:
            written = mailbox.signalled or ended.exit_code
            finisher(store, replace(ended, exit_code=written))

    with RunProgress(console, manifest.name) as progress:
        try:
            result: RunResult = wiring.run_manifest(
                manifest,
                paths,
                machine=machine,
                masker=masker,
                report=progress,
                options=options,
                finish=finish,
                on_workers=mailbox.open,
            )
        except Interrupted as left:
            if not mailbox.begun:
                raise
            _say_left(console)
            return left.exit_code, {}
    if result.error is not None:
        print_error(result.error, console, told=progress.has_said(str(result.error)))
    if not console.json and not console.quiet:
        console.result(finisher.summary_text())
    return mailbox.signalled or result.exit_code, dict(result.counts.items)


def _saved_plan(path: str) -> Any:
    from hume_runner.engine.run import SavedPlan
    from hume_runner.regular_files import open_regular

    try:
        with open_regular(Path(path)) as file:
            saved = json.loads(file.read())
        basis = saved["basis"]
        return SavedPlan(
            manifest_sha256=saved["manifest"]["sha256"],
            lineage=basis["lineage"],
            serial=int(basis["serial"]),
            scan=basis["scan"],
            endpoint=saved["service"]["endpoint"],
            retry_failed=basis["retry_failed"],
        )
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", hint="hume-runner plan MANIFEST --out FILE writes one") from None
    except (ValueError, KeyError, TypeError):
        raise UsageError(
            f"{path}: this is not a saved plan", hint="hume-runner plan MANIFEST --out FILE writes one"
        ) from None

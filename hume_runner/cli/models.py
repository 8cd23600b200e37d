"""`hume-runner models list|pull|verify`: the models that `local` measures with, on this machine."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar, cast

from hume_runner.cli.console import Console
from hume_runner.cli.lines import Line
from hume_runner.errors import UsageError
from hume_runner.frozen import frozen
from hume_runner.settings import masked_url

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from hume_runner.api import FileStatus, Licence, Machine, ModelStatus, Step

_EVERY_S = 5.0


@frozen
class ModelSeen(Line):
    """A model and what of it is on this machine."""

    event: ClassVar[str] = "model"
    name: str
    about: str
    licence: str
    licence_url: str
    size_bytes: int
    files: Sequence[Mapping[str, Any]]  # each with the members of `FileSeen`
    state: str


@frozen
class FileSeen(Line):
    """A file of a model that was hashed."""

    event: ClassVar[str] = "file"
    name: str
    size_bytes: int | None
    sha256: str
    path: str
    verdict: str


@frozen
class ToAgree(Line):
    """A licence that a download needs agreement to."""

    event: ClassVar[str] = "licence"
    model: str
    licence: str
    url: str


@frozen
class _Pulling(Line):
    file: str | None
    place: str | None
    why: str | None


@frozen
class Trying(_Pulling):
    """A place is asked for a file."""

    event: ClassVar[str] = "trying"


@frozen
class Pulled(_Pulling):
    """A file was fetched and is right."""

    event: ClassVar[str] = "pulled"


@frozen
class Failed(_Pulling):
    """A place does not have a file, or not the right one."""

    event: ClassVar[str] = "failed"


@frozen
class Waiting(_Pulling):
    """Another pull is at work."""

    event: ClassVar[str] = "waiting"


@frozen
class Present(_Pulling):
    """A file is here already."""

    event: ClassVar[str] = "present"


_STEPS: Mapping[str, type[_Pulling]] = {one.event: one for one in (Trying, Pulled, Failed, Waiting, Present)}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("list", "pull", "verify"))
    parser.add_argument("names", nargs="*", metavar="NAME", help="models; without any: all (pull: the usual ones)")
    parser.add_argument("--manifest", metavar="FILE", help="pull: what this manifest needs")
    parser.add_argument(
        "--from", dest="folder", metavar="DIR", help="pull: look into this folder first (DIR/MODEL/FILE, or DIR/FILE)"
    )
    parser.add_argument("--yes", action="store_true", help="pull: agree to the licences, which are shown all the same")


def run(args: argparse.Namespace, console: Console, machine: Machine | None = None) -> int:
    if args.action != "pull" and (args.manifest or args.folder or args.yes):
        raise UsageError(f"--manifest, --from and --yes are for `models pull`, not for `models {args.action}`")
    counts: Counter[str] = Counter()
    console.counts = counts
    return {"list": _list, "pull": _pull, "verify": _verify}[args.action](args, console, counts, machine)


# -- list, verify -----------------------------------------------------------------------------------------------------


def _list(args: argparse.Namespace, console: Console, counts: Counter[str], machine: Machine | None) -> int:
    from hume_runner.api.measurers import models_on

    found = models_on(machine, *args.names)
    width = max(len(one.model.name) for one in found)
    for one in found:
        state = _state(one)
        counts[state] += 1
        if console.json:
            console.event(_model(one, state))
        else:
            size = _size(one.model.size_bytes)
            console.result(f"{one.model.name:<{width}}  {state:<10}  {size:>9}  {one.model.about}")
            console.detail(f"{'':<{width}}  {one.model.licence}: {one.model.licence_url}")
    return 0


def _state(status: ModelStatus) -> str:
    """ready, missing, or incomplete: a part of it is not here, or not right."""
    return "ready" if status.ready else "missing" if status.absent else "incomplete"


def _model(status: ModelStatus, state: str) -> ModelSeen:
    model = status.model
    return ModelSeen(
        name=model.name,
        about=model.about,
        licence=model.licence,
        licence_url=model.licence_url,
        size_bytes=model.size_bytes,
        files=[asdict(_file(one)) for one in status.files],
        state=state,
    )


def _file(one: FileStatus) -> FileSeen:
    file = one.file
    return FileSeen(
        name=file.name,
        size_bytes=file.size_bytes,
        sha256=file.sha256,
        path=str(one.path),
        verdict=one.verdict.name.lower(),
    )


def _verify(args: argparse.Namespace, console: Console, counts: Counter[str], machine: Machine | None) -> int:
    from hume_runner.api.measurers import models_on

    every = models_on(machine)
    names = args.names or [one.model.name for one in every if not one.absent]
    empty = not names
    if empty:
        # Nothing that could be wrong is no good either: what a measurer would look for is missing.
        names = [one.model.name for one in every if one.model.usual]
    wrong: dict[str, None] = {}
    for status in models_on(machine, *names, read=True):
        if status.absent and not console.json:
            many = len(status.files)
            console.result(f"- {status.model.name}: not here" + (f", none of its {many} files" if many > 1 else ""))
        for one in status.files:
            verdict = one.verdict.name.lower()
            counts[verdict] += 1
            if verdict != "same":
                wrong[status.model.name] = None
            if console.json:
                console.event(_file(one))
            elif (verdict != "same" and not status.absent) or console.verbose:
                console.result(f"{one.verdict.value} {one.file.name}")
    if not console.json:
        told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in ("same", "missing", "changed", "unreadable"))
        console.result(told)
        if empty and every:
            root = every[0].files[0].path.parents[1]
            console.note(f"{root}: no model is here; `language` needs none, each other measurer its own")
        if wrong:
            console.note(f"next: hume-runner models pull {' '.join(wrong)}")
    return 3 if wrong else 0


# -- pull -------------------------------------------------------------------------------------------------------------


def _pull(args: argparse.Namespace, console: Console, counts: Counter[str], machine: Machine | None) -> int:
    from hume_runner.api.measurers import pull_onto

    def agree(licences: Sequence[Licence]) -> bool:
        _show(licences, console, agreed=args.yes)
        due = _size(sum(one.size_bytes for one in licences))
        return args.yes or console.ask(f"Agree to these licences, and download {due}?") is True

    with _Told(console, counts) as told:
        pull_onto(
            machine,
            *args.names,
            agree=agree,
            manifest=Path(args.manifest) if args.manifest else None,
            folder=args.folder,
            on_step=told,
        )
    if not console.json:
        console.result(f"{counts['pulled']} pulled, {counts['present']} here already")
    return 0


def _show(licences: Sequence[Licence], console: Console, *, agreed: bool) -> None:
    for one in licences:
        if console.json:
            console.event(ToAgree(model=one.model, licence=one.licence, url=masked_url(one.url)))
        size = f" ({_size(one.size_bytes)})" if one.size_bytes else ""
        line = f"{one.model}{size}: licence {one.licence}; {one.url}"
        # Whoever is asked has to see what is asked, also with -q.
        (console.note if agreed else console.error)(line)


class _Told:
    """Takes the steps of a pull, for `with`."""

    def __init__(self, console: Console, counts: Counter[str]) -> None:
        self._console = console
        self._counts = counts
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._next_line = time.monotonic() + _EVERY_S
        self._asked: set[str] = set()
        self._model, self._files, self._bytes, self._places = "", 0, 0, dict[str, None]()

    def __enter__(self) -> _Told:
        return self

    def __exit__(self, *_: object) -> None:
        self._end_bar()
        self._end_model()

    def __call__(self, step: Step) -> None:
        name = step.file.name if step.file is not None else ""
        if step.kind in ("present", "pulled", "failed"):
            self._counts[step.kind] += 1
        if step.kind == "bytes":
            self._advance(step, name)
            return
        self._end_bar()
        if step.file is not None and step.file.model != self._model:
            self._end_model()
            self._model = step.file.model
        if self._console.json:
            self._console.event(_STEPS[step.kind](file=name or None, place=step.place or None, why=step.why or None))
        elif step.kind == "pulled":
            self._files, self._bytes = self._files + 1, self._bytes + step.size_bytes
            self._places[step.place] = None
            self._console.detail(f"{name}: {step.size_bytes:,} bytes from {step.place}")
        elif step.kind == "failed":
            # The same of every file of a model is said once.
            say = self._console.detail if step.again else self._console.note
            say(f"{name}: not from {step.place}: {step.why}")
        elif step.kind == "waiting":
            self._console.note("another pull is at work here; waiting for it")
        elif step.kind == "trying":
            # Of what pip does nothing is told meanwhile.
            new = step.place.startswith("the package") and step.place not in self._asked
            self._asked.add(step.place)
            (self._console.note if new else self._console.detail)(f"{name}: asking {step.place}")

    def _end_model(self) -> None:
        if self._files and not self._console.json:
            many = "1 file" if self._files == 1 else f"{self._files} files"
            self._console.note(f"{self._model}: {many}, {_size(self._bytes)}, from {', '.join(self._places)}")
        self._files, self._bytes, self._places = 0, 0, {}

    def _advance(self, step: Step, name: str) -> None:
        assert step.file is not None
        console, total = self._console, step.file.size_bytes
        if console.json or console.quiet:
            return
        if console.progress and console.err.isatty():
            if self._bar is None:
                self._start_bar(name, total)
            assert self._bar is not None
            assert self._task is not None
            self._bar.update(self._task, completed=step.size_bytes)
        elif step.size_bytes != total and time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + _EVERY_S
            of = f" of {_size(total)}" if total else ""
            console.note(f"{name}: {_size(step.size_bytes)}{of}")

    def _start_bar(self, name: str, total: int | None) -> None:
        from rich.console import Console as RichConsole
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        terminal = RichConsole(file=cast("IO[str]", self._console.err))
        self._bar = Progress(*columns, console=terminal, transient=True)
        self._task = self._bar.add_task(name, total=total)
        self._bar.start()

    def _end_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._bar = self._task = None


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:,.1f} MB"

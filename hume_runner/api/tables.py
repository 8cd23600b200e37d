"""Tables from raw answers, made by hand and without network."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from hume_runner import events
from hume_runner.api.rebuilding import Answers, record_made
from hume_runner.api.reporting import logged
from hume_runner.api.values import ManifestLike
from hume_runner.aside import folder_below
from hume_runner.errors import UsageError
from hume_runner.frozen import frozen
from hume_runner.results.authorship import PACKAGE_FILES, refuse_others
from hume_runner.results.derived import tables_group
from hume_runner.results.due import refuse_others_here
from hume_runner.results.event_sources import without_rows
from hume_runner.results.marks import Kind
from hume_runner.results.options import PLAIN, TableOptions
from hume_runner.results.tables import need_pyarrow, write_tables
from hume_runner.state.pinned import resolved

if TYPE_CHECKING:
    from hume_runner.results.intervals import ManifestSays
    from hume_runner.results.sinks import Format


@frozen
class MadeTables:
    """The files that were written. `unread`: answers that could not be read, and why."""

    paths: tuple[Path, ...]
    unread: tuple[str, ...]


def make_tables(
    answers: Answers | ManifestLike,
    *,
    out: str | PathLike[str] | None = None,
    format: Format = "parquet",
    options: TableOptions = PLAIN,
    on_event: events.Report = logged,
) -> MadeTables:
    """Write them into `out`, without it into `tables` of the output directory, where they are recorded as a run's.

    `answers` may be a manifest, for its own. `on_event` is warned of events without a source, and of files there that
    are left as they are; without it that is logged. Raises: UsageError, where something else is in the way;
    MissingExtra, ManifestError, SourceError, ResultsError.
    """
    answers, place = Answers.given(answers), None if out is None else Path(out)
    says = _said(answers, None if place is None else place / f"items.{format}", on_event)
    here, known = answers.directory, answers.of_state
    folder = place if place is not None else folder_below(here, "tables")
    own = known if known is not None and resolved(folder) == resolved(here / "tables") else None
    # Asked before: what is recorded meanwhile makes these tables stale, not current.
    serial = None if own is None else own.serial

    def check(paths: Sequence[Path]) -> None:
        if own is None:
            refuse_others(paths, Kind.TABLE, hint="choose another --out")
        else:
            refuse_others_here(own.knows, here, [*(f"tables/{path.name}" for path in paths), *PACKAGE_FILES])

    def leave(path: Path) -> None:
        # What an earlier call wrote goes when these are recorded, if it is still what was written.
        if own is None or not own.knows(f"tables/{path.name}"):
            on_event(events.Warned(message=f"{path}: none of these tables, left as it is"))

    unread: list[str] = []
    written = write_tables(
        answers.results,
        folder,
        format=format,
        options=options,
        intervals=says.intervals,
        unread=unread.append,
        check=check,
        left=leave,
    )
    if answers.project is not None and serial is not None:
        ours = [here / "tables" / path.name for path in written]
        record_made(answers.project, tables_group(format), ours, serial=serial, options=options)
    return MadeTables(paths=written, unread=(*unread, *answers.unread))


def make_psych_ds(
    answers: Answers | ManifestLike,
    *,
    out: str | PathLike[str] | None = None,
    options: TableOptions = PLAIN,
    on_event: events.Report = logged,
) -> MadeTables:
    """Write a Psych-DS dataset, CSV and its description, into `out`: a folder of its own, which has to be named. Raises
    as `make_tables`."""
    answers, place = Answers.given(answers), None if out is None else Path(out)
    says = _said(answers, None if place is None else place / "dataset_description.json", on_event)
    need_pyarrow("tables", "writing tables")
    from hume_runner.results.package.psych_ds import write_psych_ds
    from hume_runner.results.package.write import describe

    if place is None:
        raise UsageError("--psych-ds needs --out DIR: a dataset is a folder of its own", hint="add --out dataset")
    unread: list[str] = []
    described = describe(answers.results, (), says)
    written = write_psych_ds(answers.results, described, place, options, says.intervals, unread.append)
    return MadeTables(paths=written, unread=(*unread, *answers.unread))


def _said(answers: Answers, written: Path | None, report: events.Report) -> ManifestSays:
    """What the manifest says for tables. Raises: UsageError where it would find what is `written`, and a run would
    measure that."""
    if written is not None:
        answers.refuse_found(written, hint="choose another --out")
    says = answers.says()
    for told in without_rows(says.intervals, (item.id for item in answers.results.items())):
        report(events.Warned(message=told))
    return says

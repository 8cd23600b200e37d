"""The report's page and the pictures for a paper, from raw answers, made by hand and without network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hume_runner.api.comparing import compare_opened
from hume_runner.api.rebuilding import Answers, record_made
from hume_runner.errors import UsageError
from hume_runner.frozen import frozen
from hume_runner.results.authorship import refuse_others
from hume_runner.results.derived import REPORT
from hume_runner.results.due import refuse_others_here
from hume_runner.results.marks import Kind
from hume_runner.results.report.page import write_report
from hume_runner.results.tables import need_pyarrow
from hume_runner.state.pinned import resolved

if TYPE_CHECKING:
    from hume_runner.api.values import ManifestLike
    from hume_runner.results.compare.base import Comparison
    from hume_runner.results.figures.style import FigureFormat

_COMPARED = "report-compared.html"


@frozen
class MadePage:
    """The page that was written. `resolved`: its one path, whatever links lead to it; `unread`: answers that could not
    be read, and why."""

    path: Path
    resolved: Path
    unread: tuple[str, ...]


@frozen
class Beside:
    """Other results of the same sources that a page shows as well; see `compare`."""

    other: ManifestLike
    pairs: Iterable[str] = ()
    even_simulated: bool = False


def make_page(answers: Answers, *, out: Path | None = None, beside: Beside | None = None) -> MadePage:
    """Write it to `out`, without it to `report.html` of the output directory, where it is recorded as a run's, or with
    a comparison to a file of its own there. Raises: UsageError, where something else is in the way; MissingExtra,
    ResultsError; with `beside` what `compare` raises."""
    known, usual = answers.of_state, answers.directory / REPORT
    if out is None:
        out = usual if beside is None else answers.directory / _COMPARED
    in_its_place = resolved(out) == resolved(usual)
    if beside is not None and in_its_place:
        raise UsageError(
            f"{out}: the next run would write it anew, without the comparison", hint="let --out name another file"
        )
    # Asked before: what is recorded meanwhile makes this page stale, not current.
    serial = None if known is None else known.serial
    comparison = None if beside is None else _compared(answers, beside)
    unread: list[str] = [] if comparison is None else [*comparison.unread]
    _refuse_others(answers, out, in_its_place=in_its_place)
    written = write_report(answers.results, out, unread=unread.append, beside=comparison)
    if answers.project is not None and serial is not None and in_its_place:
        record_made(answers.project, REPORT, [usual], serial=serial)
    return MadePage(path=written, resolved=resolved(written), unread=tuple(unread))


def _compared(answers: Answers, beside: Beside) -> Comparison:
    assert answers.project is not None
    assert answers.of_state is not None
    mine = (answers.project.shown, answers.of_state)
    return compare_opened(mine, beside.other, pairs=beside.pairs, even_simulated=beside.even_simulated)


def _refuse_others(answers: Answers, out: Path, *, in_its_place: bool) -> None:
    """Raises: UsageError, where a file is in the way that is nobody's report."""
    known = answers.of_state
    if known is not None and in_its_place:
        refuse_others_here(known.knows, answers.directory, [REPORT])
    else:
        refuse_others([out], Kind.REPORT, hint="choose another --out")


def draw_figures(
    answers: Answers,
    folder: Path,
    *,
    form: FigureFormat = "svg",
    width_mm: float = 180.0,
    sources: Sequence[str] = (),
    labels: Sequence[str] = (),
    tables: Sequence[str] = (),
    scores: Sequence[str] = (),
    all_scores: bool = False,
    told: Callable[[str], None],
) -> tuple[Path, ...]:
    """Draw means, groups and timelines into `folder`, or with `csv` write their numbers; the files that were written.

    Without `sources`, `tables` or `scores` the usual ones are drawn, without `labels` groups by each that tells groups;
    a label is `wave`, or `wave=pre,post` with the groups and their order. `told` hears what is left out. Raises:
    UsageError for what is not there, MissingExtra.
    """
    need_pyarrow("figures", "drawing figures")
    from hume_runner.results.figures.choosing import Wanted
    from hume_runner.results.figures.write import write_figures

    if scores and all_scores:
        raise UsageError("--score names scores, --all-scores takes all", hint="leave one of them out")
    wanted = Wanted(sources=sources, labels=labels, tables=tables, scores=scores, every=all_scores)
    return write_figures(answers.results, folder, form=form, width_mm=width_mm, wanted=wanted, told=told)

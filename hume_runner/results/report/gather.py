"""What the page shows, taken from the answers in one pass and bounded however large the run is.

A page is a picture, not an archive: numbers are rounded to three digits, long media are thinned, and of very many
sources a sample is kept. What was left out is counted, so that the page can say so; the tables have everything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hume_runner.frozen import frozen
from hume_runner.planning.cures import advices
from hume_runner.results.base import ItemRecord, ResultSet
from hume_runner.results.credits import credits_of, who_measured
from hume_runner.results.label_groups import LabelGroups
from hume_runner.results.report import findings
from hume_runner.results.report.families import families_of
from hume_runner.results.report.findings import Finding
from hume_runner.results.report.grouping import compared_by, described_groups
from hume_runner.results.report.parts import LONGEST_NAME, LONGEST_TEXT, Detail
from hume_runner.results.report.passing import LONGEST_START, Pass
from hume_runner.results.report.signals import bound, described, most_parts, rows_for
from hume_runner.results.rows import layouts_of
from hume_runner.services.table_shapes import Layout

MOST_SOURCES = 10_000
MOST_FAILURES = 500
MOST_JOBS = 300
_MOST_REASONS = 50
# What all rows that timelines are drawn from may take on the page, and a row's size with all scores or a few.
_ROWS_BYTES = 6_000_000
_FULL_ROW_BYTES = 200
_SHORT_ROW_BYTES = 75
_FEW_SCORES = 8
_MOST_ROWS = 160
_FEWEST_FULL_ROWS = 16


def detail_for(parts: int) -> Detail:
    """The detail that fits when `parts` pairs of source and model share the page."""
    full = _ROWS_BYTES // (max(1, parts) * _FULL_ROW_BYTES)
    if full >= _FEWEST_FULL_ROWS:
        return Detail(rows=min(_MOST_ROWS, full), scores=None)
    return Detail(rows=max(4, min(_MOST_ROWS, _ROWS_BYTES // (parts * _SHORT_ROW_BYTES))), scores=_FEW_SCORES)


@frozen
class Gathered:
    """All that the page shows of a run. `sources` are ready for the page; counts are of the whole run."""

    total: int
    by_status: Mapping[str, int]
    cures: tuple[str, ...]  # what helps against the failures
    by_reason: Mapping[str, int]
    failures: Sequence[Mapping[str, Any]]
    findings: Sequence[Finding]
    groups: Sequence[Mapping[str, Any]]
    sources: Sequence[Mapping[str, Any]]
    models: Mapping[str, Mapping[str, Any]]
    signals: Mapping[str, Mapping[str, Any]]
    families: Mapping[str, Mapping[str, Mapping[str, str]]]  # of the scores of each table that the page shows
    who: Sequence[Mapping[str, str]]  # who measured, where the rows or the API tell
    told: str  # what people have to know of all that they measured
    labels: Sequence[str]
    jobs: Sequence[Mapping[str, Any]]
    jobs_total: int
    measured: tuple[float, float] | None  # when the first job was sent and the last answer fetched, Unix seconds
    kept: int  # answers from files, of which nobody knows when they were measured
    simulated: bool | None
    detail: Detail


def gather(
    results: ResultSet, *, most_sources: int = MOST_SOURCES, unread: Callable[[str], None] = lambda told: None
) -> Gathered:
    """Take what the page shows: three passes over the items, one over the answers."""
    layouts = {layout.name: layout for layout in layouts_of(results)}
    counts = _counted(results)
    step = max(1, -(-counts.total // most_sources))
    records = {item.id: _source(item) for number, item in enumerate(results.items()) if number % step == 0}
    asked = results.settings.get("models")
    asked_for = len(asked) if isinstance(asked, Mapping) and asked else 2
    detail = detail_for(len(records) * asked_for)
    step = max(1, -(-len(records) // most_parts()))
    pictured = {item_id for number, item_id in enumerate(records) if number % step == 0}
    label_groups = LabelGroups.of(results)
    seen = Pass(
        records=records,
        pictured=pictured,
        detail=detail,
        most_rows=rows_for(len(pictured)),
        label_groups=label_groups,
        unread=unread,
    )
    seen.go(results)
    models = [name for name in layouts if any(name in mine for mine in seen.parts.values())]
    tables = [name for name in layouts if any(name in mine for mine in seen.drawn.values())]
    _fill_in(records, seen, models=models, tables=tables)
    told = credits_of(results.api, results.settings)
    jobs, jobs_total = _jobs(results)
    by_reason = dict(sorted(counts.reasons.items(), key=lambda pair: (-pair[1], pair[0])))
    compared = compared_by(seen.groups)
    in_groups = {one.table for found in compared.values() for one in found}
    return Gathered(
        total=counts.total,
        by_status=counts.by_status,
        by_reason=by_reason,
        cures=tuple(told.replace("`", "") for told in advices(by_reason, counts.links)),
        failures=counts.failures,
        findings=(
            findings.strongest(seen.means, layouts, seen.covered, counts.by_status["done"]),
            findings.between_groups(compared, layouts),
            findings.doubts(
                seen.doubts.sentences(),
                simulated=counts.simulated,
                by_status=counts.by_status,
                reasons=by_reason,
                empty=sum(1 for name, one in records.items() if one["t"] == "done" and name not in seen.found),
                thinned=seen.thinned,
                shown=len(records),
                unread=seen.unread_items,
                open_names=any(layouts[name].open_families for name in models),
            ),
        ),
        groups=described_groups(
            compared, seen.groups, layouts, {label: list(seen) for label, seen in label_groups.values.items()}
        ),
        sources=list(records.values()),
        models={name: _names(layouts[name], seen) for name in models},
        signals={name: described(layouts[name]) for name in tables},
        families={name: families_of(layouts[name]) for name in layouts if name in (*models, *in_groups)},
        who=who_measured(told, {said: [name for name in layouts if name in of] for said, of in seen.by.items()}),
        told=told.told if told is not None else "",
        labels=sorted({label for record in records.values() for label in record.get("l", {})}),
        jobs=jobs,
        jobs_total=jobs_total,
        measured=_span(results),
        kept=sum(1 for job in results.jobs() if job.kept and job.status == "done"),
        simulated=counts.simulated,
        detail=detail,
    )


@dataclass(slots=True, kw_only=True)
class _Counts:
    """What is told of all items, however few of them the page shows."""

    simulated: bool | None
    by_status: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    links: Counter[str] = field(default_factory=Counter)  # by reason, of what failed
    failures: list[dict[str, Any]] = field(default_factory=list)

    @property
    def total(self) -> int:
        return self.by_status.total()


def _counted(results: ResultSet) -> _Counts:
    counts = _Counts(simulated=results.simulated)
    for item in results.items():
        counts.by_status[item.status] += 1
        if item.simulated:
            counts.simulated = True
        if item.status == "failed":
            reason = item.reason or _short(item.error or "failed")
            counted = reason if reason in counts.reasons or len(counts.reasons) < _MOST_REASONS else "other reasons"
            counts.reasons[counted] += 1
            counts.links[counted] += item.kind == "url"
            if len(counts.failures) < MOST_FAILURES:
                counts.failures.append(_failure(item))
    return counts


def _fill_in(records: dict[str, dict[str, Any]], seen: Pass, *, models: Sequence[str], tables: Sequence[str]) -> None:
    """Give the sources what the answers told of them, within what the page holds."""
    for record in records.values():
        if "x" in record:
            _, start = record["x"]
            record["x"] = start if len(start) <= LONGEST_START else start[: LONGEST_START - 1] + "…"
    for item_id, mine in seen.parts.items():
        records[item_id]["m"] = {name: mine[name].document() for name in models if name in mine}
    bound([part for mine in seen.drawn.values() for part in mine.values()])
    for item_id, signals in seen.drawn.items():
        records[item_id]["g"] = {name: signals[name].document() for name in tables if name in signals}


def _names(layout: Layout, seen: Pass) -> dict[str, Any]:
    """What the page has to know of a table: its families and their names, the first being what it is about."""
    about = {"row": layout.row, "named": layout.named, "covered": seen.covered.get(layout.name, 0)}
    if layout.open_families:
        first, *others = [family.prefix for family in layout.open_families]
        names = {prefix: list(seen.open_names[layout.name].get(prefix, ())) for prefix in (first, *others)}
        return about | {
            "family": first,
            "names": names[first],
            "more": {prefix: names[prefix] for prefix in others},
            "open": True,
            "lowest": seen.lowest.get(layout.name),
        }
    first_family, *other_families = layout.families
    return about | {
        "family": first_family.prefix,
        "names": first_family.names,
        "more": {family.prefix: family.names for family in other_families},
    }


def _source(item: ItemRecord) -> dict[str, Any]:
    record: dict[str, Any] = {"i": item.id[:LONGEST_NAME], "k": item.kind, "t": item.status}
    if item.source != item.id:
        record["s"] = item.source[:LONGEST_NAME]
    if item.labels:
        record["l"] = {str(name): _short(str(value)) for name, value in item.labels.items() if value is not None}
    if item.error:
        record["e"] = item.error[:LONGEST_TEXT]
    return record


def _failure(item: ItemRecord) -> dict[str, Any]:
    return {
        "id": item.id[:LONGEST_NAME],
        "source": item.source[:LONGEST_NAME],
        "reason": item.reason or "",
        "error": (item.error or "failed")[:LONGEST_TEXT],
        "job": item.job or "",
    }


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:59] + "…"


def _jobs(results: ResultSet) -> tuple[list[dict[str, Any]], int]:
    """Jobs for the page, evenly spread ones if there are too many; and how many there are in all."""
    total = sum(1 for _ in results.jobs())
    step = max(1, -(-total // MOST_JOBS))
    return [_job(job) for number, job in enumerate(results.jobs()) if number % step == 0], total


def _span(results: ResultSet) -> tuple[float, float] | None:
    first = last = None
    for job in results.jobs():
        if job.submitted_at is not None and job.fetched_at is not None:
            # What was started elsewhere was measured before it was adopted.
            began, ended = min(job.submitted_at, job.created_at or job.submitted_at), job.ended_at or job.fetched_at
            first = began if first is None else min(first, began)
            last = ended if last is None else max(last, ended)
    return None if first is None or last is None else (first, last)


def _job(job: Any) -> dict[str, Any]:
    times = (job.submitted_at, job.created_at, job.started_at, job.ended_at, job.fetched_at)
    return {
        "j": job.job,
        "r": job.remote_id or "",
        "t": job.status,
        "n": job.sources,
        "at": [None if moment is None else round(moment, 3) for moment in times],
    }

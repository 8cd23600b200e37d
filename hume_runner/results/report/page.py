"""The page around what was gathered: a template that escapes, one script and one style whose hashes the CSP names."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hume_runner import aside
from hume_runner._version import __version__
from hume_runner.errors import MissingExtra
from hume_runner.registry import registered
from hume_runner.results import marks
from hume_runner.results.base import ResultSet
from hume_runner.results.compare import page as comparing
from hume_runner.results.compare.base import Comparison

if TYPE_CHECKING:
    from hume_runner.results.report.gather import Gathered

LARGEST_BYTES = 15_000_000
_FEWEST_SOURCES = 100
# One script, in parts that each draw one thing; the first has what all of them use, the last begins.
_SCRIPTS = ("base", "pictures", "overview", "groups", "sources", "scores", "timeline", "jobs", "begin")
_LINKS = {
    "overview": "Source by source",
    "sources": "The sources",
    "groups": "All groups and scores",
    "failures": "What failed, and why",
}
_STATUSES = ("done", "failed", "ambiguous", "in_flight", "pending")


def write_report(
    results: ResultSet,
    out: Path,
    *,
    unread: Callable[[str], None] = lambda told: None,
    beside: Comparison | None = None,
) -> Path:
    """Write the report to `out`, at most 15 MB and the same bytes every time; returns the path.

    `beside`: the results beside others of the same sources, which the report then carries as a section.
    An answer that cannot be read is shown at its items, and `unread` is told once for each.
    Raises: MissingExtra without jinja2, msgspec or pyarrow; ResultsError naming a raw answer that is unreadable.
    """
    _need_extra()
    from hume_runner.results.report.gather import MOST_SOURCES, gather

    most_sources = MOST_SOURCES
    content = _page(results, gather(results, most_sources=most_sources, unread=unread), beside)
    while len(content) > LARGEST_BYTES and most_sources > _FEWEST_SOURCES:
        # Very long names or very many models: fewer sources, until it fits.
        most_sources = int(most_sources * min(0.7, 0.9 * LARGEST_BYTES / len(content)))
        content = _page(results, gather(results, most_sources=most_sources), beside)
    out.parent.mkdir(parents=True, exist_ok=True)
    aside.write(out, marks.behind(marks.Kind.REPORT, content))
    return out


def _need_extra() -> None:
    try:
        import jinja2  # noqa: F401
        import pyarrow  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtra("report", "the report") from error


def _page(results: ResultSet, gathered: Gathered, beside: Comparison | None) -> bytes:
    from jinja2 import Environment, StrictUndefined

    style = _asset("page.css") + (comparing.style() if beside is not None else "")
    script = '"use strict";\n(() => {\n' + "".join(map(_asset, [f"{name}.js" for name in _SCRIPTS])) + "})();\n"
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["count"] = lambda number: f"{number:,}"
    page = environment.from_string(_asset("page.html.jinja")).render(
        name=results.name,
        description=_described(results.run),
        csp=_policy(style, script),
        style=_verbatim(style),
        script=_verbatim(script),
        data=_verbatim(_data(results.name, gathered)),
        run=_run_facts(
            results.run,
            gathered.measured,
            gathered.kept,
            bills=not _is_here(results.api),
            simulated=bool(gathered.simulated),
        ),
        settings=_pretty(results.settings),
        versions=_pretty({"hume_runner": __version__} | dict(results.run.get("versions") or {})),
        api=results.api,
        gathered=gathered,
        counts=[(status, gathered.by_status.get(status, 0)) for status in _STATUSES],
        tables=[*gathered.models, *(name for name in gathered.signals if name not in gathered.models)],
        links=_LINKS,
        sampled=len(gathered.sources) < gathered.total,
        simulated=gathered.simulated,
        compared=_verbatim(comparing.section(beside)) if beside is not None else "",
    )
    # A lone half of a character pair, as a file name may hold, is no UTF-8.
    return page.encode("utf-8", "replace")


def _asset(name: str) -> str:
    return files("hume_runner.results.report").joinpath(name).read_text(encoding="utf-8")


def _verbatim(text: str) -> Any:
    """Our own style or script, or data whose every `<` is written in another way: not to be escaped again."""
    from markupsafe import Markup

    return Markup(text)  # noqa: S704


def _policy(style: str, script: str) -> str:
    """No network at all, and no script or style but the two that are named by hash."""
    return (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _data(name: str, gathered: Gathered) -> str:
    """What the script draws, as JSON that cannot end the element it stands in."""
    document = {
        "sources": gathered.sources,
        "models": gathered.models,
        "signals": gathered.signals,
        "families": gathered.families,
        "labels": gathered.labels,
        "groups": gathered.groups,
        "jobs": gathered.jobs,
        "failures": gathered.failures,
        "simulated": gathered.simulated,
        "total": gathered.total,
        "name": name,
    }
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for letter, escape in (
        ("<", "\\u003c"),
        (">", "\\u003e"),
        ("&", "\\u0026"),
        ("\u2028", "\\u2028"),
        ("\u2029", "\\u2029"),
    ):
        text = text.replace(letter, escape)
    return text


def _described(run: Mapping[str, Any]) -> str:
    """What the manifest says that it is about."""
    told = run.get("description")
    return told if isinstance(told, str) else ""


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, sort_keys=True, default=str)


def _is_here(api: str) -> bool:
    """Whether what measures is this machine, which sends no bill."""
    known = registered(api)
    return known is not None and known.here


def _run_facts(
    run: Mapping[str, Any], measured: tuple[float, float] | None, kept: int, *, bills: bool, simulated: bool
) -> dict[str, str]:
    """What `run.json` tells people, as (name, words); empty where there is no run. `measured`: from when to when, in
    whatever runs; the last run may have had nothing to do. `kept`: answers from files, which do not tell when."""
    facts: dict[str, str] = {}
    done = "Rehearsed" if simulated else "Measured"
    if measured is not None:
        first, last = map(_moment, measured)
        facts[done] = first if first == last else f"{first} to {last}"
    if kept:
        of_files = f"at a time that is not known ({kept:,} answer{'' if kept == 1 else 's'} from files)"
        facts[done] = "; ".join(filter(None, (facts.get(done), of_files)))
    if started := _moment(run.get("started_at")):
        facts["Last run"] = started
    if (took := _took_s(run)) is not None:
        facts["It took"] = _duration(took)
    bill = run.get("bill")
    seconds = bill.get("billable_seconds") if isinstance(bill, Mapping) else None
    if bills:
        facts["Bill"] = (
            _duration(seconds) + " billed" if isinstance(seconds, (int, float)) else "not told by the service"
        )
    service = run.get("service")
    if isinstance(service, Mapping) and service.get("endpoint"):
        facts["Endpoint"] = str(service["endpoint"])
    if run.get("run_id"):
        facts["Run"] = str(run["run_id"])
    return facts if run else {}


def _took_s(run: Mapping[str, Any]) -> float | None:
    """Seconds from a run's start to the end of its work: the page itself is written after that, and says the same
    whenever it is made again."""
    try:
        began, until = (datetime.fromisoformat(str(run.get(name))) for name in ("started_at", "worked_until"))
    except ValueError:  # a run of an earlier version
        told = run.get("duration_s")
        return told if isinstance(told, (int, float)) else None
    return (until - began).total_seconds()


def _moment(value: Any) -> str:
    if isinstance(value, (int, float)):
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M UTC")
    try:
        return datetime.fromisoformat(str(value)).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC") if value else ""
    except ValueError:
        return str(value)


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"

"""A comparison as one page in the report's style: it opens offline, loads nothing and runs no script."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any

from hume_runner.results.compare import records
from hume_runner.results.compare.base import ColumnsTogether, Comparison

MOST_PLOTS = 150
MOST_UNMATCHED = 200
# A plot's square on its picture of 132 by 132, and how far points stay from its edge.
_LEFT, _TOP, _SIZE, _EDGE = 6, 6, 120, 6


_PARTS = ("page", "section", "summary", "tables", "reading")


def page(comparison: Comparison) -> bytes:
    """The page, the same bytes every time."""
    from markupsafe import Markup

    whole = _asset("hume_runner.results.report", "page.css") + style()
    text = _rendered("page", comparison, csp=_policy(whole), style=Markup(whole))  # noqa: S704 - our own
    # A lone half of a character pair, as a file name may hold, is no UTF-8.
    return text.encode("utf-8", "replace")


def style() -> str:
    """What a section needs beyond the report's own style."""
    return _asset(__package__, "page.css")


def section(comparison: Comparison) -> str:
    """The sections of a report that carries it, escaped already; `style` goes with them."""
    return _rendered("section", comparison)


def _rendered(part: str, comparison: Comparison, **more: Any) -> str:
    from jinja2 import DictLoader, Environment, StrictUndefined

    environment = Environment(
        loader=DictLoader({name: _asset(__package__, f"{name}.html.jinja") for name in _PARTS}),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., str]] = {
        "count": lambda number: f"{number:,}",
        "number": records.shown,
        "correlation": records.correlation,
    }
    environment.filters |= filters
    return environment.get_template(part).render(
        c=comparison,
        sides=[
            ("A", comparison.a.shown, records.side_words(comparison.a)),
            ("B", comparison.b.shown, records.side_words(comparison.b)),
        ],
        items=records.item_words(comparison),
        notes=[
            *([records.OTHER_SCALE] if comparison.a.api != comparison.b.api else []),
            *records.basis_words(comparison),
        ],
        advice=records.advice(comparison),
        tables=_tables(comparison),
        reasons=list(records.reason_words(comparison)),
        unmatched=comparison.unmatched[:MOST_UNMATCHED],
        left=sum(comparison.reasons.values()),
        **more,
    )


def _asset(package: str, name: str) -> str:
    return files(package).joinpath(name).read_text(encoding="utf-8")


def _policy(style: str) -> str:
    """No network, no script, and no style but the one that is named by hash."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"


def _tables(comparison: Comparison) -> list[dict[str, Any]]:
    found = []
    room = MOST_PLOTS
    for table in comparison.tables:
        columns = comparison.columns_of(table)
        drawn = [one for one in columns if len(one.points) > 1][:room]
        room -= len(drawn)
        found.append(
            {
                "title": records.table_title(table),
                "words": records.table_words(table),
                "columns": columns,
                "beyond": records.beyond_words(columns),
                "plots": [_plot(one) for one in drawn],
                "left": sum(len(one.points) > 1 for one in columns) - len(drawn),
            }
        )
    return found


def _plot(one: ColumnsTogether) -> dict[str, Any]:
    """A column's points. One column on both sides: one scale, and a line where both would be equal."""
    xs, ys = [x for x, _ in one.points], [y for _, y in one.points]
    same = (one.table_a, one.column_a) == (one.table_b, one.column_b)
    range_x = _range([*xs, *ys]) if same else _range(xs)
    range_y = range_x if same else _range(ys)
    dots = "".join(f"M{_x(x, range_x)} {_y(y, range_y)}h0" for x, y in one.points)
    return {
        "words": one.name.replace("_", "_\0").split("\0"),
        "dots": dots,
        "line": same,
        "x": [records.shown(end) for end in range_x],
        "y": [records.shown(end) for end in range_y],
        "told": f"{one.name}: {len(one.points)} of {one.agreement.n} pairs, A from left to right, B upwards",
        "pearson": records.correlation(one.agreement.pearson),
        "thinned": len(one.points) < one.agreement.n,
        "n": one.agreement.n,
    }


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _x(value: float, ends: tuple[float, float]) -> str:
    return _digits(_LEFT + _EDGE + _share(value, ends) * (_SIZE - 2 * _EDGE))


def _y(value: float, ends: tuple[float, float]) -> str:
    return _digits(_TOP + _SIZE - _EDGE - _share(value, ends) * (_SIZE - 2 * _EDGE))


def _share(value: float, ends: tuple[float, float]) -> float:
    low, high = ends
    return value / (high - low) - low / (high - low)  # no difference of large numbers that is larger than any


def _digits(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")

"""How every figure looks, and how it is written: the same bytes for the same numbers, text as text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hume_runner.aside import written
from hume_runner.errors import MissingExtra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FigureFormat = Literal["svg", "png", "pdf"]
FORMATS: tuple[FigureFormat, ...] = ("svg", "png", "pdf")
WIDTH_MM = 180.0  # two columns of most journals
# Okabe and Ito's colours, which people who see few colours tell apart: https://jfly.uni-koeln.de/color/
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c8c00")
# Lines differ in more than colour, for those who print in grey.
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)), (0, (3, 1.5)), (0, (9, 3)), "-", "--")
_MM = 25.4
_STYLE: Any = {
    "svg.hashsalt": "hume_runner",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "legend.frameon": False,
}


@contextmanager
def figure_of(*, width_mm: float, height_mm: float, panels: int = 1) -> Iterator[tuple[Figure, list[Axes]]]:
    """An empty figure of that size, to be drawn on inside the block; panels stand one above the other. Raises:
    MissingExtra."""
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise MissingExtra("figures", "drawing figures") from error
    with rc_context(_STYLE):
        figure = Figure(figsize=(width_mm / _MM, height_mm / _MM), layout="constrained")
        FigureCanvasAgg(figure)
        yield figure, list(figure.subplots(panels, 1, squeeze=False)[:, 0])


def save(figure: Figure, path: Path, form: FigureFormat) -> Path:
    """Write a figure under its final name, whole or not at all; nothing in it tells when it was made."""
    from matplotlib import rc_context

    dates: Mapping[str, Mapping[str, Any]] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
    path.parent.mkdir(parents=True, exist_ok=True)
    with rc_context(_STYLE), written(path) as file:
        figure.savefig(file, format=form, dpi=300, metadata=dict(dates[form]))
    return path


def file_name(*parts: str) -> str:
    """Parts as a file's name: letters, digits, dots and dashes alone."""
    return "-".join(re.sub(r"[^\w.]+", "-", part).strip("-.")[:80] or "x" for part in parts)

"""How every figure looks, and how it is written: the same bytes for the same numbers, text as text."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, assert_never

from hume_runner import aside
from hume_runner.errors import MissingExtra
from hume_runner.results import marks
from hume_runner.results.authorship import refuse_others
from hume_runner.results.marks import Kind

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PictureFormat = Literal["svg", "png", "pdf"]
FigureFormat = Literal["svg", "png", "pdf", "csv"]  # the last for the numbers of what else is drawn
WIDTH_MM = 180.0  # two columns of most journals
# Okabe and Ito's colours, which people who see few colours tell apart: https://jfly.uni-koeln.de/color/
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c8c00")
# Lines differ in more than colour, for those who print in grey.
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2)), (0, (3, 1.5)), (0, (9, 3)), "-", "--")
_MM = 25.4
_CREATOR = "hume_runner"
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


def selection(shown: int, of: int, how: Literal["apart", "strong", "named", "usual"], what: str = "scores") -> str:
    """Which of how many are shown: pictures of chosen scores say so, for a reader takes them for all."""
    if shown >= of:
        return f"all {of} {what}" if of > 1 else ""
    match how:
        case "apart":
            return f"the {shown} of {of} {what} that lie furthest apart"
        case "strong":
            return f"the {shown} of {of} {what} with the highest means"
        case "named":
            return f"{shown} of {of} {what}, chosen by name"
        case "usual":
            return f"{shown} of {of} {what}"
    assert_never(how)


def titled(axes: Axes, title: str, simulated: bool | None) -> None:
    """The title, above the left end of the axes."""
    axes.set_title(title + ("   simulated" if simulated else ""), loc="left")


def mark_simulated(axes: Sequence[Axes], simulated: bool | None) -> None:
    """Across each of the axes, behind what is drawn: a title may be cropped, and a picture go on alone."""
    for place in axes if simulated else ():
        place.text(
            0.5,
            0.5,
            "SIMULATED",
            transform=place.transAxes,
            ha="center",
            va="center",
            fontsize=26,
            fontweight="bold",
            color="#ececec",
            zorder=0.1,
            clip_on=True,
        )


def save(figure: Figure, path: Path, form: PictureFormat) -> Path:
    """Write a figure under its final name, whole or not at all; nothing in it tells when it was made."""
    from matplotlib import rc_context

    refuse_others([path], Kind.FIGURE, hint="choose another folder for the figures")
    about: Mapping[str, Mapping[str, Any]] = {
        "svg": {"Creator": _CREATOR, "Date": None},
        "pdf": {"Creator": _CREATOR, "CreationDate": None},
        "png": {"Software": _CREATOR},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = io.BytesIO()
    with rc_context(_STYLE):
        figure.savefig(drawn, format=form, dpi=300, metadata=dict(about[form]))
    content = drawn.getvalue()
    match form:
        case "png":
            content = marks.in_png(Kind.FIGURE, content)
        case "pdf":
            content = marks.behind(Kind.FIGURE, content, form="pdf")
        case "svg":
            content = marks.behind(Kind.FIGURE, content)
    aside.write(path, content)
    return path


def file_name(*parts: str) -> str:
    """Parts as a file's name: letters, digits, dots and dashes alone."""
    return "-".join(re.sub(r"[^\w.]+", "-", part).strip("-.")[:80] or "x" for part in parts)

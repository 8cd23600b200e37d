"""What every benchmark prints: a figure, the value to hold, and whether it is held."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured value. `hold` is the largest that is good, `least` the smallest; neither: shown for comparison."""

    what: str
    value: float
    hold: float | None = None
    least: float | None = None
    unit: str = ""

    @property
    def held(self) -> bool:
        return (self.hold is None or self.value <= self.hold) and (self.least is None or self.value >= self.least)

    @property
    def bound(self) -> str:
        """The value to hold, in words."""
        if self.hold is not None:
            return f"≤ {_shown(self.hold, self.unit)}"
        return f"≥ {_shown(self.least, self.unit)}" if self.least is not None else ""


def report(title: str, figures: Iterable[Figure]) -> int:
    """Print a table. Returns the exit code: 0 if every figure is held, else 1."""
    figures = list(figures)
    width = max(len(figure.what) for figure in figures)
    print(f"\n{title}   [{os.cpu_count()} CPUs, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}]")
    print(f"  {'figure':<{width}}  {'value':>12}  {'hold':>12}")
    for figure in figures:
        verdict = "" if not figure.bound else "ok" if figure.held else "BROKEN"
        print(f"  {figure.what:<{width}}  {_shown(figure.value, figure.unit):>12}  {figure.bound:>12}  {verdict}")
    return 0 if all(figure.held for figure in figures) else 1


def _shown(value: float, unit: str) -> str:
    number = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"
    return f"{number} {unit}".rstrip()

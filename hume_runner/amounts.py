"""Numbers as people read them: seconds of a bill, sizes, and how many of something."""

from __future__ import annotations


def seconds_text(seconds: float) -> str:
    """`1,300,045` or `459.959`: all digits down to milliseconds, none that a sum of fractions left behind."""
    text = f"{seconds:,.3f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def counted(number: int, word: str, many: str = "") -> str:
    """`1 job`, `1,200 jobs`; `many` is the plural where it is no s."""
    return f"{number:,} {word if number == 1 else many or f'{word}s'}"


def size_text(number: int) -> str:
    """`812 B`, `1.2 kB`, `3.4 TB`."""
    size = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"

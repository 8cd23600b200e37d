"""Seconds of a bill as people read them."""

from __future__ import annotations


def seconds_text(seconds: float) -> str:
    """`1,300,045` or `459.959`: all digits down to milliseconds, none that a sum of fractions left behind."""
    text = f"{seconds:,.3f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text

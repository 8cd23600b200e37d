"""Sizes, durations and shares as people write them, as numbers. The schema has checked their form."""

from __future__ import annotations

import re
from decimal import Decimal

from hume_runner.manifest.model import FailureBudget

_BYTES = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_SECONDS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600), "d": Decimal(86400)}


def _split(text: str) -> tuple[Decimal, str]:
    number = text.rstrip("kKMGTiBmshd ")
    return Decimal(number), text[len(number) :].strip()


def size_bytes(value: int | str) -> int:
    """`"100MB"` as 100_000_000; a number is bytes already."""
    if not isinstance(value, str):
        return int(value)
    number, unit = _split(value)
    return int(number * _BYTES[unit])


def duration_s(value: str) -> float:
    """`"6h"` as 21600.0."""
    number, unit = _split(value)
    return float(number * _SECONDS[unit])


_PARTS = re.compile(r"([0-9.]+)(ms|s|m|h|d)")


def moment_s(value: float | str) -> float:
    """`"1.5m"`, `"1m30s"` and `"1:30"` as 90.0; a number is seconds already."""
    if not isinstance(value, str):
        return float(value)
    if ":" in value:
        seconds = Decimal(0)
        for part in value.split(":"):
            seconds = seconds * 60 + Decimal(part)
        return float(seconds)
    return float(sum((Decimal(number) * _SECONDS[unit] for number, unit in _PARTS.findall(value)), Decimal(0)))


def failure_budget(value: int | str | None) -> FailureBudget:
    """`"5%"` as a share of 0.05, `20` as a count."""
    if value is None:
        return FailureBudget()
    if isinstance(value, str):
        return FailureBudget(share=float(Decimal(value[:-1]) / 100))
    return FailureBudget(count=int(value))

"""Runs in processes of their own, from a process that has imported what this API needs."""

from __future__ import annotations

import subprocess
import sys

from tests.durability.children import ROOT, Nursery


class ExpressionNursery(Nursery):
    """The nursery of the durability tests, with more imported."""

    def __enter__(self) -> ExpressionNursery:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.expression.nursery"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

"""Who measured, for an API whose measurements are made by models that can be named."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import Any

from hume_runner.frozen import frozen

# The hash of what has no weights, such as formulas: it stands in every row, and is that of nothing.
_NO_WEIGHTS = hashlib.sha256(b"").hexdigest()


def weights_of(sha256: str) -> str | None:
    """The hash of somebody's weights as people are told it; None for who has none."""
    return None if sha256 == _NO_WEIGHTS else sha256


@frozen
class Credit:
    """One that measures. `measured_by` is what rows say of it, `sha256` (hex) that of its weights.

    `limits`: what it gets wrong and must not be used for; `source`: a paper or a page.
    """

    model: str  # the word that a manifest has for it
    name: str
    version: str
    sha256: str
    measured_by: str
    licence: str
    trained_on: str
    scale: str
    limits: str
    source: str


@frozen
class Credits:
    """All that the models of a manifest name. `told` is what people have to know of all these scores."""

    told: str
    who: tuple[Credit, ...]

    def document(self) -> list[dict[str, Any]]:
        """For `run.json`."""
        return [asdict(credit) for credit in self.who]

"""The answer to a piece of work as it is kept: what was found about each source, and who measured it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hume_runner.services.local.measurers.base import Card

FORMAT = "hume_runner local-answer-v1"
_HEAD = f'{{"format":"{FORMAT}","measurers":'  # what every answer begins with

Told = tuple[str, dict[str, Any]]  # a row that was looked at: (table, values by column)


class SourceFound:
    """What is found about one source: rows by table, and what could not be measured."""

    def __init__(self) -> None:
        self.tables: dict[str, list[Mapping[str, object]]] = {}
        self.errors: list[dict[str, str]] = []
        self.measured = 0

    def add(self, measured_by: str, told: Told) -> None:
        table, values = told
        self.tables.setdefault(table, []).append({"measured_by": measured_by, **values})

    def lacks(self, model: str, reason: str, message: str) -> None:
        self.errors.append({"model": model, "reason": reason, "message": message})

    def told(self) -> dict[str, Any]:
        return {"measured": self.measured > 0 or not self.errors, "tables": self.tables, "errors": self.errors}


def answer_of(cards: Mapping[str, Card], sources: Sequence[SourceFound]) -> bytes:
    """JSON as `schemas/local-answer-v1.schema.json` describes it, the same bytes every time. `cards`: by model."""
    measurers = {
        model: {
            "name": card.name,
            "version": card.version,
            "sha256": card.sha256,
            "measured_by": card.measured_by,
            "licence": card.licence,
        }
        for model, card in cards.items()
    }
    answer = {"format": FORMAT, "measurers": measurers, "sources": [source.told() for source in sources]}
    return json.dumps(answer, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def answered_by(answer: bytes) -> Mapping[str, str]:
    """Who says to have measured an answer of `measure`: model -> measured_by; none where it is no such answer."""
    text = answer[: answer.find(b',"sources":')].decode("utf-8", "replace")
    if not text.startswith(_HEAD):
        return {}
    try:
        told = json.loads(text[len(_HEAD) :])
        return {str(model): str(one["measured_by"]) for model, one in told.items()}
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}

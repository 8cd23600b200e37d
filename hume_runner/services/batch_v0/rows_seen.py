"""What the rows of an answer show of the options that they were measured with: an answer tells of them by nothing else.

Only what surely differs counts. Rows that could have come of either way of measuring show nothing.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from hume_runner.services.batch_v0.echoed_settings import DEFAULTS

# Members of rows that are null where the option of that name is off (docs/apis/batch_v0.md).
_OPTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "face": ("facs", "descriptions"),
    "language": ("sentiment", "toxicity"),
}
# Marks that end a sentence, and what may stand behind them.
_ENDS, _BEHIND = (".", "!", "?", "…", ":", ";"), "\"')]}»”’*_"
# Fewer may be sentences of one word each, without a mark.
_FEWEST_OPEN = 2


@dataclass(slots=True)
class _Rows:
    """Of one model: `worded`, rows with words; `spaced`, those of more than one; `followed`, those behind which another
    stands in their group, and `open`, those of them that no mark ends; `odd`, those of a script that may be written
    without blanks; `several`, texts with more than one row; `having`: the options that a row has something of."""

    count: int = 0
    worded: int = 0
    spaced: int = 0
    followed: int = 0
    open: int = 0
    odd: int = 0
    several: int = 0
    having: set[str] = field(default_factory=set)
    lowest: float | None = None

    def add(self, row: Mapping[str, Any], options: tuple[str, ...]) -> None:
        self.count += 1
        self.having.update(name for name in options if row.get(name) is not None)
        if isinstance(prob := row.get("prob"), float):
            self.lowest = prob if self.lowest is None else min(prob, self.lowest)
        if isinstance(text := row.get("text"), str) and (bare := text.strip()):
            self.worded += 1
            self.spaced += len(bare.split()) > 1
            self.odd += not bare.isascii() and any(unicodedata.category(one) == "Lo" for one in bare)


class RowsSeen:
    """Counts what rows show, and keeps none of them."""

    def __init__(self) -> None:
        self._models: dict[str, _Rows] = {}

    def watch(self, model: str) -> Callable[[Any], None]:
        """Takes the rows of one group, one after another."""
        rows = self._models.setdefault(model, _Rows())
        options = _OPTIONS.get(model, ())
        of_text, before = 0, ""

        def add(row: Any) -> None:
            nonlocal of_text, before
            if not isinstance(row, Mapping):
                return
            rows.add(row, options)
            if isinstance(text := row.get("text"), str) and text.strip():
                rows.followed += bool(before)
                rows.open += bool(before) and not before.rstrip(_BEHIND).endswith(_ENDS)
                before = text.strip()
                of_text += row.get("time") is None
                rows.several += of_text == 2

        return add

    def differences(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """Members of `settings` that the rows speak against, with what they show."""
        found: list[str] = []
        for model, asked in (settings.get("models") or {}).items():
            rows = self._models.get(model)
            if rows is None or not rows.count or not isinstance(asked, Mapping):
                continue
            found += [f"models.{model}.{told}" for told in _of_options(model, asked, rows)]
            if (
                "granularity" in DEFAULTS.get(model, {})
                and settings.get("transcription", {}) is not None
                and not asked.get("window")
            ):
                granularity = asked.get("granularity") or DEFAULTS[model]["granularity"]
                if told := _of_pieces(granularity, rows):
                    found.append(f"models.{model}.granularity: {granularity}, and {told}")
        return tuple(found)


def _of_options(model: str, asked: Mapping[str, Any], rows: _Rows) -> list[str]:
    found = []
    for name in _OPTIONS.get(model, ()):
        if asked.get(name) is not None and name not in rows.having:
            found.append(f"{name}: asked for, and no row has it")
        elif asked.get(name) is None and name in rows.having:
            found.append(f"{name}: not asked for, and rows have it")
    if model == "face" and rows.lowest is not None:
        least = asked.get("prob_threshold")
        least = float(DEFAULTS["face"]["prob_threshold"] if least is None else least)
        if rows.lowest < least - 1e-6:  # the service reckons in single precision
            found.append(f"prob_threshold: {least:g}, and a face has {rows.lowest:.4f}")
    return found


def _of_pieces(granularity: str, rows: _Rows) -> str:
    """What speaks against rows being pieces of this size; empty if nothing does."""
    if granularity == "word":
        return "most rows are of several words" if 2 * rows.spaced > rows.worded else ""
    if granularity == "conversational_turn" and rows.several:
        return "a text has several rows"
    words = rows.open >= _FEWEST_OPEN and not rows.spaced and not rows.odd and 2 * rows.open > rows.followed
    return "the rows are single words" if words else ""

"""What somebody meant who wrote a value in another form: `1s` where seconds stand, `0,5`, `german`. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

_UNIT_S = {"ms": 0.001, "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_WITH_UNIT = re.compile(r"([0-9]+(?:[.,][0-9]+)?) ?(/ ?)?([A-Za-z]+)?")
_COMMA = re.compile(r"[0-9]+,[0-9]+")
# What people call a language -> its code, in English and in the language itself.
_LANGUAGES = {
    "arabic": "ar", "chinese": "zh", "mandarin": "zh", "czech": "cs", "danish": "da", "dansk": "da", "dutch": "nl",
    "nederlands": "nl", "english": "en", "finnish": "fi", "french": "fr", "français": "fr", "francais": "fr",
    "german": "de", "deutsch": "de", "ger": "de", "greek": "el", "hebrew": "he", "hindi": "hi", "hungarian": "hu",
    "indonesian": "id", "italian": "it", "italiano": "it", "japanese": "ja", "korean": "ko", "norwegian": "no",
    "norsk": "no", "polish": "pl", "polski": "pl", "portuguese": "pt", "português": "pt", "romanian": "ro",
    "russian": "ru", "spanish": "es", "español": "es", "espanol": "es", "swedish": "sv", "svenska": "sv",
    "tamil": "ta", "turkish": "tr", "türkçe": "tr", "ukrainian": "uk", "vietnamese": "vi",
}  # fmt: skip


def as_number(value: str, rule: Mapping[str, Any]) -> str:
    """`write 1` for `1s` where seconds are meant, `write 0.5` for `0,5`; empty where nobody can tell."""
    found = _WITH_UNIT.fullmatch(value.strip())
    if found is None or not (found[3] or "," in found[1]):
        return ""
    number = float(found[1].replace(",", "."))
    told = str(rule.get("description", "")).lower()
    if found[3] and not found[2]:
        unit = _UNIT_S.get(found[3].lower())
        if unit is None or "second" not in told:
            return ""
        number *= unit
    return f"write {number:.10g}"


def with_point(value: str) -> str:
    """`write 0.5s` for `0,5s`; empty where there is no decimal comma."""
    return f"write {value.replace(',', '.', 1)}" if _COMMA.match(value.strip()) else ""


def as_language(path: Iterable[str | int], value: str, choices: Iterable[str] | None = None) -> str:
    """`write de` for `german`; empty where this is no language, or not one of the `choices`."""
    steps = list(path)
    code = _LANGUAGES.get(value.strip().lower())
    if not steps or steps[-1] != "language" or code is None or (choices is not None and code not in choices):
        return ""
    return f"write {code}"


def example_of(rule: Mapping[str, Any]) -> str:
    """`for example 0.5`, from the rule's own examples or its default; empty where it has none."""
    examples = [one for one in rule.get("examples", ()) if isinstance(one, str | int | float)]
    shown = examples[0] if examples else rule.get("default")
    return f"for example {shown}" if isinstance(shown, str | int | float) and not isinstance(shown, bool) else ""

"""Which languages a Whisper hears, and how to tell that it heard another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hume_runner.services.local.measurers.base import Fault
from hume_runner.services.local.measurers.whisper_weights import whisper_of

# English that is read aloud has 0.8 and more; German, French and Spanish that are taken for English have 0.42
# to 0.57. A text above the other number repeats itself, as where Whisper got stuck.
_LEAST_SURE = 0.6
_MOST_ALIKE = 2.4
ENGLISH_ALONE = "knows English only: of what is said in another language it makes fluent English that nobody said"
# What Whisper's tokenizer has a token for; the 99 of its paper, and what large-v3 learnt besides.
_LANGUAGES = frozenset(
    "af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha haw he hi hr ht hu hy "
    "id is it ja jw ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt my ne nl nn no oc pa pl ps pt ro ru "
    "sa sd si sk sl sn so sq sr su sv sw ta te tg th tk tl tr tt uk ur uz vi yi yo zh".split()
)
_LATER = {"large-v3": frozenset({"yue"})}


def language_caution(options: Mapping[str, Any]) -> str | None:
    """That the model would write English whatever is said, unless somebody said that it is English."""
    whisper = whisper_of(options)
    if not whisper.english_only or "language" in options:
        return None
    able = _other_languages(whisper.name)
    return f"whisper-{whisper.name} {ENGLISH_ALONE}; {{model: {able}}} hears others, too"


def language_fault(options: Mapping[str, Any]) -> Fault | None:
    """Why a model cannot hear the language that it is told. Of one's own weights, it is seen when they are loaded."""
    language, whisper = options.get("language"), whisper_of(options)
    if language is None or whisper.is_own:
        return None
    if whisper.english_only:
        if language == "en":
            return None
        able = _other_languages(whisper.name)
        return Fault(
            option="language",
            message=f"whisper-{whisper.name} knows English only, and is to hear {language!r}",
            hint=f"write model: {able} beside it, which `hume-runner models pull whisper-{able}` gets",
        )
    if language in _LANGUAGES or language in _LATER.get(whisper.name, ()):
        return None
    return Fault(
        option="language",
        message=f"whisper-{whisper.name} knows no language {language!r}",
        hint="write Whisper's code for it, such as de; or leave language out, and the first half minute decides",
    )


def doubtful(rows: Sequence[Mapping[str, Any]], name: str) -> str | None:
    """Why what was heard looks like guesses: rows of the table `speech`, of one piece, by the model of that name."""
    words = sum(row["words"] for row in rows)
    if not words:
        return None
    sure = sum(row["words"] * row["mean_word_probability"] for row in rows) / words
    stuck = any(row["compression_ratio"] > _MOST_ALIKE for row in rows)
    if sure >= _LEAST_SURE and not stuck:
        return None
    why = "it repeats itself" if stuck else f"its words have a mean probability of {sure:.2f}"
    english = name.endswith(".en")
    cause = f"{name} knows English only" if english else "noise, or another language than it took it for, does that"
    return f"what was heard is hardly what was said: {why}; {cause}"


def _other_languages(name: str) -> str:
    """The model to take where one that knows English only does not do."""
    size = name.removesuffix(".en")
    return "base" if size == "tiny" else size  # tiny mishears many

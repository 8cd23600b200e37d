"""Which measurers a manifest asks for, and which of them measure what. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import combinations
from typing import Any

from hume_runner.frozen import frozen
from hume_runner.manifest.model import SourceKind
from hume_runner.services.local.measurers.base import Card, Fault, Measurer, Reads
from hume_runner.services.local.measurers.found import find, is_ours
from hume_runner.services.local.measurers.offered import Unfit
from hume_runner.services.local.measurers.table_check import stems

TRANSCRIBES = "speech"  # the model whose rows are read as text again
FPS = 3


@frozen
class Chosen:
    """One model of a manifest: who measures, with which options."""

    model: str
    options: Mapping[str, Any]
    measurer: Measurer

    @property
    def card(self) -> Card:
        return self.measurer.card(self.options)


def chosen(models: Mapping[str, Any]) -> tuple[Chosen, ...]:
    """The models of a manifest by name, so that nothing depends on the order in which they were written.

    Nothing else is loaded. Raises: UsageError for one that cannot be used.
    """
    found = tuple(
        Chosen(model=name, options=options or {}, measurer=measurer)
        for name, options in sorted(models.items())
        if (measurer := find(name)) is not None
    )
    _apart(tuple(one.model for one in found if not is_ours(one.model)))
    return found


@cache
def _apart(offered: tuple[str, ...]) -> None:
    """Raises: Unfit where two of them would write one table. Of ours each was told apart when it was taken in."""
    tables = {
        name: frozenset().union(*map(stems, found.layouts)) for name in offered if (found := find(name)) is not None
    }
    for (one, mine), (other, theirs) in combinations(tables.items(), 2):
        if both := mine & theirs:
            raise Unfit(
                f"models.{one} and models.{other} both give the table {min(both)}",
                hint="measure with one of them, and with the other by another manifest",
            )


def faults(models: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """(member, what is wrong, what to do) of options that fit the schema and can never measure."""
    for one in chosen(models):
        # Measurers of other packages need not have it.
        tell: Callable[[Mapping[str, Any]], Fault | None] = getattr(one.measurer, "fault", _nothing)
        if (fault := tell(one.options)) is not None:
            yield (one.model, fault.option), fault.message, fault.hint


def cautions(models: Mapping[str, Any], *, changed: bool) -> Iterator[str]:
    """What people have to know of their recordings and pictures before they are measured; `changed`: whether settings
    of some changed."""
    for one in chosen(models):
        tell: Callable[[Mapping[str, Any]], str | None] = getattr(one.measurer, "caution", _nothing)
        if one.measurer.reads != "text" and (told := tell(one.options)) is not None:
            yield f"{one.model}: {told}"
    if changed and for_material(models, "sound") and for_material(models, "pictures"):
        yield "of videos, the sound or the pictures whose own settings are as before are not measured again"


def _nothing(options: Mapping[str, Any]) -> None:
    del options


def for_material(models: Mapping[str, Any], reads: Reads) -> tuple[Chosen, ...]:
    """Who measures such material: for sound, also who reads the transcript."""
    every = chosen(models)
    direct = tuple(one for one in every if one.measurer.reads == reads)
    if reads == "sound" and any(one.model == TRANSCRIBES for one in direct):
        return (*direct, *(one for one in every if one.measurer.reads == "text"))
    return direct


def picture_rate(options: Mapping[str, Any]) -> float:
    """Pictures a second that a measurer of pictures is given."""
    return float(options.get("fps", FPS))


def fit(seen: Mapping[str, Any], models: Mapping[str, Any]) -> dict[str, Any]:
    """What a look says under these models: the same with "sound" and "picture", or with "problem" and "reason"."""
    facts = {name: value for name, value in seen.items() if name not in ("problem", "reason")}
    tracks = facts.get("tracks") or []
    facts["picture"] = "picture" in tracks and bool(for_material(models, "pictures"))
    facts["sound"] = "sound" in tracks and bool(for_material(models, "sound"))
    if facts["sound"] or facts["picture"]:
        return facts
    what = "a picture" if facts.get("medium") == "still" else "a recording"
    told = ", ".join(f"`models.{name}`" for name in sorted(models))
    return {**facts, "problem": f"{what}, which {told} cannot measure", "reason": "no_model"}


def relevant(kind: SourceKind, facts: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The part of `settings` that changes the result of such an item: the options of who measures it, and who that is.

    What was not looked at (a link) may be anything, so all of it counts.
    """
    models = settings.get("models") or {}
    return {"models": {one.model: identity(one) for one in _of(kind, facts, models)}}


def _of(kind: SourceKind, facts: Mapping[str, Any], models: Mapping[str, Any]) -> Iterator[Chosen]:
    if kind == "text":
        yield from for_material(models, "text")
    elif kind == "url" or "tracks" not in facts:
        yield from () if "problem" in facts else chosen(models)
    else:
        tracks = facts["tracks"]
        asked: dict[str, Chosen] = {}
        for track, reads in _READS.items():
            if track in tracks:
                asked |= {one.model: one for one in for_material(models, reads)}
        yield from asked.values()


_READS: Mapping[str, Reads] = {"sound": "sound", "picture": "pictures"}


def identity(one: Chosen) -> dict[str, Any]:
    # A default that is written out measures the same; a default that becomes another is another version.
    return {**_beyond_defaults(one.options, one.measurer.schema), "measured_by": one.card.measured_by}


def _beyond_defaults(options: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    told = schema.get("properties") or {}
    return {
        name: value
        for name, value in options.items()
        if "default" not in told.get(name, {}) or told[name]["default"] != value
    }

"""What the page has to know of families of scores to speak of them, as the layouts of their API tell it."""

from __future__ import annotations

from collections.abc import Mapping

from hume_runner.results.aggregates import VALUE
from hume_runner.services.table_shapes import Family, Layout, OpenFamily


def families_of(layout: Layout) -> Mapping[str, Mapping[str, str]]:
    """Family -> `words`, what people call it, and what it `tells`; of what is measured and no score, the words."""
    families: tuple[Family | OpenFamily, ...] = (*layout.families, *layout.open_families)
    return {one.prefix: _family(one) for one in families} | {VALUE: {"words": "measurements"}}


def _family(one: Family | OpenFamily) -> Mapping[str, str]:
    words = {"words": one.words or one.prefix.replace("_", " ")}
    return words | {"tells": one.tells} if isinstance(one, Family) and one.tells else words

"""What the page draws of one source in one table: what is told beside a row is the layout's to say."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from hume_runner.results.report.parts import Detail, Part
from hume_runner.services.batch_v0.layouts import LANGUAGE, LAYOUTS
from hume_runner.services.table_shapes import BlockBuilder, Family, Layout

EVERYTHING = Detail(rows=10, scores=None)


def table(*families: Family) -> Layout:
    return Layout(name="table", row="a row", columns=(), families=(Family(prefix="first", names=("a",)), *families))


def beside(layout: Layout, *rows: Mapping[str, list[float]]) -> list[list[object]]:
    """What is told beside each of these rows."""
    part, builder = Part(layout=layout, detail=EVERYTHING), BlockBuilder(layout=layout)
    for row in rows:
        for prefix, grid in builder.grids.items():
            scores = row.get(prefix)
            grid.add_blank() if scores is None else grid.add_some(dict(enumerate(scores)))
        for column in builder.columns.values():
            column.append(None)
        builder.extra.append(None)
    part.add(builder.take())
    return [row[5:] for row in part.document()["rows"]]


GLOOM = Family(prefix="gloom", names=("low", "middle", "high"), tells="mean level")
TASTE = Family(prefix="taste", names=("sweet", "sour"), tells="strongest kind")


@pytest.mark.parametrize(
    ("families", "told"),
    [
        ((), [None, None]),
        ((GLOOM,), [2250, None]),
        ((TASTE,), [None, [1, 900]]),
        ((TASTE, GLOOM), [2250, [1, 900]]),
        ((Family(prefix="gloom", names=GLOOM.names), Family(prefix="taste", names=TASTE.names)), [None, None]),
        ((Family(prefix="sentiment", names=GLOOM.names), Family(prefix="toxicity", names=TASTE.names)), [None, None]),
    ],
)
def test_beside_a_row_stands_what_the_layout_says_and_no_name_decides(
    families: tuple[Family, ...], told: list[object]
) -> None:
    levels, kinds = [0.25, 0.25, 0.5], [0.2, 0.9]
    row = {"gloom": levels, "sentiment": levels, "taste": kinds, "toxicity": kinds}
    assert beside(table(*families), row) == [told]


def test_what_was_not_asked_for_is_not_told() -> None:
    assert beside(table(GLOOM, TASTE), {}, {"gloom": [0, 0, 0], "taste": []}) == [[None, None], [None, None]]


def test_of_batch_v0_one_scale_and_one_list_of_kinds_are_told_beside_words() -> None:
    told = {one.prefix: one.tells for layout in LAYOUTS for one in layout.families if one.tells}
    assert told == {"sentiment": "mean level", "toxicity": "strongest kind"}
    row = {"sentiment": [*[0.0] * 7, 0.5, 0.5], "toxicity": [0.0, 0.0, 0.3]}
    assert beside(LANGUAGE, row) == [[8500, [2, 300]]]

from __future__ import annotations

import math
from array import array

from hume_runner.results.agreement import Values
from hume_runner.results.compare.columns import Wanted
from hume_runner.results.compare.packing import packed, packed_values, unpacked, unpacked_values
from hume_runner.services.table_shapes import Block, BlockBuilder, Column, Family, Layout, OpenFamily

MOMENTS = Layout(
    name="face",
    row="a face",
    time=("time_s", "time_s"),
    text="who",
    columns=(
        Column(name="time_s", type="number", meaning=""),
        Column(name="who", type="string", meaning=""),
        Column(name="prob", type="number", meaning=""),
        *(Column(name=f"box_{edge}", type="number", meaning="") for edge in "xywh"),
    ),
    families=(Family(prefix="emotion", names=("Joy", "Surprise (negative)")),),
    open_families=(OpenFamily(name="descriptions", prefix="description", meaning=""),),
)
WORDS = Layout(
    name="language",
    row="a word",
    time=("begin_s", "end_s"),
    columns=tuple(
        Column(name=name, type=kind, meaning="")  # type: ignore[arg-type]
        for name, kind in (
            ("begin_s", "number"),
            ("end_s", "number"),
            ("position_begin", "integer"),
            ("position_end", "integer"),
        )
    ),
)


def faces(*rows: tuple[float | None, str | None, dict[int, float], dict[str, float]]) -> Block:
    builder = BlockBuilder(layout=MOMENTS)
    for time_s, who, emotions, described in rows:
        for name, cell in (("time_s", time_s), ("who", who), ("prob", 0.5)):
            builder.columns[name].append(cell)
        for edge in "xywh":
            builder.columns[f"box_{edge}"].append(10)
        builder.grids["emotion"].add_some(emotions)
        builder.ragged["descriptions"].add(list(described), list(described.values()))
        builder.extra.append(None)
    return builder.take()


def shown(column: array[float]) -> list[float | None]:
    return [None if math.isnan(number) else number for number in column]


def test_blocks_come_back_as_one_table_with_blanks_where_nothing_was() -> None:
    wanted = Wanted(names={"prob", "emotion_joy", "emotion_surprise_negative"}, prefixes={"description"})
    blocks = [
        faces((0.0, "ä", {0: 0.1}, {"Smile": 0.7}), (0.5, None, {0: 0.2, 1: 0.3}, {})),
        faces((1.0, "b", {}, {"Frown": 0.4, "Smile": 0.6})),
    ]

    found = unpacked(packed(block, wanted) for block in blocks)["face"]

    assert found.rows.count == 3
    assert found.rows.text == ["ä", None, "b"]
    assert found.rows.seconds is not None
    assert shown(found.rows.seconds[0]) == shown(found.rows.seconds[1]) == [0.0, 0.5, 1.0]
    assert found.rows.box is not None
    assert [list(edge) for edge in found.rows.box] == [[10.0] * 3] * 4
    values = {name: shown(column) for name, column in found.columns.items() if not name.startswith("place ")}
    assert values == {
        "prob": [0.5, 0.5, 0.5],
        "emotion_joy": [0.1, 0.2, None],
        "emotion_surprise_negative": [None, 0.3, None],
        "description_smile": [0.7, None, 0.6],
        "description_frown": [None, None, 0.4],
    }


def test_a_number_too_large_to_be_summed_is_there_and_a_place_so_far_away_is_none() -> None:
    wanted = Wanted(names={"emotion_joy", "emotion_surprise_negative"}, prefixes={"description"})
    block = faces(
        (0.0, "a", {1: -1.1e60}, {"Smile": 1e61}),
        (1e61, "b", {0: 1.7e308, 1: 0.5}, {"Smile": 1e60}),
        (2.0, "c", {0: 1e60}, {}),
    )

    found = unpacked([packed(block, wanted)])["face"]

    assert found.rows.seconds is not None
    assert shown(found.rows.seconds[0]) == [0.0, 0.0, 2.0]  # a still's place
    assert shown(found.columns["emotion_joy"]) == [None, math.inf, 1e60]
    assert shown(found.columns["emotion_surprise_negative"]) == [-math.inf, 0.5, None]
    assert shown(found.columns["description_smile"]) == [math.inf, 1e60, None]


def test_only_what_is_wanted_is_kept() -> None:
    block = faces((0.0, "a", {0: 0.1}, {"Smile": 0.7, "Frown": 0.1}))

    found = unpacked([packed(block, Wanted(names={"description_frown"}))])["face"]

    assert {name for name in found.columns if not name.startswith("place ")} == {"description_frown"}


def test_a_still_picture_lies_at_the_first_moment() -> None:
    found = unpacked([packed(faces((None, None, {}, {})), Wanted())])["face"]

    assert found.rows.seconds is not None
    assert shown(found.rows.seconds[0]) == [0.0]


def test_characters_and_times_that_are_not_told_are_blank() -> None:
    builder = BlockBuilder(layout=WORDS)
    for row in ((None, None, 0, 4), (1.0, 1.5, None, None)):
        for column, cell in zip(WORDS.columns, row, strict=True):
            builder.columns[column.name].append(cell)
        builder.extra.append(None)

    found = unpacked([packed(builder.take(), Wanted())])["language"].rows

    assert found.seconds is not None
    assert found.characters is not None
    assert [shown(edge) for edge in found.seconds] == [[None, 1.0], [None, 1.5]]
    assert [shown(edge) for edge in found.characters] == [[0.0, None], [4.0, None]]


def test_values_come_back() -> None:
    values = Values(a=array("d", [0.1, -2.0]), b=array("d", [3.0, 1e300]), item=array("q", [7, 2**40]))

    assert unpacked_values(packed_values(values)) == values

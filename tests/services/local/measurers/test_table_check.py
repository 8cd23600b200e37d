"""Rows of measurers, as they are looked at: what is kept is Python's own, and nobody else's."""

from __future__ import annotations

import json
from collections import ChainMap, OrderedDict, UserDict, defaultdict
from collections.abc import Iterator
from enum import IntEnum
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.services.local.measurers.base import Row
from hume_runner.services.local.measurers.kept_values import Nonsense
from hume_runner.services.local.measurers.table_check import Rows
from hume_runner.services.table_shapes import Column, Family, Layout, OpenFamily

LAYOUT = Layout(
    name="xx",
    row="a text",
    columns=(
        Column(name="text", type="string", meaning="t"),
        Column(name="v", type="number", meaning="v"),
        Column(name="n", type="integer", meaning="n"),
        Column(name="yes", type="boolean", meaning="y"),
        Column(name="all", type="strings", meaning="a"),
        Column(name="more", type="json", meaning="m"),
    ),
    families=(Family(prefix="fam", names=("a", "b"), bounds=(0.0, 1.0)),),
    open_families=(OpenFamily(name="open", prefix="o", meaning="open"),),
)
PLAIN = (dict, list, str, int, float, bool, type(None))


class Lying(float):
    def __le__(self, other: object) -> bool:
        return True

    def __ge__(self, other: object) -> bool:
        return True

    def __float__(self) -> float:
        return 0.5

    def __repr__(self) -> str:
        return "0.9"


class Anything(str):
    """Equal to whatever it is held against."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return hash("a")

    def __str__(self) -> str:
        return "a"


class Nothing(str):
    """Equal to nothing, so that a name may come twice."""

    __slots__ = ()
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return False


class Says(dict):  # type: ignore[type-arg]
    """Says another thing than it holds."""

    def items(self) -> Any:
        return [("a", 0.1)]

    def __iter__(self) -> Iterator[Any]:
        return iter(["a"])

    def __getitem__(self, name: object) -> Any:
        return 0.1


class Kind(IntEnum):
    SOME = 3


def kept(**values: Any) -> dict[str, Any]:
    _, found = Rows([LAYOUT]).checked(Row(layout="xx", values=values))
    return found


def is_plain(value: Any) -> bool:
    if type(value) is dict:
        return all(type(name) is str and is_plain(one) for name, one in value.items())
    return all(map(is_plain, value)) if type(value) is list else type(value) in PLAIN


# What is given under which name, and what is kept of it.
KEPT = [
    ("fam", MappingProxyType({"a": 0.5}), {"a": 0.5}),
    ("fam", ChainMap({"a": 0.5}, {"b": 0.25}), {"a": 0.5, "b": 0.25}),
    ("fam", UserDict(a=0.5), {"a": 0.5}),
    ("fam", OrderedDict(b=0.5, a=0.25), {"a": 0.25, "b": 0.5}),
    ("fam", defaultdict(float, a=0.5), {"a": 0.5}),
    ("fam", {"a": np.float64(0.3), "b": 1}, {"a": 0.3, "b": 1}),
    ("fam", Says(b=0.75), {"b": 0.75}),
    ("open", MappingProxyType({"x": Kind.SOME}), {"x": 3}),
    ("open", {np.str_("x"): Lying(0.1)}, {"x": 0.1}),
    ("open", {Anything("nonsense"): 0.9}, {"nonsense": 0.9}),
    ("text", np.str_("t"), "t"),
    ("text", Anything("t"), "t"),
    ("v", Lying(0.1), 0.1),
    ("v", np.float64(0.1), 0.1),
    ("v", Kind.SOME, 3),
    ("n", Kind.SOME, 3),
    ("yes", True, True),
    ("all", ("x", np.str_("y")), ["x", "y"]),
    ("more", {"x": (1, Lying(2.0), Kind.SOME, None)}, {"x": [1, 2.0, 3, None]}),
    (
        "more",
        MappingProxyType({1: {}, False: [], None: "x", 0.5: ChainMap()}),
        {"1": {}, "false": [], "null": "x", "0.5": {}},
    ),
    ("more", Says(b=1), {"b": 1}),
    ("beside", OrderedDict(x=np.float64(1.0)), {"x": 1.0}),
]


@pytest.mark.parametrize(("name", "value", "found"), KEPT)
def test_what_is_kept_is_of_python_s_own_types_and_holds_what_was_given(name: str, value: Any, found: Any) -> None:
    values = kept(**{name: value})
    assert values == {name: found}
    assert is_plain(values)
    assert json.loads(json.dumps(values)) == values


def test_the_values_of_a_row_may_be_any_mapping() -> None:
    for values in (MappingProxyType({"v": 1.0}), UserDict(v=1.0), ChainMap({"v": 1.0}), {np.str_("v"): 1.0}):
        assert kept(**{str(name): value for name, value in values.items()}) == {"v": 1.0}
        _, found = Rows([LAYOUT]).checked(Row(layout=np.str_("xx"), values=values))
        assert found == {"v": 1.0}
        assert is_plain(found)


deep: Any = []
for _ in range(250):
    deep = [deep]
circle: dict[str, Any] = {}
circle["j"] = circle


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("v", Lying("nan"), "v of the table xx nan, which no number"),
        ("v", np.float32(0.5), "and no number"),
        ("fam", {"a": Lying("nan")}, "as 'a' nan"),
        ("fam", {"a": Lying(7.0)}, "as 'a' 7.0, which is not between 0 and 1"),
        ("fam", {"a": 0.5, "b": float("nan")}, "as 'b' nan"),
        ("fam", {Anything("nonsense"): 0.9}, "a score 'nonsense', and there is none"),
        ("fam", {Anything("nonsense"): 0.9, "a": 0.5}, "a score 'nonsense', and there is none"),
        ("fam", {"a": 0.5, Nothing("a"): 0.5}, "a score 'a'"),
        ("open", {7: 1.0}, "a score 7"),
        ("fam", [("a", 0.5)], "no scores by name"),
        ("n", 2.0, "no whole number"),
        ("n", True, "no whole number"),
        ("yes", np.True_, "neither true nor false"),
        ("more", deep, "more than 200 deep"),
        ("more", circle, "more than 200 deep"),
        ("more", [10**5000], "a whole number of thousands of digits"),
        ("more", {"x": Lying("inf")}, "inf, which is no number of JSON"),
        ("more", {(1, 2): 3}, "(1, 2)) for the name of a member"),
        ("more", {"x": {1, 2}}, "a set ({1, 2})"),
        ("more", "half \ud800", "half a character"),
        ("beside", object(), "cannot be kept as JSON"),
        ("more", type("two\nlines", (), {})(), "a two lines ("),
    ],
)
def test_what_cannot_be_kept_is_refused_and_said_in_a_line(name: str, value: Any, said: str) -> None:
    with pytest.raises(Nonsense) as refused:
        kept(**{name: value})
    assert said in str(refused.value)
    assert str(refused.value).isprintable()


def test_what_a_measurer_does_with_a_mapping_later_changes_nothing() -> None:
    """It may fill one mapping again for each row, as loops over a buffer do."""
    judge = Rows([LAYOUT])
    values: dict[str, Any] = {"fam": {"a": 0.0, "b": 0.0}, "open": {}, "all": [], "more": {"x": []}}
    rows = []
    for number in range(5):
        values["v"] = float(number)
        values["fam"]["a"] = values["open"]["x"] = number / 10
        values["all"].append("x")
        values["more"]["x"].append(number)
        rows.append(judge.checked(Row(layout="xx", values=values))[1])
    values["fam"]["a"] = "0.9"
    values["more"]["x"].append(values)
    values.clear()
    assert rows == [
        {
            "v": float(number),
            "fam": {"a": number / 10, "b": 0.0},
            "open": {"x": number / 10},
            "all": ["x"] * (number + 1),
            "more": {"x": [*range(number + 1)]},
        }
        for number in range(5)
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers() | st.booleans() | st.none(), inner),
)


@pytest.mark.sweep
@given(JSON)
def test_json_is_kept_as_a_writer_and_a_reader_of_json_have_it(value: Any) -> None:
    try:
        expected = json.loads(json.dumps(value, allow_nan=False))
    except ValueError:
        with pytest.raises(Nonsense):
            kept(more=value)
        return
    assert kept(more=value)["more"] == expected
    assert is_plain(kept(more=value))

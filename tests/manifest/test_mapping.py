from __future__ import annotations

import datetime
import json
from collections import UserDict, UserList, UserString, deque
from collections.abc import Callable
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hume_runner.errors import Problem, UsageError, kind_of
from hume_runner.manifest.load import Examined, examine, examine_mapping
from hume_runner.manifest.mapping import document_of
from hume_runner.manifest.strict_yaml import DEEPEST, MOST_BYTES, MOST_VALUES, parse
from hume_runner.manifest.written import yaml_value
from tests.tiers import examples

WORDS = ["y", "n", "Y", "no", "on", "1e3", "12e03", "0o7", "010", "12:30", "=", "~", "null", "1", "true", ".inf", "<<"]
LETTERS = [
    "\x85",
    "\u2028",
    "\u2029",
    "\ufeff",
    "\uffff",
    "\x00",
    "\x07",
    "\x7f",
    "\t",
    "\r\n",
    " ",
    "",
    "*a",
    "!b",
    "#",
]

texts = st.one_of(st.sampled_from(WORDS + LETTERS), st.text(st.characters(exclude_categories=["Cs"]), max_size=8))
numbers = st.one_of(
    st.integers(-(10**29) + 1, 10**30 - 1),  # in a file the sign counts as a digit
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([1e22, 1e-7, 1e16, -0.0, 5e-324, 1.7976931348623157e308]),
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


class Colour(Enum):
    RED = "red"


class Wave(IntEnum):
    FIRST = 1


class Answer(StrEnum):
    YES = "y"


class Plain(str, Enum):  # noqa: UP042
    """As people wrote it before there was StrEnum; its `str` is the member's name."""

    YES = "y"


def members(**more: Any) -> dict[str, Any]:
    head = {"version": 1, "name": "trial", "service": {"api": "local"}, "models": {"language": {}}}
    return {**head, "sources": {"text": ["One."]}, **more}


def labelled(value: Any) -> dict[str, Any]:
    return members(sources={"text": ["One.", "Two.", {"text": "Three.", "labels": {"it": value}}]})


def examined(manifest: Any, folder: Path = Path("/nowhere")) -> Examined:
    return examine_mapping(manifest, folder=folder)


def read(value: Any) -> Any:
    """What a manifest has for a value of a mapping."""
    document = document_of({"it": value})
    assert document.problems == []
    return document.get("it")


def problems(manifest: Any) -> list[Problem]:
    return document_of(manifest).problems


def same(one: Any, other: Any) -> bool:
    """Also of the same types, in the same order."""
    return json.dumps(one) == json.dumps(other)


@given(st.dictionaries(texts, values, max_size=5))
@settings(max_examples=examples(400), deadline=None)
def test_whatever_json_may_hold_comes_through_as_it_is(value: dict[str, Any]) -> None:
    assert same(document_of(value).get(), value)


@given(st.dictionaries(texts, values, min_size=1, max_size=5))
@settings(max_examples=examples(400), deadline=None)
def test_a_mapping_is_read_as_a_file_with_the_same_members(value: dict[str, Any]) -> None:
    text = parse(yaml_value(value).encode(), "m.yaml")
    assert text.problems == []
    assert same(document_of(value).get(), text.get())


@pytest.mark.parametrize("text", WORDS + LETTERS)
def test_a_text_is_a_text_wherever_it_stands(text: str) -> None:
    entry = {"text": f"{text}!", "id": text if text in WORDS else "x", "labels": {f"{text}key": text}}
    found = examined(members(description=text, sources={"text": [entry]}))
    assert found.problems == ()
    assert found.manifest is not None
    (source,) = found.manifest.sources
    assert (found.manifest.description, source.value, source.id) == (text, entry["text"], entry["id"])
    assert source.labels == entry["labels"]


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Wave.FIRST, 1),
        (Answer.YES, "y"),
        (Plain.YES, "y"),
        (True, True),
        ((1, "a"), [1, "a"]),
        (deque(["a"]), ["a"]),
        (range(2), [0, 1]),
        (UserList(["a"]), ["a"]),
        (UserDict({"a": 1}), {"a": 1}),
        (MappingProxyType({"a": (1,)}), {"a": [1]}),
        (Path("media/a.wav"), "media/a.wav"),
        (np.int64(3), 3),
        (np.uint8(3), 3),
        (np.float64(0.5), 0.5),
        (np.float32(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("no"), "no"),
        (np.array("no"), "no"),
        (np.array([1, 2]), [1, 2]),
        (np.array([["a"], ["b"]]), [["a"], ["b"]]),
        (np.array([None, "a"], dtype=object), [None, "a"]),
        (np.ma.masked_array([1, 2], mask=[True, False]), [None, 2]),
        (pd.Series(["a", "y"]), ["a", "y"]),
        (pd.Index([1, 2]), [1, 2]),
        ({Answer.YES: 1, 2: 2, np.int64(3): 3}, {"y": 1, "2": 2, "3": 3}),
    ],
    ids=kind_of,
)
def test_what_surely_means_a_plain_value_is_taken_for_it(value: Any, plain: Any) -> None:
    assert same(read(value), plain)


@pytest.mark.parametrize(
    ("value", "kind", "hint"),
    [
        ({"a", "b"}, "set", "sorted"),
        (b"bytes", "bytes", "decode"),
        (datetime.date(2024, 1, 2), "date", "as text"),
        (datetime.datetime(2024, 1, 2, 3, tzinfo=datetime.UTC), "datetime", "as text"),
        (pd.Timestamp("2024-01-02"), "Timestamp", "as text"),
    ],
    ids=kind_of,
)
def test_what_yaml_has_a_tag_for_is_wrong_by_member_and_type(value: Any, kind: str, hint: str) -> None:
    (problem,) = examined(labelled(value)).problems
    assert problem.message == f"is of the type {kind}, and no text, number, list or mapping"
    assert str(problem) == f"<mapping>: sources.text[2].labels.it: {problem.message}"
    assert (problem.line, problem.column) == (None, None)
    assert hint in problem.hint


@pytest.mark.parametrize(
    ("value", "kind", "hint"),
    [
        (object(), "object", "use texts"),
        (frozenset("a"), "frozenset", "sorted"),
        (bytearray(b"a"), "bytearray", "decode"),
        (memoryview(b"a"), "memoryview", "decode"),
        ((one for one in "ab"), "generator", "list"),
        (Colour.RED, "Colour", "use texts"),
        (UserString("a"), "UserString", "use texts"),
        (datetime.timedelta(1), "timedelta", "as text"),
        (Decimal("0.1"), "Decimal", "use texts"),
        (1j, "complex", "use texts"),
        (np.complex64(1), "complex64", "use texts"),
        (np.datetime64("2024-01-02T03:04:05", "ns"), "datetime64", "use texts"),
        (np.array(["2024-01-02"], dtype="datetime64[ns]"), "ndarray", "use texts"),
        (pd.Series(["2024-01-02"], dtype="datetime64[ns]"), "Series", "use texts"),
        (pd.NA, "NAType", "use texts"),
        (pd.DataFrame({"a": [1]}), "DataFrame", "use texts"),
        (len, "builtin_function_or_method", "use texts"),
        (str, "type", "use texts"),
    ],
    ids=kind_of,
)
def test_what_no_file_could_hold_is_refused_by_member_and_type(value: Any, kind: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        examined(labelled(value))
    told = f"<mapping>: sources.text[2].labels.it: is of the type {kind}, and no text, number, list or mapping"
    assert str(caught.value) == told
    assert hint in caught.value.hint


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), float("nan"), np.float32("nan")], ids=repr)
def test_a_number_that_is_not_finite_is_refused_by_its_member(number: float) -> None:
    (problem,) = examined(labelled(number)).problems
    assert problem.path == "sources.text[2].labels.it"
    assert problem.message == f"{float(number)} is a number that is not finite"


@pytest.mark.parametrize("number", [10**30, -(10**30), 10**5000], ids=["long", "negative", "longer"])
def test_a_number_of_too_many_digits_is_refused_by_its_member(number: int) -> None:
    (problem,) = examined(labelled(number)).problems
    assert (problem.path, problem.message) == ("sources.text[2].labels.it", "is a number of more than 30 digits")


@pytest.mark.parametrize("text", ["\ud800", "a\udc80.wav", Path("a\udcff.wav")], ids=ascii)
def test_half_of_a_surrogate_pair_is_no_text(text: Any) -> None:
    (problem,) = examined(labelled(text)).problems
    assert problem.path == "sources.text[2].labels.it"
    assert problem.message == "has half of a surrogate pair, which is no text in UTF-8"
    assert str(problem).encode()


@pytest.mark.parametrize(
    ("key", "told"),
    [
        (None, "a key must be text, and one here is None"),
        (True, "a key must be text, and one here is of the type bool"),
        (0.5, "a key must be text, and one here is of the type float"),
        (("a",), "a key must be text, and one here is of the type tuple"),
        (10**30, "a key must be text, and one here is of the type int"),
        ("\ud800", "the key '\\ud800' has half of a surrogate pair, which is no text in UTF-8"),
    ],
    ids=ascii,
)
def test_a_key_that_is_no_text_is_told_with_the_mapping_that_it_stands_in(key: Any, told: str) -> None:
    assert [(one.path, one.message) for one in problems({"a": {key: 1, "b": 2}})] == [("a", told)]


def test_a_key_stands_once() -> None:
    (problem,) = problems({"labels": {1: "a", "1": "b"}})
    assert (problem.path, problem.message) == ("labels.1", "stands twice, as text and as a number")


def loop() -> dict[str, Any]:
    circle: dict[str, Any] = {}
    circle["again"] = [circle]
    return {"name": circle}


def explosion() -> dict[str, Any]:
    value: Any = ["x"] * 100
    for _ in range(4):
        value = [value] * 100
    return {"name": value}


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (loop, f"<mapping>: name: is nested more than {DEEPEST} levels deep"),
        (explosion, f"<mapping>: has more than {MOST_VALUES:,} values"),
        (lambda: members(description="x" * MOST_BYTES), "<mapping>: is larger than 5 MB"),
    ],
    ids=["loop", "explosion", "size"],
)
def test_a_mapping_has_the_bounds_of_a_file(make: Callable[[], Any], told: str) -> None:
    assert list(map(str, examined(make()).problems)) == [told]


def test_the_deepest_file_is_the_deepest_mapping() -> None:
    for depth in (DEEPEST - 1, DEEPEST):
        value: Any = []
        for _ in range(depth - 1):
            value = [value]
        told = problems({"a": value})
        assert [one.message for one in told] == [
            one.message for one in parse(yaml_value({"a": value}).encode(), "m").problems
        ]
        assert bool(told) == (depth == DEEPEST)


def test_all_that_is_wrong_is_told_at_once_in_the_order_of_the_entries() -> None:
    entries: list[Any] = ["One."] * 12
    entries[2], entries[10], entries[11] = b"two", 3, ""
    found = examined(members(sources={"text": entries}, colour="blue"))
    told = [one.path for one in found.problems]
    assert told == ["colour", "sources.text[2]", "sources.text[10]", "sources.text[11]"]
    assert {(one.file, one.line, one.column) for one in found.problems} == {("<mapping>", None, None)}


def test_ids_that_meet_are_told_by_their_members() -> None:
    twice = [{"text": "One.", "id": "a"}, {"text": "Two.", "id": "a"}]
    (problem,) = examined(members(sources={"text": twice})).problems
    assert str(problem) == "<mapping>: sources.text[1].id: the id 'a' is taken by sources.text[0]"


def test_nobody_is_told_of_quotes_and_indentation_who_wrote_no_text() -> None:
    told = problems_and_hints(members(service=None, api="local", sources={"text": [{"I said": "hi"}]}))
    assert "is a mapping to YAML" not in told
    assert "indent" not in told
    assert "sources.text[0].I said: unknown member 'I said'" in told


def problems_and_hints(manifest: Any) -> str:
    return "\n".join(f"{one} {one.hint}" for one in examined(manifest).problems)


class Answering:
    """It has an answer for whatever it is asked for."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


def test_a_value_is_not_asked_for_what_its_class_does_not_have() -> None:
    with pytest.raises(UsageError, match="is of the type Answering"):
        examined(members(description=Answering()))


def test_the_hash_is_of_the_members() -> None:
    one, other = (examined(members(description=word)).manifest for word in ("y", "n"))
    again = examined(UserDict(members(description=Answer.YES))).manifest
    assert one is not None
    assert other is not None
    assert again is not None
    assert one.sha256 == again.sha256 != other.sha256
    assert one.path == Path("/nowhere/<mapping>")


def test_a_mapping_and_a_file_are_the_same_manifest(tmp_path: Path) -> None:
    manifest = members(sources={"text": [{"text": "n", "id": "y", "labels": {"no": "010", "1": 1e22}}]})
    file = tmp_path / "m.yaml"
    file.write_text(yaml_value(manifest), encoding="utf-8")
    one, other = examined(manifest, tmp_path).manifest, examine(file).manifest
    assert one is not None
    assert other is not None
    for member in (
        "name",
        "description",
        "service",
        "settings",
        "notify",
        "batching",
        "execution",
        "outputs",
        "events",
    ):
        assert getattr(one, member) == getattr(other, member)
    for mine, its in zip(one.sources, other.sources, strict=True):
        assert (mine.value, mine.id, mine.labels) == (its.value, its.id, its.labels)

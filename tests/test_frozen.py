"""What `frozen` makes is held against the same class as the standard library makes it."""

from __future__ import annotations

import copy
import inspect
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.frozen import frozen


def _declared(decorator: Any, positional: Any) -> dict[str, Any]:
    """Each shape that the package declares, made by a decorator for named members and one for positional ones."""

    @decorator
    class Nothing:
        pass

    @decorator
    class Named:
        """Has a docstring."""

        number: int
        words: tuple[str, ...] = ()
        found: dict[str, int] = field(default_factory=dict)
        aside: object = field(default=None, repr=False, compare=False)
        LIMIT: ClassVar[int] = 3

        @property
        def double(self) -> int:
            return 2 * self.number

        def __str__(self) -> str:
            return f"<{self.number}>"

    @decorator
    class Derived(Named):
        more: str = "more"

    @positional
    class Placed:
        first: int
        second: int = 2

    @decorator
    class Checked:
        number: int

        def __post_init__(self) -> None:
            if self.number < 0:
                raise ValueError("negative")

    @decorator
    class Alike:
        name: str

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Alike) and other.name.lower() == self.name.lower()

        def __hash__(self) -> int:
            return hash(self.name.lower())

    return {one.__name__: one for one in (Nothing, Named, Derived, Placed, Checked, Alike)}


OURS = _declared(frozen, frozen(kw_only=False))
THEIRS = _declared(dataclass(frozen=True, slots=True, kw_only=True), dataclass(frozen=True, slots=True))


def _outcome(act: Callable[[], Any]) -> str:
    """What comes of it: the value as people see it, or the error."""
    try:
        found = act()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return repr(found)


_ARGUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "number": st.integers(-1, 1),
        "words": st.just(("a", "b")),
        "found": st.just({"a": 1}),
        "aside": st.just("x"),
        "more": st.sampled_from(["", "more"]),
        "first": st.integers(0, 1),
        "second": st.integers(0, 1),
        "name": st.sampled_from(["a", "A"]),
        "unknown": st.just(0),
    },
)


@given(name=st.sampled_from(sorted(OURS)), places=st.lists(st.integers(0, 1), max_size=3), named=_ARGUMENTS)
def test_it_takes_and_shows_and_refuses_what_a_frozen_dataclass_does(
    name: str, places: list[int], named: dict[str, Any]
) -> None:
    members = {one.name for one in fields(THEIRS[name])} | {"unknown"}
    given_names = {key: value for key, value in named.items() if key in members}

    ours, theirs = (_outcome(lambda made=made: made[name](*places, **given_names)) for made in (OURS, THEIRS))

    assert ours == theirs


@given(name=st.sampled_from(["Named", "Derived", "Placed", "Alike"]), first=_ARGUMENTS, second=_ARGUMENTS)
def test_two_are_equal_and_hash_alike_where_two_of_the_standard_library_are(
    name: str, first: dict[str, Any], second: dict[str, Any]
) -> None:
    def compared(kind: Any) -> tuple[Any, ...] | None:
        members = [one.name for one in fields(kind)]
        needs = {"number": 0, "first": 0, "name": "a"}
        one, other = (
            kind(**{key: {**needs, **told}[key] for key in members if key in {**needs, **told}})
            for told in (first, second)
        )
        return one == other, one != other, one == 1, _outcome(lambda: hash(one) == hash(other)), len(asdict(one))

    assert compared(OURS[name]) == compared(THEIRS[name])


@frozen
class Kept:
    """Another process finds a class by its name, so this one has one."""

    number: int
    words: tuple[str, ...] = ()


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda kept: pickle.loads(pickle.dumps(kept))])
def test_a_copy_and_what_another_process_gets_are_equal_and_no_less_frozen(again: Callable[[Kept], Kept]) -> None:
    kept = Kept(number=1, words=("a",))

    other = again(kept)

    assert other == kept
    assert other.words == ("a",)
    with pytest.raises(FrozenInstanceError):
        other.number = 2  # type: ignore[misc]


def test_no_member_is_set_or_deleted_and_none_is_added() -> None:
    kept = Kept(number=1)

    for act in (
        lambda: setattr(kept, "number", 2),
        lambda: setattr(kept, "new", 2),
        lambda: delattr(kept, "number"),
    ):
        with pytest.raises(FrozenInstanceError):
            act()

    assert kept == Kept(number=1)
    assert not hasattr(kept, "__dict__")


def test_it_is_a_dataclass_to_whoever_asks() -> None:
    assert is_dataclass(Kept)
    assert replace(Kept(number=1), words=("b",)) == Kept(number=1, words=("b",))
    assert OURS["Placed"].__match_args__ == THEIRS["Placed"].__match_args__ == ("first", "second")
    assert OURS["Named"](number=2).double == 4
    assert str(OURS["Named"](number=2)) == "<2>"


def test_a_default_is_made_for_each() -> None:
    named = OURS["Named"]

    assert named(number=1).found is not named(number=1).found


@pytest.mark.parametrize("name", sorted(OURS))
def test_its_signature_is_that_of_a_dataclass_before_and_after_the_first_instance(name: str) -> None:
    ours = _declared(frozen, frozen(kw_only=False))[name]

    def told(made: Any) -> list[tuple[str, Any, Any]]:
        return [(one.name, one.kind, one.annotation) for one in inspect.signature(made).parameters.values()]

    assert told(ours) == told(THEIRS[name])
    needs = {"number": 0, "first": 0, "name": "a"}
    ours(**{one.name: needs[one.name] for one in fields(ours) if one.name in needs})
    assert told(ours) == told(THEIRS[name])


def test_many_threads_make_the_first_instance_together() -> None:
    for _ in range(20):
        made = _declared(frozen, frozen(kw_only=False))["Derived"]
        together = threading.Barrier(8)

        def make(number: int, made: Any = made, together: threading.Barrier = together) -> Any:
            together.wait()
            return made(number=number, more="x")

        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(make, range(8)))
        assert [(one.number, one.more) for one in found] == [(number, "x") for number in range(8)]

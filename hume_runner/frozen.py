"""`frozen`: how the dataclasses that pass between stages are declared.

What it makes is a dataclass (`fields`, `replace`, `asdict`, pattern matching, type checkers) with slots, whose members
are set once and compared by. Only the making is another: a run declares nearly three hundred of them before its first
request, and for each, `dataclass(frozen=True)` compiles six functions, which was two fifths of what all imports took
(docs/performance.md). Here one is compiled, `__init__`, and the others are shared. What derives from such a class is
declared by `frozen`, too.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field, fields
from operator import attrgetter
from typing import Any, NoReturn, TypeVar, dataclass_transform, overload

__all__ = ["frozen"]

T = TypeVar("T")


@overload
def frozen(cls: type[T], /) -> type[T]: ...


@overload
def frozen(*, kw_only: bool = True) -> Callable[[type[T]], type[T]]: ...


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def frozen(cls: type[T] | None = None, /, *, kw_only: bool = True) -> type[T] | Callable[[type[T]], type[T]]:
    """A frozen dataclass with slots, whose members are named where one is made, unless `kw_only` is false."""
    if cls is not None:
        return _frozen(cls, kw_only)
    return lambda declared: _frozen(declared, kw_only)


def _frozen(cls: type[T], kw_only: bool) -> type[T]:
    cls.__doc__ = cls.__doc__ or cls.__name__  # else `dataclass` writes one, from a signature that it inspects
    made = dataclass(init=False, repr=False, eq=False, slots=True, kw_only=kw_only)(cls)
    members = fields(made)  # type: ignore[arg-type]
    compared = _compared([member.name for member in members if member.compare])

    def equal(self: Any, other: Any) -> Any:
        return compared(self) == compared(other) if other.__class__ is self.__class__ else NotImplemented

    def hashed(self: Any) -> int:
        return hash(compared(self))

    def first(self: Any, /, *given: Any, **named: Any) -> None:
        # Two threads may both come here, and make the same.
        init = _init(made, members)
        made.__init__ = init  # type: ignore[method-assign]
        init(self, *given, **named)

    first.__qualname__ = f"{made.__qualname__}.__init__"
    own = {"__init__": first, "__eq__": equal, "__hash__": hashed, "__signature__": _Signature(members), **_SHARED}
    for name, method in own.items():
        if cls.__dict__.get(name) is None:  # what a class writes itself stays
            setattr(made, name, method)
    return made


class _Signature:
    """What `inspect.signature` tells of a class whose `__init__` may not be compiled yet."""

    def __init__(self, members: tuple[Field[Any], ...]) -> None:
        self._members = members

    def __get__(self, instance: object, made: type) -> Any:
        _, *parameters = inspect.signature(_init(made, self._members)).parameters.values()
        return inspect.Signature(parameters)


def _compared(names: list[str]) -> Callable[[Any], Any]:
    if not names:
        return lambda self: ()
    return attrgetter(*names)


def _init(made: type, members: Iterable[Field[Any]]) -> Callable[..., None]:
    """`__init__` of a class. Members are set through their slots, past `__setattr__`, which refuses."""
    known: dict[str, Any] = {"_MISSING": MISSING}
    heads: dict[bool, list[str]] = {False: ["self"], True: []}  # by whether they have to be named
    body = []
    for member in members:
        assert member.init, f"{made.__name__}.{member.name}: every member is given or has a default"
        name = given = member.name
        known[f"_set_{name}"] = getattr(made, name).__set__
        if member.default is not MISSING:
            known[f"_default_{name}"] = member.default
            given = f"{name}=_default_{name}"
        elif member.default_factory is not MISSING:
            known[f"_make_{name}"] = member.default_factory
            given = f"{name}=_MISSING"
            body.append(f"if {name} is _MISSING: {name} = _make_{name}()")
        heads[bool(member.kw_only)].append(given)
        body.append(f"_set_{name}(self, {name})")
    if hasattr(made, "__post_init__"):
        body.append("self.__post_init__()")
    head = ", ".join([*heads[False], *(["*", *heads[True]] if heads[True] else [])])
    exec(f"def __init__({head}):\n  " + "\n  ".join(body or ["pass"]), known)  # noqa: S102 - as `dataclass` does it
    init: Callable[..., None] = known["__init__"]
    init.__qualname__ = f"{made.__qualname__}.__init__"
    init.__annotations__ = {member.name: member.type for member in members} | {"return": None}
    return init


def _shown(self: Any) -> str:
    members = ", ".join(f"{one.name}={getattr(self, one.name)!r}" for one in fields(self) if one.repr)
    return f"{self.__class__.__qualname__}({members})"


def _refuse_to_set(self: Any, name: str, value: object) -> NoReturn:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(self: Any, name: str) -> NoReturn:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: Any) -> list[Any]:
    return [getattr(self, member.name) for member in fields(self)]


def _restore(self: Any, state: list[Any]) -> None:
    for member, kept in zip(fields(self), state, strict=True):
        object.__setattr__(self, member.name, kept)


# Another process gets a value as its members, in their order, and sets them past `__setattr__`.
_SHARED: dict[str, Callable[..., Any]] = {
    "__repr__": _shown,
    "__setattr__": _refuse_to_set,
    "__delattr__": _refuse_to_delete,
    "__getstate__": _state,
    "__setstate__": _restore,
}

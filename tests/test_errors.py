"""Errors that cross from one process to another: what a worker raises is what its owner catches."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import pytest

from hume_runner import errors
from hume_runner.errors import HumeRunnerError, ServiceUnavailable, in_a_line, kind_of, of_system
from hume_runner.hume import exceptions

PROBLEM = errors.Problem(file="a.yaml", line=1, column=2, path="models", message="no")


def kinds(kind: type[HumeRunnerError]) -> Iterator[type[HumeRunnerError]]:
    for below in kind.__subclasses__():
        if below.__module__ in (errors.__name__, exceptions.__name__):
            yield below
            yield from kinds(below)


def made(kind: type[HumeRunnerError]) -> HumeRunnerError:
    if issubclass(kind, errors.ManifestError | errors.SourceError) or kind.__name__ == "_Problems":
        return kind([PROBLEM], hint="h")  # type: ignore[arg-type]
    if kind is errors.MissingExtra:
        return errors.MissingExtra("tables", "this")
    more = {"sent": True} if issubclass(kind, errors.TransportError) else {}
    return kind("said", hint="h", **more)


@pytest.mark.parametrize("kind", sorted(set(kinds(HumeRunnerError)), key=lambda kind: kind.__name__))
def test_every_error_comes_back_from_another_process_as_it_was(kind: type[HumeRunnerError]) -> None:
    error = made(kind)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (kind, str(error), vars(error))


@pytest.mark.parametrize(
    "kind",
    [
        one
        for name, one in vars(errors).items()
        if name[0] != "_" and isinstance(one, type) and issubclass(one, Exception)
    ],
    ids=lambda kind: kind.__name__,
)
def test_every_error_stands_in_the_documented_tree(kind: type[Exception]) -> None:
    assert kind.__name__ in (errors.__doc__ or "").split()


def nothing_to_say(raised: BaseException) -> type[Exception]:
    def say(self: Exception) -> str:
        raise raised

    return type("Mute\n" * 50, (Exception,), {"__str__": say})


@pytest.mark.parametrize(
    "raised", [ValueError("v"), SystemExit(0), GeneratorExit()], ids=lambda one: type(one).__name__
)
def test_what_an_exception_of_others_says_is_a_line_whatever_it_does(raised: BaseException) -> None:
    said = in_a_line(nothing_to_say(raised)())
    assert said.startswith("Mute Mute ")
    assert said.endswith(": it cannot say what")
    assert len(said) < 120


def test_the_name_of_a_class_of_others_is_a_line_whatever_it_says_of_itself() -> None:
    class Liar(type):
        @property
        def __name__(cls) -> str:  # type: ignore[override]
            raise SystemExit(0)

    assert kind_of(Liar("True", (), {})()) == "True"
    assert kind_of(type("a\nb" * 1000, (), {})()) == ("a b" * 1000)[:80]


def test_a_library_that_memory_does_not_do_for_is_no_bug() -> None:
    known = of_system(ImportError("libarrow.so.2100: failed to map segment from shared object"))
    assert isinstance(known, ServiceUnavailable)
    assert str(known) == "this machine has no more memory"
    assert of_system(ImportError("No module named 'x'")) is None

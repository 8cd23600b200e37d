"""Errors that cross from one process to another: what a worker raises is what its owner catches."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import pytest

from hume_runner import errors
from hume_runner.errors import HumeRunnerError
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

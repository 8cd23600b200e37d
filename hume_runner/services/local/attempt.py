"""Whose fault it is that something cannot be measured: the source's, the measurer's, or that of this machine."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hume_runner.errors import in_a_line, is_scarce, of_system
from hume_runner.media.problems import MediaProblem, surprises_are_problems
from hume_runner.services.local.answer_form import SourceFound
from hume_runner.services.local.measurers.kept_values import Nonsense
from hume_runner.services.local.task import Wanted


class Lacking(BaseException):
    """This machine has no more of something, and no source is at fault: `error` says of what. No Exception, since it
    passes through measurers, which may catch those."""

    def __init__(self, error: Exception) -> None:
        super().__init__(error)
        self.error = error


class Unread(BaseException):
    """What we read for a measurer cannot be read: `problem` says what of it. A measurer that raises a MediaProblem
    itself has failed, whatever it wrote into it."""

    def __init__(self, problem: MediaProblem) -> None:
        super().__init__(problem)
        self.problem = problem


@contextmanager
def read_by_us(name: str) -> Iterator[None]:
    """Raises: Lacking, Unread."""
    try:
        with no_source_s_fault(), surprises_are_problems(name):
            yield
    except MediaProblem as problem:
        raise Unread(problem) from problem


@contextmanager
def no_source_s_fault(what: str = "") -> Iterator[None]:
    """What this machine lacks meanwhile ends the run, which goes on once it is there: we read for a measurer, or it
    loads its weights, and another source would meet the same. What a measurer lacks over one source is told of that
    source instead: it may be larger than anything that this machine will ever have. Raises: Lacking."""
    try:
        yield
    except (OSError, MemoryError) as error:
        scarce = is_scarce(error) or error.errno == errno.EIO if isinstance(error, OSError) else True
        if not scarce:
            raise
        known = of_system(error)
        if what and known is not None:
            known = type(known)(f"{what}: {known}", hint=known.hint)
            known.__cause__ = error
        raise Lacking(known or error) from error


class Attempt:
    """One measurer at one source: whatever it raises over it is a line of that source, and stops no other."""

    def __init__(self, source: SourceFound, one: Wanted, name: str) -> None:
        self._source, self._one, self._name = source, one, name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if error is None:
            self._source.measured += 1
            return False
        if isinstance(error, Unread):
            self._source.lacks(self._one.model, error.problem.reason, error.problem.message)
            return True
        if isinstance(error, Lacking):
            return False
        # Whatever else it raises is its own; nothing that ends a program is meant for us, since Ctrl-C is for the
        # parent.
        if isinstance(error, Nonsense):  # where we found it says nothing
            what = str(error)
        else:
            where = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{in_a_line(error)} ({Path(where.filename).name}:{where.lineno})"
        self._source.lacks(self._one.model, "measurer_failed", f"{self._name}: {self._one.model}: {what}")
        return True

"""Collects what is wrong with sources, so that three globs without a match are three problems in one answer."""

from __future__ import annotations

from collections.abc import Callable

from hume_runner.errors import ManifestError, Problem, SourceError
from hume_runner.manifest.document import MOST_PROBLEMS, more_problems
from hume_runner.manifest.model import Place

# A next step, or what finds one: to look for the nearest of many names takes longer than all else, and what is only
# counted needs none.
Hint = str | Callable[[], str]


class ProblemLog:
    """Problems of all sources of a manifest; keeps the first hundred and counts the rest."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.unlisted = 0
        self._manifest_is_wrong = False

    def missing(self, place: Place, message: str, hint: Hint) -> None:
        """A source is not there or cannot be read (exit code 66)."""
        self._add(place, message, hint)

    def malformed(self, place: Place, message: str, hint: Hint) -> None:
        """The manifest, or a list that belongs to it, says something that cannot be (exit code 65)."""
        self._manifest_is_wrong = True
        self._add(place, message, hint)

    def _add(self, place: Place, message: str, hint: Hint) -> None:
        if len(self.problems) >= MOST_PROBLEMS:
            self.unlisted += 1
            return
        hint = hint if isinstance(hint, str) else hint()
        self.problems.append(place.problem(message, hint))

    def raise_if_any(self) -> None:
        """Raises: ManifestError if any problem is one of the manifest, else SourceError; nothing without problems."""
        if not self.problems:
            return
        found = list(self.problems)
        if self.unlisted:
            found.append(more_problems(found[0].file, self.unlisted))
        raise ManifestError(found) if self._manifest_is_wrong else SourceError(found)

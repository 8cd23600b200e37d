"""Jobs that were started elsewhere, as the service tells of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hume_runner.frozen import frozen
from hume_runner.manifest.model import SourceKind


@frozen
class ForeignSource:
    """A source of a job that was started elsewhere: its name there, and its content as `value` or `md5`."""

    kind: SourceKind
    match: str
    value: str | None = None
    md5: str | None = None


@frozen
class Foreign:
    """A job that was started elsewhere. `same_settings`: it measures as the manifest would, as far as is known, and
    `differences` say in which settings it does not;
    `alike(kind, facts)`: it does so for such an item, which not every setting touches; None where nobody can tell.
    `lacks(kind, facts)`: the models that the manifest asks for and that did not measure such an item.
    `silent`: kinds of sources of which nothing tells whether, or which, it carries; `unordered`: kinds of which it
    carries several, and neither its echo nor its answer will tell which is which. `given_up`: why the service gave it
    up, so that it measured nothing; empty where it did not.

    `simulated` is None where nobody can know.
    """

    remote_id: str
    sources: tuple[ForeignSource, ...]
    same_settings: bool
    differences: tuple[str, ...] = ()
    lacks: Callable[[SourceKind, Mapping[str, Any]], tuple[str, ...]] = lambda kind, facts: ()
    alike: Callable[[SourceKind, Mapping[str, Any]], bool | None] = lambda kind, facts: True
    silent: frozenset[SourceKind] = frozenset()
    unordered: frozenset[SourceKind] = frozenset()
    given_up: str = ""
    created_at: float | None
    simulated: bool | None

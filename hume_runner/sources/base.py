"""What a source is, whatever the manifest wrote: the protocol and the value that crosses it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, Protocol

from hume_runner.manifest.model import Place, Scalar, SourceKind
from hume_runner.sources.remote import RemoteObject

_NO_LABELS: Mapping[str, Scalar] = MappingProxyType({})


# Lists make millions of them, and this is what makes one in a third of the time of a frozen dataclass.
class SourceItem(NamedTuple):
    """One thing to measure, after globs and lists are expanded; nothing of it has been read yet.

    `value` is the URL, the text itself, or for a file its name as people know it (relative to the manifest's folder
    where it lies inside, POSIX separators). `path` is set for files alone and is absolute; for an object in a store
    `remote` is set instead, and `value` is its URI. `explicit_id` tells an id
    that the manifest gives from one that was derived: a derived id that is taken already gets a suffix, an explicit
    one that is taken is an error.
    """

    kind: SourceKind
    id: str
    explicit_id: bool
    value: str
    place: Place
    path: Path | None = None
    labels: Mapping[str, Scalar] = _NO_LABELS
    remote: RemoteObject | None = None


class Source(Protocol):
    """One entry of the manifest, expanded lazily: a list of a million URLs is never held."""

    def items(self) -> Iterator[SourceItem]:
        """Yield items in a stable order (globs sorted by path, lists in file order).

        What is wrong (a missing file, a glob without a match, a malformed line of a list) goes into the ProblemLog
        that the source was made with; `expand` raises all of it after the last item.
        """
        ...

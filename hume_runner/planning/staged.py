"""What planning needs of whoever keeps things: items on their way to the state, and the state that they meet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import field
from pathlib import Path
from typing import Any, Protocol

from hume_runner.frozen import frozen
from hume_runner.manifest.model import Place, SourceKind
from hume_runner.planning.diff import Known
from hume_runner.planning.model import PlannedJob
from hume_runner.services.jobs import Draft, Job, PlanItem

# ord, id, explicit, kind, key, value, place, labels, content, size, settings
PlainRow = tuple[int, str, int, str, bytes, str, str, str | None, bytes, int, bytes]
# The same, and what only a file has: path, inside, facts, md5
Row = tuple[*PlainRow, str | bytes | None, str | None, str | None, bytes | None]


@frozen
class PlainBlock:
    """The rows of many items that are no files and stand together, by columns; what is one for all is told once.

    `first`: the `ord` of the first; the others follow it. `before` and `behind` are what every place has before the
    number of its line and behind it.
    """

    first: int
    ids: Sequence[str]
    explicit: int
    kind: str
    keys: Sequence[bytes]
    values: Sequence[str]
    before: str
    lines: Sequence[int]
    behind: str
    labels: Sequence[str | None]
    contents: Sequence[bytes]
    size: int
    settings: bytes

    def __len__(self) -> int:
        return len(self.keys)


@frozen
class FileDigest:
    """A file's content: 32 bytes, and 16 where the service tells files by their MD5 as well."""

    sha256: bytes
    md5: bytes | None = None


@frozen
class Staged:
    """One item of the manifest with what the state knows of it."""

    ord: int
    id: str
    kind: SourceKind
    known: Known
    facts: Mapping[str, Any] = field(default_factory=dict)  # what a look at the medium told

    @property
    def problem(self) -> str | None:
        """What a look at the medium found wrong."""
        return self.facts.get("problem")


class Scanned(Protocol):
    """The items of one manifest, in its order, outside of memory."""

    # What tells that the manifest and its lists are those that were scanned; None where they alone do not tell.
    sources: str | None

    @property
    def digest(self) -> str:
        """Over all that decides about a plan, in hex; once it is finished."""
        ...

    @property
    def partial(self) -> bool:
        """Whether items are left out that the state may hold."""
        ...

    def hand_over(self) -> Path:
        """Make all rows visible to the store that is to compare them."""
        ...

    def close(self) -> None: ...


class Scan(Scanned, Protocol):
    """Collects them."""

    @property
    def count(self) -> int:
        """How many there are so far, with those that were passed over."""
        ...

    def select(self, selection: str, *, partial: bool) -> None:
        """Before the first item: only some are added, as this says."""
        ...

    def add(self, row: Row) -> None: ...

    def add_plain(self, row: PlainRow) -> None:
        """The same for an item that is no file."""
        ...

    def add_block(self, block: PlainBlock) -> None:
        """The same for many of them."""
        ...

    def pass_over(self, row: Row) -> None:
        """An item that is listed and not selected: its id is taken, and it has its place in the order."""
        ...

    def add_digest(self, path: str, size: int, mtime_ns: int, inode: int, digest: FileDigest) -> None:
        """Remember a file's digest, to be kept if a run follows."""
        ...

    def add_settings(self, digest: bytes, text: str) -> None:
        """Settings that rows name by their digest, as canonical JSON."""
        ...

    def finish(self) -> None:
        """Settle ids that were claimed twice. Raises: ManifestError if two items claim an id by name."""
        ...


class PlanReader(Protocol):
    """A state, as far as a plan is made against it. What is decided is noted in the scratch file beside it, and nothing
    in the state changes. Everything is streamed."""

    def attach(self, scan: Path) -> None: ...

    def detach(self) -> None: ...

    def meta(self, name: str) -> Any: ...

    @property
    def selected_numbers(self) -> Mapping[str, int]:
        """The items by status that the last plan was about."""
        ...

    def any_planned(self) -> bool:
        """Whether a job is planned and not sent."""
        ...

    def planned_jobs(self) -> Iterator[tuple[int, PlannedJob, bool]]:
        """(number, job, whether its media have to be prepared) of every job that is planned and not sent, in order."""
        ...

    def load_job(self, number: int) -> Job:
        """A job with its members."""
        ...

    def any_simulated(self) -> bool:
        """Whether the emulator took the job of any listed item."""
        ...

    def sort_out(self, *, real_endpoint: bool) -> tuple[int, int]:
        """Decide about the staged items of which there is nothing to consider: (never seen, measured). The first are
        wanted from now on."""
        ...

    def compare(self, *, all_of_them: bool = True) -> Iterator[Staged]:
        """Each staged item with what is known of its key and of its id, in manifest order; or those alone that were not
        sorted out."""
        ...

    def repeated(self) -> AbstractSet[int]:
        """The `ord`s of staged items whose key an earlier item has already, once they are sorted out."""
        ...

    def want(self, batch: Sequence[tuple[int, int, bool]]) -> None:
        """Note staged items that have to be submitted: (ord, what of it is given up as `Again` says, whether parts of
        it are kept)."""
        ...

    def wanted(self) -> Iterator[PlanItem]:
        """The staged items that have to be submitted, in manifest order."""
        ...

    def under_way(self, *, staged: bool, size: int) -> Iterator[bytes]:
        """The first bytes of the keys of what has to be submitted (if anything is `staged`), or may be at the
        service."""
        ...

    def wants_plain_ones_only(self) -> bool:
        """Whether all that has to be submitted are texts, and links without a query, none of them in part."""
        ...

    def wanted_sizes(self) -> Iterator[tuple[bytes, int]]:
        """(key, bytes) of what `wanted` tells of, in its order."""
        ...

    def removed(self) -> Iterator[tuple[str, str, str | None]]:
        """(id, kind, the id under which the same is listed now, if it is) of items that the state lists and the
        manifest does not, in their old order."""
        ...

    def relabelled_number(self) -> int:
        """How many items are listed as before, with other labels."""
        ...

    def added_number(self) -> int:
        """How many staged items are measured, and have an id that the state does not list."""
        ...

    def removed_number(self) -> int:
        """How many `removed` tells of."""
        ...

    def keep_jobs(self, batch: Sequence[PlannedJob]) -> None:
        """Keep jobs as they were packed."""
        ...

    def kept_jobs(self) -> Iterator[PlannedJob]:
        """What was kept, in its order."""
        ...

    def absent(self, ids: Iterable[str], *, staged: bool) -> list[str]:
        """Those of these ids that no item has: of those that are `staged`, or of the state's own."""
        ...

    def ids(self, *, staged: bool) -> Iterator[str]:
        """The ids of these items, in manifest order."""
        ...

    def place_of(self, key: bytes) -> str | None:
        """Where the manifest lists the staged item with this key."""
        ...

    # -- keys of an earlier version

    def former_settings(self) -> Sequence[tuple[bytes, str]]:
        """(digest, canonical JSON) of the settings that such keys may have been made with."""
        ...

    def unmeasured(self) -> Iterator[tuple[SourceKind, bytes, bytes, str | None]]:
        """(kind, key, content, facts) of staged items whose key the state has never seen."""
        ...

    def most_telling(self, keys: Sequence[bytes]) -> bytes | None:
        """Of several measurements of the same, the key of the one that counts; None if there is none."""
        ...

    def note_former(self, batch: Sequence[tuple[bytes, bytes]]) -> None:
        """Note under which key an earlier version measured staged items: (key, old key)."""
        ...


class PlanStore(PlanReader, Protocol):
    """The same, where a plan is kept."""

    def remember(self, **facts: Any) -> None:
        """Set a few facts about the state."""
        ...

    def replace_plan(self, drafts: Iterable[Draft], *, facts: Mapping[str, Any], keep: bool = False) -> None:
        """Make the staged items the state's items and plan these jobs, all or nothing. `keep`: items that are not
        staged stay, marked as left out."""
        ...


def format_place(file: str, line: int, column: int, path: str) -> str:
    """A place as the scratch file and the state keep it: `file:line:column<TAB>member path`."""
    return f"{file}:{line}:{column}\t{path}"


def parse_place(place: str) -> Place:
    """What `format_place` wrote."""
    where, _, path = place.partition("\t")
    file, line, column = where.rsplit(":", 2)
    return Place(file, int(line), int(column), path)

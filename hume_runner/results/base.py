"""What the results of a run are, wherever they are read from: the protocol and the values that cross it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, Protocol

from hume_runner.frozen import frozen
from hume_runner.manifest.model import Scalar
from hume_runner.services.table_shapes import Piece


@frozen
class ItemRecord:
    """One item and its outcome: a line of `results.jsonl`.

    `kind` is url, file or text; `source` is what people see, without what may be secret. `status` is done, failed,
    pending, in_flight or ambiguous. `reason` is a short code ("transcript_confidence"), `error` the sentence.
    `raw` are paths relative to the output directory.
    """

    id: str
    kind: str
    source: str
    labels: Mapping[str, Scalar] = field(default_factory=dict)
    status: str
    error: str | None = None
    reason: str | None = None
    job: str | None = None
    remote_id: str | None = None
    raw: tuple[str, ...] = ()
    simulated: bool | None = False  # None where nobody can know


@frozen
class AnswerMember:
    """Something a job carried, and the items that stand for it: several where the same content was listed twice.

    `match` is by what the answer names it: the URL as submitted, the name of the upload, or the position of a text
    from 1. `url_sha256` (hex) stands in for a URL that may not be written down. `position` is its place in the job.
    An item may be spread over several jobs: then `detail` says which part of it this is, in the service's words, and
    `pieces` are all its parts that are answered, this one among them, in the order of their jobs.
    """

    match: str
    kind: str
    items: tuple[ItemRecord, ...]
    url_sha256: str | None = None
    position: int = 0
    detail: Mapping[str, Any] = field(default_factory=dict)
    pieces: tuple[Piece, ...] = ()


@frozen
class Answer:
    """One raw answer on disk. `job` and `remote_id` are empty where nobody knows them.

    `harm`: why it cannot be read, where that is known without reading it: nothing of it is told then.
    `whole`: `members` are all of it that are results. Where that is not known, what no member stands for is one too.
    """

    api: str
    job: str
    remote_id: str
    path: Path
    members: tuple[AnswerMember, ...]
    whole: bool = False
    harm: str | None = None


@frozen
class JobRecord:
    """One job. Times are Unix seconds: created, started and ended by the service's clock, the others by ours.

    `kept`: its answer comes from a file that somebody kept, and nothing tells when it was measured: it has no times.
    """

    job: str
    remote_id: str | None
    status: str
    sources: int
    created_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    submitted_at: float | None = None
    fetched_at: float | None = None
    error: str | None = None
    kept: bool = False

    @property
    def measured_at(self) -> float | None:
        """When it was measured, as near as is known; None where it was not, or nobody knows."""
        if self.status != "done" or self.kept:
            return None
        known = (self.ended_at, self.started_at, self.created_at, self.fetched_at, self.submitted_at)
        return next((moment for moment in known if moment is not None), None)


class ResultSet(Protocol):
    """The results of one manifest. Each method starts anew when it is called again; nothing is held."""

    @property
    def api(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def simulated(self) -> bool | None: ...

    @property
    def directory(self) -> Path: ...

    @property
    def settings(self) -> Mapping[str, Any]: ...

    @property
    def run(self) -> Mapping[str, Any]:
        """The content of `run.json`, empty if there is none."""
        ...

    def items(self) -> Iterator[ItemRecord]:
        """Every item, in the manifest's order."""
        ...

    def answers(self) -> Iterator[Answer]:
        """Every raw answer, in the order of the jobs."""
        ...

    def jobs(self) -> Iterator[JobRecord]:
        """Every job, in order."""
        ...

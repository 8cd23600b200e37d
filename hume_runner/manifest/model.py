"""The manifest as values: one frozen dataclass a section, key for key with `schemas/manifest-v1.schema.json`.

Defaults are filled in by `load.py`, so a reader never asks "what if this is absent": None here means absent on purpose
(no transcription, no cost cap), never "use the default". Sizes are bytes, times are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from hume_runner.errors import Problem
from hume_runner.frozen import frozen

Api = str  # one that the registry has
SourceKind = Literal["url", "file", "text"]
Scalar = str | int | float | bool | None


# One a row of a list, of which there may be millions: made three times as fast as a frozen dataclass.
class Place(NamedTuple):
    """Where a value stands: `path` is the member path, line and column count from 1. Both are 0 in a manifest that is a
    mapping, and has no lines."""

    file: str
    line: int
    column: int
    path: str

    def problem(self, message: str, hint: str = "") -> Problem:
        """What is wrong there."""
        line, column = (self.line, self.column) if self.line else (None, None)
        return Problem(file=self.file, line=line, column=column, path=self.path, message=message, hint=hint)

    @property
    def told(self) -> str:
        """It in a sentence: `study.yaml:3:5`; without lines the member, `<mapping>: sources.text[0]`."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else f"{self.file}: {self.path}"


@frozen
class ApiKey:
    """Where the key comes from; never the key itself. Exactly one of the two is set."""

    env: str | None = None
    file: Path | None = None


@frozen
class Limits:
    """Overrides for a compatible host that allows more or less than the API documents. None: the API's own."""

    upload_bytes: int | None = None
    sources_per_job: int | None = None


@frozen
class ServiceSection:
    api: Api
    endpoint: str | None  # None: the API's own host; "emulator": one is started for the run
    api_key: ApiKey
    limits: Limits
    allow_hosts: tuple[str, ...] = ()  # hosts that downloads may reach although their addresses are private
    timeout_s: float = 60.0


@frozen
class SourceEntry:
    """One line under `sources`, not yet expanded.

    Exactly one of `value` (URL, glob or path, or the text itself) and `listing` (path of a list file) is set. What
    follows `column` is how the list is read: None leaves it to the list itself (`label_columns`: all that are left).
    """

    kind: SourceKind
    place: Place
    value: str | None = None
    listing: Path | None = None
    column: str | None = None
    id: str | None = None
    labels: Mapping[str, Scalar] = field(default_factory=dict)
    delimiter: str | None = None
    encoding: str | None = None
    id_column: str | None = None
    label_columns: tuple[str, ...] | None = None
    skip_blank: bool = False
    labels_from: str | None = None  # a pattern that reads labels from the names of files


@frozen
class NotifySection:
    email: bool = False
    callback_url: str | None = None
    callback_secret: ApiKey | None = None  # expression-v1: the runner signs the callback itself


@frozen
class BatchingSection:
    max_sources: int
    max_bytes: int
    pack_short_audio: bool = False


@frozen
class RetrySection:
    attempts: int = 5
    max_wait_s: float = 60.0


@frozen
class FailureBudget:
    """`max_failures`: a share of all items (0 to 1) or a number of items. Both None: no budget."""

    share: float | None = None
    count: int | None = None

    def allows(self, failed: int, total: int) -> bool:
        """Whether `failed` of `total` items is still within the budget."""
        if self.count is not None:
            return failed <= self.count
        if self.share is not None:
            return failed <= self.share * total
        return True


@frozen
class ExecutionSection:
    max_jobs_in_flight: int = 50
    transfer_workers: int = 8
    workers: int | None = None  # processes that measure on this machine; None: as many as it has cores
    requests_per_second: float = 20.0
    job_timeout_s: float = 6 * 3600.0
    retry: RetrySection = field(default_factory=RetrySection)
    max_failures: FailureBudget = field(default_factory=FailureBudget)
    max_billable_seconds: float | None = None
    on_lost_answer: Literal["resubmit", "stop"] = "resubmit"
    look_back_s: float = 7 * 86_400.0  # 0: do not look for what is paid already


@frozen
class EventEntry:
    """One line under `events`: a stretch of one source (an id) or, without one, of every source; or a list of such.

    Times are seconds from the start of the source.
    """

    place: Place
    name: str | None = None
    begin_s: float = 0.0
    end_s: float = 0.0
    source: str | None = None
    listing: Path | None = None  # absolute


@frozen
class OutputsSection:
    directory: Path  # absolute, on this machine
    remote: str | None = None  # the URI below which a copy is kept
    artifacts: bool = False
    tables: tuple[Literal["parquet", "csv", "jsonl", "xlsx"], ...] = ()
    report: bool = False


@frozen
class Manifest:
    """A validated manifest.

    `models` and `transcription` are plain JSON values, as the chosen API spells them, with nothing filled in:
    `models == {"face": {"fps_pred": 3}}`. `transcription` is absent from `settings` when the manifest has none, and
    None there when the manifest says `null` (off).
    """

    version: int
    name: str
    description: str
    path: Path  # absolute; of a mapping `<mapping>` in the folder that its paths are relative to
    sha256: str  # of the file's bytes, hex; of a mapping's members as JSON
    service: ServiceSection
    sources: tuple[SourceEntry, ...]  # urls, then files, then text, each in the manifest's order
    settings: Mapping[str, Any]  # {"models": {...}} and, when given, "transcription": {...} | None
    notify: NotifySection
    batching: BatchingSection
    execution: ExecutionSection
    outputs: OutputsSection
    events: tuple[EventEntry, ...] = ()
    source_of: Mapping[str, Place]  # member path -> where it stands, for messages made after loading
    state: str | None = None  # the URI of a place in an object store; None: beside the outputs

"""The results of a manifest, read from its state file and the raw answers beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from hume_runner import small_json
from hume_runner.errors import UsageError
from hume_runner.planning.staged import parse_place
from hume_runner.registry import all_registered, load, registered
from hume_runner.results.as_written import run_of
from hume_runner.results.base import Answer, AnswerMember, ItemRecord, JobRecord
from hume_runner.services.jobs import job_name
from hume_runner.services.table_shapes import Piece, without_lists
from hume_runner.settings import mask_secrets, masked_url
from hume_runner.state.answers import look_at
from hume_runner.state.lifecycle import JobStatus
from hume_runner.state.reader import StateReader
from hume_runner.state.rows import ItemRow, MemberRow


def shown_source(kind: str, value: str, place: str) -> str:
    """A source as people see it: a URL without its query, a file's name, a text by the place that lists it."""
    if kind == "url":
        return masked_url(value)
    if kind == "file":
        return value
    file, line, _, path = parse_place(place)
    return f"{path} ({Path(file).name}:{line})" if line else path


def item_records(store: StateReader) -> Iterator[ItemRecord]:
    """Every item of the last planned manifest, in its order, streamed."""
    raw: dict[int, tuple[tuple[str, ...], int, str | None]] = {}
    for row in store.items():
        job = row.job
        if job is None:
            yield _record(row, ())
            continue
        if job not in raw:
            # Items of one job stand together, so a handful of jobs is all that is ever kept.
            if len(raw) > 64:
                raw.clear()
            numbers = store.companions(job) or [job]
            paths = tuple(answer.path for number in numbers for _, answer in store.answers(number))
            raw[job] = (paths, numbers[0], store.job(numbers[0]).remote_id if numbers[0] != job else row.remote_id)
        paths, first, remote_id = raw[job]
        if row.status == "done":
            # Of an item in several parts the first is named, not the one that happened to be done last.
            yield _record(replace(row, job=first, remote_id=remote_id), paths)
        else:
            yield _record(row, paths)


def _record(row: ItemRow, raw: tuple[str, ...]) -> ItemRecord:
    finished = row.status in ("done", "failed")
    return ItemRecord(
        id=row.id,
        kind=row.kind,
        source=shown_source(row.kind, row.value, row.place),
        labels=row.labels,
        status=str(row.status),
        error=mask_secrets(row.error) if row.error else None,
        reason=row.reason,
        job=job_name(row.job) if row.job is not None else None,
        remote_id=row.remote_id,
        raw=raw if finished else (),
        simulated=row.simulated,
    )


def open_directory(directory: Path) -> StateResults:
    """The results in an output directory, without its manifest. Raises: UsageError, StateError."""
    try:
        store = StateReader.peek(directory / "state.sqlite3")
    except FileNotFoundError:
        raise UsageError(
            f"{directory}: no state.sqlite3", hint="name the output directory of a run, or its manifest"
        ) from None
    try:
        run = _told(store, directory)
        api = (run.get("service") or {}).get("api")
        if not isinstance(api, str):
            raise UsageError(
                f"{directory}: nothing there tells which API was asked", hint="name the manifest instead of the folder"
            )
        name = str(store.meta("manifest") or directory.name)
        return StateResults(store, directory, api=api, name=name, settings=run.get("settings") or {})
    except BaseException:
        store.close()
        raise


def _told(store: StateReader, directory: Path) -> Mapping[str, Any]:
    """What `run.json` says, or would say if it were still there."""
    with suppress(OSError, ValueError):
        if found := run_of(small_json.read(directory / "run.json")):
            return found
    with suppress(ValueError):
        return run_of(small_json.parsed(store.meta("run") or "{}"))
    return {}


class StateResults:
    """A `ResultSet` over an open state and its output directory."""

    def __init__(
        self,
        store: StateReader,
        directory: Path,
        *,
        api: str,
        name: str,
        settings: Mapping[str, Any],
        on_answer: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_answer` is called before each answer that `answers` gives."""
        self._store = store
        self._on_answer = on_answer
        self.directory = directory
        self.api = api
        found = registered(api)
        known = (found,) if found else all_registered()
        self._answers = {one.answer for one in known}
        self._order = next((one.order for one in known if one.order), None)
        self.name = name
        self.settings = settings

    @property
    def serial(self) -> int:
        """The serial of the state that these results are read from."""
        return self._store.serial

    def knows(self, path: str) -> bool:
        """Whether the state has recorded a file at this path below the directory."""
        return self._store.is_recorded(path)

    @cached_property
    def simulated(self) -> bool | None:
        """Whether any score here comes from the emulator; None where nobody can know."""
        return self._store.simulated()

    def close(self) -> None:
        self._store.close()

    @cached_property
    def run(self) -> Mapping[str, Any]:
        try:
            return run_of(small_json.read(self.directory / "run.json"))
        except (OSError, ValueError):
            return {}

    def items(self) -> Iterator[ItemRecord]:
        """See `ResultSet`."""
        return item_records(self._store)

    def contents(self) -> Iterator[tuple[bytes, ItemRecord]]:
        """(digest of its content, item) of every item, in the manifest's order; without the paths of its answers."""
        for content, row in self._store.contents():
            yield content, _record(row, ())

    def answers(self) -> Iterator[Answer]:
        """See `ResultSet`: the answers of jobs that are done, those alone that some listed item still needs; and of a
        job that was done and is looked through again for more that it carries.

        The parts of an item come together and in their order, in the place of the one that was sent first.
        """
        place_of = load(self._order) if self._order else lambda detail: 0
        for job in self._store.jobs(JobStatus.DONE, JobStatus.SUBMITTED):
            parts = self._pieces(job.number)
            if parts and job.number != min(parts):
                continue
            for number in sorted(parts, key=lambda n: place_of(parts[n].detail)) or [job.number]:
                yield from self._answers_of(number, tuple(parts.values()))

    def _answers_of(self, number: int, pieces: tuple[Piece, ...]) -> Iterator[Answer]:
        members = self._members(number, pieces)
        if not members:
            return
        remote_id = self._store.job(number).remote_id or ""
        for _, answer in self._store.answers(number):
            if answer.name in self._answers:
                self._on_answer()
                harm = look_at(self.directory, answer).harm
                yield Answer(
                    api=self.api,
                    job=job_name(number),
                    remote_id=remote_id,
                    path=self.directory / answer.path,
                    members=members,
                    whole=True,
                    harm=f"{answer.path} {harm}" if harm else None,
                )

    def _pieces(self, number: int) -> dict[int, Piece]:
        """The answered parts of the item that this job carries a part of, by the numbers of their jobs."""
        pieces: dict[int, Piece] = {}
        for companion in self._store.companions(number):
            job = self._store.job(companion)
            (member,) = self._store.members(companion)[:1]
            paths = [answer.path for _, answer in self._store.answers(companion) if answer.name in self._answers]
            if job.status is JobStatus.DONE and member.outcome == "done" and paths:
                pieces[companion] = Piece(
                    path=self.directory / paths[0],
                    detail=without_lists(member.detail),
                    continues=bool(job.request.get("continues")),
                )
        return pieces if number in pieces else {}

    def _members(self, number: int, pieces: tuple[Piece, ...]) -> tuple[AnswerMember, ...]:
        return tuple(
            AnswerMember(
                match=member.match or "",
                kind=member.kind,
                items=items,
                position=member.position,
                detail=member.detail,
                pieces=pieces,
            )
            for member in self._store.members(number)
            if (items := self._items_of(member, number))
        )

    def _items_of(self, member: MemberRow, number: int) -> tuple[ItemRecord, ...]:
        # An item that was measured again later has its rows in the later job alone; one that is spread over several
        # jobs has rows in all that carry it still, though it names the last of them only.
        if member.outcome is None or (member.detail and member.outcome == "failed"):
            return ()
        rows = (self._store.item(name) for name in member.ids)
        raw = tuple(answer.path for _, answer in self._store.answers(number))
        return tuple(_record(row, raw) for row in rows if row is not None and (member.detail or row.job == number))

    def jobs(self) -> Iterator[JobRecord]:
        """See `ResultSet`."""
        for job in self._store.jobs():
            yield JobRecord(
                job=job_name(job.number),
                remote_id=job.remote_id,
                status=str(job.status),
                sources=job.sources,
                created_at=job.created_at,
                started_at=job.started_at,
                ended_at=job.ended_at,
                # Of a kept answer these say when it was adopted, and nothing of when it was measured.
                submitted_at=None if job.kept else job.submitted_at,
                fetched_at=None if job.kept else job.finished_at,
                error=job.error,
                kept=job.kept,
            )

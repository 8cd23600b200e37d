"""Results from files alone: an output directory, or answers that were downloaded without a manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from hume_runner import small_json
from hume_runner.errors import MissingExtra, ResultsError, refuse_scarce
from hume_runner.frozen import frozen
from hume_runner.registry import all_registered, load, registered
from hume_runner.results.as_written import request_of, run_of
from hume_runner.results.base import Answer, AnswerMember, ItemRecord, JobRecord
from hume_runner.results.names import UniqueIds, derived_id, shown_source
from hume_runner.results.rows import row_mapping
from hume_runner.results.tables import write_tables
from hume_runner.scratch import Scratch
from hume_runner.services.table_shapes import Entry, Piece, without_lists

_UNKNOWN_ANSWER = "response.json"
# Whose answers name their sources, so that they can be read without a manifest.
_LOOSE = next(one for one in all_registered() if one.names_sources)


class DirectoryResults:
    """A ResultSet over `results.jsonl`, `run.json` and `raw/` of an output directory.

    Holds where in `results.jsonl` each item stands, not the items. Raises: ResultsError if the directory holds no
    results.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lines = directory / "results.jsonl"
        if not self._lines.is_file():
            raise ResultsError(f"{directory}: no results.jsonl", hint="name the output directory of a run")
        run = directory / "run.json"
        self.run: Mapping[str, Any] = _read(run, run_of) if run.is_file() else {}
        self.settings: Mapping[str, Any] = self.run.get("settings") or {}
        self.api: str = (self.run.get("service") or {}).get("api") or _LOOSE.api
        self.name: str = self.run.get("name") or directory.name
        self.simulated = _truth(self.run.get("simulated"))
        self._offsets: dict[str, int] = {}
        self._spread: dict[str, list[Piece]] | None = None

    def items(self) -> Iterator[ItemRecord]:
        with self._lines.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                yield _item(line, f"{self._lines}:{number}")

    def answers(self) -> Iterator[Answer]:
        offsets = self._where_items_stand()
        with self._lines.open("rb") as lines:

            def item(item_id: str) -> ItemRecord | None:
                if item_id not in offsets:
                    return None
                lines.seek(offsets[item_id])
                return _item(lines.readline(), str(self._lines))

            pieces = self._pieces()
            for folder, request in self._requests():
                path = folder / _answer_name(request)
                if path.is_file():
                    told = path.relative_to(self.directory).as_posix()
                    yield Answer(
                        api=request.get("api") or self.api,
                        job=request.get("job") or "",
                        remote_id=_remote_id(folder, request),
                        path=path,
                        members=tuple(_member(source, item, told, pieces) for source in request.get("sources") or ()),
                    )

    def _pieces(self) -> Mapping[str, list[Piece]]:
        """Item -> its answered parts, of items that are spread over several jobs; found once."""
        if self._spread is None:
            self._spread = {}
            for folder, request in self._requests():
                path = folder / _answer_name(request)
                # Only a job with one member carries a part of it.
                sources = request.get("sources") or []
                if len(sources) == 1 and sources[0].get("detail") and path.is_file():
                    piece = Piece(
                        path=path,
                        detail=without_lists(sources[0]["detail"]),
                        continues=bool((request.get("request") or {}).get("continues")),
                    )
                    for name in sources[0].get("ids") or ():
                        self._spread.setdefault(name, []).append(piece)
        return self._spread

    def jobs(self) -> Iterator[JobRecord]:
        """The jobs that left an answer. When they ran is in the state file, not here."""
        for folder, request in self._requests():
            sources = len(request.get("sources") or ())
            yield JobRecord(
                job=request.get("job") or "", remote_id=_remote_id(folder, request), status="done", sources=sources
            )

    def _requests(self) -> Iterator[tuple[Path, Mapping[str, Any]]]:
        found = [
            (path.parent, _read(path, request_of)) for path in sorted((self.directory / "raw").glob("*/request.json"))
        ]
        yield from sorted(found, key=lambda pair: (str(pair[1].get("job") or ""), pair[0].name))

    def _where_items_stand(self) -> Mapping[str, int]:
        if not self._offsets:
            position = 0
            with self._lines.open("rb") as lines:
                for line in lines:
                    self._offsets[_item(line, str(self._lines)).id] = position
                    position += len(line)
        return self._offsets


class _NamedEntry(Entry, Protocol):
    """An entry of an answer that names its sources, so that it alone tells what became of one."""

    @property
    def failure(self) -> str | None:
        """Why nothing of the source was measured; None where something was."""
        ...


class LooseResults:
    """A ResultSet over bare `predictions.json` files. Ids come from the sources: URL, file name, or `text-N`.

    Each file is read twice: once for whose it is and what failed, which tables and pages have to know of all files
    before the first row, and once for its rows. A file has as many rows as it likes, so they cannot be held from the
    first reading on; it passes over them undecoded, in about a fifth of the time.
    """

    name = Path(_LOOSE.answer).stem  # as people know what they downloaded
    simulated = None  # nothing in such a file tells who made it
    api = _LOOSE.api

    def __init__(self, files: Sequence[Path], directory: Path) -> None:
        self._files = tuple(files)
        self.directory = directory
        self.settings: Mapping[str, Any] = {}
        self.run: Mapping[str, Any] = {}
        # Found once and kept: the sources' names are small, the answers around them are not.
        self._answers: list[Answer] = []
        self._unique = UniqueIds()
        for path in self._files:
            if not path.is_file():
                raise ResultsError(f"{path}: no such file", hint="name files that hold the predictions of a job")
        self.unread: list[str] = []  # files that could not be read, and why

    def items(self) -> Iterator[ItemRecord]:
        for answer in self.answers():
            for member in answer.members:
                yield from member.items

    def answers(self) -> Iterator[Answer]:
        for number, path in enumerate(self._files):
            if number == len(self._answers):
                self._answers.append(self._answer(path))
            yield self._answers[number]

    def _answer(self, path: Path) -> Answer:
        """What one file tells. A file that cannot be read is an item that failed, so that the others have their rows;
        if it is the only one, there is nothing to write. Raises: ResultsError."""
        try:
            members = tuple(
                AnswerMember(kind=entry.kind, match=entry.match, items=(self._item(entry, path),))
                for entry in row_mapping(self.api).reader()(path, ())
            )
        except (ResultsError, OSError) as error:
            if len(self._files) == 1:
                raise
            why = f"{path}: {error.strerror or error}" if isinstance(error, OSError) else str(error)
            name = self._unique.take(path.name)
            failed = ItemRecord(
                id=name, kind="file", source=str(path), status="failed", error=why, simulated=None, raw=(str(path),)
            )
            self.unread.append(why)
            member = AnswerMember(kind="file", match=name, items=(failed,))
            return Answer(api=self.api, job="", remote_id="", path=path, members=(member,), harm=why)
        return Answer(api=self.api, job="", remote_id="", path=path, members=members)

    def _item(self, entry: Any, path: Path) -> ItemRecord:
        return replace(_loose_item(entry, self._unique, self._reason_of), raw=(str(path),))

    def _reason_of(self, message: str) -> str | None:
        """A short code for an error's text, as a run would have recorded it."""
        return None if _LOOSE.reason_of is None else load(_LOOSE.reason_of)(message)

    def jobs(self) -> Iterator[JobRecord]:
        return iter(())


def _remote_id(folder: Path, request: Mapping[str, Any]) -> str:
    """A folder's name is only like the remote id where that makes a good name."""
    told = request.get("remote_id")
    return told if isinstance(told, str) and told else folder.name


def _loose_item(entry: _NamedEntry, unique: UniqueIds, reason_of: Callable[[str], str | None]) -> ItemRecord:
    failure = entry.failure
    return ItemRecord(
        id=unique.take(derived_id(entry.kind, entry.match)),
        kind=entry.kind,
        source=shown_source(entry.kind, entry.match),
        status="failed" if failure else "done",
        error=failure,
        reason=reason_of(failure) if failure else "partial" if entry.errors else None,
        simulated=None,
    )


def _truth(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _read(path: Path, as_written: Callable[[Any], Mapping[str, Any]]) -> Mapping[str, Any]:
    try:
        return as_written(small_json.read(path))
    except (OSError, ValueError) as error:
        refuse_scarce(error)
        raise ResultsError(
            f"{path}: cannot be read: {error}", hint="`verify` tells which outputs are damaged"
        ) from error


def _item(line: bytes, where: str) -> ItemRecord:
    try:
        value = small_json.parsed(line)
        return ItemRecord(
            id=value["id"],
            kind=value["kind"],
            source=value["source"],
            labels=value.get("labels") or {},
            status=value["status"],
            error=value.get("error"),
            reason=value.get("reason"),
            job=value.get("job"),
            remote_id=value.get("remote_id"),
            raw=tuple(value.get("raw") or ()),
            simulated=_truth(value.get("simulated")),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ResultsError(f"{where}: not a line of results: {error!r}", hint="run the manifest again") from error


def _answer_name(request: Mapping[str, Any]) -> str:
    found = registered(str(request.get("api")))
    return found.answer if found else _UNKNOWN_ANSWER


def _member(
    source: Mapping[str, Any],
    item: Callable[[str], ItemRecord | None],
    told: str,
    pieces: Mapping[str, list[Piece]],
) -> AnswerMember:
    listed = (found for found in map(item, source.get("ids") or ()) if found is not None)
    # An item that was measured again later names other answers than this one.
    items = tuple(found for found in listed if not found.raw or told in found.raw)
    parts: tuple[Piece, ...] = ()
    if items and source.get("detail"):
        named = {Path(path).parent.name for path in items[0].raw}
        parts = tuple(one for one in pieces.get(items[0].id, ()) if not named or one.path.parent.name in named)
    return AnswerMember(
        match=str(source.get("match") or ""),
        kind=str(source.get("kind") or ""),
        items=items,
        url_sha256=source.get("url_sha256"),
        position=int(source.get("position") or 0),
        detail=source.get("detail") or {},
        pieces=parts,
    )


@frozen
class Results:
    """A run's results as Arrow: `items` and `tables["face"]`, `tables["errors"]` and so on are `pyarrow.Table`."""

    items: Any
    tables: Mapping[str, Any]


def read_results(path: str | Path) -> Results:
    """The results in an output directory, or in one `predictions.json`, as Arrow tables.

    Parquet tables that the run wrote are read; if there are none, they are built from the raw answers.
    Raises: MissingExtra, ResultsError.
    """
    try:
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise MissingExtra("tables", "reading results as tables") from error
    path = Path(path)
    if (path / "tables" / "items.parquet").is_file():
        return _results({file.stem: pq.read_table(file) for file in sorted((path / "tables").glob("*.parquet"))})
    results = LooseResults([path], path.parent) if path.is_file() else DirectoryResults(path)
    with Scratch() as folder:
        written = write_tables(results, folder)
        return _results({file.stem: pq.read_table(file, memory_map=False) for file in written})


def _results(tables: dict[str, Any]) -> Results:
    return Results(items=tables["items"], tables=tables)

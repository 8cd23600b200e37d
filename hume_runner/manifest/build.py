"""A document without problems -> Manifest, defaults filled in."""

from __future__ import annotations

import os.path
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hume_runner.manifest.defaults import KEY_VARIABLE, in_hand, most_bytes, most_sources
from hume_runner.manifest.document import Document, Node, path_text
from hume_runner.manifest.model import (
    ApiKey,
    BatchingSection,
    EventEntry,
    ExecutionSection,
    Limits,
    Manifest,
    NotifySection,
    OutputsSection,
    Place,
    RetrySection,
    ServiceSection,
    SourceEntry,
    SourceKind,
)
from hume_runner.manifest.quantities import duration_s, failure_budget, moment_s, size_bytes
from hume_runner.manifest.schema import KINDS
from hume_runner.spelling import placed_path, stored_path
from hume_runner.stores.address import is_remote

_OF_AN_ENTRY = ("from", "id", "column", "delimiter", "encoding", "id_column", "blank", "labels", "labels_from")
# By these an output directory tells that runs worked in it: their state, their record where the state is elsewhere, and
# the parts of a whole that has none yet.
_OF_RUNS = ("state.sqlite3", "state.sqlite3.outputs.json", "shards")
_KIND_OF: Mapping[str, SourceKind] = {"urls": "url", "files": "file", "text": "text"}


def build(document: Document, *, path: Path, sha256: str, output_dir: Path | None, endpoint: str | None) -> Manifest:
    """The manifest in `document`, which must have no problems. `path` is absolute."""
    assert document.root is not None
    # Sources may be many; they are taken from the nodes, one by one.
    sections = {name: node.plain() for name, node in document.root.value.items() if name not in ("sources", "events")}
    folder = path.parent
    service = _service(sections["service"], folder, endpoint)
    settings = {name: sections[name] for name in ("models", "transcription") if name in sections}
    name = sections["name"]
    return Manifest(
        version=1,
        name=name,
        description=sections.get("description", ""),
        path=path,
        sha256=sha256,
        service=service,
        sources=tuple(source_entries(document, folder, set())),
        settings=settings,
        notify=_notify(sections.get("notify", {}), folder),
        batching=_batching(sections.get("batching", {}), service),
        execution=_execution(sections.get("execution", {}), service.api),
        outputs=_outputs(sections.get("outputs", {}), name, folder, output_dir),
        events=tuple(_events(document, folder)),
        state=sections.get("state"),
        source_of=dict(_places(document)),
    )


def _events(document: Document, folder: Path) -> Iterator[EventEntry]:
    node = document.node(("events",))
    for index, entry in enumerate(node.value if node and isinstance(node.value, list) else ()):
        value = entry.plain()
        place = Place(file=document.file, line=entry.line, column=entry.column, path=path_text(("events", index)))
        if "from" in value:
            yield EventEntry(place=place, listing=stored_path(folder / value["from"]))
        else:
            yield EventEntry(
                place=place,
                name=value["name"],
                begin_s=moment_s(value["start"]),
                end_s=moment_s(value["end"]),
                source=value.get("source"),
            )


def source_entries(document: Document, folder: Path, reported: set[str]) -> Iterator[SourceEntry]:
    """The lines under `sources`, without those that `reported` names a problem of."""
    for member, key in KINDS.items():
        node = document.node(("sources", member))
        for index, entry in enumerate(node.value if node and isinstance(node.value, list) else ()):
            path = path_text(("sources", member, index))
            place = Place(file=document.file, line=entry.line, column=entry.column, path=path)
            if path in reported or any(f"{path}.{name}" in reported for name in (key, *_OF_AN_ENTRY)):
                continue
            made = _entry(_KIND_OF[member], key, entry, place, folder)
            if made:
                yield made


def _entry(kind: SourceKind, key: str, node: Node, place: Place, folder: Path) -> SourceEntry | None:
    value = node.plain()
    if isinstance(value, str):
        return SourceEntry(kind=kind, place=place, value=value)
    if not isinstance(value, dict):
        return None
    labels = value.get("labels")
    labels = labels if isinstance(labels, dict) else {}
    if isinstance(value.get("from"), str):
        listing = folder / value["from"]
        return SourceEntry(
            kind=kind,
            place=place,
            listing=listing,
            column=value.get("column"),
            labels=labels,
            delimiter=value.get("delimiter"),
            encoding=value.get("encoding"),
            id_column=value.get("id_column"),
            label_columns=_column_names(value.get("labels")),
            skip_blank=value.get("blank") == "skip",
        )
    if isinstance(value.get(key), str):
        return SourceEntry(
            kind=kind,
            place=place,
            value=value[key],
            id=value.get("id"),
            labels=labels,
            labels_from=value.get("labels_from"),
        )
    return None


def _column_names(labels: object) -> tuple[str, ...] | None:
    return tuple(name for name in labels if isinstance(name, str)) if isinstance(labels, list) else None


def _service(section: Mapping[str, Any], folder: Path, endpoint: str | None) -> ServiceSection:
    limits = section.get("limits", {})
    upload = limits.get("upload_bytes")
    per_job = limits.get("sources_per_job")
    url = endpoint if endpoint is not None else section.get("endpoint")
    return ServiceSection(
        api=section["api"],
        endpoint=url.rstrip("/") if url else None,
        api_key=_secret(section.get("api_key"), folder) or ApiKey(env=KEY_VARIABLE),
        limits=Limits(
            upload_bytes=None if upload is None else size_bytes(upload),
            sources_per_job=None if per_job is None else int(per_job),
        ),
        allow_hosts=tuple(host.strip("[]").lower() for host in section.get("allow_hosts", ())),
        timeout_s=duration_s(section.get("timeout", "60s")),
    )


def _secret(section: Mapping[str, Any] | None, folder: Path) -> ApiKey | None:
    if section is None:
        return None
    file = section.get("file")
    return ApiKey(env=section.get("env"), file=None if file is None else stored_path(folder / file))


def _notify(section: Mapping[str, Any], folder: Path) -> NotifySection:
    return NotifySection(
        email=section.get("email", False),
        callback_url=section.get("callback_url"),
        callback_secret=_secret(section.get("callback_secret"), folder),
    )


def _batching(section: Mapping[str, Any], service: ServiceSection) -> BatchingSection:
    default_bytes = most_bytes(service.api, service.limits)
    return BatchingSection(
        max_sources=int(section.get("max_sources", most_sources(service.api, service.limits))),
        max_bytes=size_bytes(section.get("max_bytes", default_bytes)),
        pack_short_audio=section.get("pack_short_audio", False),
    )


def _execution(section: Mapping[str, Any], api: str) -> ExecutionSection:
    retry = section.get("retry", {})
    workers = section.get("workers")
    # Where it is measured here, `workers` alone sets the pace: nothing is sent that could be counted otherwise.
    most = in_hand(api, None if workers is None else int(workers))
    return ExecutionSection(
        max_jobs_in_flight=most or int(section.get("max_jobs_in_flight", 50)),
        transfer_workers=most or int(section.get("transfer_workers", 8)),
        workers=None if workers is None else int(workers),
        requests_per_second=float(section.get("requests_per_second", 20)),
        job_timeout_s=duration_s(section.get("job_timeout", "6h")),
        retry=RetrySection(attempts=int(retry.get("attempts", 5)), max_wait_s=duration_s(retry.get("max_wait", "60s"))),
        max_failures=failure_budget(section.get("max_failures")),
        max_billable_seconds=section.get("max_billable_seconds"),
        on_lost_answer=section.get("on_lost_answer", "resubmit"),
        look_back_s=duration_s(str(section.get("look_back", "7d")) if section.get("look_back", "7d") else "0s"),
    )


def _outputs(section: Mapping[str, Any], name: str, folder: Path, output_dir: Path | None) -> OutputsSection:
    own = f"results/{name}"
    written = section.get("directory", own)
    # Who chooses another place, as for a rehearsal, does not mean the one in the store.
    remote = written.rstrip("/") if output_dir is None and is_remote(written) else None
    directory = output_dir or folder / (own if is_remote(written) else written)
    return OutputsSection(
        directory=placed_path(Path(normal(directory.absolute())), *_OF_RUNS),
        remote=remote,
        artifacts=section.get("artifacts", False),
        tables=tuple(section.get("tables", ())),
        report=section.get("report", False),
    )


def normal(path: Path) -> str:
    """`path` without `.` and `..`, which is how people want to read it; links are left alone."""
    return os.path.normpath(path)


def _places(document: Document) -> Iterator[tuple[str, Place]]:
    """Every member but the single sources, which carry their own places."""
    assert document.root is not None
    stack: list[tuple[tuple[str | int, ...], Node]] = [((), document.root)]
    while stack:
        path, node = stack.pop()
        yield path_text(path), Place(file=document.file, line=node.line, column=node.column, path=path_text(path))
        if isinstance(node.value, dict):
            stack += [((*path, key), member) for key, member in node.value.items()]
        elif isinstance(node.value, list) and path[:1] != ("sources",):
            stack += [((*path, index), element) for index, element in enumerate(node.value)]

"""What the schema cannot say: addresses, ids that meet, ranges of durations, sizes that must agree, `..` in names.

Each check looks only at values of the right form; the schema has reported the others.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from hume_runner.errors import Problem
from hume_runner.manifest.addresses import endpoint_fault, origin_fault, url_fault
from hume_runner.manifest.document import Document, Path, path_text
from hume_runner.manifest.encodings import encoding_fault
from hume_runner.manifest.patterns import pattern_fault
from hume_runner.manifest.published import schema
from hume_runner.manifest.quantities import duration_s, moment_s, size_bytes
from hume_runner.manifest.schema import KINDS
from hume_runner.manifest.shown import quoted
from hume_runner.registry import all_registered, load, registered
from hume_runner.settings import masked_url
from hume_runner.stores.address import ObjectUri, is_remote, is_unusable, uri_fault

_DURATIONS: tuple[tuple[str, ...], ...] = (
    ("service", "timeout"),
    ("execution", "job_timeout"),
    ("execution", "look_back"),
    ("execution", "retry", "max_wait"),
)
_SIZES: tuple[tuple[str, ...], ...] = (("service", "limits", "upload_bytes"), ("batching", "max_bytes"))
_NAMES_OF_THE_SYSTEM: tuple[tuple[str, ...], ...] = (
    ("outputs", "directory"),
    *(
        (*secret, kind)
        for secret in (("service", "api_key"), ("notify", "callback_secret"))
        for kind in ("file", "env")
    ),
)
_SLASHES = re.compile(r"[/\\]")
_HINT_HOST = "on a compatible host that takes more, set service.limits"


def path_fault(name: str) -> tuple[str, str] | None:
    """What is wrong with a name that no system can be asked for."""
    if "\0" in name:
        return "has a NUL character", "remove it"
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return "has a character that no file can be called (half of a pair)", "remove it"
    return None


def name_fault(name: str) -> tuple[str, str] | None:
    """What is wrong with the name of a file, or an id, that comes from outside."""
    if (fault := path_fault(name)) is not None:
        return fault
    if ".." in name and ".." in _SLASHES.split(name):
        return f"{quoted(name)} has a '..'", "write the path without '..'; move the manifest or use an absolute path"
    return None


def check(document: Document, reported: set[str]) -> Iterator[Problem]:
    """Problems beyond the schema; members in `reported` have one already."""
    if document.root is None or not isinstance(document.root.value, dict):
        return
    for problem in (*_all(document), *_options(document, reported)):
        if problem.path not in reported:
            yield problem


def _all(document: Document) -> Iterator[Problem]:
    yield from _addresses(document)
    yield from _ranges(document)
    yield from _sources(document)
    yield from _batching(document)
    yield from _of_links(document)
    yield from _events(document)
    yield from _state(document)
    yield from _names_of_the_system(document)
    directory = document.get("outputs", "directory")
    if isinstance(directory, str) and not path_fault(directory) and is_remote(directory):
        fault = uri_fault(directory)
        if fault is None and is_unusable(f"{directory.rstrip('/').partition('://')[2]}/x"):
            fault = "has an empty part, '.', '..' or a control character", "write one slash between folders"
        if fault is not None:  # a secret in it is not repeated
            yield document.problem(("outputs", "directory"), f"the URI {fault[0]}", fault[1])


def _names_of_the_system(document: Document) -> Iterator[Problem]:
    """Files, folders and variables, which the system is asked for by these very names."""
    for path in _NAMES_OF_THE_SYSTEM:
        name = document.get(*path)
        fault = path_fault(name) if isinstance(name, str) else None
        if fault is not None:
            yield document.problem(path, *fault)


def _state(document: Document) -> Iterator[Problem]:
    uri = document.get("state")
    if not isinstance(uri, str) or not is_remote(uri):
        return
    fault = uri_fault(uri)
    if fault is None and not ObjectUri.of(uri).key.strip("/"):
        fault = ("names no place in the bucket", "write a name behind it, as s3://bucket/interviews")
    if fault is not None:
        yield document.problem(("state",), f"the URI {fault[0]}", fault[1])


def _addresses(document: Document) -> Iterator[Problem]:
    for path, fault_of in ((("service", "endpoint"), endpoint_fault), (("notify", "callback_url"), origin_fault)):
        value = document.get(*path)
        fault = fault_of(value) if isinstance(value, str) and value else None
        if fault:
            yield document.problem(path, f"'{masked_url(value)}' {fault[0]}", fault[1])


def _ranges(document: Document) -> Iterator[Problem]:
    for path in _DURATIONS:
        rule = _rule(path)
        value = document.get(*path)
        if not (isinstance(value, str) and re.search(rule["pattern"], value)):
            continue
        low, high = rule["x-minimum-seconds"], rule["x-maximum-seconds"]
        if not low <= duration_s(value) <= high:
            yield document.problem(path, f"must be from {low} s to {high} s, is '{value}'", rule["x-next"])
    for path in _SIZES:
        value = document.get(*path)
        if isinstance(value, str) and _is_size(path, value) and not 1 <= size_bytes(value) <= _rule(path)["maximum"]:
            yield document.problem(path, f"must be from 1 byte to 1000 GB, is '{value}'", _rule(path)["x-next"])


def _rule(path: tuple[str, ...]) -> Any:
    rule: Any = schema()
    for step in path:
        rule = rule["properties"][step]
    return rule


def _is_size(path: tuple[str, ...], value: Any) -> bool:
    if isinstance(value, str):
        return bool(re.search(_rule(path)["pattern"], value))
    return isinstance(value, int) and not isinstance(value, bool)


def _batching(document: Document) -> Iterator[Problem]:
    found = registered(str(document.get("service", "api")))
    if found is None or not found.host_limits:
        return
    most = document.get("service", "limits", "sources_per_job")
    most = most if isinstance(most, int) else found.sources_per_job
    sources = document.get("batching", "max_sources")
    if isinstance(sources, int) and sources > most:
        message = f"{sources} is more than a job may have ({most})"
        yield document.problem(("batching", "max_sources"), message, f"{_HINT_HOST}.sources_per_job")


def _events(document: Document) -> Iterator[Problem]:
    """An event ends after it began."""
    events = document.get("events")
    rule = schema()["$defs"]["moment"]
    for index, event in enumerate(events if isinstance(events, list) else ()):
        if not isinstance(event, dict):
            continue
        ends: list[Any] = [event.get("start"), event.get("end")]
        if all(
            isinstance(one, int | float) or (isinstance(one, str) and re.search(rule["pattern"], one)) for one in ends
        ):
            begin, end = moment_s(ends[0]), moment_s(ends[1])
            if not begin < end:
                message = f"ends at {end:g} s, and starts at {begin:g} s"
                yield document.problem(("events", index, "end"), message, "the end is later than the start")
        listing = event.get("from")
        fault = name_fault(listing) if isinstance(listing, str) else None
        if fault:
            yield document.problem(("events", index, "from"), *fault)


def _options(document: Document, reported: set[str]) -> Iterator[Problem]:
    """Options of models that fit the schema, and can never measure."""
    found = registered(str(document.get("service", "api")))
    models = document.get("models")
    if found is None or found.faults is None or not isinstance(models, dict):
        return
    well_formed = {
        name: options
        for name, options in models.items()
        if isinstance(options, dict) and not any(path.startswith(f"models.{name}") for path in reported)
    }
    for path, message, hint in load(found.faults)(well_formed):
        yield document.problem(("models", *path), message, hint)


def _of_links(document: Document) -> Iterator[Problem]:
    """Options that a link cannot be measured with.

    Every API is asked, whichever the manifest names: what is said of a model of another is to name that other one
    instead, and then this would come up next.
    """
    models = document.get("models")
    if not isinstance(models, dict):
        return
    faults = [fault for one in all_registered() if one.link_faults for fault in load(one.link_faults)(models)]
    # Asked last: of a manifest with very many links it takes a while.
    if faults and document.get("sources", "urls"):
        for path, message, hint in faults:
            yield document.problem(("models", *path), message, hint)


def _sources(document: Document) -> Iterator[Problem]:
    sources = document.get("sources")
    if not isinstance(sources, dict):
        return
    if all(isinstance(listed, list) and not listed for listed in sources.values()):
        hint = "list something under sources.urls, sources.files or sources.text"
        yield document.problem(("sources",), "no source", hint, key=True)
    first: dict[str, Path] = {}
    for member, value_key in KINDS.items():
        listed = sources.get(member)
        for index, entry in enumerate(listed if isinstance(listed, list) else ()):
            path: Path = ("sources", member, index)
            if isinstance(entry, dict):
                yield from _id(document, path, entry.get("id"), first)
                for name in (value_key, "from"):
                    yield from _value(document, (*path, name), name, entry.get(name))
                yield from _listing(document, path, entry)
                yield from _name_pattern(document, path, entry.get("labels_from"))
            else:
                yield from _value(document, path, value_key, entry)


def _name_pattern(document: Document, path: Path, pattern: Any) -> Iterator[Problem]:
    fault = pattern_fault(pattern) if isinstance(pattern, str) and pattern else None
    if fault:
        yield document.problem((*path, "labels_from"), f"{quoted(pattern)} {fault[0]}", fault[1])


def _listing(document: Document, path: Path, entry: Mapping[str, Any]) -> Iterator[Problem]:
    """What of an entry with `from` a list of that kind does not have, and encodings that nobody knows."""
    listing = entry.get("from")
    if not isinstance(listing, str):
        return
    suffix = listing.rpartition(".")[2].lower()
    if "delimiter" in entry and suffix in ("jsonl", "txt"):
        message = f"a {suffix} list has no columns that anything separates"
        yield document.problem((*path, "delimiter"), message, "remove delimiter, or use a csv list", key=True)
    if suffix == "txt":
        for name, listed in (("id_column", entry.get("id_column")), ("labels", entry.get("labels"))):
            if isinstance(listed, str if name == "id_column" else list):
                message = "a txt list has no columns, one source a line"
                yield document.problem((*path, name), message, f"remove {name}, or use a csv list", key=True)
    encoding = entry.get("encoding")
    fault = encoding_fault(encoding) if isinstance(encoding, str) and encoding else None
    if fault:
        yield document.problem((*path, "encoding"), f"{quoted(str(encoding))} {fault[0]}", fault[1])


def _id(document: Document, path: Path, value: Any, first: dict[str, Path]) -> Iterator[Problem]:
    if not isinstance(value, str):
        return
    where: Path = (*path, "id")
    fault = name_fault(value)
    if fault:
        yield document.problem(where, fault[0], "write an id without '..'")
    elif value in first:
        taken = first[value]
        line, _ = document.spot((*taken, "id"))
        message = f"the id {quoted(value)} is taken by {path_text(taken)}{f' on line {line}' if line else ''}"
        yield document.problem(where, message, "give each source an id of its own")
    first.setdefault(value, path)


def _value(document: Document, path: Path, kind: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, str) or not value:
        return
    if kind == "url":
        fault = url_fault(value)
        if fault:
            yield document.problem(path, f"'{masked_url(value)[:200]}' {fault[0]}", fault[1])
    elif kind == "from" and is_remote(value):
        yield document.problem(path, "a list is read from this machine", "download it beside the manifest")
    elif kind == "path" and is_remote(value):
        # A secret in it is not repeated.
        fault = uri_fault(value) or name_fault(value)
        if fault:
            yield document.problem(path, f"the URI {fault[0]}", fault[1])
    elif kind in ("path", "from"):
        fault = name_fault(value)
        if fault:
            yield document.problem(path, *fault)
        elif kind == "path" and "://" in value:
            yield document.problem(path, f"'{masked_url(value)[:200]}' is a URL", "list it under sources.urls")
    elif not value.strip():
        yield document.problem(path, "has no text", "write something, or leave it out")

"""Manifest -> SourceItem: what to measure, expanded lazily.

base.py           what a source is; urls.py, files.py, remote.py, texts.py: one each; blocks.py: a million links
listing.py        lists: delimited.py (csv and tsv), list_file.py, encodings.py, separators.py, columns.py, cells.py
globbing.py       which files a glob means; left_out.py: which are no sources; unseen.py: media that are elsewhere
ids.py            the names of items; name_pattern.py: labels from file names
problems.py       all that is wrong, at once
inputs.py         what a manifest reads; outputs.py, traces.py and neighbours.py: what is no source of any run
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from hume_runner.manifest.defaults import largest_upload
from hume_runner.manifest.model import Api, Limits, Manifest, SourceEntry
from hume_runner.sources.base import Source, SourceItem
from hume_runner.sources.blocks import Block, one_by_one
from hume_runner.sources.files import FileShelf, FileSource
from hume_runner.sources.inputs import Input, ReadFiles, inputs
from hume_runner.sources.left_out import LeftOut
from hume_runner.sources.neighbours import neighbours
from hume_runner.sources.problems import ProblemLog
from hume_runner.sources.texts import TextSource
from hume_runner.sources.unseen import UnseenFiles, is_unseen
from hume_runner.sources.urls import UrlSource

_LIMIT_HINT = "split or compress it, give it as a URL, or set service.limits.upload_bytes for a host that takes more"


def expand(manifest: Manifest) -> Iterator[SourceItem]:
    """Every item of the manifest: URLs, then files, then texts, each in the manifest's order.

    Items come as they are found. Problems are collected on the way and raised after the last item, all at once, so
    whoever takes items must not act on them before the iterator has ended.
    Raises: ManifestError if a list is malformed, SourceError if all that is wrong is a missing or unreadable source.
    """
    return one_by_one(expand_in_blocks(manifest))


def expand_in_blocks(manifest: Manifest, *, left_out: LeftOut | None = None) -> Iterator[SourceItem | Block]:
    """As `expand`, with the links of long lists in blocks where nothing is wrong with a whole block. `left_out` is
    told what patterns meet that is no source."""
    return expand_entries(
        manifest.sources,
        folder=manifest.path.parent,
        api=manifest.service.api,
        limits=manifest.service.limits,
        outputs=manifest.outputs.directory,
        kept=tuple(place for place in (manifest.outputs.remote, manifest.state) if place is not None),
        read=chain(inputs(manifest), neighbours(manifest.path)),
        left_out=left_out,
    )


def expand_entries(
    entries: Iterable[SourceEntry],
    *,
    folder: Path,
    api: Api | None = None,
    limits: Limits | None = None,
    outputs: Path | None = None,
    kept: tuple[str, ...] = (),
    read: Iterable[Input] = (),
    left_out: LeftOut | None = None,
    look: bool = True,
) -> Iterator[SourceItem | Block]:
    """As `expand_in_blocks`, for the entries of a manifest that may be wrong elsewhere. What is below `outputs`, or
    below the URIs `kept` in object stores, is found by no pattern that does not name that folder; what the manifest
    reads (`read`) by none at all. Without `look` no medium is looked at, and a list that is not there passed over."""
    log = ProblemLog()
    most_bytes = largest_upload(api, limits or Limits()) if api is not None else None
    known = ReadFiles(read)
    shelf = FileShelf(
        folder,
        outputs=outputs,
        kept=kept,
        most_bytes=most_bytes,
        limit_hint=_LIMIT_HINT,
        log=log,
        read=known,
        left_out=left_out or LeftOut(),
    )
    sources: list[Source] = []
    for entry in entries:
        if entry.listing is not None and known.is_secret(entry.listing, entry.place, log):
            continue
        if not look and (entry.kind == "file" or is_unseen(entry)):
            sources.append(UnseenFiles(entry, folder, log))
            continue
        match entry.kind:
            case "url":
                sources.append(UrlSource(entry, log))
            case "file":
                sources.append(FileSource(entry, shelf))
            case "text":
                sources.append(TextSource(entry, log))
    for source in sources:
        yield from source.pieces() if isinstance(source, UrlSource) else source.items()
    log.raise_if_any()

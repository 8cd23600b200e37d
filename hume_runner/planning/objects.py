"""What a plan knows of objects in stores before it reads them, and how it reads what it does not know."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from hume_runner import small_json
from hume_runner.planning.choosing import Chooser
from hume_runner.planning.staged import FileDigest
from hume_runner.services.base import Looker
from hume_runner.sources.base import SourceItem
from hume_runner.sources.remote import RemoteObject
from hume_runner.stores.base import ObjectInfo

if TYPE_CHECKING:
    from hume_runner.planning.scan import Cached
    from hume_runner.services.remote_files import RemoteFiles


def known_object(
    remote: RemoteObject, known: Cached, looker: Looker | None
) -> tuple[FileDigest | None, Mapping[str, Any] | None]:
    """What an earlier run found out about an object that looks unchanged: its digest, and what a look told of it. A
    listing tells an ETag, which changes with the bytes, and is never taken for their hash."""
    info = remote.info
    if info.etag is None:
        return None, None
    digest = known.digest(remote.uri, info.size_bytes, time_ns(info), mark(info))
    if digest is None:
        return None, None
    return digest, {} if looker is None else recalled(digest.sha256, known, looker)


def time_ns(info: ObjectInfo) -> int:
    """When it was written, in the place of a file's time; stores tell no more than milliseconds."""
    return round(info.modified_at * 1_000) * 1_000_000


def mark(info: ObjectInfo) -> int:
    """The ETag as a number, in the place of a file's inode."""
    return int.from_bytes(hashlib.sha256((info.etag or "").encode()).digest()[:7], "big")


def read_ahead(
    sources: Iterable[SourceItem],
    known: Cached,
    objects: RemoteFiles | None,
    looker: Looker | None,
    chooser: Chooser,
) -> Iterator[SourceItem]:
    """The same sources; small objects are read side by side, as each costs a journey to its store."""
    if objects is None:
        return iter(sources)

    def wanted(item: SourceItem) -> tuple[str, ObjectInfo] | None:
        if item.remote is None or not chooser.wants(item):
            return None
        if all(one is not None for one in known_object(item.remote, known, looker)):
            return None
        return item.remote.uri, item.remote.info

    return objects.ahead(sources, wanted)


def recalled(content: bytes, known: Cached, looker: Looker) -> Mapping[str, Any] | None:
    """What an earlier look told, if one is still good."""
    for told in known.facts(content):
        facts = looker.recall(small_json.kept(told))
        if facts is not None:
            return facts
    return None

"""Objects in stores as sources: names, globs and lists of names. Looks at listings and sizes, reads no content."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator

from hume_runner.frozen import frozen
from hume_runner.sources.globbing import Part, is_glob, parts_match
from hume_runner.stores.address import ObjectUri, is_unusable, uri_fault
from hume_runner.stores.base import ObjectInfo, ObjectStore

# So many may wait for names that would come before them, until it is asked whether there are any.
_FEW = 1_000


@frozen
class RemoteObject:
    """An object, as the store told of it when it was listed or asked about."""

    uri: str
    info: ObjectInfo


def object_fault(uri: str) -> tuple[str, str] | None:
    """What is wrong with the name, or the glob, of an object as a source (message, next step), or None."""
    fault = uri_fault(uri)
    if fault is not None:
        return fault
    key = ObjectUri.of(uri).key
    if not key or key.endswith("/"):
        return "names no object", f"write {uri.rstrip('/')}/**/*.wav for what is in it"
    if is_unusable(key):
        return "has an empty part, '.', '..' or a control character", "rename the object: it cannot be asked for"
    return None


def matching_objects(store: ObjectStore, pattern: str) -> Iterator[ObjectInfo]:
    """The objects whose keys match, page by page, sorted by their parts, as local files are, but for numbers: `p10`
    comes before `p2`, as stores list letter by letter and a listing streams.

    Letters and `**` mean what they mean in local globs. Raises: StoreError.
    """
    written = pattern.split("/")
    literal = 0
    while literal < len(written) - 1 and not is_glob(written[literal]) and written[literal].isascii():
        literal += 1
    folder = "/".join(written[:literal])
    parts = [Part(part) for part in written[literal:]]
    skip = len(folder) + 1 if folder else 0

    def matches(info: ObjectInfo) -> bool:
        return parts_match(info.key[skip:].split("/"), parts)

    found = (info for info in store.list(folder) if matches(info))
    return _by_parts(found, lambda name: next(store.list(name), None) is not None)


def _by_parts(infos: Iterator[ObjectInfo], is_folder: Callable[[str], bool]) -> Iterator[ObjectInfo]:
    """Keys in byte order, as stores list them, in the order of their parts, where `a/z` comes before `a-b/c`.

    A key waits for as long as the listing may still bring one that belongs before it: for `rec-1.wav`, one below
    `rec/`. Few wait ever, as hardly a folder is called like the beginning of a file beside it: that is asked once.
    """
    waiting: list[tuple[str, int, ObjectInfo]] = []
    asked: dict[str, bool] = {}
    for number, info in enumerate(infos):
        while waiting and not _may_come_before(waiting[0][2].key, info.key, asked, is_folder, len(waiting)):
            yield heapq.heappop(waiting)[2]
        heapq.heappush(waiting, (info.key.replace("/", "\0"), number, info))
    while waiting:
        yield heapq.heappop(waiting)[2]


def _may_come_before(
    key: str, now: str, asked: dict[str, bool], is_folder: Callable[[str], bool], waiting: int
) -> bool:
    """Whether the listing, which has come to `now`, may still bring a key that belongs before `key`."""
    for place, letter in enumerate(key):
        if letter >= "/":
            continue
        folder = key[:place]
        if not folder or folder.endswith("/") or now >= folder + "0":  # "0" is next to "/"
            continue
        if waiting < _FEW:
            return True
        if folder not in asked:
            if len(asked) > _FEW:
                asked.clear()
            asked[folder] = is_folder(folder)
        if asked[folder]:
            return True
    return False

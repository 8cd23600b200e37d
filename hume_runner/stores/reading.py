"""A large object as a stream: ranges are read ahead side by side, and come in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from hume_runner.stores.base import ObjectInfo, ObjectStore

PART_BYTES = 2 * 1024 * 1024
READ_AHEAD = 3


def chunks(
    store: ObjectStore, info: ObjectInfo, *, part_bytes: int = PART_BYTES, read_ahead: int = READ_AHEAD
) -> Iterator[bytes]:
    """The bytes of exactly this object; at most `read_ahead` parts are in memory besides the one that was given.

    Raises: ObjectMissing, PreconditionFailed if it is replaced meanwhile; what the store raises otherwise.
    """
    starts = range(0, info.size_bytes, part_bytes)
    if len(starts) <= 1:
        if starts:
            yield store.read_range(info, 0, info.size_bytes)
        return
    coming: deque[Future[bytes]] = deque()
    with ThreadPoolExecutor(min(read_ahead, len(starts)), thread_name_prefix="object-range") as pool:
        try:
            for start in starts:
                end = min(start + part_bytes, info.size_bytes)
                coming.append(pool.submit(store.read_range, info, start, end))
                if len(coming) > read_ahead:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            for future in coming:
                future.cancel()

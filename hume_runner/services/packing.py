"""Fill jobs with members, in order, up to a number and a size. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hume_runner.frozen import frozen
from hume_runner.services.jobs import Draft, Member


@frozen
class PlainJobs:
    """How `Planner.compile` packs texts and links without a query, none of which it refuses or bills: in order, with so
    many members and so many bytes of them at most.

    With this, a plan that only looks need not consider every item.
    """

    most: int
    most_bytes: int


def pack(members: Iterable[Member], *, most: int, most_bytes: int) -> Iterator[Draft]:
    """One draft after another, each with at most `most` members and `most_bytes` of content.

    A member that is larger than `most_bytes` by itself goes alone. Order is kept, so the same members always give the
    same drafts, and a member added at the end changes the last draft at most.
    """
    batch: list[Member] = []
    size = 0
    for member in members:
        weight = member.item.size_bytes
        if batch and (len(batch) >= most or size + weight > most_bytes):
            yield Draft(members=tuple(batch), size_bytes=size)
            batch, size = [], 0
        batch.append(member)
        size += weight
    if batch:
        yield Draft(members=tuple(batch), size_bytes=size)


def pack_plain(weights: Iterable[tuple[bytes, int]], limits: PlainJobs) -> Iterator[tuple[list[bytes], int]]:
    """(keys, bytes) of the jobs that `pack` makes of items of which only (key, bytes) matter."""
    most, most_bytes = limits.most, limits.most_bytes
    keys: list[bytes] = []
    size = 0
    for key, weight in weights:
        if keys and (len(keys) >= most or size + weight > most_bytes):
            yield keys, size
            keys, size = [], 0
        keys.append(key)
        size += weight
    if keys:
        yield keys, size

"""Fill jobs with members, in order, up to a number and a size. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hume_runner.services.base import Draft, Member


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

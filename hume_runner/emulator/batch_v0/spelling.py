"""How a difficult host spells what it tells of a job: its id, and the sources of its request."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from hume_runner.emulator.difficulties import Listing


def shown_id(job_id: str, listing: Listing, where: str) -> str | int:
    """The id as the host tells it there: as a number it is the first 48 bits, by which a job is found too."""
    return int(job_id.replace("-", "")[:12], 16) if where in listing.integer_ids else job_id


def respell(
    request: dict[str, Any], listing: Listing, only: Collection[str] = ("filenames", "md5s", "texts", "urls")
) -> None:
    """Spell a request's sources as the host does, in place."""
    if "filenames" in only:
        for file in request["files"]:
            file["filename"] = listing.filenames(file["filename"])
    if "md5s" in only:
        for file in request["files"]:
            file["md5sum"] = listing.md5s(file["md5sum"])
    if "texts" in only:
        request["text"] = [listing.texts(text) for text in request["text"]]
    if "urls" in only:
        request["urls"] = [listing.urls(url) for url in request["urls"]]

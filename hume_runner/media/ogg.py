"""Chained Ogg: recordings one behind the other in one file, each with headers of its own.

libav follows a chain only while rate and channels stay the same, so each link is opened by itself.
"""

from __future__ import annotations

from pathlib import Path

_PAGE = 27  # bytes before the table of segments
_BEGINS = 0x02
_LOST_AT_MOST = 1 << 20


def ogg_links(path: Path) -> list[tuple[int, int]]:
    """(offset, bytes) of each link. A link begins with pages that begin streams, after pages that do not."""
    size = path.stat().st_size
    begins = [0]
    at, in_head = 0, True
    with path.open("rb") as file:
        while at < size:
            file.seek(at)
            head = file.read(_PAGE)
            if len(head) < _PAGE:
                break
            if head[:4] != b"OggS":
                file.seek(at)
                found = file.read(_LOST_AT_MOST).find(b"OggS")
                if found <= 0:
                    break  # what follows is no Ogg
                at += found
                continue
            starts = bool(head[5] & _BEGINS)
            if starts and not in_head:
                begins.append(at)
            in_head = starts
            at += _PAGE + head[26] + sum(file.read(head[26]))
    return [(begin, end - begin) for begin, end in zip(begins, [*begins[1:], size], strict=True)]

"""What a file says of itself, by which it is known as ours wherever it lies: its first and its last bytes, and only
those of files whose names end as names of ours do.

So a medium is never opened for it, be there a million. Pictures (`.png`) are media, and not looked at either.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from hume_runner.regular_files import open_regular

# A mark: what is written, and digits over the whole of it.
MARK: Final = r"hume_runner ([a-z-]+) ([0-9a-f]{32})"

_HEAD_BYTES: Final = 1 << 14
_TAIL_BYTES: Final = 1 << 12
_FOOTER_BYTES: Final = 1 << 16
LOOKED_INTO: Final = (
    ".html", ".csv", ".jsonl", ".json", ".parquet", ".xlsx", ".md", ".svg", ".pdf", ".prom",
)  # fmt: skip
_WORD: Final = MARK.encode()
# Behind the last line, in the words of the format.
BEHIND: Final = re.compile(rb"(?:<!-- |% )" + _WORD + rb"(?: -->)?\s*\Z")
_COMMENT: Final = re.compile(_WORD + rb"\Z")
_MEMBER: Final = re.compile(rb'"' + _WORD + rb'"')
_SCHEMA: Final = re.compile(rb'"\$id": "urn:hume-runner:')
_NUMBERS: Final = rb"n,mean,sd,low_95,high_95"
# What has no place for a mark, by its columns as they have always been.
_COLUMNS: Final = re.compile(
    rb"item_id,row,family,name,score\n"
    rb"|item_id,(?:event,event_begin_s,event_end_s,)?(?:kind,)?source,labels,[^\n]*simulated[,\n]"
    rb"|(?:label,group,|label,first,second,)?table,family,name,unit," + _NUMBERS + rb"\n"
    rb"|table_a,column_a,table_b,column_b,n,"
    rb"|# HELP hume_runner_info "
)
_TEXT: Final = rb'"(?:[^"\\]|\\.)*"'
_LINES: Final = re.compile(
    rb'\{"item_id":' + _TEXT + rb',(?:"row":\d+,"family":|"(?:event|kind|source)":[^\n]*"labels":[^\n]*"simulated":)'
    rb'|\{"schema": \d+, "id": [^\n]*"status": '
)

_SQLITE: Final = b"SQLite format 3\0"
_APPLICATION: Final = b"HumR"  # as a state has it in its header
_APPLICATION_AT: Final = 68
CALLED_DATABASE: Final = (".sqlite", ".db")  # in a name, of which a copy may go on otherwise


def says_ours(path: str) -> bool:
    """Whether a file is one that we wrote and somebody may have kept anywhere: a report, a table, a plan, a figure."""
    ending = os.path.splitext(path)[1].lower()  # noqa: PTH122 - a Path for each of a million
    if ending not in LOOKED_INTO:
        return False
    head, tail = _ends(path, _FOOTER_BYTES if ending == ".parquet" else _TAIL_BYTES)
    match ending:
        case ".parquet":
            return tail.endswith(b"PAR1") and b"hume_runner." in tail
        case ".xlsx":
            return _COMMENT.search(tail) is not None
        case ".json":
            marked = any(_MEMBER.search(part) for part in (head, tail)) or _SCHEMA.search(head) is not None
            return head.startswith(b"{") and marked
        case ".jsonl":
            return _LINES.match(head) is not None
        case ".csv" | ".prom":
            return _COLUMNS.match(head.removeprefix(b"\xef\xbb\xbf").replace(b"\r", b"")) is not None
    return BEHIND.search(tail) is not None


def speaks_of_us(path: str) -> bool:
    """Whether a file of which the name and the place suggest it is one of ours, also as an earlier version wrote it."""
    return b"hume_runner" in b"".join(_ends(path, _TAIL_BYTES))


def is_empty_table(path: str) -> bool:
    """Whether it is what a table without rows is as JSON Lines."""
    try:
        return path.endswith(".jsonl") and not os.path.getsize(path)  # noqa: PTH202
    except OSError:
        return False


def is_state(path: str, *, suspected: bool = False) -> bool:
    """Whether a file is a state: a database with our number in it. Only what is called like one, or is `suspected`, is
    opened."""
    name = os.path.basename(path).lower()  # noqa: PTH119
    if not suspected and not any(word in name for word in CALLED_DATABASE):
        return False
    head, _ = _ends(path, 0, head_bytes=_APPLICATION_AT + len(_APPLICATION))
    return head.startswith(_SQLITE) and head.endswith(_APPLICATION)


def _ends(path: str, tail_bytes: int, *, head_bytes: int = _HEAD_BYTES) -> tuple[bytes, bytes]:
    """The first and the last bytes; nothing of what cannot be read, which whoever takes it as a source tells."""
    try:
        with open_regular(Path(path)) as file:
            head = file.read(head_bytes)
            if not tail_bytes:
                return head, b""
            file.seek(max(0, file.seek(0, os.SEEK_END) - tail_bytes))
            return head, file.read(tail_bytes)
    except OSError:
        return b"", b""

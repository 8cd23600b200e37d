"""Marks: what a file of ours says about itself, so that it is known again as we wrote it, and no longer once it is not.

A mark is `hume_runner KIND DIGITS`. The digits are a sum over everything else in the file, so that nobody types them by
accident, and what was added by hand does not fit them. Carriage returns do not count, since git and editors change the
ends of lines. In JSON the value counts, however it is laid out.

Where it stands: in a comment behind the last line (Markdown, HTML, SVG, PDF), as a member of JSON, in a chunk before a
PNG's end, in the footer of Parquet, as the comment of a workbook's archive. CSV and JSON Lines have no such place.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any, BinaryIO, Final, Literal

from hume_runner import small_json
from hume_runner.sources.traces import BEHIND, MARK

_CHUNK: Final = 1 << 20
_DIGITS: Final = 32
# Of what stands behind the last line (`BEHIND`).
_BEHIND_BYTES: Final = 256
_PLAN_CLOSES: Final = len("}\n")
_PLAN_END: Final = re.compile(rb', "mark": "' + MARK.encode() + rb'"}\s*\Z')
_MEMBER: Final = re.compile(MARK)
_PNG_END: Final = b"\0\0\0\0IEND\xaeB\x60\x82"
_PNG_KEY: Final = b"tEXtComment\0"
_ZIP_END: Final = b"PK\x05\x06"
_ZIP_END_BYTES: Final = 22
# Key and value as the footer spells them: a short text, its length before it.
PARQUET_KEY: Final = "hume_runner.mark"
# Of the columns, which other programs write again: that rows with this have a mark as well.
PARQUET_HAS_MARK: Final = "hume_runner.marked"
_PARQUET: Final = re.compile(re.escape(PARQUET_KEY.encode()) + rb"\x18(.)" + MARK.encode(), re.DOTALL)


class Kind(StrEnum):
    """What we write. The word stands in marks."""

    RUN = "run"
    RESULTS = "results"
    OWNER = "owner"
    REPORT = "report"
    TABLE = "table"
    PACKAGE = "package"
    CODEBOOK = "codebook"
    CRATE = "crate"
    DATASET = "dataset"
    PLAN = "plan"
    PLAN_PAGE = "plan-page"
    COMPARISON = "comparison"
    FIGURE = "figure"
    METRICS = "metrics"

    @classmethod
    def of_table(cls, name: str) -> Kind:
        return cls.COMPARISON if name == cls.COMPARISON else cls.TABLE


class Digest:
    """The digits of a kind of file, over its content as it comes."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._sum = hashlib.blake2b(kind.encode() + b"\n", digest_size=_DIGITS // 2)

    def update(self, content: bytes) -> None:
        self._sum.update(content.replace(b"\r", b""))

    @property
    def mark(self) -> str:
        return f"hume_runner {self.kind} {self._sum.hexdigest()}"


def mark_of(kind: Kind, content: bytes) -> str:
    digest = Digest(kind)
    digest.update(content)
    return digest.mark


class MarkedText:
    """A page or a plan that is written bit by bit; `end` puts its mark where that of this kind stands."""

    def __init__(self, file: BinaryIO, kind: Kind) -> None:
        self._file = file
        self._digest = Digest(kind)
        self._kept = ""  # what may be the end of an object

    def write(self, text: str) -> int:
        if self._digest.kind is not Kind.PLAN:
            self._put(text)
        elif text:
            self._put(self._kept + text[:-_PLAN_CLOSES])
            self._kept = text[-_PLAN_CLOSES:]
        return len(text)

    def writelines(self, texts: Iterable[str]) -> None:
        for text in texts:
            self.write(text)

    def end(self) -> None:
        if self._digest.kind is Kind.PLAN:
            self._file.write(f', "mark": "{self._digest.mark}"{self._kept}'.encode())
        else:
            self._file.write(behind_line(self._digest.mark))

    def _put(self, text: str) -> None:
        content = text.encode("utf-8", "backslashreplace")  # as JSON has half a character
        self._digest.update(content)
        self._file.write(content)


def mark_of_file(file: BinaryIO, kind: Kind) -> str:
    """Of what has no place for it, to be told beside it."""
    return _mark_until(file, kind, file.seek(0, os.SEEK_END))


# -- behind the last line


def behind(kind: Kind, content: bytes, *, form: Literal["markup", "pdf"] = "markup") -> bytes:
    """The same with its mark behind it; `form`: markup, which has `<!-- -->`, or pdf."""
    whole = content if content.endswith(b"\n") else content + b"\n"
    return whole + behind_line(mark_of(kind, whole), form=form)


def behind_line(mark: str, *, form: Literal["markup", "pdf"] = "markup") -> bytes:
    return f"% {mark}\n".encode() if form == "pdf" else f"<!-- {mark} -->\n".encode()


def fits_behind(file: BinaryIO, kind: Kind) -> bool:
    """Whether the mark behind the last line is that of what stands before it."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _BEHIND_BYTES))
    tail = file.read()
    found = BEHIND.search(tail)
    return found is not None and _fits(file, kind, size - len(tail) + found.start(), found.group(1, 2))


# -- JSON


def in_json(kind: Kind, document: dict[str, Any], *path: str | int) -> dict[str, Any]:
    """The document with its mark as the member at `path`."""
    *above, last = path or ("mark",)
    marked = copy.deepcopy(document)
    holder: Any = marked
    for name in above:
        holder = holder[name]
    holder[last] = _place(kind)
    holder[last] = mark_of(kind, _canonical(marked))
    return marked


def marked_json(kind: Kind, document: dict[str, Any], *mark: str | int) -> bytes:
    """The document with its mark, as bytes. `mark`: where that stands."""
    # A lone half of a character pair, as a file name may hold, is no UTF-8.
    written = json.dumps(document, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
    storable = small_json.parsed(written, most_bytes=len(written))
    text = json.dumps(in_json(kind, storable, *mark), ensure_ascii=False, allow_nan=False, indent=2)
    return f"{text}\n".encode()


def _place(kind: Kind) -> str:
    """What stands in a document where its mark will."""
    return f"hume_runner {kind}"


def fits_json(kind: Kind, content: bytes) -> bool | None:
    """Whether a document has its mark; None if there is none in it."""
    try:
        text = content.decode("utf-8-sig", "surrogatepass")
        found = [one for one in _MEMBER.finditer(text) if one[1] == kind]
        if len(found) != 1:
            return False if found else None
        bare = text[: found[0].start()] + _place(kind) + text[found[0].end() :]
        return mark_of(kind, _canonical(small_json.parsed(bare))) == found[0][0]
    except ValueError:
        return False


def _canonical(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


def fits_streamed_json(file: BinaryIO, kind: Kind) -> bool | None:
    """The same of what is too long to be read at once: its last member is the mark of what is written before it."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _BEHIND_BYTES))
    tail = file.read()
    found = _PLAN_END.search(tail)
    return None if found is None else _fits(file, kind, size - len(tail) + found.start(), found.group(1, 2))


# -- pictures


def in_png(kind: Kind, content: bytes) -> bytes:
    """The picture with its mark in a comment before its end."""
    if not content.endswith(_PNG_END):
        return content
    body = _PNG_KEY + mark_of(kind, content).encode()
    length, check = (len(body) - 4).to_bytes(4), zlib.crc32(body).to_bytes(4)
    return content[: -len(_PNG_END)] + length + body + check + _PNG_END


def fits_png(kind: Kind, content: bytes) -> bool:
    bare = content[: -len(_PNG_END)]
    start = bare.rfind(_PNG_KEY) - 4
    return start > 0 and in_png(kind, bare[:start] + _PNG_END) == content


# -- Parquet


class Summing:
    """A file that is written to, and its digits."""

    def __init__(self, file: BinaryIO, kind: Kind) -> None:
        self._file = file
        self.digest = Digest(kind)

    def write(self, content: bytes) -> int:
        self.digest.update(bytes(content))
        return self._file.write(content)

    def flush(self) -> None:
        self._file.flush()

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        """Whoever opened the file closes it."""

    @property
    def closed(self) -> bool:
        return self._file.closed


def fits_parquet(file: BinaryIO, kind: Kind) -> bool | None:
    """Whether the rows are those that the mark in the footer is of; None if it has none."""
    footer, start = parquet_footer(file)
    found = _PARQUET.search(footer)
    return None if found is None else _fits(file, kind, start, (found[2], found[3]))


def parquet_footer(file: BinaryIO) -> tuple[bytes, int]:
    """The footer, whatever its length, and where it starts; an empty one where there is none."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 8))
    end = file.read()
    start = size - 8 - int.from_bytes(end[:4], "little")
    if len(end) < 8 or end[4:] != b"PAR1" or start < 4:
        return b"", size
    file.seek(start)
    return file.read(size - 8 - start), start


# -- workbooks


def end_zip(file: BinaryIO, kind: Kind) -> None:
    """Give an archive that is written its mark as its comment."""
    size = file.seek(0, os.SEEK_END)
    mark = _mark_until(file, kind, size - 2).encode()
    file.seek(size - 2)
    file.write(len(mark).to_bytes(2, "little") + mark)


def fits_zip(file: BinaryIO, kind: Kind) -> bool | None:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _ZIP_END_BYTES - _BEHIND_BYTES))
    tail = file.read()
    start = tail.rfind(_ZIP_END)
    comment = tail[start + _ZIP_END_BYTES :] if start >= 0 else b""
    if not comment:
        return None
    found = re.fullmatch(MARK.encode(), comment)
    return found is not None and _fits(file, kind, size - len(comment) - 2, found.group(1, 2))


def _fits(file: BinaryIO, kind: Kind, end: int, said: tuple[bytes | Any, ...]) -> bool:
    of, digits = said
    return bool(of == kind.encode()) and _mark_until(file, kind, end).endswith(f" {digits.decode()}")


def _mark_until(file: BinaryIO, kind: Kind, end: int) -> str:
    file.seek(0)
    digest = Digest(kind)
    for content in _read(file, end):
        digest.update(content)
    return digest.mark


def _read(file: BinaryIO, length: int) -> Iterator[bytes]:
    while length > 0 and (content := file.read(min(_CHUNK, length))):
        length -= len(content)
        yield content

"""Which encoding a list is written in: what its first bytes prove, what the manifest says, where the two disagree."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import BinaryIO

from hume_runner.frozen import frozen

HEAD_BYTES = 4096
_CHUNK = 1 << 16
# The longer marks first: UTF-32's begins like UTF-16's.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32", "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32", "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8-sig", "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16", "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16", "utf-16-be"),
)
_OFFICE = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
# Of the bytes at odd or even places, so many must be NUL to be the halves of characters. A stray NUL is no proof.
_HALVES = 0.1


@frozen
class Encoding:
    """How to decode a list: a codec's name and what people call it."""

    codec: str
    name: str


@frozen
class NotDecodable:
    """Why a list is not read at all, and what to do instead."""

    message: str
    hint: str


def chosen(head: bytes, asked: str | None) -> Encoding | NotDecodable:
    """The encoding of a list that begins with `head`; `asked` is what the manifest says, a codec that exists.

    A mark at the beginning is proof, and so is being UTF-8; anything else is said by the manifest or not read.
    """
    if head.startswith(_OFFICE):
        return NotDecodable(
            message="is an office document, not a list", hint="save the sheet as 'CSV UTF-8', and name that file"
        )
    marked = next(((codec, name) for mark, codec, name in _MARKS if head.startswith(mark)), None)
    halves = None if marked else _halves(head)
    if asked is None:
        if marked:
            return Encoding(codec=marked[0], name=shown(marked[1]))
        if halves:
            message = f"is {shown(halves)} text without a mark at its beginning"
            return NotDecodable(message=message, hint=f"write encoding: {halves}, or save the list as UTF-8")
        return Encoding(codec="utf-8", name="UTF-8")
    wanted = codecs.lookup(asked).name
    if marked:
        if wanted in (marked[1], marked[0]):
            return Encoding(codec=marked[0], name=shown(marked[1]))
        message = f"begins with the mark of {shown(marked[1])}, and encoding says {asked}"
        return NotDecodable(message=message, hint=f"write encoding: {marked[1]}, or leave encoding out")
    if wanted in ("utf-16", "utf-32"):
        if wanted == "utf-16" and halves:
            return Encoding(codec=halves, name=shown(halves))
        message = f"has no mark that tells the order of bytes of {shown(wanted)}"
        return NotDecodable(message=message, hint=f"write encoding: {wanted}-le or {wanted}-be")
    return Encoding(codec="utf-8" if wanted == "utf-8-sig" else wanted, name=shown(asked))


def shown(name: str) -> str:
    """An encoding as people write it: UTF-8 in capitals, cp1252 as it is."""
    return name.upper() if name.lower().startswith("utf") else name


def _halves(head: bytes) -> str | None:
    """The kind of UTF-16 that bytes without a mark look like, as every other one is NUL in most scripts."""
    even, odd = head[0::2], head[1::2]
    if not odd:
        return None
    nul_even, nul_odd = even.count(0), odd.count(0)
    if nul_odd > _HALVES * len(odd) and not nul_even:
        return "utf-16-le"
    if nul_even > _HALVES * len(even) and not nul_odd:
        return "utf-16-be"
    return None


def first_undecodable(file: BinaryIO, codec: str) -> tuple[int, int]:
    """Line and column, in characters, of the first bytes that `codec` cannot read; (1, 1) if there are none.

    A second pass over the bytes, as decoding while reading does so in large blocks.
    """
    decoder = codecs.getincrementaldecoder(codec)()
    spot = _Spot()
    for chunk, last in _chunks(file):
        try:
            spot.pass_over(decoder.decode(chunk, last))
        except UnicodeDecodeError as error:
            # What the decoder had kept of the chunk before is the beginning of the error's bytes.
            prefix = bytes(error.object[: error.start])
            spot.pass_over(prefix.decode(error.encoding, "ignore"))
            return spot.line, spot.column
    return 1, 1


def is_utf8_beyond_ascii(file: BinaryIO) -> bool:
    """Whether all of a file is UTF-8, and not only because it is ASCII: text of another encoding hardly ever is."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    ascii_alone = True
    try:
        for chunk, last in _chunks(file):
            ascii_alone &= decoder.decode(chunk, last).isascii()
    except UnicodeDecodeError:
        return False
    return not ascii_alone


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, bool]]:
    while chunk := file.read(_CHUNK):
        yield chunk, False
    yield b"", True


class _Spot:
    """Counts lines as people's editors do: after LF, after CR, and once after both."""

    def __init__(self) -> None:
        self.line = 1
        self.column = 1
        self._after_cr = False

    def pass_over(self, text: str) -> None:
        if not text:
            return
        if self._after_cr and text[0] == "\n":
            text = text[1:]
        self._after_cr = text.endswith("\r") if text else False
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        breaks = text.count("\n")
        self.line += breaks
        self.column = len(text) - text.rfind("\n") if breaks else self.column + len(text)

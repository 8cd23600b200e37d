"""Reading what a server answers: bounded, complete or not at all, and strict about JSON."""

from __future__ import annotations

import codecs
import json
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from hume_runner.errors import UnexpectedResponse

MAX_JSON_BYTES = 16 * 1024 * 1024
CHUNK_BYTES = 64 * 1024
# A compressed body may unpack to so many times its size beyond some size: scores reach 20, a bomb 1,000.
MAX_RATIO = 100
RATIO_FROM_BYTES = 64 * 1024 * 1024

_TITLE = re.compile(r"<title[^>]*>\s*([^<]{1,80})", re.IGNORECASE)


def decoded(chunks: Iterable[bytes], encoding: str, where: str) -> Iterator[bytes]:
    """`chunks` without their Content-Encoding.

    We ask for none, and some proxies compress all the same. The HTTP library takes a compressed body that was cut off
    for a whole one, so the end of the compressed data is checked here.

    Raises: UnexpectedResponse for damaged or cut data, data that unpack to more than any answer does, or an encoding
    that was not asked for and is not known.
    """
    match encoding.strip().lower():
        case "" | "identity":
            yield from chunks
        case "gzip" | "x-gzip" | "deflate":
            yield from _no_bomb(chunks, where)
        case other:
            raise UnexpectedResponse(f"{where} answered in the encoding {other[:40]!r}, which was not asked for")


def _no_bomb(chunks: Iterable[bytes], where: str) -> Iterator[bytes]:
    packed = unpacked = 0

    def counted() -> Iterator[bytes]:
        nonlocal packed
        for chunk in chunks:
            packed += len(chunk)
            yield chunk

    for piece in _inflated(counted(), where):
        unpacked += len(piece)
        if unpacked > max(RATIO_FROM_BYTES, MAX_RATIO * packed):
            raise UnexpectedResponse(
                f"{where} sent compressed data that unpack to more than {MAX_RATIO} times their size"
                f" ({packed:,} bytes gave {unpacked:,})",
                hint="no answer does; none was asked for: have the host, or the proxy in between, send it as it is",
            )
        yield piece


def _inflated(chunks: Iterable[bytes], where: str) -> Iterator[bytes]:
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)  # 32: either header, gzip or zlib
    started = False
    try:
        for chunk in chunks:
            rest = chunk
            while rest:
                if inflater.eof:  # another gzip member follows
                    inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)
                started = True
                # A limit for each step, so that a small body that unpacks to gigabytes is handed on in pieces.
                piece = inflater.decompress(rest, CHUNK_BYTES)
                if piece:
                    yield piece
                rest = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
                if not rest and not inflater.eof:
                    while piece := inflater.decompress(b"", CHUNK_BYTES):
                        yield piece
    except zlib.error as error:
        raise UnexpectedResponse(f"{where} sent damaged compressed data: {error}") from error
    if started and not inflater.eof:
        raise UnexpectedResponse(f"{where} sent compressed data that is cut off")


def check_zip(path: Path, what: str) -> None:
    """Read every member of a zip against its checksum, without extracting it. `what` is for messages.

    Raises: UnexpectedResponse where that fails, or where the members are more than any such file unpacks to; then
    nothing was unpacked.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            # No more of a member is read than its entry announces, whatever its data unpack to.
            unpacked, packed = sum(info.file_size for info in archive.infolist()), path.stat().st_size
            if unpacked > max(RATIO_FROM_BYTES, MAX_RATIO * packed):
                raise UnexpectedResponse(
                    f"{what} unpack to more than {MAX_RATIO} times their size ({packed:,} bytes to {unpacked:,})",
                    hint="no such file does; leave it out with outputs.artifacts: false",
                )
            damaged = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, ValueError, RuntimeError) as error:
        raise UnexpectedResponse(f"{what} are not a readable zip: {error}") from error
    if damaged is not None:
        raise UnexpectedResponse(f"{what} are damaged: an entry does not match its checksum")


def read_bounded(chunks: Iterable[bytes], limit: int) -> tuple[bytes, bool]:
    """The first `limit` bytes, and whether that is all there is. Reads hardly more than that."""
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > limit:
            return bytes(body[:limit]), False
    return bytes(body), True


def parse_json(body: bytes, *, where: str, content_type: str = "", status: int | None = None) -> Any:
    """The JSON value that a body holds.

    Raises: UnexpectedResponse, saying what came instead (a web page, nothing, damaged JSON) and from where. NaN and
    Infinity, which Python would take, are refused, and so is nesting deeper than the parser's stack.
    """
    try:
        text = codecs.decode(body, "utf-8-sig")
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        what = "JSON that is nested too deeply"
    except ValueError as error:  # includes JSONDecodeError, UnicodeDecodeError and integers without end
        what = describe(body, content_type) or f"damaged JSON ({_brief(error)})"
    raise UnexpectedResponse(
        f"{where} answered with {what} instead of JSON"
        if not what.startswith(("JSON", "damaged"))
        else f"{where} answered with {what}",
        status=status,
        body=body[:2000].decode("utf-8", "replace"),
        hint="check service.endpoint; a proxy or a login page may stand in between" if "web page" in what else "",
    )


def describe(body: bytes, content_type: str) -> str:
    """What a body is, if not damaged JSON: nothing, or a web page and its title. Empty if it might be JSON."""
    start = body[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    if not start:
        return "an empty body"
    if start.startswith(b"<") or "html" in content_type.lower():
        title = _TITLE.search(start.decode("utf-8", "replace"))
        return f"a web page ({title[1].strip()!r})" if title else "a web page"
    return ""


def _brief(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.pos}"
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8 at byte {error.start}"
    return str(error)[:80]


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")

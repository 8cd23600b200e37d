"""Whether some JSON is an answer that somebody downloaded, as far as its beginning tells."""

from __future__ import annotations

from collections.abc import Iterator

from hume_runner.http.json_lenient import LenientReader


def begins_as_answer(chunks: Iterator[bytes]) -> bool:
    """Whether a file is an answer, or a callback that quotes one; no more is read than tells. Raises:
    UnexpectedResponse for what is no JSON as far as it is read; RecursionError."""
    reader = LenientReader(chunks)
    reader.skip_mark()
    match reader.peek():
        case b"[":
            return next((reader.peek() == b"{" and _has(reader, "source") for _ in reader.array()), False)
        case b"{":
            return _has(reader, "predictions")
        case _:
            return False


def _has(reader: LenientReader, member: str) -> bool:
    """Whether the object here has this member; what stands before it is passed over, and nothing behind it is read."""
    for name in reader.object():
        if name == member:
            return True
        reader.skip()
    return False

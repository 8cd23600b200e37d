"""What came of a download so far, on disk: continued by a later call, also after a kill."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from hume_runner import aside, small_json
from hume_runner.frozen import frozen
from hume_runner.http.retry import parse_http_date
from hume_runner.regular_files import open_regular

if TYPE_CHECKING:
    from hashlib import _Hash

HEAD_BYTES: Final = 4096


@frozen
class Expected:
    """What a file must hold, known beforehand: hex SHA-256, and its size where that is known."""

    sha256: str
    size_bytes: int | None = None


class Part:
    """What came so far, written aside, and beside it which version of which URL its bytes belong to.

    Where it is known what the file must hold, bytes of any URL go together: in the end the hash decides.
    """

    def __init__(self, target: Path, url: str, expected: Expected | None = None) -> None:
        self.target = target
        self.expected = expected
        self.path = _earlier(target) or aside.part_path(target)
        self._note = self.path.with_name(f"{self.path.name}.json")
        self._url_sha256 = sha256(url.encode()).hexdigest()  # the URL itself may hold a signature

    def resume_headers(self) -> dict[str, str]:
        size = self.size()
        if size == 0:
            return {}
        if self.expected is not None:
            return {"Range": f"bytes={size}-"}
        validator = self._validator()
        if validator is None:
            return {}
        return {"Range": f"bytes={size}-", "If-Range": validator}

    def size(self) -> int:
        return self.path.lstat().st_size if _is_file(self.path) else 0

    def open(self) -> IO[bytes]:
        return aside.open_to_append(self.path)

    def head(self) -> bytes:
        with open_regular(self.path) as file:
            return file.read(HEAD_BYTES)

    def begin(self, at: int, headers: Mapping[str, str]) -> tuple[int, _Hash]:
        """Ready to append at `at`: the size so far and the digest of what is there."""
        digest = sha256()
        if at == 0:
            self.discard()
            aside.open_new(self.path, private=self.expected is None).close()
            if self.expected is not None:
                return 0, digest
            validator = _validator_of(headers)
            with aside.open_new(self._note, private=True) as note:
                note.write(json.dumps({"url_sha256": self._url_sha256, "validator": validator}).encode())
            return 0, digest
        return at, self._digest()

    def completed(self) -> str | None:
        """The SHA-256 of what is there, if it is all of what is expected and only the end was missed."""
        if self.expected is None or self.expected.size_bytes != self.size():
            return None
        digest = self._digest().hexdigest()
        return digest if digest == self.expected.sha256 else None

    def _digest(self) -> _Hash:
        digest = sha256()
        with open_regular(self.path) as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
        return digest

    def finish(self) -> None:
        self.path.replace(self.target)
        self._note.unlink(missing_ok=True)

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def _validator(self) -> str | None:
        with suppress(OSError, ValueError):
            note: Any = small_json.read(self._note)
            if isinstance(note, dict) and note.get("url_sha256") == self._url_sha256:
                validator = note.get("validator")
                return validator if isinstance(validator, str) else None
        return None


def _earlier(target: Path) -> Path | None:
    """What an earlier call left of this target, to go on with."""
    with suppress(OSError):
        found = (path for path in target.parent.iterdir() if aside.is_part(path.name, target.name) and _is_file(path))
        return max(found, key=lambda path: path.lstat().st_size, default=None)
    return None


def _is_file(path: Path) -> bool:
    """A file itself, no link to one."""
    return path.is_file() and not path.is_symlink()


def _validator_of(headers: Mapping[str, str]) -> str | None:
    """What proves later that the file is the same: a strong ETag, or a date that is older than this answer."""
    tag = headers.get("ETag", "").strip()
    if tag.startswith('"'):
        return tag
    changed, now = parse_http_date(headers.get("Last-Modified")), parse_http_date(headers.get("Date"))
    if changed is not None and now is not None and changed + 60 <= now:
        return headers["Last-Modified"]
    return None

"""Files that are read as if they held something else, without a copy."""

from __future__ import annotations

import io
import os
from abc import abstractmethod
from pathlib import Path


class FileView(io.RawIOBase):
    """A file's bytes in another arrangement, readable as a file of `size` bytes (default: the file's own) in which
    readers may go anywhere. Whoever inherits says what lies where."""

    def __init__(self, path: Path, size: int | None = None) -> None:
        super().__init__()
        self._file = path.open("rb")
        self._size = os.fstat(self._file.fileno()).st_size if size is None else size
        self._position = 0

    @abstractmethod  # the type checker refuses who does not write it; classes of `io` can be made all the same
    def bytes_at(self, position: int, most: int) -> bytes:
        """Of what lies there, so many bytes; fewer only at the end."""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        view = memoryview(buffer).cast("B")
        piece = self.bytes_at(self._position, len(view))
        view[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)

    def close(self) -> None:
        self._file.close()
        super().close()

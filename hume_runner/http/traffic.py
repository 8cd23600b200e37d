"""How many bytes went out and came in, while they do."""

from __future__ import annotations

import threading


class Traffic:
    """Bytes of files that are sent, and of answers that are received; added to by any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sent = self._received = 0

    def sent(self, size_bytes: int) -> None:
        with self._lock:
            self._sent += size_bytes

    def received(self, size_bytes: int) -> None:
        with self._lock:
            self._received += size_bytes

    def __call__(self) -> tuple[int, int]:
        """(sent, received) so far."""
        return self._sent, self._received

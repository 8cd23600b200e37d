"""What keeps a single medium from being sent."""

from __future__ import annotations


class CannotPrepare(Exception):
    """One medium that cannot be sent, with the reason: it fails alone."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message

    def __reduce__(self) -> tuple[type[CannotPrepare], tuple[str, str]]:
        # Preparation may run in another process; the default would call this class with the message alone.
        return (CannotPrepare, (self.reason, self.message))

"""What keeps a single medium from being sent."""

from __future__ import annotations

from hume_runner.media.problems import OneFailed


class CannotPrepare(OneFailed):
    """One medium that cannot be sent, with the reason: it fails alone."""

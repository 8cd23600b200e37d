"""What is wrong with one medium: data about one item, never a reason to stop the run."""

from __future__ import annotations


class MediaProblem(Exception):
    """A medium that cannot be read, prepared or accepted.

    `reason` is a short code for counting and for machines:

    empty, truncated, corrupt, undecodable    the bytes do not hold what they begin
    not_media                                 text, a web page, a document
    unsupported                               a real medium, in a form that cannot be prepared here
    unknown_format                            bytes that look like nothing known; they would be measured as noise
    no_audio, no_video                        the wanted track is not there
    too_many_pixels, too_large, too_long      beyond what can be prepared or sent
    archive                                   an archive where a medium is wanted
    archive_unreadable, archive_too_large     an archive that is damaged, or unfolds beyond its limits
    unreadable                                the file cannot be opened at all
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message

    def __reduce__(self) -> tuple[type[MediaProblem], tuple[str, str]]:
        # Preparation may run in another process; the default would call this class with the message alone.
        return (MediaProblem, (self.reason, self.message))

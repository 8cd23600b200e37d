"""What is wrong with one medium: data about one item, never a reason to stop the run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hume_runner.errors import HumeRunnerError, is_scarce


class OneFailed(Exception):
    """What fails one item and no other: a code for counting and for machines, and words for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message

    def __reduce__(self) -> tuple[type[OneFailed], tuple[str, str]]:
        # It may be raised in another process; the default would call the class with the message alone.
        return (type(self), (self.reason, self.message))


class MediaProblem(OneFailed):
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


@contextmanager
def surprises_are_problems(name: str) -> Iterator[None]:
    """Whatever a library raises over one medium fails that medium, as MediaProblem "undecodable", and no other.

    What tells of this machine (no memory, no room, a missing extra) is raised as it is.
    """
    try:
        yield
    except (MediaProblem, HumeRunnerError, MemoryError):
        raise
    except OSError as error:
        # libav's errors are OSErrors as well, of numbers that mean nothing outside it.
        if is_scarce(error) or not type(error).__module__.startswith("av."):
            raise
        raise MediaProblem("undecodable", f"{name}: cannot be decoded: {error.strerror or error}") from error
    except Exception as error:
        what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise MediaProblem("undecodable", f"{name}: cannot be decoded: {what}") from error

"""Is a recorded answer on disk still what the service gave? A stat tells where it looks as it did; else it is read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hume_runner.errors import refuse_scarce
from hume_runner.frozen import frozen
from hume_runner.hashes import sha256_of
from hume_runner.state.disk import stamp_of
from hume_runner.state.reader import StateReader
from hume_runner.state.rows import StoredAnswer

MISSING = "is missing"


@frozen
class Looked:
    """What a look at one file told. `harm`: what is wrong with it, in words, None if nothing is; `stamp`: how it looks
    now where it had to be read to know that it is the same."""

    harm: str | None = None
    stamp: str | None = None


@frozen
class Harmed:
    """A recorded answer that is not what it was."""

    job: int
    answer: StoredAnswer
    harm: str


def look_at(directory: Path, answer: StoredAnswer, *, thorough: bool = False) -> Looked:
    """Compare a file below `directory` with what was recorded of it; `thorough`: read it however it looks."""
    path = directory / answer.path
    try:
        seen = path.stat()
        stamp = stamp_of(seen)
        if seen.st_size != answer.size:
            return Looked(harm=f"has {seen.st_size:,} bytes instead of {answer.size:,}")
        # An earlier version recorded no stamp, but when it was done with the file.
        untouched = answer.at is not None and max(seen.st_mtime, seen.st_ctime) <= answer.at
        if not thorough and (answer.stamp == stamp or (not answer.stamp and untouched)):
            return Looked()
        digest = sha256_of(path)
    except FileNotFoundError:
        return Looked(harm=MISSING)
    except OSError as error:
        refuse_scarce(error)
        return Looked(harm=f"cannot be read: {error.strerror or error}")
    return Looked(stamp=stamp) if digest == answer.sha256 else Looked(harm="was changed")


def harmed_answers(store: StateReader, directory: Path, *, thorough: bool = False) -> Iterator[Harmed]:
    """The recorded answers that are not what they were, by job and name. What had to be read and is the same is noted
    where the state can be written, so that it is not read again."""
    same: list[tuple[str, int, str]] = []
    for job, answer in store.answers():
        looked = look_at(directory, answer, thorough=thorough)
        if looked.harm is not None:
            yield Harmed(job=job, answer=answer, harm=looked.harm)
        elif looked.stamp is not None:
            same.append((looked.stamp, job, answer.name))
    store.note_stamps(same)

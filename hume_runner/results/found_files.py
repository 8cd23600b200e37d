"""Which files hold answers, of those that somebody named and of those below folders: by what they hold, not by names.

Downloads have whatever names their scripts gave them, and other JSON lies beside them.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from hume_runner.amounts import counted
from hume_runner.errors import ResultsError, UnexpectedResponse
from hume_runner.frozen import frozen
from hume_runner.hashes import sha256_of
from hume_runner.registry import Registered, all_registered, load
from hume_runner.regular_files import open_regular

_CHUNK = 1 << 18
_MOST_NAMED = 3


@frozen
class Found:
    """`files` hold answers, each its own; `notes`: what was found and left out, in words."""

    files: tuple[Path, ...]
    notes: tuple[str, ...]


def files_under(paths: Iterable[Path]) -> Found:
    """The files among these, and below the folders among them every JSON file that holds an answer; in order, and the
    same bytes once. Raises: ResultsError for what is not there, or holds none."""
    found: list[Path] = []
    notes: list[str] = []
    for path in paths:
        if path.is_dir():
            below = sorted({*path.rglob("*.json"), *path.rglob(_api().answer)})
            taken = [one for one in below if one.is_file() and holds_answer(one)]
            left = [one for one in below if one.is_file() and one not in set(taken)]
            if not taken:
                raise ResultsError(
                    f"{path}: no file with predictions below this folder"
                    + (f"; of {_files(left)} none holds any" if left else ""),
                    hint="name the folder that holds the downloads",
                )
            found += taken
            notes += _told(path, taken, left)
        elif path.is_file():
            found.append(path)
        else:
            raise ResultsError(f"{path}: no such file", hint="name files or folders that hold the predictions of jobs")
    once, copies = _each_once(list(dict.fromkeys(found)))
    return Found(files=tuple(once), notes=(*notes, *copies))


def holds_answer(path: Path) -> bool:
    """Whether a JSON file is an answer, or a callback that quotes one, as far as its beginning tells. What cannot be
    opened may be one."""
    api = _api()
    # Whatever this holds was meant to be an answer: one that cannot be read is told, and not passed over.
    if path.name == api.answer:
        return True
    if api.begins_answer is None:
        return False
    try:
        with open_regular(path) as file:
            return load(api.begins_answer)(iter(lambda: file.read(_CHUNK), b""))
    except OSError:
        return True
    except (UnexpectedResponse, RecursionError):
        return False


def _api() -> Registered:
    """Whose answers name their sources, so that they can be read without a manifest."""
    return next(one for one in all_registered() if one.names_sources)


def _told(folder: Path, taken: list[Path], left: list[Path]) -> list[str]:
    """Where all was taken, and under the one name, there is nothing to tell."""
    if not left and all(path.name == _api().answer for path in taken):
        return []
    if not left:
        return [f"{folder}: {counted(len(taken), 'file')} with predictions"]
    return [f"{folder}: {counted(len(taken), 'file')} with predictions; left out, as they hold none: {_files(left)}"]


def _files(paths: list[Path]) -> str:
    named = ", ".join(path.name for path in paths[:_MOST_NAMED])
    more = len(paths) - _MOST_NAMED
    return f"{counted(len(paths), 'JSON file')} ({named}{f' and {more:,} more' if more > 0 else ''})"


def _each_once(paths: list[Path]) -> tuple[list[Path], list[str]]:
    """The same answer in two files would count twice: what of them is a copy is told. Files are hashed only where
    another one has the same size."""
    by_size: dict[int, list[Path]] = {}
    for path in paths:
        by_size.setdefault(path.stat().st_size, []).append(path)
    first: dict[bytes, Path] = {}
    once, copies = [], []
    for path in paths:
        if len(by_size[path.stat().st_size]) > 1:
            original = first.setdefault(_digest(path), path)
            if original is not path:
                copies.append(f"{path}: the same bytes as {original}, so it is taken once")
                continue
        once.append(path)
    return once, copies


def _digest(path: Path) -> bytes:
    try:
        return bytes.fromhex(sha256_of(path))
    except OSError:  # whoever reads it tells why
        return str(path).encode("utf-8", "surrogateescape")

"""Which files a glob means: lazily, in a stable order, each once.

`*`, `?` and `[abc]` stay within a name, `**` stands for any folders, none included. Names that start with a dot, and
the `__MACOSX` folders that archives leave behind, match only where the pattern spells the dot or the name. A letter
matches itself whether it is written composed or decomposed, on either side.
"""
# Plain strings and os.path here, as a Path for each of a million names costs more than all the rest.
# ruff: noqa: PTH116, PTH118

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Iterator, Sequence

from hume_runner.sources.left_out import LeftOut
from hume_runner.sources.outputs import Walked, place_of
from hume_runner.spelling import Spellings, composed

_MAGIC = re.compile(r"[*?[]")
_DIGITS = re.compile(r"[0-9]+")


def is_glob(name: str) -> bool:
    return bool(_MAGIC.search(name))


def natural(name: str) -> tuple[str, str]:
    """Sorts `p2` before `p10`; names that differ in leading zeros alone by themselves."""
    return _DIGITS.sub(lambda found: found[0].zfill(20), name), name


def matching_files(
    pattern: str,
    folder: str,
    on_error: Callable[[OSError], None],
    *,
    skip: str | None = None,
    left_out: LeftOut | None = None,
) -> Iterator[str]:
    """Absolute paths of the files that match, sorted by their parts (`p2` before `p10`); links to files count as files.

    Folders are walked with a stack, names compared part by part, so neither depth nor number is held in memory beyond
    the folders on the way down. Links to folders are followed, save to one that the walk is already in. `on_error` is
    told of folders that cannot be read. The folder `skip` (absolute) is not entered, by whatever name or link, unless
    the pattern names it; and what runs wrote is found nowhere: `left_out` is told of it.
    """
    starts, parts = _beginnings(pattern, folder)
    skipped = None if skip is None else _identity(skip)
    for start in sorted(starts, key=lambda start: [natural(name) for name in start.split("/")]):
        yield from _walk(start, parts, on_error, skipped, left_out or LeftOut())


def begin(pattern: str, folder: str) -> tuple[str, list[Part]]:
    """(the folder that a walk begins in, what stands after it in the pattern). Of several that read the same, the one
    that is spelt as the pattern has it."""
    starts, parts = _beginnings(pattern, folder)
    return starts[0], parts


def twin_folders(pattern: str, folder: str) -> list[str]:
    """The folders that a pattern looks through, if they are several that read the same."""
    starts, _ = _beginnings(pattern, folder)
    return starts if len(starts) > 1 else []


def _beginnings(pattern: str, folder: str) -> tuple[list[str], list[Part]]:
    """(the folders that walks begin in, what stands after them in the pattern).

    One that is spelt as the pattern has it is not enough: what is looked for may lie in its twin, and an output
    directory alone in the other.
    """
    parts = [part for part in pattern.split("/") if part not in ("", ".")]
    literal = 0
    while literal < len(parts) - 1 and not is_glob(parts[literal]):
        literal += 1
    start = "/" if pattern.startswith("/") else folder
    _, there, rest = Spellings().reached(start, parts[:literal])
    return [os.path.join(one, *rest) for one in there], [Part(part) for part in parts[literal:]]


class Part:
    """One part of a pattern between slashes."""

    def __init__(self, text: str) -> None:
        self.anywhere = text == "**"
        text = composed(text)
        self._literal = None if is_glob(text) else text
        self._regex = re.compile(fnmatch.translate(text), re.DOTALL)
        self._shows_hidden = text.startswith((".", "[.]"))

    def matches(self, name: str) -> bool:
        name = composed(name)
        if self._literal is not None:
            return name == self._literal
        return (self._shows_hidden or not _hidden(name)) and bool(self._regex.match(name))


def _hidden(name: str) -> bool:
    return name[:1] == "." or name == "__MACOSX"


def _identity(folder: str) -> tuple[int, int] | None:
    try:
        found = os.stat(folder)
    except (OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def _walk(
    start: str,
    parts: list[Part],
    on_error: Callable[[OSError], None],
    skip: tuple[int, int] | None,
    left_out: LeftOut,
) -> Iterator[str]:
    # A state is the number of parts matched so far. A folder carries a set of them, as `**` may stand for any number
    # of folders: one pass finds each file once, however many `**` there are.
    last = len(parts) - 1
    place = place_of(os.path.realpath(start))
    stack = [_listing(start, _closure({0}, parts), frozenset(), on_error, None, place)]
    while stack:
        step = next(stack[-1], None)
        if step is None:
            stack.pop()
            continue
        entry, states, above, walked = step
        if _is_folder(entry):
            deeper = {state for state in states if parts[state].anywhere and not _hidden(entry.name)}
            deeper |= {state + 1 for state in states if state < last and parts[state].matches(entry.name)}
            if not deeper:
                continue
            within = _closure(deeper, parts)
            if walked.made_folder(entry.name):
                if last in within and any(parts[last].matches(name) for name in walked.held()):
                    left_out.folders.add(hash(entry.path))
                continue
            below = walked.place_below(entry.name, is_link=entry.is_symlink())
            stack.append(_listing(entry.path, within, above, on_error, skip, below))
        elif last in states and parts[last].matches(entry.name):
            if walked.wrote_file(entry.name):
                left_out.files.add(hash(entry.path))
            else:
                yield entry.path


def parts_match(names: Sequence[str], parts: Sequence[Part]) -> bool:
    """Whether the parts of one path match, as `_walk` would find it."""
    states = _closure({0}, parts)
    last = len(parts) - 1
    for name in names[:-1]:
        deeper = {state for state in states if parts[state].anywhere and not _hidden(name)}
        deeper |= {state + 1 for state in states if state < last and parts[state].matches(name)}
        if not deeper:
            return False
        states = _closure(deeper, parts)
    return last in states and parts[last].matches(names[-1])


_Step = tuple["os.DirEntry[str]", frozenset[int], frozenset[tuple[int, int]], Walked]


def _listing(
    folder: str,
    states: frozenset[int],
    above: frozenset[tuple[int, int]],
    on_error: Callable[[OSError], None],
    skip: tuple[int, int] | None,
    place: str,
) -> Iterator[_Step]:
    """The entries of `folder` by name, each with the states and the folders that lead to it, and what tells those that
    runs wrote. `place`: as `Walked` has it."""
    try:
        identity = os.stat(folder)
        here = (identity.st_dev, identity.st_ino)
        if here in above or here == skip:
            return
        with os.scandir(folder) as entries:
            sorted_entries = sorted(entries, key=lambda entry: natural(entry.name))
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        on_error(error)
        return
    walked = Walked(folder, [entry.name for entry in sorted_entries], place)
    leading = above | {here}
    for entry in sorted_entries:
        yield entry, states, leading, walked


def _closure(states: set[int], parts: Sequence[Part]) -> frozenset[int]:
    """`states` and those reached when a `**` stands for no folder."""
    reached = set(states)
    for state in sorted(states):
        while state < len(parts) - 1 and parts[state].anywhere:
            state += 1  # noqa: PLW2901 - walks on from the state
            reached.add(state)
    return frozenset(reached)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False

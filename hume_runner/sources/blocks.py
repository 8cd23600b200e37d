"""Links of a long list, many at a time: a million of them one by one are as many objects and calls."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from hume_runner.frozen import frozen
from hume_runner.manifest.model import Place, Scalar
from hume_runner.sources.base import SourceItem

# URLs and ids, each with a line end behind it, of which it is plain that nothing is wrong with them: what `url_fault`
# and `id_fault` look at twice is not among them. A URL begins with a small `http`, has a host in small letters, and is
# of visible ASCII signs; an id is of those as well, and blanks between them.
_PLAIN_URLS = re.compile(
    r"(?:https?://[a-z0-9][a-z0-9._-]*+(?::[0-9]{1,4})?+(?:/[!\"$->@-\[\]-~]*+)?+(?:[?#][!-\[\]-~]*+)?+\n)*+",
)
_PLAIN_IDS = re.compile(r"(?:[!-~]++(?: ++[!-~]++)*+\n)*+")
_QUERY = re.compile(r"[?#]")
_LONGEST_ID = 200


@frozen
class Block:
    """Links that stand together in one list, by columns. Not to be changed.

    `file` and `path` are those of all their places, `cells` what the list has in its columns of labels, row by row, and
    `labels` says once what they mean, together with the labels of all of the list.
    """

    ids: Sequence[str]
    explicit_ids: bool
    values: Sequence[str]
    file: str
    lines: Sequence[int]
    path: str
    cells: Sequence[tuple[str, ...]]
    labels: Mapping[tuple[str, ...], Mapping[str, Scalar]]

    def __len__(self) -> int:
        return len(self.values)

    def items(self) -> Iterator[SourceItem]:
        """The same one by one."""
        explicit, file, path = self.explicit_ids, self.file, self.path
        for name, value, line, cells in zip(self.ids, self.values, self.lines, self.cells, strict=True):
            yield SourceItem("url", name, explicit, value, Place(file, line, 1, path), None, self.labels[cells])


def one_by_one(pieces: Iterable[SourceItem | Block]) -> Iterator[SourceItem]:
    """Every item, also of the blocks."""
    for piece in pieces:
        if isinstance(piece, Block):
            yield from piece.items()
        else:
            yield piece


def plain_urls(values: Sequence[str]) -> bool:
    """Whether nothing is wrong with any of these URLs, as far as one look at all of them tells."""
    lines = _lines(values)
    return "/.." not in lines and _all_match(_PLAIN_URLS, lines, len(values))


def plain_ids(names: Sequence[str]) -> bool:
    """The same for ids."""
    lines = _lines(names)
    return ".." not in lines and max(map(len, names)) <= _LONGEST_ID and _all_match(_PLAIN_IDS, lines, len(names))


def names_of(values: Sequence[str]) -> list[str]:
    """The ids of plain URLs that have none: host and path; no query, which may grant access."""
    return [_QUERY.split(value.partition("://")[2], maxsplit=1)[0] for value in values]


def _lines(values: Sequence[str]) -> str:
    return "\n".join(values) + "\n"


def _all_match(pattern: re.Pattern[str], lines: str, number: int) -> bool:
    # A value with a line end in it would pass for two.
    return lines.count("\n") == number and pattern.fullmatch(lines) is not None

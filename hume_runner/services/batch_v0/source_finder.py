"""Which member an answer means by a name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from hume_runner.addresses import one_address
from hume_runner.services.batch_v0.matching import one_name, one_url

# How an upload's name begins: the nonce and the position, see `upload_name`.
_MARK = re.compile(r"([0-9a-f]{10}-\d{3})-")


class SourceFinder:
    """Which member of a job a name in its answer stands for, however the host spells it.

    The name as it was sent comes first, then the nonce and position in an upload's name, then the one form that hosts
    may give names back in. A form that two members have tells nothing: it is never a guess between them.

    An answer of our own job speaks of nothing that we did not send, so that a link may be encoded once more, or less.
    One of a job that was started elsewhere (`ours` is False) may speak of anything: there a link is known by its
    address alone, however that is written. A link without its query is another one in either.
    """

    def __init__(self, members: Iterable[tuple[int, str, str]], *, ours: bool = True) -> None:
        """`members`: (position, kind, name by which the answer should name it)."""
        self._ours = ours
        self._exact: dict[tuple[str, str], int] = {}
        self._by_mark: dict[str, int] = {}
        forms: dict[tuple[str, str], set[str]] = {}
        positions: dict[tuple[str, str], int] = {}
        for position, kind, name in members:
            self._exact[kind, name] = position
            mark = _MARK.match(one_name(name)) if kind == "file" else None
            if mark:
                self._by_mark[mark[1]] = position
            for form in self._forms(kind, name):
                forms.setdefault((kind, form), set()).add(name)
                positions[kind, form] = position
        self._by_form = {form: positions[form] for form, names in forms.items() if len(names) == 1}

    @property
    def exact(self) -> Mapping[tuple[str, str], int]:
        """(kind, name as it was sent) -> position."""
        return self._exact

    def find(self, kind: str, name: str) -> int | None:
        """The position of the member; None where nothing tells it."""
        if (kind, name) in self._exact:
            return self._exact[kind, name]
        if kind == "file":
            marks = {mark for mark in _MARK.findall(one_name(name)) if mark in self._by_mark}
            if marks:
                return self._by_mark[marks.pop()] if len(marks) == 1 else None
        found = {self._by_form[kind, form] for form in self._forms(kind, name) if (kind, form) in self._by_form}
        return found.pop() if len(found) == 1 else None

    def _forms(self, kind: str, name: str) -> tuple[str, ...]:
        match kind:
            case "file":
                whole = one_name(name)
                return (whole, _MARK.sub("", whole, count=1)) if _MARK.match(whole) else (whole,)
            case "url":
                address = one_address(name)
                return (one_url(address) if self._ours else address,)
            case _:
                number = name.strip()
                return (str(int(number)),) if number.isascii() and number.isdigit() and len(number) < 10 else (number,)

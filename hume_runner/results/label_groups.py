"""Which labels make groups of sources, the most telling first, and in which order the groups of a label stand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field

from hume_runner.frozen import frozen
from hume_runner.manifest.model import Scalar
from hume_runner.results.base import ResultSet

MOST_GROUPS = 12
# More groups than this and a label tells sources apart, not groups.
MOST_VALUES = 8
# A group of fewer sources is no group yet.
FEWEST = 3
# Words whose order everybody knows, and the alphabet does not.
_KNOWN_ORDERS: tuple[tuple[str, ...], ...] = (
    (
        "baseline",
        "pretest",
        "pre",
        "before",
        "vorher",
        "during",
        "mid",
        "post",
        "posttest",
        "after",
        "nachher",
        "followup",
    ),
    ("none", "low", "mild", "medium", "moderate", "high", "severe"),
)
_PLAIN = re.compile(r"[\W\d_]+")


def said(value: Scalar) -> str:
    """A label's value as the group's name."""
    return str(value).lower() if isinstance(value, bool) else str(value)


@frozen
class LabelGroups:
    """The values of each label, in the manifest's order, with how many sources have them. Of labels with very many
    values the first are known."""

    values: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, results: ResultSet) -> LabelGroups:
        """One pass over the items."""
        values: dict[str, dict[str, int]] = {}
        for item in results.items():
            for label, value in item.labels.items():
                seen = values.setdefault(label, {})
                if value is None:
                    continue
                name = said(value)
                if name in seen:
                    seen[name] += 1
                elif len(seen) <= MOST_GROUPS:
                    seen[name] = 1
        return cls(values=values)

    @property
    def usual(self) -> list[str]:
        """The labels that make groups: of at least two values and few, some of them shared by several sources. The one
        whose groups are largest comes first, since it tells most."""
        found = [
            label for label, seen in self.values.items() if 2 <= len(seen) <= MOST_VALUES and max(seen.values()) > 1
        ]
        return sorted(found, key=lambda label: -self._size(label))

    @property
    def telling(self) -> list[str]:
        """Of these the first, and others whose groups are no handful: a label that tells persons apart is none."""
        usual = self.usual
        return [label for place, label in enumerate(usual) if not place or self._size(label) >= FEWEST]

    def order(self, label: str) -> Sequence[str]:
        """The label's values in the order in which people read them."""
        return in_order(self.values.get(label, ()))

    def is_cut(self, label: str) -> bool:
        """Whether it has more values than are known."""
        return len(self.values[label]) > MOST_GROUPS

    def _size(self, label: str) -> int:
        """The middle one of the groups' sizes, the smaller of two."""
        sizes = sorted(self.values[label].values())
        return sizes[(len(sizes) - 1) // 2]


def in_order(values: Iterable[str]) -> list[str]:
    """2 before 10 and `pre` before `post`; where neither numbers nor such words tell, by the alphabet."""
    listed = sorted(values, key=natural)
    stems = {value: _PLAIN.sub("", value).casefold() for value in listed}
    if len(set(stems.values())) == 1:
        return listed
    for known in _KNOWN_ORDERS:
        if all(stem in known for stem in stems.values()):
            return sorted(listed, key=lambda value: known.index(stems[value]))
    return listed


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """2 before 10, and words as they are."""
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.findall(r"\d+|\D+", text))

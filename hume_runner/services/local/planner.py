"""Items to jobs: many texts together, every medium by itself until it was looked into. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hume_runner.manifest.model import Manifest
from hume_runner.services.jobs import Draft, Member, PlanItem
from hume_runner.services.local.parts import picture_parts, sound_pieces
from hume_runner.services.local.settings import for_material
from hume_runner.services.packing import pack

_TOGETHER = 30  # stills and links that are prepared, and stills that are measured, in one go


class Drafts:
    """Packs items to pieces of work."""

    def __init__(self, manifest: Manifest) -> None:
        self._models: Mapping[str, Any] = manifest.settings["models"]
        self._most = manifest.batching.max_sources
        self._most_bytes = manifest.batching.max_bytes

    def compile(self, items: Iterable[PlanItem]) -> Iterator[Draft]:
        """See `Planner.compile`."""
        texts: list[Member] = []
        small: list[Member] = []
        for item in items:
            member = Member(item=item)
            if item.kind == "text":
                texts.append(member)
                if len(texts) >= self._most:
                    yield from self._texts(texts)
                    texts = []
            elif item.kind == "url" or item.facts.get("medium") == "still":
                small.append(member)
                if len(small) >= _TOGETHER:
                    yield _unprepared(small)
                    small = []
            else:
                yield _unprepared([member])
        yield from self._texts(texts)
        if small:
            yield _unprepared(small)

    def hopeless(self, item: PlanItem) -> tuple[str, str] | None:
        """See `Planner.hopeless`: a text that no model reads. A look at each medium told of the others."""
        if item.kind == "text" and not for_material(self._models, "text"):
            told = ", ".join(f"`models.{name}`" for name in sorted(self._models))
            return "no_model", f"a text, which {told} cannot measure; `models.language` does"
        return None

    def _texts(self, members: Sequence[Member]) -> Iterator[Draft]:
        if members and self.hopeless(members[0].item) is not None:
            yield _unprepared(members)  # what prepares it gives them up, each with the reason
            return
        yield from pack(members, most=self._most, most_bytes=self._most_bytes)

    def recompile(self, members: Sequence[Member]) -> Iterator[Draft]:
        """See `Planner.recompile`: texts, or prepared stills."""
        if members and members[0].item.kind == "text":
            yield from self._texts(members)
            return
        for begin in range(0, len(members), _TOGETHER):
            batch = members[begin : begin + _TOGETHER]
            yield Draft(members=tuple(batch), size_bytes=sum(member.item.size_bytes for member in batch))


def _unprepared(members: Sequence[Member]) -> Draft:
    return Draft(
        members=tuple(members),
        size_bytes=sum(member.item.size_bytes for member in members),
        requests=expected([(member.item, member.item.carried) for member in members]),
        prepare=True,
    )


def expected(items: Iterable[tuple[PlanItem, Sequence[Mapping[str, Any]]]]) -> int:
    """How many pieces media become, by what their headers tell, beyond the parts that are measured or under way (their
    details beside each). A link, into which nobody looked, is counted as one."""
    pieces = stills = 0
    for item, carried in items:
        facts = item.facts
        if "problem" in facts:
            continue
        if facts.get("medium") == "still":
            stills += 1
        elif facts:
            seconds = facts.get("seconds")
            sound = sound_pieces(seconds) if facts["sound"] else 0
            pictures = len(picture_parts(seconds)) if facts["picture"] else 0
            held = sum("pictures" in detail for detail in carried)
            pieces += max(0, sound - (len(carried) - held)) + max(0, pictures - held)
        elif not carried:
            pieces += 1
    return pieces + -(-stills // _TOGETHER)

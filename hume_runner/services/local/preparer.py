"""Media before they are measured: looked into, decoded, and cut to pieces that are measured by themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hume_runner.services.cannot_prepare import CannotPrepare
from hume_runner.services.jobs import Carried, Draft, Job, Member, PlanItem, Prepared
from hume_runner.services.local.media import LocalMedia
from hume_runner.services.local.parts import picture_parts
from hume_runner.services.local.planner import Drafts, expected
from hume_runner.services.placing import told_clock
from hume_runner.settings import masked_url

# What may be wrong with one track of a medium whose other one is good.
_OF_ONE_TRACK = frozenset({"no_audio", "no_video", "empty", "corrupt", "undecodable", "unsupported"})


class Pieces:
    """Cuts what is measured of media."""

    def __init__(self, drafts: Drafts, store: LocalMedia) -> None:
        self._drafts = drafts
        self._store = store

    def media(self, job: Job) -> Prepared:
        """See `Preparer.media`."""
        failed: list[tuple[int, str, str]] = []
        stills: list[Member] = []
        drafts: list[Draft] = []
        given_up: list[int] = []
        notes: list[str] = []
        for member in job.members:
            hopeless = self._drafts.hopeless(member.item)
            if hopeless is not None:
                failed.append((member.position, *hopeless))
                continue
            try:
                facts = self._store.look(member.item)
                carried = self._still_true(member, given_up)
                if any(_is_whole(one.detail) for one in carried):
                    continue
                if facts["medium"] == "still":
                    stills.append(Member(item=member.item, detail={"still": True, **self._origin(member.item)}))
                else:
                    drafts += self._recording(member.item, facts, carried, notes)
            except CannotPrepare as problem:
                failed.append((member.position, problem.reason, _told(member.item, problem.message)))
        drafts = [*self._drafts.recompile(stills), *drafts]
        self._store.expect(member.item for draft in drafts for member in draft.members)
        for member in job.members:
            self._store.drop(member.item)  # unless a draft carries it
        counted = expected((one.item, [part.detail for part in one.carried]) for one in job.members)
        return Prepared(
            drafts=tuple(drafts),
            failed=tuple(failed),
            given_up=tuple(given_up),
            notes=tuple(notes),
            expected=counted,
        )

    def _origin(self, item: PlanItem) -> dict[str, Any]:
        origin = self._store.origin(item)
        return {} if origin is None else {"origin": origin}

    def _still_true(self, member: Member, given_up: list[int]) -> tuple[Carried, ...]:
        """The parts that are carried already, unless they are of what a URL led to before: those are given up."""
        now = self._store.origin(member.item)
        before = [one for one in member.carried if one.detail.get("origin", now) != now]
        given_up += [one.job for one in before]
        return tuple(one for one in member.carried if one not in before)

    def _recording(
        self, item: PlanItem, facts: Mapping[str, Any], carried: Sequence[Carried], notes: list[str]
    ) -> list[Draft]:
        """Pieces of what no job carries yet. Where one track is empty or broken, the other is measured all the same."""
        same = self._origin(item)
        found: list[Draft] = []
        lost: list[CannotPrepare] = []
        wanted = [name for name in ("sound", "picture") if facts[name]]
        for name in wanted:
            try:
                if name == "sound":
                    found += self._sound(item, same, carried, notes)
                else:
                    found += self._pictures(item, facts, same, carried)
            except CannotPrepare as problem:
                if problem.reason not in _OF_ONE_TRACK or len(wanted) == len(lost) + 1:
                    raise
                lost.append(CannotPrepare(problem.reason, f"its {name} is not measured: {problem.message}"))
        notes += [_told(item, problem.message) for problem in lost]
        if not lost or not found:
            return found
        first, *others = found
        (member,) = first.members
        told = replace(member, detail={**member.detail, "errors": [problem.message for problem in lost]})
        return [replace(first, members=(told,)), *others]

    def _sound(
        self, item: PlanItem, same: Mapping[str, Any], carried: Sequence[Carried], notes: list[str]
    ) -> list[Draft]:
        taken = {(int(one.detail["first"]), int(one.detail["samples"])) for one in carried if "part" in one.detail}
        drafts = []
        with self._store.sound(item) as (_, sound):
            notes += [_told(item, note) for note in sound.notes]
            for number, (first, samples) in enumerate(sound.cuts):
                if (first, samples) in taken:
                    continue
                detail = {"part": number, "parts": len(sound.cuts), "first": first, "samples": samples, **same}
                detail |= told_clock(sound.clock, first, samples)
                drafts.append(Draft(members=(Member(item=item, detail=detail),), size_bytes=2 * samples))
        return drafts

    def _pictures(
        self, item: PlanItem, facts: Mapping[str, Any], same: Mapping[str, Any], carried: Sequence[Carried]
    ) -> Iterator[Draft]:
        taken = {int(one.detail["begin_s"]) for one in carried if "pictures" in one.detail}
        parts = picture_parts(facts.get("seconds"))
        for detail in parts:
            if detail["begin_s"] not in taken:
                size = item.size_bytes // len(parts)
                yield Draft(members=(Member(item=item, detail={**detail, **same}),), size_bytes=size)

    def release(self, job: Job) -> None:
        """See `Shelf.release`."""
        self._store.done(member.item for member in job.members)

    def close(self) -> None:
        """See `Shelf.close`."""
        self._store.close()


def _is_whole(detail: Mapping[str, Any]) -> bool:
    return "part" not in detail and "pictures" not in detail


def _told(item: PlanItem, message: str) -> str:
    """A problem with the item's whole name, which the message may begin with in short."""
    name = masked_url(item.value) if item.kind == "url" else item.value
    short = name.rpartition("/")[2]
    if message.startswith(f"{short} "):
        return name + message.removeprefix(short)
    return f"{name}: {message.removeprefix(short + ': ')}"

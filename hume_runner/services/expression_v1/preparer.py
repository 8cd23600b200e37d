"""Media before they are sent: decoded, cut, and told apart from what is carried already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hume_runner.services.cannot_prepare import CannotPrepare
from hume_runner.services.expression_v1.cost import bill_audio_request, bill_image_request, shown_s
from hume_runner.services.expression_v1.limits import PART_OVERHEAD_BYTES, RATE_HZ
from hume_runner.services.expression_v1.media import Frames, MediaStore, Sound
from hume_runner.services.expression_v1.planner import Drafts
from hume_runner.services.expression_v1.settings import OWN_DEFAULTS, chosen_sound
from hume_runner.services.expression_v1.spans import runs_of, spans
from hume_runner.services.expression_v1.wav_parts import wav_digest
from hume_runner.services.jobs import Carried, Draft, Job, Member, PlanItem, Prepared
from hume_runner.services.placing import told_clock
from hume_runner.settings import masked_url

# What may be wrong with one track of a medium whose other one is good.
_OF_ONE_TRACK = frozenset({"no_audio", "no_video", "empty", "corrupt", "undecodable", "unsupported"})


class Media:
    """Prepares what is sent of media, in the cache `prepared/` until it is measured."""

    def __init__(self, drafts: Drafts, store: MediaStore, models: Mapping[str, Any]) -> None:
        self._drafts = drafts
        self._limits = drafts.limits
        self._store = store
        self._models = models

    def media(self, job: Job) -> Prepared:
        """See `Preparer.media`."""
        failed: list[tuple[int, str, str]] = []
        stills: list[Member] = []
        clips: list[Member] = []
        drafts: list[Draft] = []
        given_up: list[int] = []
        notes: list[str] = []
        for member in job.members:
            try:
                facts = self._store.look(member.item)
                carried = self._still_true(member, given_up)
                if any("part" not in one.detail and "first_frame" not in one.detail for one in carried):
                    continue  # it went as a whole
                if facts["medium"] == "still":
                    with self._store.still(member.item) as (_, still):
                        notes += [_told(member.item, note) for note in still.notes]
                        stills.append(Member(item=member.item, detail={"still": True, "bytes": still.size_bytes}))
                elif self._drafts.is_clip(facts):
                    with self._store.sound(member.item, self._limits.job_bytes) as (path, sound):
                        notes += [_told(member.item, note) for note in sound.notes]
                        detail: dict[str, Any] = {"clip": True, "samples": sound.samples, **told_clock(sound.clock)}
                        detail |= self._told_channel(member.item)
                        if sound.in_place:
                            detail["sha256"] = wav_digest(path, 0, sound.samples)
                            self._store.verify(member.item)
                        clips.append(Member(item=member.item, detail=detail))
                else:
                    drafts += self._recording(member.item, facts, carried, notes)
            except CannotPrepare as problem:
                failed.append((member.position, problem.reason, _told(member.item, problem.message)))
        drafts = [*self._drafts.recompile(stills), *self._drafts.recompile(clips), *drafts]
        self._store.expect(member.item for draft in drafts for member in draft.members)
        for member in job.members:
            self._store.drop(member.item)  # unless a draft carries it
        return Prepared(
            drafts=tuple(drafts),
            failed=tuple(failed),
            given_up=tuple(given_up),
            notes=tuple(notes),
        )

    def _still_true(self, member: Member, given_up: list[int]) -> tuple[Carried, ...]:
        """The parts that are carried already, unless they are of what a URL led to before: those are given up.

        Raises: CannotPrepare where one of those is at the service.
        """
        now = self._store.origin(member.item)
        before = [one for one in member.carried if one.detail.get("origin", now) != now]
        if any(not one.done for one in before):
            raise CannotPrepare("source_changed", "what the URL leads to changed while a part of it was measured")
        given_up += [one.job for one in before]
        return tuple(one for one in member.carried if one not in before)

    def _recording(
        self, item: PlanItem, facts: Mapping[str, Any], carried: Sequence[Carried], notes: list[str]
    ) -> list[Draft]:
        """Requests for what no job carries yet of a recording's sound and of its frames.

        Where one of the two is empty or broken, the other is measured all the same, and says so.
        """
        origin = self._store.origin(item)
        same: dict[str, Any] = {} if origin is None else {"origin": origin}
        found: list[Draft] = []
        lost: list[CannotPrepare] = []
        halves = (("sound", self._sound_drafts), ("picture", self._picture_drafts))
        wanted = [(name, make) for name, make in halves if facts[name]]
        for name, make in wanted:
            try:
                found += make(item, same, carried, notes)
            except CannotPrepare as problem:
                if problem.reason not in _OF_ONE_TRACK or len(wanted) == len(lost) + 1:
                    raise
                lost.append(CannotPrepare(problem.reason, f"its {name} is not measured: {problem.message}"))
        if not lost:
            return found
        notes += [_told(item, problem.message) for problem in lost]
        return _with_errors(found, [problem.message for problem in lost])

    def _sound_drafts(
        self, item: PlanItem, same: Mapping[str, Any], carried: Sequence[Carried], notes: list[str]
    ) -> list[Draft]:
        drafts: list[Draft] = []
        with self._store.sound(item, self._limits.job_bytes) as (path, sound):
            whole = {"total": sound.samples, **self._told_channel(item), **same}
            notes += [_told(item, note) for note in sound.notes]
            for number, parts, first, samples in self._passages(path, sound, carried):
                bill = bill_audio_request([-(-samples * 1000 // RATE_HZ)])
                detail = {"part": number, "parts": parts, "first": first, "samples": samples, **whole}
                detail |= told_clock(sound.clock, first, samples)
                if sound.in_place:
                    detail["sha256"] = wav_digest(path, first, samples)
                drafts.append(
                    Draft(
                        members=(Member(item=item, detail=detail),),
                        size_bytes=44 + 2 * samples,
                        billable_seconds=shown_s(bill.packed_s),
                        unpacked_seconds=shown_s(bill.unpacked_s),
                    )
                )
        if sound.in_place:
            self._store.verify(item)  # and so was what the digests are of
        return drafts

    def _told_channel(self, item: PlanItem) -> dict[str, int]:
        channel = chosen_sound(self._models, item.facts)[1]
        return {} if channel is None else {"channel": channel}

    def _picture_drafts(
        self, item: PlanItem, same: Mapping[str, Any], carried: Sequence[Carried], notes: list[str]
    ) -> list[Draft]:
        del notes
        with self._store.frames(item) as (_, frames):
            return list(self._frame_drafts(item, frames, same, carried))

    def _passages(self, path: Path, sound: Sound, carried: Sequence[Carried]) -> Iterator[tuple[int, int, int, int]]:
        """(part, parts, first sample, samples) of what is to be sent of a recording: as it was cut if all that is
        carried was cut like that, else what is left between, cut anew."""
        taken = sorted((int(c.detail["first"]), int(c.detail["samples"])) for c in carried if "part" in c.detail)
        cuts = list(sound.cuts)
        if not set(taken) <= set(cuts):
            cuts = sorted([*taken, *self._store.cut_between(path, sound, taken, self._limits.job_bytes)])
        for number, cut in enumerate(cuts):
            if cut not in taken:
                yield number, len(cuts), *cut

    def _frame_drafts(
        self, item: PlanItem, frames: Frames, same: Mapping[str, Any], carried: Sequence[Carried]
    ) -> Iterator[Draft]:
        """Requests of frames in order; with face tracking, each waits for the one before it."""
        track = (self._models.get("video") or {}).get("track_faces", OWN_DEFAULTS["track_faces"])
        holder = {
            int(one.detail["first_frame"]) + index: one.job
            for one in carried
            if "first_frame" in one.detail
            for index in range(len(one.detail["times_ms"]))
        }
        packed: list[tuple[int, int, int]] = []
        weights = [jpeg_bytes + PART_OVERHEAD_BYTES for jpeg_bytes in frames.sizes]
        for begin, end in runs_of(number for number in range(len(weights)) if number not in holder):
            packed += spans(begin, weights[begin:end], self._limits.sources_per_job, self._limits.job_bytes)
        for index, (first, beyond, weight) in enumerate(packed):
            bill = bill_image_request(beyond - first)
            times_ms = list(frames.times_ms[first:beyond])
            yield Draft(
                members=(Member(item=item, detail={"first_frame": first, "times_ms": times_ms, **same}),),
                size_bytes=weight,
                billable_seconds=shown_s(bill.packed_s),
                unpacked_seconds=shown_s(bill.unpacked_s),
                after=1 if track and index and packed[index - 1][1] == first else None,
                behind=holder.get(first - 1) if track else None,
            )

    def release(self, job: Job) -> None:
        """See `Shelf.release`: a medium goes with the last of the jobs that carry something of it."""
        self._store.done(member.item for member in job.members)

    def close(self) -> None:
        """Remove prepared media."""
        self._store.close()


def _with_errors(drafts: Sequence[Draft], messages: Sequence[str]) -> list[Draft]:
    """The drafts of one item, of which the first also tells what of the item is not among them."""
    if not drafts:
        return []
    first, *others = drafts
    (member,) = first.members
    told = replace(member, detail={**member.detail, "errors": list(messages)})
    return [replace(first, members=(told,)), *others]


def _told(item: PlanItem, message: str) -> str:
    """A problem with the item's whole name, which the message may begin with in short."""
    name = _name(item)
    short = name.rpartition("/")[2]
    if message.startswith(f"{short} "):
        return name + message.removeprefix(short)
    return f"{name}: {message.removeprefix(short + ': ')}"


def _name(item: PlanItem) -> str:
    return masked_url(item.value) if item.kind == "url" else item.value

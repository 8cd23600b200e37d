"""Items and prepared media, packed to requests with their bill: pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

from hume_runner.manifest.model import Manifest
from hume_runner.media.cuts import part_ceiling, parts_needed, search_radius
from hume_runner.services.expression_v1.cost import (
    bill_audio_request,
    bill_cut_sound,
    bill_image_request,
    bill_video_pictures,
    billable_seconds_audio,
    billable_seconds_images,
    in_milliseconds,
    shown_s,
    total,
)
from hume_runner.services.expression_v1.limits import BODY_BYTES, GAP_SAMPLES, IMAGE_BYTES, PART_OVERHEAD_BYTES, RATE_HZ
from hume_runner.services.expression_v1.settings import is_short
from hume_runner.services.expression_v1.spans import not_held
from hume_runner.services.jobs import Draft, Limits, Member, PlanItem

# Links tell nothing about what they lead to: few go into one preparation, so that sending begins soon. Thirty stills
# cost what one request costs at the least.
_LINKS_TOGETHER = 30


class Drafts:
    """Packs items and prepared media to what a request carries. Looks at no file and sends nothing."""

    def __init__(self, manifest: Manifest) -> None:
        self.limits = Limits(
            upload_bytes=BODY_BYTES,
            sources_per_job=manifest.batching.max_sources,
            job_bytes=min(BODY_BYTES, manifest.batching.max_bytes),
        )
        self._models: Mapping[str, Any] = manifest.settings["models"]
        self._joins = manifest.batching.pack_short_audio

    def compile(self, items: Iterable[PlanItem]) -> Iterator[Draft]:
        """See `Planner.compile`: stills together, links in small groups, every recording by itself."""
        stills: list[Member] = []
        links: list[Member] = []
        clips: list[Member] = []
        size = clips_ms = 0
        for item in items:
            member = Member(item=item)
            if item.kind == "url":
                links.append(member)
                if len(links) >= min(_LINKS_TOGETHER, self.limits.sources_per_job):
                    yield _links_draft(links)
                    links = []
            elif item.facts.get("medium") == "still":
                # What a picture weighs once it is prepared is not known yet; it is bounded by both of these.
                weight = int(item.facts.get("bytes", min(item.size_bytes, IMAGE_BYTES))) + PART_OVERHEAD_BYTES
                if stills and (len(stills) >= self.limits.sources_per_job or size + weight > self.limits.job_bytes):
                    yield _still_draft(stills, size)
                    stills, size = [], 0
                stills.append(member)
                size += weight
            elif self.is_clip(item.facts):
                duration_ms = int(item.facts["duration_ms"]) + 1000
                if clips and (
                    len(clips) >= self.limits.sources_per_job or clips_ms + duration_ms > self._longest_join_ms
                ):
                    yield _clips_draft(clips)
                    clips, clips_ms = [], 0
                clips.append(member)
                clips_ms += duration_ms
            else:
                yield self._recording_draft(member)
        if clips:
            yield _clips_draft(clips)
        if stills:
            yield _still_draft(stills, size)
        if links:
            yield _links_draft(links)

    def is_clip(self, facts: Mapping[str, Any]) -> bool:
        """Whether a recording is joined with others: only if the manifest asks, for it changes what is heard."""
        return self._joins and is_short(facts)

    @property
    def _longest_join_ms(self) -> int:
        return part_ceiling(self.limits.job_bytes) * 1000 // RATE_HZ

    def _recording_draft(self, member: Member) -> Draft:
        """One recording or video before it is prepared, with its bill as its headers tell it."""
        facts = member.item.facts
        packed_s = unpacked_s = Fraction(0)
        requests = 0
        if facts.get("sound"):
            parts, sound_ms, cost = self._sound_cost(facts, member.item.carried)
            requests += parts
            packed_s += cost
            unpacked_s += billable_seconds_audio(sound_ms)
        if facts.get("picture"):
            for first, beyond in not_held(int(facts.get("pictures", 1)), member.item.carried):
                cost = self._pictures_cost(beyond - first, int(facts.get("picture_bytes") or IMAGE_BYTES))
                requests += -(-(beyond - first) // self.limits.sources_per_job)
                packed_s += cost
                unpacked_s += bill_image_request(beyond - first).unpacked_s
        return Draft(
            members=(member,),
            size_bytes=member.item.size_bytes,
            billable_seconds=shown_s(packed_s),
            unpacked_seconds=shown_s(unpacked_s),
            requests=requests,
            prepare=True,
        )

    def knows_parts(self, facts: Mapping[str, Any]) -> bool:
        """Whether the bill of a recording follows from its length alone. Where bodies are so small that a part may cost
        more than its length, it takes the parts themselves, which are cut in pauses."""
        if not facts.get("sound") or "problem" in facts or facts.get("body") == self.limits.job_bytes:
            return True
        duration_ms = int(facts.get("duration_ms") or 0)
        parts, _ = self._sound_left(duration_ms, ())
        return bill_cut_sound(duration_ms, parts, moved_ms=self._moved_ms) <= billable_seconds_audio(duration_ms)

    @property
    def _moved_ms(self) -> int:
        return search_radius(self.limits.job_bytes) * 1000 // RATE_HZ

    def _sound_cost(self, facts: Mapping[str, Any], carried: Sequence[Mapping[str, Any]]) -> tuple[int, int, Fraction]:
        """(requests, milliseconds, seconds of the bill) of what no job carries yet of a recording's sound."""
        lengths = facts.get("parts_ms") if facts.get("body") == self.limits.job_bytes else None
        taken = [one for one in carried if "part" in one]
        if lengths and all(int(one["parts"]) == len(lengths) for one in taken):
            done = {int(one["part"]) for one in taken}
            left = [int(ms) for number, ms in enumerate(lengths) if number not in done]
            return len(left), sum(left), sum(map(billable_seconds_audio, left), Fraction(0))
        parts, sound_ms = self._sound_left(facts.get("duration_ms") or 0, carried)
        if not parts:
            return 0, 0, Fraction(0)
        return parts, sound_ms, in_milliseconds(bill_cut_sound(sound_ms, parts, moved_ms=self._moved_ms))

    def _pictures_cost(self, pictures: int, picture_bytes: int) -> Fraction:
        surely = self.limits.job_bytes // (picture_bytes + PART_OVERHEAD_BYTES)
        return bill_video_pictures(pictures, at_most=self.limits.sources_per_job, surely_fit=surely)

    def _sound_left(self, duration_ms: int, carried: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
        """(requests, milliseconds) of a recording's sound that no job carries yet, as far as is known before its
        preparation."""
        taken = [one for one in carried if "part" in one]
        parts = parts_needed(max(1, duration_ms * RATE_HZ // 1000), self.limits.job_bytes)
        if not taken:
            return parts, duration_ms
        left_ms = -(-(int(taken[0]["total"]) - sum(int(one["samples"]) for one in taken)) * 1000 // RATE_HZ)
        cut = {int(one["parts"]) for one in taken}
        if left_ms <= 0:
            return 0, 0
        return max(1, (cut.pop() if len(cut) == 1 else parts) - len(taken)), left_ms

    def recompile(self, members: Sequence[Member]) -> Iterator[Draft]:
        """See `Planner.recompile`: prepared stills or clips, packed to what a request carries."""
        if members and "clip" in members[0].detail:
            yield from self._join(members)
            return
        batch: list[Member] = []
        size = 0
        for member in members:
            weight = int(member.detail["bytes"]) + PART_OVERHEAD_BYTES
            if batch and (len(batch) >= self.limits.sources_per_job or size + weight > self.limits.job_bytes):
                yield _pack_draft(batch, size)
                batch, size = [], 0
            batch.append(member)
            size += weight
        if batch:
            yield _pack_draft(batch, size)

    def _join(self, members: Sequence[Member]) -> Iterator[Draft]:
        """Clips one after another with silence between; `first` tells where each begins, in samples."""
        batch: list[Member] = []
        end = 0
        for member in members:
            samples = int(member.detail["samples"])
            beyond = end + samples
            if batch and (
                len(batch) >= self.limits.sources_per_job or beyond * 1000 // RATE_HZ > self._longest_join_ms
            ):
                yield _joined_draft(batch)
                batch, end = [], 0
            batch.append(Member(item=member.item, detail={**member.detail, "first": end}))
            end += samples + GAP_SAMPLES
        if batch:
            yield _joined_draft(batch)


def _links_draft(members: Sequence[Member]) -> Draft:
    """What they lead to is known once they are fetched, and so is its bill."""
    return Draft(members=tuple(members), size_bytes=0, prepare=True, unmeasured=len(members))


def _still_draft(members: Sequence[Member], size: int) -> Draft:
    bill = bill_image_request(len(members))
    return Draft(
        members=tuple(members),
        size_bytes=size,
        billable_seconds=shown_s(bill.packed_s),
        unpacked_seconds=shown_s(bill.unpacked_s),
        prepare=True,
    )


def _clips_draft(members: Sequence[Member]) -> Draft:
    durations = [int(member.item.facts["duration_ms"]) for member in members]
    bill = bill_audio_request(durations, gap_ms=GAP_SAMPLES * 1000 // RATE_HZ)
    return Draft(
        members=tuple(members),
        size_bytes=sum(member.item.size_bytes for member in members),
        billable_seconds=shown_s(bill.packed_s),
        unpacked_seconds=shown_s(bill.unpacked_s),
        prepare=True,
    )


def _joined_draft(members: Sequence[Member]) -> Draft:
    samples = [int(member.detail["samples"]) for member in members]
    sent = sum(samples) + GAP_SAMPLES * (len(samples) - 1)
    return Draft(
        members=tuple(members),
        size_bytes=44 + 2 * sent,
        billable_seconds=shown_s(bill_audio_request([-(-sent * 1000 // RATE_HZ)]).packed_s),
        unpacked_seconds=shown_s(total(bill_audio_request([-(-n * 1000 // RATE_HZ)]) for n in samples).unpacked_s),
    )


def _pack_draft(members: Sequence[Member], size: int) -> Draft:
    return Draft(
        members=tuple(members),
        size_bytes=size,
        billable_seconds=shown_s(billable_seconds_images(len(members))),
        unpacked_seconds=shown_s(bill_image_request(len(members)).unpacked_s),
    )

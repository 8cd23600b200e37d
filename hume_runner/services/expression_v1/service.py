"""expression-v1 as a run sees it: a batch mode for an API that has none.

Recordings are cut, stills are packed, a video's frames go out in order; every request answers at once, and that answer
is all there ever is. Facts and their sources are in docs/apis/expression_v1.md.
"""

from __future__ import annotations

import hashlib
import json
import math
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hume_runner import aside
from hume_runner.errors import (
    ApiError,
    AuthError,
    Discontinued,
    NotFound,
    RateLimited,
    ServerError,
    TransportError,
)
from hume_runner.manifest.model import Manifest, SourceKind
from hume_runner.services.base import (
    Answered,
    Archives,
    Broken,
    Candidate,
    Carried,
    Draft,
    Ended,
    Foreign,
    Inside,
    Job,
    Limits,
    ListingIncomplete,
    ListingUnsupported,
    Look,
    Looker,
    LostJob,
    Member,
    NotSettled,
    Outcome,
    Pending,
    PlanItem,
    Prepared,
    Preparer,
    Progress,
    Refused,
    Shelf,
    Submission,
    SubmitResult,
    Unknown,
    Unseen,
    Waiting,
    Witness,
)
from hume_runner.services.evidence import earliest, uncontrolled
from hume_runner.services.expression_v1.cost import (
    Bill,
    bill_audio_request,
    bill_image_request,
    billable_seconds_images,
    shown_seconds,
    total,
)
from hume_runner.services.expression_v1.media import (
    CannotPrepare,
    Clip,
    Frames,
    JoinedClips,
    MediaStore,
    Sound,
    WavPart,
    is_archive,
    look,
    members,
    wav_digest,
)
from hume_runner.services.expression_v1.placing import told_clock
from hume_runner.services.expression_v1.readable import check_audio, check_images
from hume_runner.services.expression_v1.settings import OWN_DEFAULTS, fit, is_short, relevant, told_service
from hume_runner.services.links import refuse_expired
from hume_runner.services.unreadable import UNEXPECTED, message

if TYPE_CHECKING:
    from hume_runner.http.access import Access
    from hume_runner.services.expression_v1.client import ExpressionV1Api
    from hume_runner.services.expression_v1.reading import RunView

API = "expression-v1"
HOST = "https://api.cloud.hume.ai"
RESPONSE = "response.json"

_FILE, _LIVE, _ENDED, _ERRORED = "file", "live", "ended", "errored"  # what the service's records say of a run

# What may be wrong with one track of a medium whose other one is good.
_OF_ONE_TRACK = frozenset({"no_audio", "no_video", "empty", "corrupt", "undecodable", "unsupported"})

_What = Literal["billed", "unbilled", "running", "silent"]

IMAGE_BYTES = 2_000_000
# UNVERIFIED: the service states 25 MB without saying which. A little is left for the parts' headers.
BODY_BYTES = 24_900_000
PART_OVERHEAD_BYTES = 250
RATE_HZ = 16_000
# With batching.pack_short_audio: short recordings are joined, with this much silence between.
GAP_SAMPLES = RATE_HZ
FACE_STATE_S = 24 * 3600 - 600  # ten minutes before the service forgets

# Links tell nothing about what they lead to: few go into one preparation, so that sending begins soon. Thirty stills
# cost what one request costs at the least.
_LINKS_TOGETHER = 30
_SUBMIT_DEADLINE_S = 1_800.0
# The machines behind a service do not agree on the time to the second.
_CLOCK_MARGIN_S = 5.0
_TOLD_RUNS = 100
_TOLD_S = 1.0  # an answer tells its time in whole seconds
# How long before its submission a lost run may have begun, and how long after its end, where the time that the
# service's answers tell is that of its list. A host may take its time.
_NEAR_S = 60.0
_LATE_S = 960.0
_WIDE_S = 7_200.0
_DAY_S = 86_400.0
# Statuses of a list that is not there.
_NO_LIST = frozenset({400, 404, 405, 410, 501})
# Runs of an unfiltered list that are compared, and how many at a time.
_UNFILTERED, _PAGE = 1_000, 200
# How often a list is asked for what is newer and older than all that it shows, before it is not believed any more.
_NARROWED = 50
# UNVERIFIED: how `metered_seconds` is rounded.
_METERED_MARGIN_S = 0.5
# UNVERIFIED: whether `bytes_received` counts a WAV's header, and the form around the media: what a configuration takes
# there at the most, and one with a state of the faces before.
_CONFIG_BYTES = 600
_STATE_BYTES = 65_536


@dataclass(slots=True)
class _Learned:
    """What this service has shown so far."""

    simulated: bool = False
    requests: Counter[str] = field(default_factory=Counter)
    server_time_s: float = -math.inf  # the latest that an answer told
    under_way: dict[str, tuple[str, float]] = field(default_factory=dict)  # nonce -> (endpoint, server time before it)
    told: dict[str, float] = field(default_factory=dict)  # run id -> the server time of its answer, of the last few
    lost_here: dict[str, bool] = field(default_factory=dict)  # nonce -> whether the server time was known when it left
    before: set[str] = field(default_factory=set)  # run ids that were listed before anything was sent
    explained: set[str] = field(default_factory=set)  # silent runs that a lost upload is asked about already


@dataclass(frozen=True, slots=True, kw_only=True)
class _Size:
    """What tells uploads apart: `received` bytes and seconds, None where the service does not say."""

    endpoint: str
    received: int | None
    metered_s: float | None

    @classmethod
    def of(cls, run: RunView, *, settled: bool = True) -> _Size:
        """`settled`: it has ended, and its seconds are the bill."""
        metered_s = run.metered_seconds if settled else None
        return cls(endpoint=run.endpoint, received=run.bytes_received, metered_s=metered_s)

    def fits(self, job: Job) -> bool:
        """Whether the upload of a prepared job has this size."""
        if job.prepare or self.endpoint not in ("", _endpoint_of(job)):
            return False
        if self.metered_s is not None and abs(self.metered_s - (job.billable_seconds or 0.0)) > _METERED_MARGIN_S:
            return False
        return self.received is None or _takes(job, self.received)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Before:
    """A run that this state knows nothing of; `what` as `_what` tells."""

    run_id: str
    what: _What


def _what(run: RunView) -> _What:
    """What a run was or becomes as far as its record tells, and where that is not sure, the dearer. Pure."""
    if run.metered_seconds:
        return "billed"
    match run.status:
        case "ended":
            return "unbilled" if run.metered_seconds == 0 else "billed"
        case "errored":
            # With a number it was refused, and not billed. Without, its end was never recorded, and it may come back.
            return "silent" if run.bytes_received is None else "unbilled"
        case _:
            return "running"


def _takes(job: Job, received: int) -> bool:
    """Whether so many bytes may be what the service took in of this job's upload: the media with or without a WAV's
    header, or the whole form."""
    if _endpoint_of(job) == "audio":
        parts, media = 1, job.size_bytes
        if received == media - 44:
            return True
    else:
        parts = _images_in(job)
        media = job.size_bytes - parts * PART_OVERHEAD_BYTES
    most = _STATE_BYTES if "first_frame" in job.members[0].detail else _CONFIG_BYTES
    return received == media or media + 100 * parts <= received <= media + 200 * parts + most


def _window(lost: LostJob, began: Mapping[str, float | None], *, dated: bool) -> tuple[float, float]:
    """From when to when, by the list's own times, the run of a lost submission may have begun. Pure.

    `began`: run id -> when it began, of what the list shows; `dated`: the service's answers tell the list's time, and
    so they did when it was sent. Else our clock or the service's may be off by any amount, and only runs of ours in the
    same list tell when it was.
    """
    if dated:
        return lost.sent_at - _NEAR_S, lost.ended_at + _LATE_S
    before = [at for one in lost.before if (at := began.get(one)) is not None]
    if before:
        return max(before) - _CLOCK_MARGIN_S, math.inf
    if any(one in began for one in lost.after):
        at = earliest(lost, began)
        return -math.inf if at is None else at, math.inf
    return lost.sent_at - _DAY_S, lost.ended_at + _DAY_S


def _may_be(lost: LostJob, run: RunView, window: tuple[float, float]) -> bool:
    """Whether a run may be what a lost submission became: all that is known of it fits. Pure."""
    if run.endpoint not in ("", _endpoint_of(lost.job)):
        return False
    if run.started_at is not None and not window[0] <= run.started_at <= window[1]:
        return False
    match run.status:
        case "ended":
            return run.metered_seconds != 0 and _Size.of(run).fits(lost.job)
        case "errored":
            # With a number it was refused, and not billed. Without, its end was never recorded: it proves nothing.
            return run.bytes_received is None
        case _:
            return True


def _one_clock(told: Mapping[str, float], runs: Mapping[str, RunView]) -> bool:
    """Whether the list's times are those that the answers told, as runs of ours show whose answers came. Pure."""
    shown = [(at, runs[run_id].ended_at or runs[run_id].started_at) for run_id, at in told.items() if run_id in runs]
    apart = [abs(at - ended) for at, ended in shown if ended is not None]
    return bool(apart) and max(apart) <= _NEAR_S


def _missing(ours: Mapping[str, float], runs: Mapping[str, RunView], later: Set[str]) -> str:
    """A run of ours that the list must show and does not, or "". Pure.

    `ours`: run id -> when it was sent, by our clock; `later`: those that were sent after the lost one's end. All up to
    the newest that is shown must be, and the others as well unless one of the later ones is: what came a moment ago may
    show a moment later.
    """
    shown = [run_id for run_id in ours if run_id in runs]
    upto = max((ours[run_id] for run_id in shown), default=0.0)
    excused = any(run_id in later for run_id in shown)
    return next((one for one, at in ours.items() if one not in runs and (at < upto or not excused)), "")


def _times(runs: Mapping[str, RunView]) -> dict[str, float | None]:
    return {run_id: run.started_at for run_id, run in runs.items()}


@dataclass(slots=True)
class _Shown:
    """What one list shows: runs by their ids, and entries without one, which may be anybody's."""

    runs: dict[str, RunView] = field(default_factory=dict)
    nameless: list[RunView] = field(default_factory=list)

    def take(self, run: RunView) -> None:
        if run.run_id:
            self.runs[run.run_id] = run
        else:
            self.nameless.append(run)

    def controls(self, lost: LostJob, earlier: Set[str]) -> str:
        """See `uncontrolled`."""
        return uncontrolled(lost, _times(self.runs), earlier)


class ExpressionV1Service:
    """expression-v1 at one endpoint. Prepared media lie in `prepared/` in the output directory until they are sent."""

    api = API
    matches_by_md5 = False
    keeper = None  # the one answer comes with the upload

    def __init__(
        self,
        manifest: Manifest,
        endpoint: str,
        connect: Callable[[], ExpressionV1Api],
        on_server_time: Callable[[float], None],
    ) -> None:
        self.endpoint = endpoint
        self.limits = Limits(
            upload_bytes=BODY_BYTES,
            sources_per_job=manifest.batching.max_sources,
            job_bytes=min(BODY_BYTES, manifest.batching.max_bytes),
        )
        self._manifest = manifest
        self._models: Mapping[str, Any] = manifest.settings["models"]
        self._connect = connect
        self._on_server_time = on_server_time
        self._client: ExpressionV1Api | None = None
        self._connecting = threading.Lock()
        self._learned = _Learned()
        self._measured_before: Mapping[_Size, Sequence[_Before]] = {}
        self._awaited: set[str] | None = None  # run ids that were under way at the first look and still are
        self._media = MediaStore(
            manifest.outputs.directory / "prepared",
            self._models,
            tuple(manifest.service.allow_hosts),
            manifest.execution.retry,
        )

    @property
    def looker(self) -> Looker:
        return self

    @property
    def archives(self) -> Archives:
        return self

    @property
    def preparer(self) -> Preparer:
        return self

    @property
    def shelf(self) -> Shelf:
        return self

    @property
    def witness(self) -> Witness:
        return self

    @property
    def _http(self) -> ExpressionV1Api:
        with self._connecting:
            if self._client is None:
                self._client = self._connect()
            return self._client

    @property
    def requests(self) -> Mapping[str, int]:
        """See `Service.requests`."""
        return dict(self._learned.requests)

    def close(self) -> None:
        """Remove prepared media."""
        self._media.close()

    # -- planning ---------------------------------------------------------------------------------------------------

    def inside(self, path: Path) -> Iterator[Inside] | None:
        """See `Service.inside`: this API takes no archives, so their members are items."""
        return members(path, self._models) if is_archive(path) else None

    def look(self, path: Path, content: bytes) -> Mapping[str, Any]:
        """See `Service.look`. Raises: MissingExtra for media that need the extra `media`."""
        del content
        return look(path, self._models)

    def recall(self, facts: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """See `Service.recall`."""
        return fit(facts, self._models)

    def relevant(self, kind: SourceKind, facts: Mapping[str, Any], settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """See `Service.relevant`."""
        return relevant(kind, facts, settings)

    def refuse(self, item: PlanItem, now: float) -> tuple[str, str] | None:
        """See `Service.refuse`. What is wrong inside a medium is not refused here: it fails alone."""
        return refuse_expired(item.value, now) if item.kind == "url" else None

    def hopeless(self, item: PlanItem) -> None:
        """A look at each medium told."""
        del item

    def compile(self, items: Iterable[PlanItem]) -> Iterator[Draft]:
        """See `Service.compile`: stills together, links in small groups, every recording by itself."""
        stills: list[Member] = []
        links: list[Member] = []
        clips: list[Member] = []
        size = clips_ms = 0
        for item in items:
            member = Member(item=item)
            if item.kind == "url":
                links.append(member)
                if len(links) >= min(_LINKS_TOGETHER, self.limits.sources_per_job):
                    yield Draft(members=tuple(links), size_bytes=0, prepare=True)
                    links = []
            elif item.facts.get("medium") == "still":
                # What a picture weighs once it is prepared is not known yet; it is bounded by both of these.
                weight = min(item.size_bytes, IMAGE_BYTES) + PART_OVERHEAD_BYTES
                if stills and (len(stills) >= self.limits.sources_per_job or size + weight > self.limits.job_bytes):
                    yield _still_draft(stills, size)
                    stills, size = [], 0
                stills.append(member)
                size += weight
            elif self._is_clip(item.facts):
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
            yield Draft(members=tuple(links), size_bytes=0, prepare=True)

    def _is_clip(self, facts: Mapping[str, Any]) -> bool:
        """Whether a recording is joined with others: only if the manifest asks, for it changes what is heard."""
        return self._manifest.batching.pack_short_audio and is_short(facts)

    @property
    def _longest_join_ms(self) -> int:
        from hume_runner.media.cuts import part_ceiling

        return part_ceiling(self.limits.job_bytes) * 1000 // RATE_HZ

    def _recording_draft(self, member: Member) -> Draft:
        """One recording or video before it is prepared, with its bill as its headers tell it."""
        facts = member.item.facts
        duration_ms = facts.get("duration_ms") or 0
        bills: list[Bill] = []
        requests = 0
        if facts.get("sound"):
            parts, sound_ms = self._sound_left(duration_ms, member.item.carried)
            requests += parts
            if parts:
                bills += [bill_audio_request([sound_ms // parts])] * (parts - 1)
                bills.append(bill_audio_request([sound_ms - sound_ms // parts * (parts - 1)]))
        if facts.get("picture"):
            fps = Fraction((self._models.get("video") or {}).get("fps", OWN_DEFAULTS["fps"])).limit_denominator(1000)
            had = sum(len(one.get("times_ms", ())) for one in member.item.carried)
            frames = max(1, int(fps * duration_ms / 1000)) - had
            if frames > 0:
                bills.append(bill_image_request(frames))
                requests += 1
        bill = total(bills)
        return Draft(
            members=(member,),
            size_bytes=member.item.size_bytes,
            billable_seconds=_shown(bill.packed_s),
            unpacked_seconds=_shown(bill.unpacked_s),
            requests=requests,
            prepare=True,
        )

    def _sound_left(self, duration_ms: int, carried: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
        """(requests, milliseconds) of a recording's sound that no job carries yet, as far as is known before its
        preparation."""
        from hume_runner.media.cuts import parts_needed

        taken = [one for one in carried if "part" in one]
        parts = parts_needed(max(1, duration_ms * RATE_HZ // 1000), self.limits.job_bytes)
        if not taken:
            return parts, duration_ms
        left_ms = -(-(int(taken[0]["total"]) - sum(int(one["samples"]) for one in taken)) * 1000 // RATE_HZ)
        cut = {int(one["parts"]) for one in taken}
        if left_ms <= 0:
            return 0, 0
        return max(1, (cut.pop() if len(cut) == 1 else parts) - len(taken)), left_ms

    # -- preparing --------------------------------------------------------------------------------------------------

    def media(self, job: Job) -> Prepared:
        """See `Service.media`."""
        failed: list[tuple[int, str, str]] = []
        stills: list[Member] = []
        clips: list[Member] = []
        drafts: list[Draft] = []
        given_up: list[int] = []
        notes: list[str] = []
        for member in job.members:
            try:
                facts = self._media.look(member.item)
                carried = self._still_true(member, given_up)
                if any("part" not in one.detail and "first_frame" not in one.detail for one in carried):
                    continue  # it went as a whole
                if facts["medium"] == "still":
                    with self._media.still(member.item) as (_, still):
                        stills.append(Member(item=member.item, detail={"still": True, "bytes": still.size_bytes}))
                elif self._is_clip(facts):
                    with self._media.sound(member.item, self.limits.job_bytes) as (path, sound):
                        notes += [_told(member.item, note) for note in sound.notes]
                        detail: dict[str, Any] = {"clip": True, "samples": sound.samples, **told_clock(sound.clock)}
                        if sound.in_place:
                            detail["sha256"] = wav_digest(path, 0, sound.samples)
                            self._media.verify(member.item)
                        clips.append(Member(item=member.item, detail=detail))
                else:
                    drafts += self._recording(member.item, facts, carried, notes)
            except CannotPrepare as problem:
                failed.append((member.position, problem.reason, _told(member.item, problem.message)))
        drafts = [*self.recompile(stills), *self.recompile(clips), *drafts]
        self._media.expect(member.item for draft in drafts for member in draft.members)
        for member in job.members:
            self._media.drop(member.item)  # unless a draft carries it
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
        now = self._media.origin(member.item)
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
        origin = self._media.origin(item)
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
        with self._media.sound(item, self.limits.job_bytes) as (path, sound):
            whole = {"total": sound.samples, **same}
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
                        billable_seconds=_shown(bill.packed_s),
                        unpacked_seconds=_shown(bill.unpacked_s),
                    )
                )
        if sound.in_place:
            self._media.verify(item)  # and so was what the digests are of
        return drafts

    def _picture_drafts(
        self, item: PlanItem, same: Mapping[str, Any], carried: Sequence[Carried], notes: list[str]
    ) -> list[Draft]:
        del notes
        with self._media.frames(item) as (_, frames):
            return list(self._frame_drafts(item, frames, same, carried))

    def _passages(self, path: Path, sound: Sound, carried: Sequence[Carried]) -> Iterator[tuple[int, int, int, int]]:
        """(part, parts, first sample, samples) of what is to be sent of a recording: as it was cut if all that is
        carried was cut like that, else what is left between, cut anew."""
        taken = sorted((int(c.detail["first"]), int(c.detail["samples"])) for c in carried if "part" in c.detail)
        cuts = list(sound.cuts)
        if not set(taken) <= set(cuts):
            cuts = sorted([*taken, *self._media.cut_between(path, sound, taken, self.limits.job_bytes)])
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
        spans: list[tuple[int, int, int]] = []
        for number, jpeg_bytes in enumerate(frames.sizes):
            if number in holder:
                continue
            weight = jpeg_bytes + PART_OVERHEAD_BYTES
            begin, beyond, size = spans[-1] if spans else (0, -1, 0)
            if (
                beyond == number
                and size + weight <= self.limits.job_bytes
                and number - begin < self.limits.sources_per_job
            ):
                spans[-1] = (begin, number + 1, size + weight)
            else:
                spans.append((number, number + 1, weight))
        for index, (first, beyond, weight) in enumerate(spans):
            bill = bill_image_request(beyond - first)
            times_ms = list(frames.times_ms[first:beyond])
            yield Draft(
                members=(Member(item=item, detail={"first_frame": first, "times_ms": times_ms, **same}),),
                size_bytes=weight,
                billable_seconds=_shown(bill.packed_s),
                unpacked_seconds=_shown(bill.unpacked_s),
                after=1 if track and index and spans[index - 1][1] == first else None,
                behind=holder.get(first - 1) if track else None,
            )

    def recompile(self, members: Sequence[Member]) -> Iterator[Draft]:
        """See `Service.recompile`: prepared stills or clips, packed to what a request carries."""
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

    def release(self, job: Job) -> None:
        """See `Service.release`: a medium goes with the last of the jobs that carry something of it."""
        self._media.done(member.item for member in job.members)

    # -- submitting -------------------------------------------------------------------------------------------------

    def greet(self) -> None:
        """See `Service.greet`."""
        self._learned.before |= {run.run_id for run in islice(self._runs(page_size=1), 1) if run.run_id}

    def prepare(self, job: Job) -> Submission:
        """See `Service.prepare`."""
        config = self._config(job)
        shown = {name: value for name, value in config.items() if name != "face_state"}
        digest = hashlib.sha256(job.key.encode())
        digest.update(json.dumps([dict(member.detail) for member in job.members], sort_keys=True).encode())
        return Submission(
            # Whether faces are numbered on from the job before: the results have to know, and the state is opaque.
            request={"endpoint": _endpoint_of(job), "config": shown, "continues": "face_state" in config},
            sha256=digest.hexdigest(),
            matches={member.position: str(place) for place, member in enumerate(job.members)},
            send=lambda: self._send(job, config),
        )

    def _config(self, job: Job) -> dict[str, Any]:
        if _endpoint_of(job) == "audio":
            return told_service(self._models.get("audio") or {})
        options = self._models.get("video") or {}
        face = dict(options.get("face") or {})
        config: dict[str, Any] = {}
        if "first_frame" in job.members[0].detail and options.get("track_faces", OWN_DEFAULTS["track_faces"]):
            face["return_face_state"] = True
            fresh = job.carry_age_s is not None and job.carry_age_s < FACE_STATE_S
            if job.carry and fresh:
                config["face_state"] = job.carry
        if face:
            config["face"] = face
        return config

    def _send(self, job: Job, config: Mapping[str, Any]) -> SubmitResult:
        self._learned.requests["submit"] += 1
        known = self._learned.server_time_s
        self._learned.under_way[job.nonce] = (_endpoint_of(job), known)
        result = self._sent(job, config)
        if isinstance(result, Unknown):  # under way until somebody looks for it: a run may be what became of it
            self._learned.lost_here[job.nonce] = known > -math.inf
        else:
            del self._learned.under_way[job.nonce]
        return result

    def _sent(self, job: Job, config: Mapping[str, Any]) -> SubmitResult:
        try:
            with ExitStack() as stack:
                measured = self._measure(job, config, stack)
        except CannotPrepare as problem:
            return Refused(reason=problem.reason, message=problem.message, temporary=False, divisible=True)
        except ApiError as error:
            return self._kept(job, error) or judge_submission(error, divisible=_divisible(job))
        self._learned.simulated = measured.simulated
        if measured.server_date_s is not None:
            self._learned.told[measured.run_id] = measured.server_date_s
            if len(self._learned.told) > _TOLD_RUNS:
                self._learned.told.pop(next(iter(self._learned.told)), None)
            self._saw_time(measured.server_date_s)
        return Answered(
            remote_id=measured.run_id,
            body=measured.body,
            server_time_s=measured.server_date_s,
            simulated=measured.simulated,
            carry=measured.face_state,
        )

    def _kept(self, job: Job, error: ApiError) -> Answered | None:
        """An answer that was billed and is not understood: kept as the job's answer if it says which run it is, else
        as a file of its own, since nobody can fetch it again."""
        from hume_runner.services.expression_v1.client import AnswerNotUnderstood

        if not isinstance(error, AnswerNotUnderstood):
            return None
        try:
            run_id = json.loads(error.answer).get("run_id")
        except (ValueError, AttributeError, RecursionError):
            run_id = None
        if isinstance(run_id, str) and run_id:
            return Answered(remote_id=run_id, body=error.answer, server_time_s=None, simulated=self._learned.simulated)
        folder = aside.refuse_links(self._manifest.outputs.directory, "raw")
        folder.mkdir(parents=True, exist_ok=True)
        aside.write(folder / f"not-understood-{job.nonce}.bin", error.answer)
        return None

    def _measure(self, job: Job, config: Mapping[str, Any], stack: ExitStack) -> Any:
        from hume_runner.http.upload import Upload

        given = dict(config) or None
        first = job.members[0]
        for member in job.members:
            self._media.require_origin(member.item, member.detail.get("origin"))
        if "part" in first.detail:
            path, sound = stack.enter_context(self._media.sound(first.item, self.limits.job_bytes))
            part = WavPart(
                path=path,
                first_sample=int(first.detail["first"]),
                samples=int(first.detail["samples"]),
                filename=f"{job.nonce}.wav",
                sha256=first.detail.get("sha256"),
                written_ns=sound.written_ns,
            )
            return self._http.measure_audio(part, given, deadline_s=_SUBMIT_DEADLINE_S)
        if "clip" in first.detail:
            clips = tuple(
                Clip(
                    path=stack.enter_context(self._media.sound(m.item, self.limits.job_bytes))[0],
                    samples=int(m.detail["samples"]),
                    sha256=m.detail.get("sha256"),
                )
                for m in job.members
            )
            joined = JoinedClips(clips=clips, gap_samples=GAP_SAMPLES, filename=f"{job.nonce}.wav")
            return self._http.measure_audio(joined, given, deadline_s=_SUBMIT_DEADLINE_S)
        images: list[tuple[Path, str]] = []
        if "first_frame" in first.detail:
            folder, frames = stack.enter_context(self._media.frames(first.item))
            begin = int(first.detail["first_frame"])
            for index in range(begin, begin + len(first.detail["times_ms"])):
                images.append((folder / f"{index:06}.jpg", frames.digests[index]))
        else:
            for member in job.members:
                path, still = stack.enter_context(self._media.still(member.item))
                images.append((path, still.sha256))
        uploads = [
            Upload.of(path, filename=f"{job.nonce}-{index:03d}.jpg", sha256=sha256)
            for index, (path, sha256) in enumerate(images)
        ]
        return self._http.measure_images(uploads, given, deadline_s=_SUBMIT_DEADLINE_S)

    # -- after an answer --------------------------------------------------------------------------------------------

    def answer_names(self, *, artifacts: bool) -> tuple[str, ...]:
        """See `Service.answer_names`."""
        del artifacts
        return (RESPONSE,)

    def outcomes(self, job: Job, name: str, path: Path, announced: Mapping[str, int]) -> tuple[Outcome, ...]:
        """See `Service.outcomes`. An answer of an unknown shape fails its members and stays in `raw/`: it was paid."""
        del name, announced
        body = path.read_bytes()
        single: Mapping[int, str] = {}
        if _endpoint_of(job) == "audio":
            problem = check_audio(body)
        else:
            problem, single = check_images(body, _images_in(job))
            if single and "first_frame" in job.members[0].detail:  # the frames of one video
                problem, single = next(iter(single.values())), {}
        outcomes = []
        for place, member in enumerate(job.members):
            told = problem or single.get(place)
            outcomes.append(
                Outcome(
                    position=member.position,
                    ok=told is None,
                    reason=None if told is None else UNEXPECTED,
                    message=None if told is None else message(told),
                )
            )
        return tuple(outcomes)

    # -- asking about runs ------------------------------------------------------------------------------------------

    def check_each(self, waiting: Sequence[Waiting]) -> Mapping[str, Progress]:
        """See `Service.check_each`."""
        return self.check(waiting)

    def check(self, waiting: Sequence[Waiting]) -> Mapping[str, Progress]:
        """What the service's records say of past uploads: for `verify --remote`, since nothing here is waited for."""
        found: dict[str, Progress] = {}
        for job in waiting:
            self._learned.requests["details"] += 1
            try:
                run = self._http.get_run(job.remote_id)
            except NotFound:
                found[job.remote_id] = Unseen()
                continue
            metered = run.metered_seconds or 0
            match run.status:
                case "ended":
                    found[job.remote_id] = Ended(
                        created_at=run.started_at,
                        ended_at=run.ended_at,
                        announced={"metered_ms": round(metered * 1000)},
                    )
                case "errored":
                    found[job.remote_id] = Broken(message="the service's record says that it failed")
                case _:
                    found[job.remote_id] = Pending(started=True)
        return found

    @property
    def simulated(self) -> bool | None:
        """See `Service.simulated`."""
        return self._learned.simulated

    def survey(self, since: float, knows: Callable[[str], bool], ours: Mapping[str, float]) -> Iterator[Foreign]:
        """See `Service.survey`: what was measured since then and is not ours is remembered by its size.

        What is measured at the moment, and what went silent, has no size yet: those that were so at the first look are
        waited for. A list that does not show all that it must proves nothing about the rest.
        """
        listed = self._whole_list(since)
        must = [run_id for run_id, at in ours.items() if at > since]
        missing = [run_id for run_id in must if run_id not in listed.runs]
        why = f"the list of runs does not show {missing[0]}, which it must have" if missing else ""
        if not must:  # nothing of ours tells what it shows; then at least it says the same however it is asked
            every = self._unfiltered(since, ())
            why = self._left_out(since, listed, every)
            listed = _Shown({**every.runs, **listed.runs}, listed.nameless)
        self._learned.before |= listed.runs.keys()
        seen: dict[_Size, list[_Before]] = {}
        open_runs: set[str] = set()
        for run in (*listed.runs.values(), *listed.nameless):
            what = _what(run)
            if what == "unbilled" or knows(run.run_id) or (run.started_at is not None and run.started_at < since):
                continue
            if what != "billed" and self._may_still_tell(run):
                open_runs.add(run.run_id)
                if self._awaited is not None and run.run_id not in self._awaited:
                    continue  # it began since the first look
            seen.setdefault(_Size.of(run, settled=what == "billed"), []).append(_Before(run_id=run.run_id, what=what))
        self._measured_before = seen
        self._awaited = open_runs if self._awaited is None else open_runs & self._awaited
        if why:
            raise NotSettled(why, missing=missing)
        if self._awaited:
            one = min(self._awaited) or "an upload that the list gives no id"
            raise NotSettled(f"{one} of this key is measured at the moment, or has gone silent", slow=True)
        return iter(())

    def _whole_list(self, since: float) -> _Shown:
        """What the list shows since then and a little before, asked for part by part: a host may cut its list short
        and not say so.

        Raises: ListingIncomplete where it comes to no end.
        """
        listed, since = _Shown(), since - _WIDE_S
        for run in self._runs(since, mode=_FILE):
            listed.take(run)
        for _ in range(_NARROWED):
            times = [run.started_at for run in listed.runs.values() if run.started_at is not None]
            had = len(listed.runs)
            if times:
                for run in self._runs(max(times), mode=_FILE):
                    listed.take(run)
                for run in self._runs(since, started_before=min(times), mode=_FILE):
                    listed.take(run)
            if len(listed.runs) == had:
                return listed
        raise ListingIncomplete("the list of runs shows more and more the closer it is looked at")

    def _may_still_tell(self, run: RunView) -> bool:
        """Whether a run that is not settled may be soon: it is under way, or went silent lately."""
        if run.status != _ERRORED:
            return True
        now = self._learned.server_time_s
        return now == -math.inf or run.started_at is None or run.started_at > now - _LATE_S

    def suspects(self, job: Job) -> tuple[Candidate, ...]:
        """See `Service.suspects`."""
        return tuple(
            Candidate(
                remote_id=before.run_id or "a run that the list gives no id",
                matches={},
                created_at=None,
                gone=before.what == "billed",
                running=before.what == "running",
                maybe=True,
                named=bool(before.run_id),
                billed_seconds=size.metered_s,
            )
            for size, alike in self._measured_before.items()
            if size.fits(job)
            for before in alike
            if before.run_id not in self._learned.explained
        )

    def look_for(self, lost: Sequence[LostJob], ours: Mapping[str, float]) -> Mapping[int, Look]:
        """See `Service.look_for`. A run that was measured is `gone`: its answer cannot be had any more.

        There is no mark of ours in a run. What tells is its endpoint, when it began, the bytes that it took in and the
        seconds that it was billed for. More runs that fit than submissions that were lost cannot be told apart.
        """
        for one in lost:
            self._learned.under_way.pop(one.job.nonce, None)
        # The answers may tell another time than the list: what is ours bounds it as well.
        first = min(one.sent_at for one in lost)
        since = min([first, *(at for at in ours.values() if at > first - _DAY_S)]) - _WIDE_S
        awaited = {endpoint: self._awaited_since(endpoint) for endpoint in ("audio", "video")}
        listed = _Shown()
        for run in self._runs(since, mode=_FILE):
            listed.take(run)
        # One that began meanwhile may be in the list as well; one that ended meanwhile was there before.
        awaited = {endpoint: min(before, self._awaited_since(endpoint)) for endpoint, before in awaited.items()}
        lacks = {one.job.number: listed.controls(one, self._listed_before(one)) for one in lost}
        left_out = ""
        if any(lacks.values()):
            lacking = [one for one in lost if lacks[one.job.number]]
            every = self._unfiltered(since, lacking)
            lacks |= {one.job.number: every.controls(one, self._listed_before(one)) for one in lacking}
            left_out = self._left_out(since, listed, every)
            listed = _Shown({**every.runs, **listed.runs}, listed.nameless + every.nameless)
        runs = listed.runs
        users = {runs[run_id].user_id for run_id in ours if run_id in runs} - {""}
        agrees = _one_clock(dict(self._learned.told), runs)
        if not agrees:  # then it cannot be told which run another upload of ours is waiting for
            awaited = {endpoint: -math.inf if at < math.inf else at for endpoint, at in awaited.items()}
        # What others who share the account measured cannot be ours, once one of our own told who we are.
        free = [
            run
            for run in (*runs.values(), *listed.nameless)
            if run.run_id not in ours and not (users and run.user_id not in users)
        ]
        near: dict[int, list[RunView]] = {}
        for one in lost:
            dated = agrees and self._learned.lost_here.get(one.job.nonce, False)
            window, earlier = _window(one, _times(runs), dated=dated), self._listed_before(one)
            near[one.job.number] = [run for run in free if run.run_id not in earlier and _may_be(one, run, window)]
        looks: dict[int, Look] = {}
        for one in lost:
            number = one.job.number
            fitting = near[number]
            rivals = sum(
                1 for other in lost if {r.run_id for r in near[other.job.number]} & {r.run_id for r in fitting}
            )
            candidates = [self._candidate(run, awaited[_endpoint_of(one.job)]) for run in fitting]
            if len(fitting) <= max(1, rivals):
                self._learned.explained |= {run.run_id for run in fitting if _what(run) == "silent"}
            missing = _missing({run_id: at for run_id, at in ours.items() if at > since}, runs, one.later)
            lacking_what = (
                f"the list of runs does not show {missing}, which it must have"
                if missing
                else left_out or lacks[number]
            )
            why = (
                "a run that began about then has gone silent, and nobody knows whether it was billed"
                if any(run.status == _ERRORED for run in fitting)
                else "the list gives a run that may be it no id"
                if any(not run.run_id for run in fitting)
                else "the list does not say whether a run that began about then was billed"
                if any(candidate.maybe for candidate in candidates)
                else lacking_what
            )
            looks[number] = Look(
                candidates=tuple(candidates), conclusive=not lacking_what, why=why, most=max(1, rivals)
            )
        return looks

    def _runs(self, since: float = -math.inf, **filters: Any) -> Iterator[RunView]:
        """The list of runs since then, newest first; it tells the service's time as well.

        Raises: ListingUnsupported for a host that has none, ApiError.
        """
        self._learned.requests["list"] += 1
        if since > -math.inf:
            filters["started_after"] = since
        try:
            yield from self._http.list_runs(on_date=self._saw_time, **filters)
        except ApiError as error:
            if error.status in _NO_LIST:
                raise ListingUnsupported(str(error)) from error
            raise

    def _saw_time(self, server_time_s: float) -> None:
        self._learned.server_time_s = max(self._learned.server_time_s, server_time_s)
        self._on_server_time(server_time_s)

    def _listed_before(self, lost: LostJob) -> Set[str]:
        """Runs that were listed before a submission was sent, which is known of those of this run."""
        return self._learned.before if lost.job.nonce in self._learned.lost_here else frozenset()

    def _candidate(self, run: RunView, awaited_since: float) -> Candidate:
        # A run that another upload of ours may be waiting for: whose it is shows once that one has its answer.
        awaited = awaited_since < math.inf and (run.started_at or math.inf) >= awaited_since
        running = run.status == _LIVE or (run.status == _ENDED and awaited)
        gone = run.status == _ENDED and not running and run.metered_seconds is not None
        if not run.run_id:
            running = gone = False
        return Candidate(
            remote_id=run.run_id,
            matches={},
            created_at=run.started_at,
            simulated=bool(self._learned.simulated),
            gone=gone,
            running=running,
            maybe=not running and not gone,
            billed_seconds=run.metered_seconds,
        )

    def _unfiltered(self, since: float, lost: Sequence[LostJob]) -> _Shown:
        """The list without any filter, as far back as it takes to show what comes before these."""
        shown = _Shown()
        runs = (run for run in self._runs() if run.mode in ("", _FILE))
        lonely = not any(one.before or one.after for one in lost)
        for _ in range(_UNFILTERED // _PAGE):
            page = list(islice(runs, _PAGE))
            for run in page:
                shown.take(run)
            far = lonely and any(run.started_at is not None and run.started_at < since for run in page)
            if len(page) < _PAGE or far or not any(shown.controls(one, self._listed_before(one)) for one in lost):
                break
        return shown

    def _left_out(self, since: float, listed: _Shown, every: _Shown) -> str:
        """Whether the list shows otherwise what it leaves out when it is asked for a time, in words; "" if not."""
        more = [
            run_id
            for run_id, run in every.runs.items()
            if run_id not in listed.runs and (run.started_at is None or run.started_at >= since)
        ]
        if not more:
            return ""
        # What began between the two lists is in a third one.
        shown = {run.run_id for run in self._runs(since, mode=_FILE)}
        left_out = [run_id for run_id in more if run_id not in shown]
        return f"the list of runs leaves out {left_out[0]} when it is asked for that time" if left_out else ""

    def _awaited_since(self, endpoint: str) -> float:
        """The earliest time, by the service's clock, of a run that an upload under way may be waiting for."""
        since = (began for where, began in list(self._learned.under_way.values()) if where == endpoint)
        return min(since, default=math.inf) - _CLOCK_MARGIN_S


def build(
    manifest: Manifest, endpoint: str, access: Callable[[], Access], on_server_time: Callable[[float], None]
) -> ExpressionV1Service:
    """The service at one endpoint; `access` is asked before its first request."""

    def connect() -> ExpressionV1Api:
        from hume_runner.services.expression_v1.client import AUTH_HEADER, ExpressionV1Api

        how = access()
        return ExpressionV1Api(how.transport(AUTH_HEADER), how.retry)

    return ExpressionV1Service(manifest, endpoint, connect, on_server_time)


def judge_submission(error: ApiError, *, divisible: bool) -> SubmitResult:
    """What a failed upload means: surely not billed, or unknown. An error with the service's own code is not billed."""
    from hume_runner.http.retry import is_on_the_way, took_its_time
    from hume_runner.http.upload import SourceChanged
    from hume_runner.services.expression_v1.client import measurement_outcome

    if isinstance(error, SourceChanged):
        return Refused(reason="source_changed", message=str(error), temporary=False, divisible=divisible)
    if measurement_outcome(error) != "refused":
        return Unknown(message=str(error), slow=took_its_time(error))
    temporary = isinstance(error, (RateLimited, ServerError, TransportError)) or error.status == 409
    temporary = temporary or is_on_the_way(error)
    return Refused(
        reason=error.code or "refused_by_service",
        message=str(error),
        temporary=temporary,
        stops_run=isinstance(error, (AuthError, Discontinued, NotFound)) or error.status == 402,
        divisible=divisible and error.code not in ("config_invalid", "message_invalid"),
        retry_after_s=error.retry_after_s,
        hint=error.hint or ("see to the account's credit, then run again: it resumes" if error.status == 402 else ""),
    )


def _with_errors(drafts: Sequence[Draft], messages: Sequence[str]) -> list[Draft]:
    """The drafts of one item, of which the first also tells what of the item is not among them."""
    if not drafts:
        return []
    first, *others = drafts
    (member,) = first.members
    told = replace(member, detail={**member.detail, "errors": list(messages)})
    return [replace(first, members=(told,)), *others]


def _endpoint_of(job: Job) -> str:
    detail = job.members[0].detail
    return "audio" if "part" in detail or "clip" in detail else "video"


def _divisible(job: Job) -> bool:
    detail = job.members[0].detail
    return bool(detail.get("still") or detail.get("clip"))


def _images_in(job: Job) -> int:
    first = job.members[0].detail
    return len(first["times_ms"]) if "first_frame" in first else len(job.members)


def _still_draft(members: Sequence[Member], size: int) -> Draft:
    bill = bill_image_request(len(members))
    return Draft(
        members=tuple(members),
        size_bytes=size,
        billable_seconds=_shown(bill.packed_s),
        unpacked_seconds=_shown(bill.unpacked_s),
        prepare=True,
    )


def _clips_draft(members: Sequence[Member]) -> Draft:
    durations = [int(member.item.facts["duration_ms"]) for member in members]
    bill = bill_audio_request(durations, gap_ms=GAP_SAMPLES * 1000 // RATE_HZ)
    return Draft(
        members=tuple(members),
        size_bytes=sum(member.item.size_bytes for member in members),
        billable_seconds=_shown(bill.packed_s),
        unpacked_seconds=_shown(bill.unpacked_s),
        prepare=True,
    )


def _joined_draft(members: Sequence[Member]) -> Draft:
    samples = [int(member.detail["samples"]) for member in members]
    sent = sum(samples) + GAP_SAMPLES * (len(samples) - 1)
    return Draft(
        members=tuple(members),
        size_bytes=44 + 2 * sent,
        billable_seconds=_shown(bill_audio_request([-(-sent * 1000 // RATE_HZ)]).packed_s),
        unpacked_seconds=_shown(total(bill_audio_request([-(-n * 1000 // RATE_HZ)]) for n in samples).unpacked_s),
    )


def _pack_draft(members: Sequence[Member], size: int) -> Draft:
    return Draft(
        members=tuple(members),
        size_bytes=size,
        billable_seconds=_shown(billable_seconds_images(len(members))),
        unpacked_seconds=_shown(bill_image_request(len(members)).unpacked_s),
    )


def _shown(seconds: Fraction) -> float:
    return float(shown_seconds(seconds))


def _told(item: PlanItem, message: str) -> str:
    """A problem with the item's whole name, which the message may begin with in short."""
    name = _name(item)
    short = name.rpartition("/")[2]
    if message.startswith(f"{short} "):
        return name + message.removeprefix(short)
    return f"{name}: {message.removeprefix(short + ': ')}"


def _name(item: PlanItem) -> str:
    from hume_runner.settings import masked_url

    return masked_url(item.value) if item.kind == "url" else item.value

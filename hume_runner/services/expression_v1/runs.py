"""What the service's records of runs say, and which of them may be an upload of ours: pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Literal

from hume_runner.frozen import frozen
from hume_runner.services.evidence import earliest, uncontrolled
from hume_runner.services.expression_v1.cost import MINIMUM_S
from hume_runner.services.expression_v1.limits import PART_OVERHEAD_BYTES
from hume_runner.services.expression_v1.matching import DOUBTFUL
from hume_runner.services.expression_v1.parts import endpoint_of, images_in
from hume_runner.services.expression_v1.reading import RunView
from hume_runner.services.jobs import Job
from hume_runner.services.lost import LostJob

FILE, LIVE, ENDED, ERRORED = "file", "live", "ended", "errored"  # what the service's records say of a run

What = Literal["billed", "unbilled", "running", "silent"]

# The machines behind a service do not agree on the time to the second.
CLOCK_MARGIN_S = 5.0
# How long before its submission a lost run may have begun, and how long after its end, where the time that the
# service's answers tell is that of its list. A host may take its time.
_NEAR_S = 60.0
LATE_S = 960.0
DAY_S = 86_400.0
# UNVERIFIED: how `metered_seconds` is rounded: by so much to the nearest second, and by so much up or down.
_METERED_MARGIN_S, _METERED_APART_S = 0.5, 1.0
# UNVERIFIED as well: where a bill is compared with a plan, so much is no difference.
_BILL_APART_S = 0.1
# UNVERIFIED: whether `bytes_received` counts a WAV's header, and the form around the media: what a configuration takes
# there at the most, and one with a state of the faces before.
_CONFIG_BYTES = 600
_STATE_BYTES = 65_536
# What a host adds that counts on the wire, where records, frames and packets have heads: one byte in so many at the
# most. And the blocks in which one may count.
_WIRE_SHARE = 16
_BLOCKS = (512, 1024)

# How well a run fits an upload, the best first: to the byte; with the form; with a state of the faces before, of which
# nobody knows the size; no bytes are told, and the seconds fit. So far it is that upload, as far as anything tells.
EXACT, FORM, STATE, UNCOUNTED = range(4)
# It was billed as much, and tells bytes that are not those of the upload: hosts count in their own ways, so that it
# can neither be taken for it nor be excluded.
ALIKE = DOUBTFUL


def told_as(run: RunView) -> What:
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


def announced_of(run: RunView) -> dict[str, int]:
    """What is known of a run that ended before anybody fetches it; `metered` reads it."""
    return {"metered_ms": round((run.metered_seconds or 0) * 1000)}


def metered(announced: Mapping[str, int]) -> tuple[float, float] | None:
    """(seconds, how far from them is no difference), as `Registered.metered` says."""
    told = announced.get("metered_ms")
    return None if told is None else (told / 1000, _BILL_APART_S)


@frozen
class Size:
    """What tells uploads apart: `received` bytes and seconds, None where the service does not say."""

    endpoint: str
    received: int | None
    metered_s: float | None

    @classmethod
    def of(cls, run: RunView, *, settled: bool = True) -> Size:
        """`settled`: it has ended, and its seconds are the bill."""
        metered_s = run.metered_seconds if settled else None
        return cls(endpoint=run.endpoint, received=run.bytes_received, metered_s=metered_s)

    def likeness(self, job: Job, counting: Counting, *, near: bool) -> int | None:
        """How well it fits the upload of a prepared job; None: it surely is another.

        Bytes that fit tell more than seconds, of which nobody knows how a service rounds them and what it bills at
        least. Bytes that do not fit prove nothing, where the seconds do: only seconds that differ. `near`: it began
        about when the upload was sent. Of what was measured in days, the least that is billed and the number of
        pictures fit very much: there the bytes have to be about the same too.
        """
        if job.prepare or elsewhere(self.endpoint, job):
            return None
        how = counting.looseness(job, self.received)
        apart_s = 0.0 if self.metered_s is None else abs(self.metered_s - (job.billable_seconds or 0.0))
        if how is not None and how != UNCOUNTED:
            return how
        if apart_s > _METERED_APART_S:
            return None
        if self.received is None:
            return UNCOUNTED if apart_s <= _METERED_MARGIN_S else ALIKE
        if self.metered_s is not None and (near or self._tells_length(job)):
            return ALIKE
        return ALIKE if about(job, self.received) else None

    def _tells_length(self, job: Job) -> bool:
        """Whether the seconds are those of a recording, and not the least that is billed."""
        least = min(self.metered_s or 0.0, job.billable_seconds or 0.0)
        return endpoint_of(job) == "audio" and least > float(MINIMUM_S)


def elsewhere(endpoint: str, job: Job) -> bool:
    """Whether a run was surely measured by the other endpoint than this job.

    A name that speaks of neither tells nothing, for endpoints may gain names and be spelt another way.
    """
    spoken_of = {one for one in ("audio", "video") if one in endpoint.casefold()}
    return bool(spoken_of) and endpoint_of(job) not in spoken_of


def carried(job: Job) -> tuple[int, int]:
    """(bytes of the media that an upload carries, in how many parts)."""
    if endpoint_of(job) == "audio":
        return job.size_bytes, 1
    parts = images_in(job)
    return job.size_bytes - parts * PART_OVERHEAD_BYTES, parts


def looseness(job: Job, received: int | None) -> int | None:
    """How far so many bytes leave open whether the service took in this job's upload, where nothing shows how it
    counts: `EXACT` are the media with or without a WAV's header. None: these are not its bytes."""
    if received is None:
        return UNCOUNTED
    media, parts = carried(job)
    if received == media or (endpoint_of(job) == "audio" and received == media - 44):
        return EXACT
    around = received - media - 100 * parts
    if not 0 <= around <= 100 * parts + _STATE_BYTES:
        return None
    if around <= 100 * parts + _CONFIG_BYTES:
        return FORM
    return STATE if "first_frame" in job.members[0].detail else None


def about(job: Job, received: int) -> bool:
    """Whether so many bytes may be those of the upload as counted on the wire, or in blocks."""
    media, parts = carried(job)
    beyond = received - media - 100 * parts
    if 0 <= beyond <= media // _WIRE_SHARE + 100 * parts + _CONFIG_BYTES:
        return True
    return any(received % block == 0 and abs(received - media) < block for block in _BLOCKS)


@frozen
class Counting:
    """How a host counts bytes, as runs of ours show it.

    `beyond`: (endpoint, parts) -> what it told beyond the media; `forms`: endpoint -> whether the form was counted.
    """

    beyond: Mapping[tuple[str, int], Set[int]] = field(default_factory=dict)
    forms: Mapping[str, Set[bool]] = field(default_factory=dict)

    @classmethod
    def shown_by(cls, controls: Mapping[str, Job], runs: Mapping[str, RunView]) -> Counting:
        """`controls`: run id -> the job that it surely is."""
        beyond: dict[tuple[str, int], set[int]] = {}
        forms: dict[str, set[bool]] = {}
        for run_id, job in controls.items():
            received = runs[run_id].bytes_received if run_id in runs and runs[run_id].status == ENDED else None
            how = looseness(job, received)
            if received is None or how is None:
                continue
            (media, parts), endpoint = carried(job), endpoint_of(job)
            beyond.setdefault((endpoint, parts), set()).add(received - media)
            forms.setdefault(endpoint, set()).add(how != EXACT)
        return cls(beyond=beyond, forms=forms)

    def looseness(self, job: Job, received: int | None) -> int | None:
        """The same as `looseness`, by how the host counts, if that is known: `EXACT` is what is counted as runs of
        ours are, and with the form and without it are two ways."""
        how, endpoint = looseness(job, received), endpoint_of(job)
        if received is None or how is None or endpoint not in self.forms:
            return how
        if (how != EXACT) not in self.forms[endpoint]:
            return None
        media, parts = carried(job)
        known = self.beyond.get((endpoint, parts))
        if known is None:
            return how
        return EXACT if received - media in known else max(how, FORM)


def fits_as_counted(job: Job, run: RunView | None) -> bool:
    """Whether the bytes of a run are those of the upload that it surely was, as far as that is told. Pure."""
    if run is None or run.status != ENDED or run.bytes_received is None:
        return True
    return looseness(job, run.bytes_received) is not None


def uncounted(run: RunView) -> RunView:
    """An ended run without the number of its bytes. (What it says of one that did not end is another matter.)"""
    return replace(run, bytes_received=None) if run.status == ENDED else run


def window_of(lost: LostJob, began: Mapping[str, float | None], *, dated: bool) -> tuple[float, float]:
    """From when to when, by the list's own times, the run of a lost submission may have begun. Pure.

    `began`: run id -> when it began, of what the list shows; `dated`: the service's answers tell the list's time, and
    so they did when it was sent. Else our clock or the service's may be off by any amount, and only runs of ours in the
    same list tell when it was.
    """
    if dated:
        return lost.sent_at - _NEAR_S, lost.ended_at + LATE_S
    before = [at for one in lost.before if (at := began.get(one)) is not None]
    if before:
        return max(before) - CLOCK_MARGIN_S, math.inf
    if any(one in began for one in lost.after):
        at = earliest(lost, began)
        return -math.inf if at is None else at, math.inf
    return lost.sent_at - DAY_S, lost.ended_at + DAY_S


def may_be(lost: LostJob, run: RunView, window: tuple[float, float], counting: Counting) -> bool:
    """Whether a run may be what a lost submission became: all that is known of it fits. Pure."""
    if elsewhere(run.endpoint, lost.job):
        return False
    if run.started_at is not None and not window[0] <= run.started_at <= window[1]:
        return False
    match run.status:
        case "ended":
            return run.metered_seconds != 0 and Size.of(run).likeness(lost.job, counting, near=True) is not None
        case "errored":
            # With a number it was refused, and not billed. Without, its end was never recorded: it proves nothing.
            return run.bytes_received is None
        case _:
            return True


def in_time(lost: LostJob, run: RunView, *, dated: bool) -> bool:
    """Whether a run began about when a lost upload was on its way, as far as that can be told. Pure.

    A host may take its time; but what began long after is as well somebody else's. `dated`: see `window_of`.
    """
    return not dated or run.started_at is None or run.started_at <= lost.ended_at + _NEAR_S


def one_clock(told: Mapping[str, float], runs: Mapping[str, RunView]) -> bool:
    """Whether the list's times are those that the answers told, as runs of ours show whose answers came. Pure."""
    shown = [(at, runs[run_id].ended_at or runs[run_id].started_at) for run_id, at in told.items() if run_id in runs]
    apart = [abs(at - ended) for at, ended in shown if ended is not None]
    return bool(apart) and max(apart) <= _NEAR_S


def not_shown(ours: Mapping[str, float], runs: Mapping[str, RunView], later: Set[str]) -> str:
    """A run of ours that the list must show and does not, or "". Pure.

    `ours`: run id -> when it was sent, by our clock; `later`: those that were sent after the lost one's end. All up to
    the newest that is shown must be, and the others as well unless one of the later ones is: what came a moment ago may
    show a moment later.
    """
    shown = [run_id for run_id in ours if run_id in runs]
    upto = max((ours[run_id] for run_id in shown), default=0.0)
    excused = any(run_id in later for run_id in shown)
    return next((one for one, at in ours.items() if one not in runs and (at < upto or not excused)), "")


def times(runs: Mapping[str, RunView]) -> dict[str, float | None]:
    return {run_id: run.started_at for run_id, run in runs.items()}


@dataclass(slots=True)
class Shown:
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
        return uncontrolled(lost, times(self.runs), earlier)

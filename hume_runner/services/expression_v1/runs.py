"""What the service's records of runs say, and which of them may be an upload of ours: pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from dataclasses import dataclass, field, replace
from typing import Literal

from hume_runner.frozen import frozen
from hume_runner.services.base import Job, LostJob
from hume_runner.services.evidence import earliest, uncontrolled
from hume_runner.services.expression_v1.limits import PART_OVERHEAD_BYTES
from hume_runner.services.expression_v1.parts import endpoint_of, images_in
from hume_runner.services.expression_v1.reading import RunView

FILE, LIVE, ENDED, ERRORED = "file", "live", "ended", "errored"  # what the service's records say of a run

What = Literal["billed", "unbilled", "running", "silent"]

# The machines behind a service do not agree on the time to the second.
CLOCK_MARGIN_S = 5.0
# How long before its submission a lost run may have begun, and how long after its end, where the time that the
# service's answers tell is that of its list. A host may take its time.
_NEAR_S = 60.0
LATE_S = 960.0
DAY_S = 86_400.0
# UNVERIFIED: how `metered_seconds` is rounded.
_METERED_MARGIN_S = 0.5
# UNVERIFIED: whether `bytes_received` counts a WAV's header, and the form around the media: what a configuration takes
# there at the most, and one with a state of the faces before.
_CONFIG_BYTES = 600
_STATE_BYTES = 65_536


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

    def fits(self, job: Job) -> bool:
        """Whether the upload of a prepared job has this size. Bytes tell more than seconds, of which nobody knows how a
        service rounds them and what it bills at least."""
        if job.prepare or elsewhere(self.endpoint, job):
            return False
        if self.received is not None:
            return looseness(job, self.received) is not None
        return self.metered_s is None or abs(self.metered_s - (job.billable_seconds or 0.0)) <= _METERED_MARGIN_S


def elsewhere(endpoint: str, job: Job) -> bool:
    """Whether a run was surely measured by the other endpoint than this job.

    A name that speaks of neither tells nothing, for endpoints may gain names and be spelt another way.
    """
    spoken_of = {one for one in ("audio", "video") if one in endpoint.casefold()}
    return bool(spoken_of) and endpoint_of(job) not in spoken_of


def looseness(job: Job, received: int | None) -> int | None:
    """How far so many bytes leave open whether the service took in this job's upload: 0 are the media with or without a
    WAV's header, 1 may be the whole form, 2 one with a state of the faces before, of which nobody knows the size; 3 is
    no number at all. None: it did not take in this upload."""
    if received is None:
        return 3
    media, parts = job.size_bytes, 1
    if endpoint_of(job) == "video":
        parts = images_in(job)
        media -= parts * PART_OVERHEAD_BYTES
    elif received == media - 44:
        return 0
    if received == media:
        return 0
    around = received - media - 100 * parts
    if not 0 <= around <= 100 * parts + _STATE_BYTES:
        return None
    if around <= 100 * parts + _CONFIG_BYTES:
        return 1
    return 2 if "first_frame" in job.members[0].detail else None


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


def may_be(lost: LostJob, run: RunView, window: tuple[float, float]) -> bool:
    """Whether a run may be what a lost submission became: all that is known of it fits. Pure."""
    if elsewhere(run.endpoint, lost.job):
        return False
    if run.started_at is not None and not window[0] <= run.started_at <= window[1]:
        return False
    match run.status:
        case "ended":
            return run.metered_seconds != 0 and Size.of(run).fits(lost.job)
        case "errored":
            # With a number it was refused, and not billed. Without, its end was never recorded: it proves nothing.
            return run.bytes_received is None
        case _:
            return True


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

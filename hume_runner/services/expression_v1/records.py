"""What the service's records tell of uploads: which were measured before, and what became of a lost one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice

from hume_runner.errors import NotFound
from hume_runner.frozen import frozen
from hume_runner.services.base import ListingIncomplete, NotSettled
from hume_runner.services.expression_v1.account import Account
from hume_runner.services.expression_v1.matching import told_apart
from hume_runner.services.expression_v1.parts import endpoint_of
from hume_runner.services.expression_v1.reading import RunView
from hume_runner.services.expression_v1.runs import (
    ALIKE,
    DAY_S,
    ENDED,
    ERRORED,
    FILE,
    LATE_S,
    LIVE,
    Counting,
    Shown,
    Size,
    What,
    announced_of,
    fits_as_counted,
    in_time,
    may_be,
    not_shown,
    one_clock,
    times,
    told_as,
    uncounted,
    window_of,
)
from hume_runner.services.foreign import Foreign
from hume_runner.services.jobs import Broken, Ended, Job, Pending, Progress, Unseen, Waiting
from hume_runner.services.lost import Candidate, Look, LostJob

# Runs of an unfiltered list that are compared, and how many at a time.
_UNFILTERED, _PAGE = 1_000, 200
# How often a list is asked for what is newer and older than all that it shows, before it is not believed any more.
_NARROWED = 50
_WIDE_S = 7_200.0  # how much further back than asked


@frozen
class _Before:
    """A run that this state knows nothing of; `what` as `told_as` tells."""

    run_id: str
    what: What


class Records:
    """What the service's records tell of uploads. Nothing here is waited for: an answer comes with its upload."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._measured_before: Mapping[Size, Sequence[_Before]] = {}
        self._awaited: set[str] | None = None  # run ids that were under way at the first look and still are

    def check(self, waiting: Sequence[Waiting]) -> Mapping[str, Progress]:
        """What the service's records say of past uploads: for `verify --remote`, since nothing here is waited for."""
        found: dict[str, Progress] = {}
        for job in waiting:
            self._account.requests["details"] += 1
            try:
                run = self._account.http.get_run(job.remote_id)
            except NotFound:
                found[job.remote_id] = Unseen()
                continue
            match run.status:
                case "ended":
                    found[job.remote_id] = Ended(
                        created_at=run.started_at,
                        ended_at=run.ended_at,
                        announced=announced_of(run),
                    )
                case "errored":
                    found[job.remote_id] = Broken(message="the service's record says that it failed")
                case _:
                    found[job.remote_id] = Pending(started=True)
        return found

    def survey(self, since: float, knows: Callable[[str], bool], ours: Mapping[str, float]) -> Iterator[Foreign]:
        """See `Records.survey`: what was measured since then and is not ours is remembered by its size.

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
            listed = Shown({**every.runs, **listed.runs}, listed.nameless)
        self._account.before |= listed.runs.keys()
        seen: dict[Size, list[_Before]] = {}
        open_runs: set[str] = set()
        for run in (*listed.runs.values(), *listed.nameless):
            what = told_as(run)
            if what == "unbilled" or (run.started_at is not None and run.started_at < since) or knows(run.run_id):
                continue
            if what != "billed" and self._may_still_tell(run):
                open_runs.add(run.run_id)
                if self._awaited is not None and run.run_id not in self._awaited:
                    continue  # it began since the first look
            seen.setdefault(Size.of(run, settled=what == "billed"), []).append(_Before(run_id=run.run_id, what=what))
        self._measured_before = seen
        self._awaited = open_runs if self._awaited is None else open_runs & self._awaited
        if why:
            raise NotSettled(why, missing=missing)
        if self._awaited:
            one = min(self._awaited) or "an upload that the list gives no id"
            raise NotSettled(f"{one} of this key is measured at the moment, or has gone silent", slow=True)
        return iter(())

    def _whole_list(self, since: float) -> Shown:
        """What the list shows since then and a little before, asked for part by part: a host may cut its list short
        and not say so.

        Raises: ListingIncomplete where it comes to no end.
        """
        listed, since = Shown(), since - _WIDE_S
        for run in self._account.runs(since, mode=FILE):
            listed.take(run)
        for _ in range(_NARROWED):
            times = [run.started_at for run in listed.runs.values() if run.started_at is not None]
            had = len(listed.runs)
            if times:
                for run in self._account.runs(max(times), mode=FILE):
                    listed.take(run)
                for run in self._account.runs(since, started_before=min(times), mode=FILE):
                    listed.take(run)
            if len(listed.runs) == had:
                return listed
        raise ListingIncomplete("the list of runs shows more and more the closer it is looked at")

    def _may_still_tell(self, run: RunView) -> bool:
        """Whether a run that is not settled may be soon: it is under way, or went silent lately."""
        if run.status != ERRORED:
            return True
        now = self._account.server_time_s
        return now == -math.inf or run.started_at is None or run.started_at > now - LATE_S

    def suspects(self, job: Job) -> tuple[Candidate, ...]:
        """See `Witness.suspects`."""
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
            if size.likeness(job, Counting(), near=False) is not None
            for before in alike
            if before.run_id not in self._account.explained
        )

    def look_for(self, lost: Sequence[LostJob], ours: Mapping[str, float]) -> Mapping[int, Look]:
        """See `Records.look_for`. A run that was measured is `gone`: its answer cannot be had any more.

        There is no mark of ours in a run. What tells is its endpoint, when it began, the bytes that it took in and the
        seconds that it was billed for. More runs that fit than submissions that were lost cannot be told apart.
        """
        for one in lost:
            self._account.under_way.pop(one.job.nonce, None)
        # The answers may tell another time than the list: what is ours bounds it as well.
        first = min(one.sent_at for one in lost)
        since = min([first, *(at for at in ours.values() if at > first - DAY_S)]) - _WIDE_S
        listed, awaited = self._listed_now(since)
        listed, lacks, left_out = self._compared(since, listed, lost)
        controls = {remote_id: job for one in lost for remote_id, job in one.controls.items()}
        listed = _by_what_tells(listed, controls)
        runs, counting = listed.runs, Counting.shown_by(controls, listed.runs)
        agrees = one_clock(dict(self._account.told), runs)
        if not agrees:  # then it cannot be told which run another upload of ours is waiting for
            awaited = {endpoint: -math.inf if at < math.inf else at for endpoint, at in awaited.items()}
        free = self._unexplained(listed, lost, ours)
        near: dict[int, list[RunView]] = {}
        dated = {one.job.number: agrees and self._account.lost_here.get(one.job.nonce, False) for one in lost}
        for one in lost:
            window = window_of(one, times(runs), dated=dated[one.job.number])
            earlier = self._account.listed_before(one)
            near[one.job.number] = [
                run for run in free if run.run_id not in earlier and may_be(one, run, window, counting)
            ]
        near = _dealt(lost, near, counting)
        doubted = {
            one.job.number: [_doubt(one, run, counting, dated=dated[one.job.number]) for run in near[one.job.number]]
            for one in lost
        }
        fit = {
            number: {run.run_id for run, doubt in zip(near[number], doubts, strict=True) if not doubt}
            for number, doubts in doubted.items()
        }
        looks: dict[int, Look] = {}
        for one in lost:
            number = one.job.number
            fitting, doubts = near[number], doubted[number]
            rivals = sum(1 for other in lost if fit[other.job.number] & fit[number])
            candidates = [
                self._candidate(run, awaited[endpoint_of(one.job)], doubted=bool(doubt))
                for run, doubt in zip(fitting, doubts, strict=True)
            ]
            if len(fitting) <= max(1, rivals):
                self._account.explained |= {run.run_id for run in fitting if told_as(run) == "silent"}
            missing = not_shown({run_id: at for run_id, at in ours.items() if at > since}, runs, one.later)
            lacking_what = (
                f"the list of runs does not show {missing}, which it must have"
                if missing
                else left_out or lacks[number]
            )
            doubt = next((why for why, run in zip(doubts, candidates, strict=True) if why and run.maybe), "")
            why = _what_is_open(fitting, candidates) or lacking_what or (doubt and f"{doubt}: it may be this one")
            looks[number] = Look(
                candidates=tuple(candidates), conclusive=not lacking_what, why=why, most=max(1, rivals)
            )
        return looks

    def _unexplained(self, listed: Shown, lost: Sequence[LostJob], ours: Mapping[str, float]) -> list[RunView]:
        """The runs that may be one of what was lost, as far as it is known whose the others are."""
        runs = listed.runs
        users = {runs[run_id].user_id for run_id in ours if run_id in runs} - {""}
        # What others who share the account measured cannot be ours, once one of our own told who we are.
        explained = {*ours, *self._account.told, *(run_id for one in lost for run_id in (*one.before, *one.after))}
        return [
            run
            for run in (*runs.values(), *listed.nameless)
            if run.run_id not in explained and not (users and run.user_id not in users)
        ]

    def _listed_now(self, since: float) -> tuple[Shown, dict[str, float]]:
        """(what the list shows since then, since when a run in it may be one that an upload under way is waiting for,
        by endpoint)."""
        awaited = {endpoint: self._account.awaited_since(endpoint) for endpoint in ("audio", "video")}
        listed = Shown()
        for run in self._account.runs(since, mode=FILE):
            listed.take(run)
        # One that began meanwhile may be in the list as well; one that ended meanwhile was there before.
        awaited = {endpoint: min(before, self._account.awaited_since(endpoint)) for endpoint, before in awaited.items()}
        return listed, awaited

    def _compared(self, since: float, listed: Shown, lost: Sequence[LostJob]) -> tuple[Shown, dict[int, str], str]:
        """(all that is listed, what that lacks to prove anything of each, what the list leaves out), in words.

        Where runs of ours do not show how the list tells of them, it is asked for without a filter as well.
        """
        lacks = {one.job.number: listed.controls(one, self._account.listed_before(one)) for one in lost}
        if not any(lacks.values()):
            return listed, lacks, ""
        lacking = [one for one in lost if lacks[one.job.number]]
        every = self._unfiltered(since, lacking)
        lacks |= {one.job.number: every.controls(one, self._account.listed_before(one)) for one in lacking}
        left_out = self._left_out(since, listed, every)
        return Shown({**every.runs, **listed.runs}, listed.nameless + every.nameless), lacks, left_out

    def _candidate(self, run: RunView, awaited_since: float, *, doubted: bool) -> Candidate:
        # A run that another upload of ours may be waiting for: whose it is shows once that one has its answer.
        awaited = awaited_since < math.inf and (run.started_at or math.inf) >= awaited_since
        running = run.status == LIVE or (run.status == ENDED and awaited)
        gone = run.status == ENDED and not running and run.metered_seconds is not None and not doubted
        if not run.run_id:
            running = gone = False
        return Candidate(
            remote_id=run.run_id,
            matches={},
            created_at=run.started_at,
            simulated=bool(self._account.simulated),
            gone=gone,
            running=running,
            maybe=not running and not gone,
            billed_seconds=run.metered_seconds,
        )

    def _unfiltered(self, since: float, lost: Sequence[LostJob]) -> Shown:
        """The list without any filter, as far back as it takes to show what comes before these."""
        shown = Shown()
        runs = (run for run in self._account.runs() if run.mode in ("", FILE))
        lonely = not any(one.before or one.after for one in lost)
        for _ in range(_UNFILTERED // _PAGE):
            page = list(islice(runs, _PAGE))
            for run in page:
                shown.take(run)
            far = lonely and any(run.started_at is not None and run.started_at < since for run in page)
            if (
                len(page) < _PAGE
                or far
                or not any(shown.controls(one, self._account.listed_before(one)) for one in lost)
            ):
                break
        return shown

    def _left_out(self, since: float, listed: Shown, every: Shown) -> str:
        """Whether the list shows otherwise what it leaves out when it is asked for a time, in words; "" if not."""
        more = [
            run_id
            for run_id, run in every.runs.items()
            if run_id not in listed.runs and (run.started_at is None or run.started_at >= since)
        ]
        if not more:
            return ""
        # What began between the two lists is in a third one.
        shown = {run.run_id for run in self._account.runs(since, mode=FILE)}
        left_out = [run_id for run_id in more if run_id not in shown]
        return f"the list of runs leaves out {left_out[0]} when it is asked for that time" if left_out else ""


def _by_what_tells(listed: Shown, controls: Mapping[str, Job]) -> Shown:
    """The list without numbers of bytes where those of runs of ours are not those of what we sent: this host counts
    in a way that nobody has foreseen, and then seconds tell more."""
    if all(fits_as_counted(job, listed.runs.get(remote_id)) for remote_id, job in controls.items()):
        return listed
    return Shown(
        {run_id: uncounted(run) for run_id, run in listed.runs.items()},
        [uncounted(run) for run in listed.nameless],
    )


def _dealt(
    lost: Sequence[LostJob], near: Mapping[int, Sequence[RunView]], counting: Counting
) -> dict[int, list[RunView]]:
    """Of the runs near each lost job those that are not another's. What has not ended may be anybody's still."""
    fits = {
        one.job.number: {
            id(run): loose
            for run in near[one.job.number]
            if run.status == ENDED and (loose := Size.of(run).likeness(one.job, counting, near=True)) is not None
        }
        for one in lost
    }
    left = told_apart(fits)
    return {
        number: [run for run in runs if id(run) not in fits[number] or id(run) in left[number]]
        for number, runs in near.items()
    }


def _doubt(lost: LostJob, run: RunView, counting: Counting, *, dated: bool) -> str:
    """Why an ended run that fits a lost upload may as well be somebody else's, in words; "" if nothing says so."""
    if run.status != ENDED:
        return ""
    if Size.of(run).likeness(lost.job, counting, near=True) == ALIKE:
        return f"{run.run_id} was billed about as much as it costs, and tells other bytes than were sent"
    if not in_time(lost, run, dated=dated):
        return f"{run.run_id} fits it, and began long after it was sent"
    return ""


def _what_is_open(fitting: Sequence[RunView], candidates: Sequence[Candidate]) -> str:
    """What keeps the runs that may be a lost upload from telling whether they are, in words; "" if nothing does."""
    if any(run.status == ERRORED for run in fitting):
        return "a run that began about then has gone silent, and nobody knows whether it was billed"
    if any(not run.run_id for run in fitting):
        return "the list gives a run that may be it no id"
    if any(candidate.maybe and candidate.billed_seconds is None for candidate in candidates):
        return "the list does not say whether a run that began about then was billed"
    return ""

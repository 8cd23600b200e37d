"""What one look at the list shows of submissions whose answers were lost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hume_runner.services.batch_v0.host import Host
from hume_runner.services.batch_v0.listing import (
    CLOCKS_APART_S,
    PAGE,
    Listing,
    Walk,
    lacking,
    times_of,
    walked,
)
from hume_runner.services.batch_v0.matching import Sent, Verdict, in_doubt, judge, names_in, sent_by, silenced
from hume_runner.services.batch_v0.reading import JobView
from hume_runner.services.batch_v0.sender import matches_of
from hume_runner.services.batch_v0.times import seconds
from hume_runner.services.evidence import uncontrolled
from hume_runner.services.lost import Candidate, Look, LostJob

# So many jobs that all seem to be the lost one are opened to see which is.
_MOST_OPENED = 20


class LostJobs:
    """Looks for jobs whose submissions' answers were lost. `settings` are the manifest's."""

    def __init__(self, host: Host, settings: Mapping[str, Any]) -> None:
        self._host = host
        self._settings = settings

    def look_for(self, lost: Sequence[LostJob], ours: Mapping[str, float]) -> Mapping[int, Look]:
        """See `Records.look_for`. Uploads are told by their names, which carry the nonce, or by MD5."""
        first = min([*(one.sent_at for one in lost), *ours.values()])
        since_ms = int(max(0.0, first - CLOCKS_APART_S) * 1000)
        walk = Walk()
        views = list(walked(self._host, since_ms, walk))
        detailed: dict[str, JobView] = {}
        shown = times_of((*views, *walk.newest))
        lacks = {one.job.number: uncontrolled(one, shown) for one in lost}
        if any(lacks.values()):
            # What is older than was asked for shows how far back a list reaches, if it shows the others as well.
            nameless = self._host.nameless
            page = self._host.listed(limit=PAGE, sort_by="created", direction="desc")
            walk.nameless = walk.nameless or self._host.nameless > nameless
            views += [view for view in page if view.job_id not in shown]
            lacks = {one.job.number: lacks[one.job.number] and uncontrolled(one, times_of(page)) for one in lost}
        gap = walk.gap or (self._host.nameless_as if walk.nameless else "")
        listing = Listing(views=views, newest=walk.newest, gap=gap, nameless=walk.nameless)
        unknown = [self._whole(view, walk, detailed) for view in views if view.job_id not in ours]
        for one in lost:
            lacks[one.job.number] = lacks[one.job.number] or self._misread(one, (*views, *walk.newest), walk, detailed)
        return {
            one.job.number: self._look_for(one, listing, unknown, ours, detailed, lacks=lacks[one.job.number])
            for one in lost
        }

    def _whole(self, view: JobView, walk: Walk, detailed: dict[str, JobView]) -> JobView:
        """An entry as it is; of a job of which the list tells different contents, its details, or nothing."""
        if view.job_id not in walk.torn:
            return view
        if view.job_id not in detailed:
            told = self._host.detailed(view)
            detailed[view.job_id] = silenced(view) if told is view else told
        return detailed[view.job_id]

    def _misread(self, lost: LostJob, views: Sequence[JobView], walk: Walk, detailed: dict[str, JobView]) -> str:
        """Why this list may show the lost job and nobody would know it: jobs of ours with such sources are not known
        again in it, or in their details, by what they carry. "" where they are, or there is none."""
        shown = {view.job_id: view for view in views}
        for remote_id, job in lost.controls.items():
            view = shown.get(remote_id)
            if view is None or not {m.item.kind for m in job.members} & {m.item.kind for m in lost.job.members}:
                continue
            names = {position: job.matches.get(position) or name for position, name in matches_of(job).items()}
            sent = sent_by(job, names, job.request)
            verdict = judge(sent, self._whole(view, walk, detailed))
            if verdict is Verdict.MAYBE:
                # Where it is silent, the details of what may be the lost job are asked for as well.
                if remote_id not in detailed:
                    detailed[remote_id] = self._host.detailed(view)
                verdict = judge(sent, detailed[remote_id])
            if verdict is not Verdict.OURS:
                return (
                    f"the list does not tell what {remote_id} carries as it was sent, so it may hide what this one does"
                )
        return ""

    def _look_for(
        self,
        lost: LostJob,
        listing: Listing,
        unknown: Sequence[JobView],
        ours: Mapping[str, float],
        detailed: dict[str, JobView],
        *,
        lacks: str,
    ) -> Look:
        job = lost.job
        # By what was sent, not by what the manifest says now: a link may be signed anew since, an item removed.
        names = {position: job.matches.get(position) or name for position, name in matches_of(job).items()}
        sent = sent_by(job, names, job.request or self._settings)
        candidates = []
        why = ""
        controls = _controls(lost, listing)
        for entry in unknown:
            view = entry
            verdict = judge(sent, view)
            if verdict is Verdict.MAYBE:
                if view.job_id not in detailed:
                    detailed[view.job_id] = self._host.detailed(view)
                view = detailed[view.job_id]
                verdict = judge(sent, view)
            if verdict is Verdict.MAYBE:
                why = f"the list and the details do not say whether {view.job_id} carries it"
            elif verdict is Verdict.OURS and in_doubt(sent, view, controls):
                verdict = Verdict.MAYBE
                why = f"{view.job_id} carries these texts, and nothing tells in which order"
            if verdict is not Verdict.FOREIGN:
                candidates.append(
                    Candidate(
                        remote_id=view.job_id,
                        matches=names_in(job, sent, view, names),
                        created_at=seconds(view.created_ms),
                        simulated=bool(self._host.simulated),
                        maybe=verdict is Verdict.MAYBE,
                    )
                )
        sure = [one for one in candidates if not one.maybe]
        # Entries of others, or of nothing at all: this key has to be able to open what is taken for ours.
        shut = {one.remote_id for one in sure[:_MOST_OPENED] if not self._host.opens(one.remote_id, detailed)}
        candidates = [replace(one, shut=one.remote_id in shut and self._host.opened) for one in candidates]
        why = why or lacking(listing, ours, lost.sent_at, lost.ended_at) or lacks
        return Look(candidates=tuple(candidates), conclusive=not why, why=why)


def _controls(lost: LostJob, listing: Listing) -> list[tuple[Sent, JobView]]:
    """Jobs of ours as they were sent, and as the list shows them."""
    shown = {view.job_id: view for view in (*listing.views, *listing.newest)}
    return [
        (sent_by(job, matches_of(job), job.request), shown[remote_id])
        for remote_id, job in lost.controls.items()
        if remote_id in shown
    ]

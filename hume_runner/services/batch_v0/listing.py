"""The service's list of jobs: walked through as a whole, and what it lacks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hume_runner.frozen import frozen
from hume_runner.services.batch_v0.host import Host
from hume_runner.services.batch_v0.matching import content_of
from hume_runner.services.batch_v0.reading import JobView
from hume_runner.services.batch_v0.times import seconds

# The largest page asked for. The service's own bound is unknown: a shorter page is followed by another.
PAGE = 500
# So many jobs of one single moment may be a page's end and not the list's: no later page can be asked for.
_ONE_MOMENT = 5
# How far apart our idea of the service's time and the times in its list may be.
CLOCKS_APART_S = 7_200.0
# What is known of the service's time comes from headers in whole seconds: of two moments closer than this, nobody can
# say which came first.
_APART_S = 2.0


@dataclass(slots=True)
class Walk:
    """What a walk through the whole list found: the job ids that were `seen`, the first page of the `newest`, and in
    `gap` why it may not be all. `torn`: ids under which it tells different contents, so that it tells none."""

    seen: dict[str, int] = field(default_factory=dict)  # each with what it is said to carry
    torn: set[str] = field(default_factory=set)
    newest: tuple[JobView, ...] = ()
    gap: str = ""
    nameless: bool = False  # some entries have no id: they may be anything

    def news(self, view: JobView) -> bool:
        """Whether an entry tells what was not told before: a job, or another content of one."""
        carries = hash(content_of(view))
        if self.seen.setdefault(view.job_id, carries) == carries:
            return False
        if view.job_id in self.torn:
            return False
        self.torn.add(view.job_id)
        return True


def jobs_since(
    host: Host,
    since_ms: int,
    *,
    enough: Callable[[], bool] = lambda: False,
    again: Callable[[JobView], bool] = lambda view: False,
) -> Iterator[JobView]:
    """Every job created at or after a moment (Unix ms by the service's clock), oldest first, through all pages;
    once more where `again` says so of an entry about one that was there before."""
    seen: set[str] = set()
    pivot, limit = since_ms, PAGE
    while True:
        known, count, last = len(seen), 0, 0
        for view in host.page(
            limit=limit, when="created_after", timestamp_ms=pivot, sort_by="created", direction="asc"
        ):
            count, last = count + 1, max(last, view.created_ms or pivot)
            if view.job_id not in seen:
                seen.add(view.job_id)
                yield view
            elif again(view):
                yield view
        if len(seen) == known or enough():
            return
        # Whether the moment itself is included is unknown, so the next page starts one earlier and overlaps. A page
        # that is one single moment would never move on: then a longer one is asked for.
        if last - 1 <= pivot:
            if count < limit:
                return
            limit *= 2
        pivot = max(pivot, last - 1)


def walked(host: Host, since_ms: int, walk: Walk) -> Iterator[JobView]:
    """Every job since then, and in `walk` whether that is all.

    The host is asked in both orders: where both are kept and meet, nothing lies between. A host that keeps only
    the newest first must keep the filter as well, page by page, down to the end.
    """
    nameless = host.nameless
    times: list[int | None] = []
    for view in jobs_since(host, since_ms, again=walk.news):
        if view.job_id not in walk.torn:
            times.append(view.created_ms)
            walk.news(view)
        yield view
    # Jobs of one moment stand in any order: a host that shows its newest first would show them so, too.
    in_turn = None not in times and times == sorted(times, key=lambda at: at or 0)
    rising, oldest_first = in_turn and (len(times) < 2 or len(set(times)) > 1), set(walk.seen)
    # A page of one moment cannot be followed by another. One that is shorter than this host's pages may be needs none.
    stuck = len(times) >= _ONE_MOMENT and len(set(times[-_ONE_MOMENT:])) == 1 and _may_be_cut(host, host.page_length)
    page = walk.newest = newest(host, when="created_after", timestamp_ms=since_ms)
    whole = not page and not times
    while page and not whole and in_order(page, newest_first=True):
        for view in page:
            known = view.job_id in walk.seen
            if walk.news(view) or not known:
                yield view
        oldest = min(view.created_ms or 0 for view in page)
        whole = oldest < since_ms or (rising and any(view.job_id in oldest_first for view in page))
        if not whole:
            page, latest = _page_before(host, oldest, page)
            if any((view.created_ms or 0) > latest for view in page):
                break  # it does not keep the filter
            whole = all(view.job_id in walk.seen for view in page)
    if stuck or not whole:
        walk.gap = "the list is not shown whole: the host keeps neither order nor filter from end to end"
    if host.nameless > nameless:
        walk.nameless = True
        walk.gap = host.nameless_as


def _page_before(host: Host, oldest: int, page: Sequence[JobView]) -> tuple[tuple[JobView, ...], int]:
    """The page of jobs from before, which overlaps this one, and the latest moment that it may have. One of a single
    moment would be shown again for ever, so it is left behind; whether a moment itself is before it is unknown."""
    if len(page) < 2 or any(view.created_ms != oldest for view in page):
        return newest(host, when="created_before", timestamp_ms=oldest + 1), oldest
    before = newest(host, when="created_before", timestamp_ms=oldest)
    if before and all(view.created_ms == oldest for view in before):
        return newest(host, when="created_before", timestamp_ms=oldest - 1), oldest - 1
    return before, oldest


def _may_be_cut(host: Host, length: int) -> bool:
    """Whether nothing shows that this host gives longer pages than one of this length."""
    if length >= host.longest_page:
        for _ in host.page(limit=PAGE, sort_by="created", direction="desc"):  # of whatever time
            pass
    return length >= host.longest_page


def newest(host: Host, **since: Any) -> tuple[JobView, ...]:
    """The newest page of the list."""
    return tuple(host.listed(limit=PAGE, sort_by="created", direction="desc", **since))


def times_of(views: Iterable[JobView]) -> dict[str, float | None]:
    """When each was created, Unix seconds."""
    return {view.job_id: seconds(view.created_ms) for view in views}


@frozen
class Listing:
    """What one look listed: `views` from the oldest on, `newest` the first page in the other order.

    `gap`: why the two do not show all that lies between the oldest and the newest; "" where they do. `nameless`: some
    entries have no id, so that they may be anything.
    """

    views: Sequence[JobView]
    newest: Sequence[JobView]
    gap: str = ""
    nameless: bool = False


def lacking(listing: Listing, ours: Mapping[str, float], sent_at: float, ended_at: float) -> str:
    """What the listing lacks to have shown a job that the service took between these moments, in words; "" for nothing.

    `ours`: remote id -> time of creation of jobs that the service surely took. The list has to show those up to the
    newest that it shows, and one of those that came after the lost one, if there are any. A list that is not shown
    whole counts only as far as its newest page goes, in order, back to one of ours from before.
    """
    shown = {view.job_id for view in (*listing.views, *listing.newest)}
    later = [one for one, at in ours.items() if at > ended_at + _APART_S]
    if later and not any(one in shown for one in later):
        return "the list shows none of the jobs that the service took after it"
    upto = max((at for one, at in ours.items() if one in shown), default=None)
    recent = None if upto is None or not later else upto + _APART_S
    missing = [one for one, at in ours.items() if one not in shown and (recent is None or at <= recent)]
    if listing.gap:
        if listing.nameless:
            return listing.gap
        reaches = any(ours.get(view.job_id, ended_at) <= sent_at - _APART_S for view in listing.newest)
        if not (reaches and in_order(listing.newest, newest_first=True)):
            return listing.gap
        newest = {view.job_id for view in listing.newest}
        missing = [one for one in missing if sent_at - _APART_S < ours[one] and one not in newest]
    if missing:
        return f"the list does not show {missing[0]}, which the service took"
    return ""


def in_order(views: Iterable[JobView], *, newest_first: bool = False) -> bool:
    """Whether every job says when it was created, and they stand in that order."""
    times = [view.created_ms for view in views]
    known = [time for time in times if time is not None]
    return len(known) == len(times) and known == sorted(known, reverse=newest_first)

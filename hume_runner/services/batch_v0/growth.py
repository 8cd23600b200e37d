"""What earlier looks of the same run add to a list that shows nothing from before a lost submission. Pure.

Such a list may be the newest so many, or what is younger than so much, and the lost one just too old for it. That is
out of the question where an early look showed fewer than a later one: the early list was no full one, and had it been
there by then, it would have shown. What came only after that look is younger than what the look showed, and cannot be
hidden for as long as that still shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hume_runner.services.base import LostJob
from hume_runner.services.batch_v0.listing import Listing, times_of
from hume_runner.services.evidence import earliest

# So many jobs of ours that an early look showed are remembered; one that still shows is enough.
_REMEMBERED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Early:
    """The first look that showed one of ours from after a lost submission, and not that one: it ended `at` (seconds,
    monotonic) and showed `size` jobs at once, `ours` among them with when they were created by the list's times."""

    at: float
    size: int
    ours: dict[str, float]


class Growth:
    """The early looks of one run."""

    def __init__(self) -> None:
        self._early: dict[tuple[int, str], _Early] = {}
        self._most = 0  # jobs that one answer showed

    def note(self, lost: Sequence[LostJob], listing: Listing, now: float) -> None:
        """A look that ended `now` (seconds, monotonic) and showed none of these."""
        size = len({view.job_id for view in listing.newest})
        self._most = max(self._most, size)
        if listing.gap:
            return
        shown = times_of(listing.newest)
        for one in lost:
            ours = {name: at for name in one.after if (at := shown.get(name)) is not None}
            if ours:
                told = dict(sorted(ours.items(), key=lambda pair: pair[1])[:_REMEMBERED])
                self._early.setdefault((one.job.number, one.job.nonce), _Early(at=now, size=size, ours=told))

    def proves(self, lost: LostJob, listing: Listing, now: float) -> bool:
        """Whether a look that began `now` would show a lost submission, as far as that depends on how many a list
        shows and for how long."""
        early = self._early.get((lost.job.number, lost.job.nonce))
        most = max(self._most, len({view.job_id for view in listing.newest}))
        if early is None or lost.before or listing.gap or early.size >= most:
            return False
        shown = times_of((*listing.views, *listing.newest))
        began = earliest(lost, shown)
        # Shown by now although it is hardly younger: what goes by age would have shown the lost one at the early look.
        return began is not None and any(
            name in shown and at <= began + (now - early.at) for name, at in early.ours.items()
        )

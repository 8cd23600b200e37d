"""Would a list of jobs have shown the lost one, had the service taken it? What every such proof needs. Pure.

What came before and after is told by the order in which the state recorded it, and by the list's own times: no clock
of ours, and no `Date`, is compared with the list.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from hume_runner.services.lost import LostJob

# What times lose by being rounded, in the list and in the state.
_APART_S = 0.1


def uncontrolled(lost: LostJob, shown: Mapping[str, float | None], earlier: Collection[str] = ()) -> str:
    """Why this list cannot prove anything about a lost submission, in words; "" if it can.

    `shown`: remote id -> when it was created, by the list's own times; `earlier`: remote ids that the list showed
    before the submission was sent. A list may be capped to what is newest or oldest, and shows just as little of a
    lonely job as of one that it does not have. So it has to show the job of ours that came before it; or one from
    after, and anybody's from before that.
    """
    if lost.before and lost.before[0] in shown:
        return ""
    if any(one in shown for one in lost.before):
        return f"the list does not show {lost.before[0]}, which the service took before it"
    after = [one for one in lost.after if one in shown]
    if not after:
        return "the list shows no other job of this state, so it cannot be told whether it would show this one"
    if any(one in earlier for one in shown):
        return ""
    at = earliest(lost, shown)
    if at is not None and any(time is not None and time < at for time in shown.values()):
        return ""
    return "the list shows nothing from before it, so it cannot be told whether it reaches back that far"


def earliest(lost: LostJob, shown: Mapping[str, float | None]) -> float | None:
    """Before when, by the list's own times, the lost submission had surely not been sent; None where nothing tells."""
    times = (time - lost.after[one] for one in lost.after if (time := shown.get(one)) is not None)
    first = min(times, default=None)
    return None if first is None else first - _APART_S

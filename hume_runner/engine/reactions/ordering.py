"""What somebody who talks to a run asks of it: to pause, to go on, to go at another pace. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hume_runner import events
from hume_runner.engine.reactions.base import Reaction
from hume_runner.engine.reactions.stopping import interrupted
from hume_runner.engine.view import View


def ordered(view: View, command: str, settings: Mapping[str, int | float]) -> Reaction:
    """What follows from an order."""
    match command:
        case "pause":
            return paused(view)
        case "resume":
            return resumed(view)
        case "set":
            return paced(view, settings)
        case "drain" if not view.interrupted:
            return interrupted(view, "drain", 130)
        case _:  # where the run stands is told whatever is asked
            return Reaction(view=view)


def paused(view: View) -> Reaction:
    """Nothing more is prepared or submitted; what is at the service is waited for and fetched."""
    if view.paused:
        return Reaction(view=view)
    told = events.Ordered(
        order="pause", message="paused: nothing more is submitted until `hume-runner ctl MANIFEST resume`"
    )
    return Reaction(view=replace(view, paused=True), events=(told,))


def resumed(view: View) -> Reaction:
    """Go on."""
    if not view.paused:
        return Reaction(view=view)
    return Reaction(view=replace(view, paused=False), events=(events.Ordered(order="resume", message="going on"),))


def paced(view: View, settings: Mapping[str, int | float]) -> Reaction:
    """From now on so many jobs at the service, so many transfers at one time. What is on its way stays."""
    words = ", ".join(f"{name} {value:g}" for name, value in settings.items())
    most, transfers = settings.get("max_jobs_in_flight"), settings.get("transfer_workers")
    if most is not None:
        # What the service has complained about still holds.
        limit = float(most) if view.limit >= view.most_in_flight else min(view.limit, float(most))
        view = replace(view, most_in_flight=int(most), limit=limit)
    if transfers is not None:
        view = replace(view, most_transfers=int(transfers))
    return Reaction(view=view, events=(events.Ordered(order="set", message=f"from now on: {words}"),))


def described(view: View) -> Mapping[str, Any]:
    """Where a run stands, in numbers of jobs."""
    phase = "draining" if view.leaving or view.no_more else "paused" if view.paused else "working"
    return {
        "phase": phase,
        "submitting": len(view.submitting),
        "at_the_service": len(view.waiting),
        "to_fetch": len(view.to_fetch) + len(view.fetching) + len(view.filing),
        "lost": len(view.lost),
        "preparing": len(view.preparing),
        "max_jobs_in_flight": view.most_in_flight,
        "transfer_workers": view.most_transfers,
    }

"""Compare what the manifest asks for with what the state knows: a decision for each item. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from hume_runner.planning.cures import advice
from hume_runner.planning.model import Action, Decision


class Again(IntEnum):
    """What is given up of an item that is submitted once more."""

    NOTHING = 0
    FAILED = 1  # what failed of it
    ALL = 2  # everything that was measured of it


@dataclass(slots=True)
class Known:
    """One item of the manifest beside what the state has.

    `outcome` is that of the item's key: None if the state has never seen it, else pending, done or failed, carried by
    `job` whose state is `job_status`. `old_*` belong to what the same id meant when it was last planned: `old_settings`
    are those of its key as JSON, `old_tried` tells whether anybody tried to measure it. A pending item may have been
    `attempted` without being taken or finished, and `error` says why; it consists of `parts` parts, as far as its
    preparation told (0: it was not), of which `carried` are measured or at the service and `planned` are in jobs that
    were not sent.
    """

    key: bytes
    content: bytes
    outcome: str | None
    job: int | None
    job_status: str | None
    error: str | None
    simulated: bool
    attempted: bool
    old_key: bytes | None
    old_content: bytes | None
    old_settings: str | None = None
    old_tried: bool = True
    parts: int = 1
    carried: int = 0
    planned: int = 0
    lost: bool = False  # whether it was measured, and its answer lost on disk
    reason: str | None = None  # why it failed, as one word
    link: bool = False  # whether its content is fetched from a URL

    @property
    def partly(self) -> bool:
        """Whether some of its parts are measured or at the service, and others are not, as far as is known."""
        return self.outcome == "pending" and self.carried > 0 and (not self.parts or self.carried < self.parts)

    @property
    def lacking(self) -> bool:
        """Whether some of its parts are in no job at all, so that it would never be finished."""
        held = self.carried + self.planned
        return self.outcome == "pending" and (held < max(1, self.parts) or (not self.parts and self.planned < 1e9))


NOT_MEASURED = Decision(Action.NEW, "not measured yet")
_PARTLY = Decision(Action.NEW, "measured in part: what is missing of it goes out")
_DONE = Decision(Action.DONE, "measured")
_WAITING = Decision(Action.IN_FLIGHT, "submitted, waiting for the service")
_LOST = Decision(Action.RETRY, "measured before, and its answer was lost on disk")
_AMBIGUOUS = Decision(Action.AMBIGUOUS, "sent, and the answer was lost: the service will be asked")


def decide(known: Known, changes: Sequence[str], *, retry_failed: bool, real_endpoint: bool) -> Decision:
    """What a run does about one item. `changes`: the settings that touch it and differ from the last plan's, in words.

    A result of the emulator does not count as measured once the manifest points at a real service.
    """
    match known.outcome:
        case "done":
            if known.simulated and real_endpoint:
                return Decision(Action.CHANGED, "only simulated so far: the emulator's scores are not measurements")
            return _DONE
        case "failed":
            if retry_failed:
                return Decision(Action.RETRY, f"failed before: {known.error or 'no reason given'}")
            return Decision(Action.FAILED, f"{known.error or 'failed'} ({advice(known.reason, link=known.link)})")
        case "pending":
            if known.simulated and real_endpoint:
                return Decision(Action.CHANGED, "only simulated so far: the emulator's scores are not measurements")
            if known.partly:
                return _PARTLY
            if known.job_status in ("submitting", "submitted"):
                return _WAITING
            if known.job_status == "ambiguous":
                return _AMBIGUOUS
            if known.lost:
                return _LOST
            if known.attempted:
                return Decision(Action.RETRY, f"tried before: {known.error or 'refused, and surely not accepted'}")
            return NOT_MEASURED
        case _:
            return _unseen(known, changes)


def again(known: Known, *, real_endpoint: bool) -> Again:
    """What is given up of an item that is submitted."""
    if known.outcome == "done" or (known.simulated and real_endpoint):
        return Again.ALL
    return Again.FAILED if known.outcome == "failed" else Again.NOTHING


def _unseen(known: Known, changes: Sequence[str]) -> Decision:
    if known.old_key is None or not known.old_tried:
        return NOT_MEASURED
    reasons = ["its content changed"] if known.old_content != known.content else []
    return Decision(Action.CHANGED, "; ".join([*reasons, *changes]) or "measured before by other rules")

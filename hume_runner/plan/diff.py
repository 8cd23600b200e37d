"""Compare what the manifest asks for with what the state knows: a decision for each item. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hume_runner.plan.model import Action, Decision


@dataclass(slots=True)
class Known:
    """One item of the manifest beside what the state has.

    `outcome` is that of the item's key: None if the state has never seen it, else pending, done or failed, carried by
    `job` whose state is `job_status`. `old_*` belong to what the same id meant when it was last planned.
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


_NEW = Decision(Action.NEW, "not measured yet")
_DONE = Decision(Action.DONE, "measured")
_WAITING = Decision(Action.IN_FLIGHT, "submitted, waiting for the service")
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
            return Decision(Action.FAILED, f"{known.error or 'failed'} (--retry-failed tries it again)")
        case "pending":
            if known.job_status in ("submitting", "submitted"):
                return _WAITING
            if known.job_status == "ambiguous":
                return _AMBIGUOUS
            if known.attempted:
                return Decision(Action.RETRY, "refused before, and surely not accepted")
            return _NEW
        case _:
            return _unseen(known, changes)


def _unseen(known: Known, changes: Sequence[str]) -> Decision:
    if known.old_key is None:
        return _NEW
    reasons = ["its content changed"] if known.old_content != known.content else []
    return Decision(Action.CHANGED, "; ".join([*reasons, *changes]) or "measured before by other rules")

"""The states of a job and the moves between them. Pure; every move that the store records goes through `move`.

planned ──► submitting ──► submitted ──► done
   ▲            │  │            │  ▲ (disowned: back to ambiguous)
   ├── refused ─┘  │            ▼  │ revive (a job given up for its time is asked for again),
   │               ▼          failed │ extend (more of what it carries is wanted: from done as well)
   └── not there ─ ambiguous ──► submitted (found), failed

The rule: nothing leads from a state in which the service may hold the job back to `planned`, except proof that it does
not: a refusal, or a search that found nothing after the settling time.
"""

from __future__ import annotations

from enum import StrEnum


class JobStatus(StrEnum):
    PLANNED = "planned"  # never sent, or surely refused
    SUBMITTING = "submitting"  # the intent is on disk; the POST may be on its way
    SUBMITTED = "submitted"  # the service gave it a name
    DONE = "done"  # its answers are on disk, checked and hashed
    FAILED = "failed"  # it will not be tried again by itself
    AMBIGUOUS = "ambiguous"  # sent, and nobody knows whether it arrived


class ItemStatus(StrEnum):
    PENDING = "pending"
    IN_FLIGHT = "in_flight"
    DONE = "done"
    FAILED = "failed"
    AMBIGUOUS = "ambiguous"


class Event(StrEnum):
    INTEND = "intend"  # about to POST
    ACCEPT = "accept"  # a remote id came back
    REFUSE = "refuse"  # surely not accepted, may be sent again
    REJECT = "reject"  # surely not accepted, and would not be another time
    LOSE = "lose"  # no answer, or a crash before it
    DISOWN = "disown"  # the id that came back is another job's
    SUSPECT = "suspect"  # the state is a copy, and its original may have sent it
    FIND = "find"  # the service knows it after all
    MISS = "miss"  # the service does not know it, after the settling time
    FINISH = "finish"  # answers stored
    BREAK = "break"  # the service gave it up, or its time is over
    SPOIL = "spoil"  # cannot be built any more, so it was never sent
    REVIVE = "revive"  # asked for again although its time was over
    EXTEND = "extend"  # it carries more of what is planned than was taken from it
    ABANDON = "abandon"  # a lost answer that a person decided not to look for any more


MOVES: dict[tuple[JobStatus, Event], JobStatus] = {
    (JobStatus.PLANNED, Event.INTEND): JobStatus.SUBMITTING,
    (JobStatus.PLANNED, Event.SPOIL): JobStatus.FAILED,
    (JobStatus.PLANNED, Event.SUSPECT): JobStatus.AMBIGUOUS,
    (JobStatus.SUBMITTING, Event.ACCEPT): JobStatus.SUBMITTED,
    (JobStatus.SUBMITTING, Event.REFUSE): JobStatus.PLANNED,
    (JobStatus.SUBMITTING, Event.REJECT): JobStatus.FAILED,
    (JobStatus.SUBMITTING, Event.LOSE): JobStatus.AMBIGUOUS,
    (JobStatus.SUBMITTING, Event.DISOWN): JobStatus.AMBIGUOUS,
    (JobStatus.SUBMITTED, Event.DISOWN): JobStatus.AMBIGUOUS,
    (JobStatus.AMBIGUOUS, Event.FIND): JobStatus.SUBMITTED,
    (JobStatus.AMBIGUOUS, Event.MISS): JobStatus.PLANNED,
    (JobStatus.AMBIGUOUS, Event.ABANDON): JobStatus.FAILED,
    (JobStatus.SUBMITTED, Event.FINISH): JobStatus.DONE,
    (JobStatus.SUBMITTED, Event.BREAK): JobStatus.FAILED,
    (JobStatus.FAILED, Event.REVIVE): JobStatus.SUBMITTED,
    (JobStatus.SUBMITTED, Event.EXTEND): JobStatus.SUBMITTED,
    (JobStatus.DONE, Event.EXTEND): JobStatus.SUBMITTED,
    (JobStatus.FAILED, Event.EXTEND): JobStatus.SUBMITTED,
}

# In these the service may hold the job, so its items must not go into another one.
HELD = frozenset({JobStatus.SUBMITTING, JobStatus.SUBMITTED, JobStatus.AMBIGUOUS})


class IllegalMoveError(AssertionError):
    """A bug: the engine asked for a move that the table does not have."""


def move(status: JobStatus, event: Event) -> JobStatus:
    """The state after `event`. Raises: IllegalMoveError."""
    try:
        return MOVES[status, event]
    except KeyError:
        raise IllegalMoveError(f"a job that is {status} cannot {event}") from None


def item_status(outcome: str, job: JobStatus | None) -> ItemStatus:
    """An item's state from its recorded outcome (`pending`, `done`, `failed`) and that of the job that carries it."""
    if outcome != "pending":
        return ItemStatus(outcome)
    match job:
        case JobStatus.SUBMITTING | JobStatus.SUBMITTED:
            return ItemStatus.IN_FLIGHT
        case JobStatus.AMBIGUOUS:
            return ItemStatus.AMBIGUOUS
        case _:
            return ItemStatus.PENDING

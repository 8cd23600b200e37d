"""What a plan says, as values."""

from __future__ import annotations

from enum import StrEnum

from hume_runner.frozen import frozen


class Action(StrEnum):
    """What a run would do about an item."""

    NEW = "new"  # submit it for the first time
    CHANGED = "changed"  # submit it: its content or a setting differs from what was measured under its id
    RETRY = "retry"  # submit it again after a failure
    IN_FLIGHT = "in_flight"  # wait for the job that carries it
    AMBIGUOUS = "ambiguous"  # ask the service whether it has the job that carries it
    DONE = "done"
    FAILED = "failed"  # leave it: only --retry-failed tries it again
    REMOVED = "removed"  # the state knows it, the manifest does not list it any more


SUBMITS = frozenset({Action.NEW, Action.CHANGED, Action.RETRY})


@frozen(kw_only=False)
class Decision:
    """What would happen to one item, and why, in words for a person."""

    action: Action
    reason: str


@frozen
class PlannedJob:
    """A job that a run would submit: `sources` items, `bytes` to upload, what it would cost if that is known."""

    key: str
    sources: int
    bytes: int
    billable_seconds: float | None


@frozen
class Summary:
    """Counts of items by action, and what would be sent.

    `unmeasured`: items of an API with a bill whose length nobody knows before they are fetched; they are not in it.
    Answers of items that are done and are missing or changed on disk: `answers_again` come again for nothing,
    `answers_lost` cannot be had any more, which a run asks about.
    """

    new: int = 0
    changed: int = 0
    retry: int = 0
    done: int = 0
    failed: int = 0
    removed: int = 0
    in_flight: int = 0
    ambiguous: int = 0
    jobs: int = 0
    requests: int = 0
    billable_seconds: float | None = None
    billable_seconds_unpacked: float | None = None
    unmeasured: int = 0
    answers_again: int = 0
    answers_lost: int = 0

    @property
    def unfinished(self) -> int:
        """Items, and answers on disk, about which a run would do something."""
        items = self.new + self.changed + self.retry + self.in_flight + self.ambiguous
        return items + self.answers_again + self.answers_lost

"""A job and its items, to be told from others."""

from __future__ import annotations

from hume_runner.services.jobs import Job, Member, PlanItem
from tests.fakes import plan_item

NONCE = "0123456789"


def job_of(*items: PlanItem, matches: tuple[str, ...] = ()) -> Job:
    return Job(
        number=1,
        key="k" * 64,
        nonce=NONCE,
        members=tuple(Member(item=item, position=position) for position, item in enumerate(items)),
        size_bytes=0,
        matches=dict(enumerate(matches)),
    )


def url(name: str) -> PlanItem:
    return plan_item(f"https://example.org/{name}", kind="url")

"""What was sent, and what a host shows of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hume_runner.services.batch_v0.matching import (
    Verdict,
)
from hume_runner.services.batch_v0.reading import FileView, JobView
from hume_runner.services.jobs import Job, Member, PlanItem
from tests.fakes import plan_item

NONCE = "0123abcdef"
OURS, MAYBE, FOREIGN = Verdict.OURS, Verdict.MAYBE, Verdict.FOREIGN
URL = "https://example.org/a%20clip.mp4?take=2"
SETTINGS = {"models": {"face": {}}}
A, B = "a" * 32, "b" * 32


def job(*items: PlanItem) -> Job:
    return Job(
        number=1,
        key="k",
        nonce=NONCE,
        members=tuple(Member(item=item, position=at) for at, item in enumerate(items)),
        size_bytes=1,
    )


def url(value: str = URL) -> PlanItem:
    return replace(plan_item(value, kind="url"), value=value)


def file(name: str, md5: str | None = None) -> PlanItem:
    return replace(plan_item(name, kind="file"), content_md5=md5)


def view(**facts: Any) -> JobView:
    facts["files"] = tuple(FileView(filename=name, md5sum=md5) for name, md5 in facts.get("files", ()))
    return JobView(job_id="j", status="QUEUED", **{"models": SETTINGS["models"], **facts})


FILES = (job(file("b.wav", A), file("c.wav", B)), {0: f"{NONCE}-000-b.wav", 1: f"{NONCE}-001-c.wav"})
UNHASHED = (job(file("b.wav"), file("c.wav")), FILES[1])
LINKS = (job(url()), {0: URL})
TEXTS = (job(plan_item("Caf\u00e9 "), plan_item("two")), {0: "1", 1: "2"})
MIXED = (job(url(), plan_item("two")), {0: URL, 1: "1"})

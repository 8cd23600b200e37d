"""Telling a job by its echo."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from hume_runner.services.batch_v0.client import DetailedJob, ListedJobs
from hume_runner.services.batch_v0.echoed_settings import same_settings
from hume_runner.services.batch_v0.reading import read_job
from hume_runner.services.batch_v0.service import BatchV0Service
from hume_runner.services.jobs import Job, Member, PlanItem
from hume_runner.services.lost import Look, LostJob
from tests.fakes import make_manifest, plan_item
from tests.services.batch_v0.cases import NONCE, job_of, url


def echo(**request: Any) -> Any:
    return read_job({"job_id": "j", "request": request, "state": {"status": "QUEUED"}})


@pytest.mark.parametrize(
    ("settings", "request_", "same"),
    [
        ({"models": {"face": {"fps_pred": 3}}}, {"models": {"face": {"fps_pred": 3, "min_face_size": 60}}}, True),
        ({"models": {"face": {"fps_pred": 3}}}, {"models": {"face": {"fps_pred": 5}}}, False),
        ({"models": {"face": {"prob_threshold": 0.99}}}, {"models": {"face": {"prob_threshold": 0.9900000095}}}, True),
        ({"models": {"face": {}}}, {"models": {"face": {}, "ner": None}}, True),
        ({"models": {"face": {}}}, {"models": {"face": {}, "ner": {}}}, False),
        ({"models": {"face": {"facs": {}}}}, {"models": {"face": {"facs": None}}}, False),
        ({"models": {"face": {}}}, {}, True),
        ({"models": {"ner": {}}, "transcription": None}, {"models": {"ner": {}}, "transcription": None}, True),
        ({"models": {"ner": {}}, "transcription": None}, {"models": {"ner": {}}, "transcription": {}}, False),
        (
            {"models": {"ner": {}}, "transcription": {"language": "en"}},
            {"models": {"ner": {}}, "transcription": {"language": "de"}},
            False,
        ),
        ({"models": {"ner": {"identify_speakers": True}}}, {"models": {"ner": {"identify_speakers": 1}}}, True),
    ],
)
def test_whether_a_job_measures_the_same(settings: Any, request_: Any, same: bool) -> None:
    assert same_settings(settings, echo(**request_)) is same


class Listed:
    """A client that lists these jobs, in either order, and has their details; `detailed` differ from the list."""

    def __init__(self, *jobs: dict[str, Any], detailed: Mapping[str, Any] | None = None) -> None:
        self._jobs = jobs
        self._detailed = detailed or {}

    def list_jobs(self, *, direction: str = "desc", limit: int | None = None, **_: Any) -> Any:
        jobs = self._jobs if direction == "asc" else self._jobs[::-1]
        return ListedJobs(jobs=jobs[:limit], simulated=False, server_date_s=None)

    def ask_details(self, job_id: str) -> Any:
        found = self._detailed.get(job_id) or next(job for job in self._jobs if job["job_id"] == job_id)
        return DetailedJob(job=found, simulated=False)


SETTINGS = {"models": {"face": {"fps_pred": 3}}}
SENT_AT = 10_000.0


def entry(name: str = "j", created_s: float = SENT_AT + 1, **request: Any) -> dict[str, Any]:
    return {
        "job_id": name,
        "request": {"models": SETTINGS["models"], "urls": [], "files": [], "text": [], **request},
        "state": {"status": "QUEUED", "created_timestamp_ms": int(created_s * 1000)},
    }


def look(
    job: Job, settings: Mapping[str, Any], tmp_path: Path, *jobs: Mapping[str, Any], ours: Any = None, **how: Any
) -> Look:
    service = BatchV0Service(
        make_manifest(tmp_path, settings=settings), "https://x", lambda: Listed(*jobs, **how), lambda _: None
    )
    before = tuple(one for one, at in (ours or {}).items() if at < SENT_AT)
    lost = LostJob(job=job, sent_at=SENT_AT, ended_at=SENT_AT + 2, before=before)
    return service.look_for([lost], ours or {})[job.number]


def found(job: Job, settings: Mapping[str, Any], tmp_path: Path, **request: Any) -> bool:
    return any(not one.maybe for one in look(job, settings, tmp_path, entry(**request)).candidates)


def unlisted(item: PlanItem) -> PlanItem:
    """The same after the manifest dropped it: its content is known, its name is not."""
    return replace(item, id="", value="", path=None)


def text(value: str) -> PlanItem:
    return replace(plan_item(value), content_sha256=sha256(value.encode()).hexdigest())


SENT = job_of(
    url("a.mp4"),
    plan_item("b.wav", kind="file"),
    text("Hello."),
    matches=("https://example.org/a.mp4", f"{NONCE}-001-b.wav", "1"),
)
NAMELESS = job_of(url("a.mp4"), text("Hello."), matches=("https://example.org/a.mp4", "1"))
ECHO = {"urls": ["https://example.org/a.mp4"], "files": [{"filename": f"{NONCE}-001-b.wav"}], "text": ["Hello."]}


def test_a_lost_job_is_found_by_what_it_carries(tmp_path: Path) -> None:
    assert found(SENT, SETTINGS, tmp_path, **ECHO)
    assert not found(SENT, SETTINGS, tmp_path, **{**ECHO, "files": [{"filename": "other-001-c.wav"}]})
    assert not found(SENT, SETTINGS, tmp_path, **{**ECHO, "models": {"face": {"fps_pred": 5}}})
    nameless = {**ECHO, "files": []}
    assert found(NAMELESS, SETTINGS, tmp_path, **nameless)
    assert not found(NAMELESS, SETTINGS, tmp_path, **{**nameless, "urls": []})
    assert not found(NAMELESS, SETTINGS, tmp_path, **{**nameless, "text": ["Hello!"]})


def test_a_lost_job_is_found_by_what_was_sent_whatever_the_manifest_says_now(tmp_path: Path) -> None:
    members = tuple(replace(member, item=unlisted(member.item)) for member in SENT.members)
    forgotten = replace(SENT, members=members, request=SETTINGS)
    assert found(forgotten, {"models": {"ner": {}}}, tmp_path, **ECHO)
    signed_anew = replace(SENT, members=(Member(item=url("a.mp4?Signature=new"), position=0), *SENT.members[1:]))
    assert found(signed_anew, SETTINGS, tmp_path, **ECHO)


def test_a_job_that_this_copy_never_sent_is_looked_for_by_its_names(tmp_path: Path) -> None:
    assert found(replace(SENT, matches={}), SETTINGS, tmp_path, **ECHO)


def test_what_a_list_leaves_out_is_asked_for(tmp_path: Path) -> None:
    thin = {"job_id": "j", "state": {"created_timestamp_ms": int(SENT_AT * 1000)}}
    seen = look(SENT, SETTINGS, tmp_path, thin, detailed={"j": entry("j", **ECHO)})
    assert [one.remote_id for one in seen.candidates if not one.maybe] == ["j"]
    silent = look(SENT, SETTINGS, tmp_path, thin, detailed={"j": thin})
    assert not silent.conclusive
    assert "do not say whether j carries it" in silent.why


def test_an_answer_is_read_by_the_names_that_the_host_gives(tmp_path: Path) -> None:
    spelt = {**ECHO, "files": [{"filename": f"UPLOADS/{NONCE.upper()}-001-B.WAV"}]}
    (one,) = look(SENT, SETTINGS, tmp_path, entry(**spelt)).candidates
    assert one.matches == {0: "https://example.org/a.mp4", 1: f"UPLOADS/{NONCE.upper()}-001-B.WAV", 2: "1"}


def test_an_empty_list_proves_nothing_and_one_that_shows_another_job_of_ours_does(tmp_path: Path) -> None:
    assert not look(SENT, SETTINGS, tmp_path).conclusive
    ours = {"mine": SENT_AT - 5}
    assert look(SENT, SETTINGS, tmp_path, entry("mine", SENT_AT - 5), ours=ours).conclusive
    assert not look(SENT, SETTINGS, tmp_path, entry("another", SENT_AT - 5, urls=["x"]), ours=ours).conclusive

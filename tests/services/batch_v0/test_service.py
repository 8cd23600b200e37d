"""What the batch API's answers mean to a run: tables and properties over bodies of our own making."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.errors import (
    ApiError,
    AuthError,
    Discontinued,
    NotFound,
    RateLimited,
    RequestRejected,
    ServerError,
    TransportError,
    UnexpectedResponse,
)
from hume_runner.services.base import (
    AnswerIncomplete,
    AnswerUnreadable,
    Broken,
    Ended,
    Job,
    Look,
    LostJob,
    Member,
    Pending,
    PlanItem,
    Refused,
    Unknown,
)
from hume_runner.services.batch_v0.client import DetailedJob, ListedJobs
from hume_runner.services.batch_v0.reading import read_job
from hume_runner.services.batch_v0.service import (
    BatchV0Service,
    check_archive,
    judge_submission,
    progress_of,
    read_outcomes,
    reason_of,
    same_settings,
    upload_name,
)
from tests.fakes import make_manifest, plan_item

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


# -- names of uploads ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("media/clip.wav", "clip.wav"),
        ("media\\clip.WAV", "clip.WAV"),
        ("two words.mp4", "two_words.mp4"),
        ("Grüße.mp3", "Gr_e.mp3"),
        ("日本.mp3", "file.mp3"),
        (".wav", "wav"),
        ("a.tar.gz", "a.tar.gz"),
        ("no-ending", "no-ending"),
        ("x.日本", "x"),
        ("../../etc/passwd", "passwd"),
    ],
)
def test_an_upload_keeps_what_is_safe_of_its_name_and_its_ending(name: str, end: str) -> None:
    assert upload_name(NONCE, 7, name) == f"{NONCE}-007-{end}"


@given(st.text(max_size=200), st.integers(0, 2000), st.text(max_size=50), st.integers(0, 2000))
def test_names_of_uploads_are_safe_everywhere_and_different_within_a_job(
    name: str, position: int, other: str, place: int
) -> None:
    made = upload_name(NONCE, position, name)
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,100}", made)
    assert made.startswith(f"{NONCE}-")
    assert (made == upload_name(NONCE, place, other)) <= (position == place)


# -- what a failed submission means ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (TransportError("refused", sent=False), {"temporary": True, "divisible": False}),
        (RateLimited("slow", status=429, retry_after_s=3.0), {"temporary": True, "retry_after_s": 3.0}),
        (ServerError("busy", status=503), {"temporary": True}),
        (RequestRejected("odd", status=400), {"temporary": False, "divisible": True, "stops_run": False}),
        (RequestRejected("large", status=413), {"temporary": False, "divisible": True}),
        (RequestRejected("early", status=425, code="too_early"), {"temporary": True}),
        (RequestRejected("gone", status=499, code="client_closed"), {"temporary": True}),
        (RequestRejected("pay", status=402), {"stops_run": True}),
        (AuthError("key", status=401, hint="another"), {"stops_run": True, "hint": "another"}),
        (Discontinued("closed", status=403), {"stops_run": True}),
        (NotFound("where", status=404), {"stops_run": True}),
    ],
)
def test_what_was_surely_not_accepted(error: ApiError, expected: Mapping[str, Any]) -> None:
    result = judge_submission(error)
    assert isinstance(result, Refused)
    assert {name: getattr(result, name) for name in expected} == expected


@pytest.mark.parametrize(
    "error",
    [
        TransportError("broke", sent=True),
        ServerError("failed", status=500),
        ServerError("failed", status=502),
        ServerError("failed", status=504),
        RequestRejected("a proxy's", status=408),
        RequestRejected("a proxy's", status=460),
        RequestRejected("a proxy's", status=499),
        UnexpectedResponse("a web page", status=200),
    ],
)
def test_what_nobody_knows(error: ApiError) -> None:
    assert isinstance(judge_submission(error), Unknown)


# -- how far a job is ------------------------------------------------------------------------------------------------


def view(status: str, **state: Any) -> Any:
    return read_job({"job_id": "j", "request": {}, "state": {"status": status, **state}})


def test_states_of_a_job() -> None:
    assert progress_of(view("QUEUED")) == Pending()
    assert progress_of(view("SOMETHING_NEW")) == Pending()
    assert progress_of(view("IN_PROGRESS")) == Pending(started=True)
    ended = progress_of(view("COMPLETED", created_timestamp_ms=1000, ended_timestamp_ms=2500, num_predictions=4))
    assert ended == Ended(created_at=1.0, ended_at=2.5, announced={"predictions": 4})
    assert progress_of(view("FAILED", message="no")) == Broken(message="no")
    broken = progress_of(view("FAILED"))
    assert isinstance(broken, Broken)
    assert broken.message


# -- what an answer says about each member ---------------------------------------------------------------------------


def element(source: Mapping[str, Any], *files: str, errors: Mapping[str, str] | None = None, error: str = "") -> Any:
    if error:
        return {"source": source, "error": error}
    return {
        "source": source,
        "results": {
            "predictions": [{"file": file, "models": {"language": {"grouped_predictions": []}}} for file in files],
            "errors": [{"message": message, "file": file} for file, message in (errors or {}).items()],
        },
    }


def outcomes(tmp_path: Path, job: Job, answer: Any, **announced: int) -> list[tuple[int, bool, str | None]]:
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps(answer), encoding="utf-8")
    return [(o.position, o.ok, o.reason) for o in read_outcomes(job, path, announced)]


TEXTS = job_of(plan_item("one"), plan_item("two"), plan_item("three"), matches=("1", "2", "3"))


def test_texts_are_told_by_their_place_in_whatever_order_they_come(tmp_path: Path) -> None:
    answer = [element({"type": "text"}, "3", "1", errors={"2": "transcript confidence is too low"})]
    assert outcomes(tmp_path, TEXTS, answer) == [(0, True, None), (1, False, "transcript_confidence"), (2, True, None)]


def test_an_error_of_all_texts_is_the_error_of_each(tmp_path: Path) -> None:
    answer = [element({"type": "text"}, error="cannot decode")]
    assert outcomes(tmp_path, TEXTS, answer) == [(n, False, "undecodable") for n in range(3)]


def measured(words: Mapping[str, str]) -> Any:
    """An element about texts, with the words that were measured under each number."""
    rows = {
        number: [{"text": word, "emotions": [{"name": "Joy", "score": 0.5}]} for word in said.split()]
        for number, said in words.items()
    }
    return {
        "source": {"type": "text"},
        "results": {
            "predictions": [
                {"file": number, "models": {"language": {"grouped_predictions": [{"id": "x", "predictions": told}]}}}
                for number, told in rows.items()
            ],
            "errors": [],
        },
    }


SAID = {"1": "all of one", "2": "all of two", "3": "all of three"}
SAYING = [plan_item(said) for said in SAID.values()]


@pytest.mark.parametrize("large", [False, True])
def test_the_scores_of_another_text_are_not_taken_and_the_others_are(tmp_path: Path, large: bool) -> None:
    job = replace(job_of(*SAYING, matches=("1", "2", "3")), nonce=NONCE)
    answer = [measured({**SAID, "2": "something else " * (20_000 if large else 1)})]
    with pytest.raises(AnswerUnreadable, match="another text"):
        outcomes(tmp_path, job, answer)
    told = outcomes(tmp_path, job, answer, accept_unreadable=1)
    assert told == [(0, True, None), (1, False, "unexpected_answer"), (2, True, None)]


def test_the_scores_of_a_neighbour_are_not_taken_however_alike_the_texts_are(tmp_path: Path) -> None:
    job = replace(job_of(*SAYING[:2], matches=("1", "2")), nonce=NONCE)
    answer = [measured({"1": SAID["2"], "2": SAID["2"]})]
    told = outcomes(tmp_path, job, answer, accept_unreadable=1)
    assert told == [(0, False, "unexpected_answer"), (1, True, None)]


def test_texts_of_an_adopted_job_are_told_by_their_words_whatever_order_its_echo_had(tmp_path: Path) -> None:
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps([measured(SAID)]))
    job = replace(job_of(*reversed(SAYING), matches=("1", "2", "3")), nonce="")
    assert [(one.position, one.ok, one.match) for one in read_outcomes(job, path, {})] == [
        (0, True, "3"),
        (1, True, None),
        (2, True, "1"),
    ]
    path.write_text(json.dumps([element({"type": "text"}, "1", "2", "3")]))
    with pytest.raises(AnswerUnreadable, match="which of the texts"):
        read_outcomes(job, path, {})
    assert [one.ok for one in read_outcomes(job, path, {"accept_unreadable": 1})] == [False] * 3
    assert all(one.ok for one in read_outcomes(replace(job, nonce=NONCE), path, {}))  # sent by this state


def test_an_element_of_other_bytes_is_not_taken_for_a_file_of_the_same_name(tmp_path: Path) -> None:
    job = job_of(replace(plan_item("b.wav", kind="file"), content_md5="a" * 32), matches=("N-000-b.wav",))

    def of(md5: str | None) -> Any:
        return [element({"type": "file", "filename": "N-000-b.wav", "md5sum": md5}, "b.wav")]

    with pytest.raises(AnswerUnreadable, match="MD5"):
        outcomes(tmp_path, job, of("b" * 32))
    assert outcomes(tmp_path, job, of("b" * 32), accept_unreadable=1) == [(0, False, "unexpected_answer")]
    for good in ("A" * 32, None, "not an MD5"):
        assert outcomes(tmp_path, job, of(good)) == [(0, True, None)]


MIXED = job_of(
    url("a.mp4"),
    plan_item("b.wav", kind="file"),
    url("c.mp4"),
    matches=("https://example.org/a.mp4", "N-001-b.wav", "https://example.org/c.mp4"),
)


def test_links_and_files_are_told_by_name_and_never_by_order(tmp_path: Path) -> None:
    answer = [
        element({"type": "file", "filename": "N-001-b.wav"}, error="unsupported media"),
        element({"type": "url", "url": "https://example.org/c.mp4"}, "c.mp4"),
        element({"type": "url", "url": "https://example.org/a.mp4"}, "a.mp4"),
        element({"type": "url", "url": "https://example.org/stranger.mp4"}, "x"),
    ]
    assert outcomes(tmp_path, MIXED, answer) == [(0, True, None), (1, False, "unsupported_media"), (2, True, None)]


def test_an_archive_that_was_measured_in_part_counts_and_says_so(tmp_path: Path) -> None:
    job = job_of(url("all.zip"), matches=("https://example.org/all.zip",))
    source = {"type": "url", "url": "https://example.org/all.zip"}
    answer = [element(source, "a.wav", errors={"b.wav": "cannot decode"})]
    assert outcomes(tmp_path, job, answer) == [(0, True, "partial")]
    assert outcomes(tmp_path, job, [element(source, errors={"b.wav": "cannot decode"})]) == [(0, False, "undecodable")]


def test_an_answer_that_leaves_a_source_out_came_early_until_nobody_waits_any_more(tmp_path: Path) -> None:
    answer = [element({"type": "text"}, "1", "2")]
    with pytest.raises(AnswerIncomplete, match="1 of 3"):
        outcomes(tmp_path, TEXTS, answer)
    assert outcomes(tmp_path, TEXTS, answer, accept_missing=1)[2] == (2, False, "not_in_answer")


def test_an_empty_answer_to_announced_predictions_came_early(tmp_path: Path) -> None:
    answer = [element({"type": "url", "url": "https://example.org/all.zip"})]
    job = job_of(url("all.zip"), matches=("https://example.org/all.zip",))
    with pytest.raises(AnswerIncomplete):
        outcomes(tmp_path, job, answer, predictions=2)


@pytest.mark.parametrize("content", ["", "[", '[{"source": {"type": "text"}}', "<html></html>", '{"message": "no"}'])
def test_an_answer_that_is_not_whole_is_damaged(tmp_path: Path, content: str) -> None:
    path = tmp_path / "predictions.json"
    path.write_text(content)
    with pytest.raises(UnexpectedResponse):
        read_outcomes(TEXTS, path, {})


@given(st.permutations(["1", "2", "3"]), st.sets(st.sampled_from(["1", "2", "3"])))
def test_every_member_has_exactly_one_outcome(
    tmp_path_factory: pytest.TempPathFactory, order: list[str], bad: set[str]
) -> None:
    good = [name for name in order if name not in bad]
    answer = [element({"type": "text"}, *good, errors=dict.fromkeys(sorted(bad), "no"))]
    found = outcomes(tmp_path_factory.mktemp("answer"), TEXTS, answer)
    assert found == [(n, str(n + 1) not in bad, "service_error" if str(n + 1) in bad else None) for n in range(3)]


def test_reasons_are_short_and_unknown_ones_have_a_name_too() -> None:
    assert reason_of("Transcript confidence below threshold") == "transcript_confidence"
    assert reason_of("Could not FETCH the URL") == "unreachable_url"
    assert reason_of("?") == "service_error"


def test_a_damaged_archive_is_found(tmp_path: Path) -> None:
    path = tmp_path / "artifacts.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", "x" * 1000)
    check_archive(path)
    content = bytearray(path.read_bytes())
    content[200] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(UnexpectedResponse, match="checksum"):
        check_archive(path)
    path.write_bytes(content[:500])
    with pytest.raises(UnexpectedResponse, match="not a readable zip"):
        check_archive(path)


# -- telling a job by its echo ---------------------------------------------------------------------------------------


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

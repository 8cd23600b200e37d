"""What an answer says about each member of its job."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.errors import (
    UnexpectedResponse,
)
from hume_runner.services.base import AnswerIncomplete, AnswerUnreadable
from hume_runner.services.batch_v0.answers import check_archive, read_outcomes, reason_of
from hume_runner.services.jobs import STRICT, Job, Leniency
from tests.fakes import plan_item
from tests.services.batch_v0.cases import NONCE, job_of, url
from tests.tiers import sampled


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


def outcomes(
    tmp_path: Path, job: Job, answer: Any, leniency: Leniency = STRICT, **announced: int
) -> list[tuple[int, bool, str | None]]:
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps(answer), encoding="utf-8")
    return [(o.position, o.ok, o.reason) for o in read_outcomes(job, path, announced, leniency)]


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


@sampled(1)
@pytest.mark.parametrize("large", [False, True])
def test_the_scores_of_another_text_are_not_taken_and_the_others_are(tmp_path: Path, large: bool) -> None:
    job = replace(job_of(*SAYING, matches=("1", "2", "3")), nonce=NONCE)
    answer = [measured({**SAID, "2": "something else " * (20_000 if large else 1)})]
    with pytest.raises(AnswerUnreadable, match="another text"):
        outcomes(tmp_path, job, answer)
    told = outcomes(tmp_path, job, answer, Leniency(unreadable=True))
    assert told == [(0, True, None), (1, False, "unexpected_answer"), (2, True, None)]


def test_the_scores_of_a_neighbour_are_not_taken_however_alike_the_texts_are(tmp_path: Path) -> None:
    job = replace(job_of(*SAYING[:2], matches=("1", "2")), nonce=NONCE)
    answer = [measured({"1": SAID["2"], "2": SAID["2"]})]
    told = outcomes(tmp_path, job, answer, Leniency(unreadable=True))
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
    assert [one.ok for one in read_outcomes(job, path, {}, Leniency(unreadable=True))] == [False] * 3
    assert all(one.ok for one in read_outcomes(replace(job, nonce=NONCE), path, {}))  # sent by this state


def test_an_element_of_other_bytes_is_not_taken_for_a_file_of_the_same_name(tmp_path: Path) -> None:
    job = job_of(replace(plan_item("b.wav", kind="file"), content_md5="a" * 32), matches=("N-000-b.wav",))

    def of(md5: str | None) -> Any:
        return [element({"type": "file", "filename": "N-000-b.wav", "md5sum": md5}, "b.wav")]

    with pytest.raises(AnswerUnreadable, match="MD5"):
        outcomes(tmp_path, job, of("b" * 32))
    assert outcomes(tmp_path, job, of("b" * 32), Leniency(unreadable=True)) == [(0, False, "unexpected_answer")]
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
    assert outcomes(tmp_path, TEXTS, answer, Leniency(missing=True))[2] == (2, False, "not_in_answer")


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

"""An answer that speaks of a source more than once: the same counts once, and contradictions cost that source alone."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hume_runner.results.base import AnswerMember
from hume_runner.services.batch_v0.answers import read_outcomes
from hume_runner.services.batch_v0.repeats import CONFLICT
from hume_runner.services.batch_v0.rows import read_entries
from hume_runner.services.batch_v0.shapes import SMALL_BYTES
from hume_runner.services.jobs import ALL_THERE_IS, Job, Member, Outcome, PlanItem
from tests.cli.project import Project
from tests.tiers import sampled

Answer = list[dict[str, Any]]


def _row(score: float) -> dict[str, Any]:
    # About no words: what they say of whose they are is another matter.
    return {"text": "", "position": {"begin": 0, "end": 2}, "emotions": [{"name": "Joy", "score": score}]}


def _said(file: str, *scores: float, model: str = "language") -> dict[str, Any]:
    rows = [_row(score) for score in scores]
    return {"file": file, "models": {model: {"grouped_predictions": [{"id": "unknown", "predictions": rows}]}}}


def _texts(*predictions: dict[str, Any]) -> dict[str, Any]:
    return {"source": {"type": "text"}, "results": {"predictions": list(predictions), "errors": []}}


def _url(*predictions: dict[str, Any], **more: Any) -> dict[str, Any]:
    results = {"predictions": list(predictions), "errors": []}
    return {"source": {"type": "url", "url": "https://e.org/a"}, "results": results, **more}


def _failed() -> dict[str, Any]:
    return {"source": {"type": "url", "url": "https://e.org/a"}, "results": None, "error": "it cannot be fetched"}


OTHER = {"source": {"type": "url", "url": "https://e.org/b"}, "results": {"predictions": [_said("b", 0.5)]}}
JOB_KEYS = (("url", "https://e.org/a"), ("url", "https://e.org/b"), ("text", "1"), ("text", "2"))


def _job() -> Job:
    members = tuple(
        Member(
            item=PlanItem(key=b"", id=name, kind=kind, value=name, path=None, size_bytes=1, content_sha256=""),  # type: ignore[arg-type]
            position=place,
        )
        for place, (kind, name) in enumerate(JOB_KEYS)
    )
    return Job(
        number=1, key="", nonce="0123456789", members=members, size_bytes=1,
        matches={place: name for place, (_, name) in enumerate(JOB_KEYS)},
    )  # fmt: skip


def _read(path: Path, answer: Answer) -> tuple[dict[str, Outcome], dict[str, list[Any]]]:
    """By the name of each source: what is recorded of it at fetching, and its rows (scores) or errors in the tables."""
    path.write_text(json.dumps(answer))
    outcomes = {JOB_KEYS[one.position][1]: one for one in read_outcomes(_job(), path, {}, ALL_THERE_IS)}
    shares = [AnswerMember(match=name, kind=kind, items=(), position=n) for n, (kind, name) in enumerate(JOB_KEYS)]
    rows: dict[str, list[Any]] = {}
    for entry in read_entries(path, shares):
        mine = rows.setdefault(entry.match, [error.message for error in entry.errors])
        for block in entry.blocks():
            joy = next(grid for name, grid in block.grids.items() if name == "emotion")
            mine += [round(sum(score or 0 for score in joy.row(row)), 6) for row in range(block.rows)]
    return outcomes, rows


REPEATED: dict[str, Callable[[], tuple[str, Answer, list[float]]]] = {
    "a URL": lambda: ("https://e.org/a", [_url(_said("a", 0.1, 0.2)), OTHER, _url(_said("a", 0.1, 0.2))], [0.1, 0.2]),
    "a URL, three times": lambda: ("https://e.org/a", [_url(_said("a", 0.1))] * 3, [0.1]),
    "two files of one name": lambda: (
        "https://e.org/a", [_url(_said("a", 0.1), _said("a", 0.2))] * 2, [0.1, 0.2]),
    "a text in one element": lambda: ("1", [_texts(_said("1", 0.1), _said("2", 0.3), _said("1", 0.1))], [0.1]),
    "a text in two": lambda: ("1", [_texts(_said("1", 0.1), _said("2", 0.3)), _texts(_said("1", 0.1))], [0.1]),
    "one model each": lambda: (
        "https://e.org/a", [_url(_said("a", 0.1)), _url(_said("a", 0.2, model="prosody"))], [0.1, 0.2]),
    "a large one": lambda: (
        "https://e.org/a", [_url(_said("a", 0.1), padding="x" * SMALL_BYTES), _url(_said("a", 0.1))], [0.1]),
}  # fmt: skip


@sampled(4)
@pytest.mark.parametrize("case", REPEATED.values(), ids=REPEATED)
def test_what_is_said_again_counts_once(case: Callable[[], tuple[str, Answer, list[float]]], tmp_path: Path) -> None:
    name, answer, scores = case()
    outcomes, rows = _read(tmp_path / "predictions.json", copy.deepcopy(answer))
    assert outcomes[name].ok
    assert rows[name] == scores


CONTRADICTING: dict[str, Callable[[], tuple[str, Answer]]] = {
    "a URL": lambda: ("https://e.org/a", [_url(_said("a", 0.1)), OTHER, _url(_said("a", 0.2))]),
    "fewer rows": lambda: ("https://e.org/a", [_url(_said("a", 0.1, 0.1)), _url(_said("a", 0.1)), OTHER]),
    "a large one": lambda: (
        "https://e.org/a", [_url(_said("a", 0.1), padding="x" * SMALL_BYTES), OTHER, _url(_said("a", 0.2))]),
    "measured and failed": lambda: ("https://e.org/a", [_url(_said("a", 0.1)), OTHER, _failed()]),
    "failed and measured": lambda: ("https://e.org/a", [_failed(), OTHER, _url(_said("a", 0.1))]),
    "a text in one element": lambda: ("1", [_texts(_said("1", 0.1), _said("2", 0.3), _said("1", 0.4)), OTHER]),
    "a text in two": lambda: ("1", [_texts(_said("1", 0.1), _said("2", 0.3)), OTHER, _texts(_said("1", 0.4))]),
}  # fmt: skip


@sampled(4)
@pytest.mark.parametrize("case", CONTRADICTING.values(), ids=CONTRADICTING)
def test_a_source_of_which_different_things_are_said_fails_alone_and_has_no_rows(
    case: Callable[[], tuple[str, Answer]], tmp_path: Path
) -> None:
    name, answer = case()
    outcomes, rows = _read(tmp_path / "predictions.json", answer)
    assert not outcomes[name].ok
    assert CONFLICT in (outcomes[name].message or "")
    assert [type(one) for one in rows[name]] == [str]
    assert CONFLICT in rows[name][0]
    assert rows["https://e.org/b"] == [0.5]
    assert outcomes["https://e.org/b"].ok
    if name == "1":
        assert rows["2"] == [0.3]


def test_what_was_sent_twice_under_one_name_may_be_spoken_of_twice(tmp_path: Path) -> None:
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps([_url(_said("a", 0.1)), _url(_said("a", 0.2))]))
    shares = [AnswerMember(match="https://e.org/a", kind="url", items=(), position=place) for place in (0, 1)]
    assert [sum(block.rows for block in entry.blocks()) for entry in read_entries(path, shares)] == [1, 1]


@pytest.mark.parametrize("again", [0.25, 0.75], ids=["the same", "another score"])
def test_a_run_whose_answer_repeats_a_text_has_its_rows_once_or_says_why_not(project: Project, again: float) -> None:
    project.manifest["sources"] = {"text": [{"text": "Hello.", "id": "hello"}, {"text": "Bye.", "id": "bye"}]}
    project.manifest["models"] = {"language": {}}
    project.manifest["outputs"] = {"directory": "out", "tables": ["jsonl"]}
    body = [_texts(_said("1", 0.25), _said("2", 0.5), _said("1", again))]
    route = "GET /v0/batch/jobs/{id}/predictions"
    project.emulator.inject([{"route": route, "action": {"status": 200, "body": body}}])
    ran = project.run()
    rows = [json.loads(line) for line in (project.out / "tables" / "language.jsonl").read_text().splitlines()]
    errors = [json.loads(line) for line in (project.out / "tables" / "errors.jsonl").read_text().splitlines()]
    found = {line["id"]: line for line in project.results()}
    assert found["bye"]["status"] == "done"
    if again == 0.25:
        assert (ran.code, [row["item_id"] for row in rows], errors) == (0, ["hello", "bye"], [])
        return
    assert (ran.code, [row["item_id"] for row in rows]) == (3, ["bye"])
    assert (found["hello"]["status"], CONFLICT in found["hello"]["error"]) == ("failed", True)
    assert [(error["item_id"], CONFLICT in error["message"]) for error in errors] == [("hello", True)]
    (kept,) = (project.out / "raw").glob("*/predictions.json")
    assert json.loads(kept.read_text()) == body
    assert project.call("verify").code == 0

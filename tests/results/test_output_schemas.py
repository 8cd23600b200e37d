"""The published schemas of `results.jsonl` lines and `run.json`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.results.sample_answers import interviews

SCHEMAS = Path(__file__).parents[2] / "schemas"
RUN: dict[str, Any] = {
    "schema": 1,
    "run_id": "20261120-091403-5f2c",
    "name": "interviews",
    "manifest": {"path": "interviews.yaml", "sha256": "0" * 64},
    "versions": {"hume_runner": "0.1.0", "python": "3.11.7"},
    "service": {"api": "batch-v0", "endpoint": None},
    "simulated": True,
    "started_at": "2026-11-20T09:14:03.000Z",
    "ended_at": "2026-11-20T09:14:04.500Z",
    "duration_s": 1.5,
    "counts": {"items": {"total": 2, "done": 1, "failed": 1}, "jobs": {"done": 1}, "requests": {"submit": 1}},
    "failures": {"transcript_confidence": 1},
    "bill": {"billable_seconds": None},
    "outputs": {"results": "results.jsonl", "raw": "raw", "tables": None, "report": "report.html"},
    "settings": {"models": {"face": {}}},
    "exit_code": 3,
}


def validator(name: str) -> Draft202012Validator:
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def members(schema: Any) -> Iterator[Any]:
    for member in schema.get("properties", {}).values():
        yield member
        yield from members(member)


@pytest.mark.parametrize("name", ["run-v1", "results-line-v1"])
def test_every_member_says_what_it_means_and_unknown_ones_are_allowed(name: str) -> None:
    schema = validator(name).schema
    assert all(member.get("description") for member in members(schema))
    assert schema["additionalProperties"] is True


@pytest.mark.sweep
def test_lines_fit(tmp_path: Path) -> None:
    interviews(tmp_path, 7)
    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert len(lines) == 7
    for line in lines:
        validator("results-line-v1").validate(line | {"since": "a later release"})


@pytest.mark.parametrize("change", [{"status": "ok"}, {"id": ""}, {"raw": None}, {"schema": 2}, {"labels": {"a": []}}])
def test_a_line_that_is_wrong_does_not_fit(change: dict[str, Any], tmp_path: Path) -> None:
    interviews(tmp_path, 1)
    line = json.loads((tmp_path / "results.jsonl").read_text())
    assert not validator("results-line-v1").is_valid(line | change)


def test_a_run_fits_and_a_wrong_one_does_not() -> None:
    run = validator("run-v1")
    run.validate(RUN)
    run.validate(RUN | {"since": {"a": "later release"}})
    run.validate(RUN | {"exit_code": None, "ended_at": None, "duration_s": None})  # while its outputs are written
    for change in ({"exit_code": "0"}, {"bill": {}}, {"failures": {"x": -1}}, {"manifest": {"path": "a"}}):
        assert not run.is_valid(RUN | change)

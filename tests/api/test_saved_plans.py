"""A plan that a script saves, reads and runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import hume_runner
from hume_runner.api import Project, read_plan
from hume_runner.api.saved_plans import save_plan
from hume_runner.errors import UsageError
from tests.api.conftest import TEXTS, written


def test_what_was_saved_is_what_is_read_and_run(tmp_path: Path) -> None:
    manifest, place = written(tmp_path), tmp_path / "plan.json"
    with Project.open(manifest).planning() as plan:
        save_plan(plan, place, items=True)
        assert plan.here
        assert (read_plan(place).serial, read_plan(place).endpoint) == (plan.basis["serial"], plan.endpoint)
    assert [one["action"] for one in json.loads(place.read_text())["items"]] == ["new"] * len(TEXTS)
    assert hume_runner.run(manifest, plan=place).exit_code == 0


def test_a_plan_takes_the_place_of_no_other_file(tmp_path: Path) -> None:
    manifest, place = written(tmp_path), tmp_path / "notes.json"
    place.write_text("mine")
    with Project.open(manifest).planning() as plan, pytest.raises(UsageError, match="did not write it"):
        save_plan(plan, place)
    assert place.read_text() == "mine"

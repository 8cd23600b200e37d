"""A manifest for another API, which a script writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import hume_runner
from hume_runner.api.migrating import migrate
from hume_runner.errors import ManifestError, UsageError
from tests.api.conftest import written


def test_the_new_one_is_written_and_the_old_one_stays(tmp_path: Path) -> None:
    old = written(tmp_path, service={"api": "batch-v0", "endpoint": "emulator"})
    before = old.read_text()
    migrated = migrate(old, to="local", out=tmp_path / "new.yaml")
    assert (tmp_path / "new.yaml").read_text() == migrated.text
    assert migrated.notes
    assert old.read_text() == before
    assert hume_runner.validate(tmp_path / "new.yaml").problems == ()
    with pytest.raises(UsageError, match="exists already"):
        migrate(old, to="local", out=tmp_path / "new.yaml")


def test_where_the_other_api_measures_none_of_it_this_machine_is_named(tmp_path: Path) -> None:
    old = written(tmp_path, service={"api": "batch-v0", "endpoint": "emulator"}, models={"facemesh": {}})
    with pytest.raises(ManifestError):
        migrate(old)


def test_places_may_be_given_as_text(tmp_path: Path) -> None:
    old = written(tmp_path, service={"api": "batch-v0", "endpoint": "emulator"})
    migrated = migrate(str(old), to="local", out=str(tmp_path / "new.yaml"))
    assert (tmp_path / "new.yaml").read_text() == migrated.text


def test_what_nothing_is_migrated_to_is_refused_with_what_there_is(tmp_path: Path) -> None:
    old = written(tmp_path, service={"api": "batch-v0", "endpoint": "emulator"})
    with pytest.raises(UsageError, match="'x' is nothing that a manifest is migrated to") as caught:
        migrate(old, to="x")
    assert caught.value.hint == "one of: expression-v1, local"


def test_a_mapping_has_no_text_to_migrate() -> None:
    members: Any = {"version": 1}
    with pytest.raises(UsageError, match="the path of a YAML file, and not of the type dict"):
        migrate(members)

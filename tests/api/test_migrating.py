"""A manifest for another API, which a script writes."""

from __future__ import annotations

from pathlib import Path

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

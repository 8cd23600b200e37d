"""Where a log and numbers for Prometheus may be kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from hume_runner.api import Project
from hume_runner.api.kept_files import refuse_log, refuse_metrics
from hume_runner.errors import UsageError


def test_a_log_goes_into_nothing_that_a_run_reads(study: Project, tmp_path: Path) -> None:
    manifest = tmp_path / "three.yaml"
    for path in (manifest, study.paths.state):
        with pytest.raises(UsageError, match="would end up in it"):
            refuse_log(str(path), [str(manifest)], output_dir=None)
    (tmp_path / "notes.txt").write_text("of another program\n")
    refuse_log(str(tmp_path / "notes.txt"), [str(manifest)], output_dir=None)


def test_a_database_is_no_log_of_anybody(study: Project) -> None:
    with pytest.raises(UsageError, match="this is a database"):
        refuse_log(str(study.paths.state), [], output_dir=None)


def test_numbers_take_the_place_of_nothing_else(tmp_path: Path) -> None:
    refuse_metrics(tmp_path / "new.prom")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="did not write it"):
        refuse_metrics(tmp_path / "notes.txt")

"""Several manifests at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from hume_runner.api.project import open_all
from hume_runner.errors import ManifestError, UsageError
from tests.api.conftest import written


def named(folder: Path, name: str, **more: object) -> Path:
    folder.mkdir()
    return written(folder, name=name, **more)


def test_all_that_is_wrong_with_any_is_told_at_once(tmp_path: Path) -> None:
    wrong = [named(tmp_path / one, one, colour="blue") for one in ("a", "b")]
    with pytest.raises(ManifestError) as caught:
        open_all([*wrong, named(tmp_path / "c", "c")])
    assert [problem.file for problem in caught.value.problems] == [str(one) for one in wrong]


def test_two_do_not_write_to_one_place(tmp_path: Path) -> None:
    shared = {"directory": str(tmp_path / "out")}
    two = [named(tmp_path / one, one, outputs=shared) for one in ("a", "b")]
    with pytest.raises(UsageError, match="share the output directory"):
        open_all(two)
    assert [one.manifest.name for one in open_all(two[:1])] == ["a"]

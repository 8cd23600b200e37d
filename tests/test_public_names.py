from __future__ import annotations

import subprocess
import sys

import pytest

import hume_runner


def test_all_names_are_listed_sorted_and_there() -> None:
    assert hume_runner.__all__ == sorted(hume_runner.__all__)
    for name in hume_runner.__all__:
        assert getattr(hume_runner, name) is not None
        assert name in dir(hume_runner)


def test_nothing_public_is_left_out_of_the_list() -> None:
    subpackages = {name for name in vars(hume_runner) if sys.modules.get(f"hume_runner.{name}") is not None}
    machinery = {"TYPE_CHECKING", "Any", "annotations", "import_module"}
    public = {name for name in vars(hume_runner) if not name.startswith("_")} - subpackages - machinery
    assert public <= set(hume_runner.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'HumeStreamClient'"):
        _ = hume_runner.HumeStreamClient


def test_a_name_comes_from_one_place() -> None:
    from hume_runner.hume.legacy import HumeBatchClient

    assert hume_runner.HumeBatchClient is HumeBatchClient


def test_importing_the_package_imports_no_library() -> None:
    code = (
        "import sys, hume_runner; print(sorted({'requests', 'yaml', 'urllib3', 'jsonschema', 'rich'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

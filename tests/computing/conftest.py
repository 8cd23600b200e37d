from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.computing.case import Case
from tests.computing.dask_processes import Dask

# Looked for and not imported: no test of this process uses it, and each worker collects every test.
if find_spec("distributed") is None:
    pytest.skip("distributed is not installed", allow_module_level=True)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    folder = tmp_path / "case"
    folder.mkdir()
    return Case(folder)


@pytest.fixture(scope="module")
def one() -> Iterator[ThreadPoolExecutor]:
    """A thread, and one child of it, for all tests of a file."""
    with ThreadPoolExecutor(1) as one:
        yield one


@pytest.fixture
def dask(tmp_path: Path, case: Case) -> Iterator[Dask]:
    """A scheduler without workers; they find what the case's measurer needs."""
    with Dask(tmp_path / "dask", case.environ) as dask:
        yield dask

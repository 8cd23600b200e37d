"""Where models come from: real weights in the folder that HUME_RUNNER_MODELS names, and a mirror for small ones."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import pytest

from hume_runner.services.local.measurers.base import WeightFile
from tests.needed import lacking
from tests.services.local.mirror import Mirror, serving
from tests.services.local.puller import Puller


@cache
def _checked(path: Path, sha256: str) -> bool:
    return hashlib.sha256(path.read_bytes()).hexdigest() == sha256


@pytest.fixture(scope="session")
def weights() -> Callable[[Sequence[WeightFile]], Mapping[str, Path]]:
    """Where each of these files lies, by its name; the test is left out where one is not there."""
    root = os.environ.get("HUME_RUNNER_MODELS")

    def find(files: Sequence[WeightFile]) -> Mapping[str, Path]:
        if root is None:
            lacking("HUME_RUNNER_MODELS names no folder with weights")
        found = {file.name: Path(root or "", file.name) for file in files}
        for file in files:
            if not found[file.name].is_file():
                lacking(f"there is no {file.name} in HUME_RUNNER_MODELS")
            assert _checked(found[file.name], file.sha256), f"{file.name} is another file than the card says"
        return found

    return find


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    """A mirror of models on this machine, with nothing wrong yet."""
    with serving() as running:
        yield running


@pytest.fixture
def puller(tmp_path: Path, mirror: Mirror) -> Puller:
    """Pulls models from that mirror into an empty folder."""
    return Puller(root=tmp_path / "models", mirror=mirror.url)

"""TEMPORARY until the catalogue is merged."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from hume_runner.services.local.measurers.base import WeightFile


def require(files: Iterable[WeightFile]) -> Mapping[str, Path]:
    root = Path(os.environ.get("HUME_RUNNER_MODELS", "/work/wt/pkgs/models"))
    return {one.name: root / one.name for one in files}

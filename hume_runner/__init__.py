"""Batch expression measurement from one YAML manifest.

The packages, in the order data moves through them:

errors, settings   every exception raised on purpose; the process environment as values
manifest           YAML text to a validated Manifest
sources            a Manifest to items: what to measure
media              a file to what expression-v1 takes
client             what an API says, over HTTP; usable without the runner, `HumeBatchClient` included
services           what an API means to a run
plan               items to jobs, and why
state              the SQLite file: what was planned, sent and answered
engine             plan and state to finished jobs
results            raw answers to tables, reports and summaries
wiring             picks the concrete classes, the clock and the sleep
emulator           the stand-in server
cli                the command line

Names below are imported when they are first used, so that `import hume_runner` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hume_runner._version import __version__

if TYPE_CHECKING:
    from hume_runner.emulator.server import Emulator
    from hume_runner.errors import ApiError, HumeRunnerError
    from hume_runner.hume.configs import (
        BurstConfig,
        FaceConfig,
        FacemeshConfig,
        LanguageConfig,
        ModelType,
        NerConfig,
        ProsodyConfig,
        TranscriptionConfig,
    )
    from hume_runner.hume.exceptions import HumeClientException
    from hume_runner.hume.job import BatchJob, BatchJobDetails, BatchJobState, BatchJobStatus
    from hume_runner.hume.legacy import ApiType, HumeBatchClient
    from hume_runner.manifest.load import load_manifest
    from hume_runner.manifest.model import Manifest
    from hume_runner.results.read import read_results

__all__ = [
    "ApiError",
    "ApiType",
    "BatchJob",
    "BatchJobDetails",
    "BatchJobState",
    "BatchJobStatus",
    "BurstConfig",
    "Emulator",
    "FaceConfig",
    "FacemeshConfig",
    "HumeBatchClient",
    "HumeClientException",
    "HumeRunnerError",
    "LanguageConfig",
    "Manifest",
    "ModelType",
    "NerConfig",
    "ProsodyConfig",
    "TranscriptionConfig",
    "__version__",
    "load_manifest",
    "read_results",
]

_HOMES = {
    "ApiError": "errors",
    "ApiType": "hume.legacy",
    "BatchJob": "hume.job",
    "BatchJobDetails": "hume.job",
    "BatchJobState": "hume.job",
    "BatchJobStatus": "hume.job",
    "BurstConfig": "hume.configs",
    "Emulator": "emulator.server",
    "FaceConfig": "hume.configs",
    "FacemeshConfig": "hume.configs",
    "HumeBatchClient": "hume.legacy",
    "HumeClientException": "hume.exceptions",
    "HumeRunnerError": "errors",
    "LanguageConfig": "hume.configs",
    "Manifest": "manifest.model",
    "ModelType": "hume.configs",
    "NerConfig": "hume.configs",
    "ProsodyConfig": "hume.configs",
    "TranscriptionConfig": "hume.configs",
    "load_manifest": "manifest.load",
    "read_results": "results.read",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value  # the next use does not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Batch expression measurement from one YAML manifest.

What is promised, and changes only with a new major version:

functions    `run`, `plan`, `validate`, `status`, `verify`, `compare` (they give `RunResult`, `Planned`, `Validated`,
             `Status`, `Verified`, `Comparison`), `read_results`; `load_manifest` gives a `Manifest` to look at; a
             manifest is given to the others as a path or a mapping, `ManifestLike`; `plot_timeline` and
             `plot_groups` draw; `models`, `verify_models` (they give
             `ModelStatus`) and `pull_models`; `Cancel` ends a run early; `Emulator` is the stand-in server
values       what these are made of, in `hume_runner.api`: of runs and plans `Counts`, `Summary`, `Reason`, `Holder`; of
             outputs `Checked`, `Verdict`, `JobSaid`, `Results`; of comparisons `Side`, `TablesTogether`,
             `ColumnsTogether`, `Agreement`, `Coefficient`, `Unmatched`; of models `Model`, `ModelFile`, `PackedFile`,
             `FileStatus`, `FileVerdict`, `Licence`, `Step`; of a `Manifest` those of `hume_runner.manifest.model`
events       the classes of `hume_runner.events`, as `on_event` gets them
exceptions   every one in `hume_runner.errors`, below `HumeRunnerError` (`hint`, `exit_code`)
old names    `HumeBatchClient` and what it takes and gives, as the old Python package had them
files        the manifest (`schemas/manifest-v1.schema.json`), events (`schemas/events-v1.schema.json`), and the output
             directory as the README describes it

Everything else is internal. The packages, in the order data moves through them:

errors, events, settings   exceptions raised on purpose; what a run tells; the process environment as values
computing, stores          processes and clusters; object stores
manifest, migration        YAML text to a validated Manifest; one API's manifest as its successor's
sources                    a Manifest to items: what to measure
media                      a file to what is sent
http                       requests out, answers in; knows no API
services                   what an API says and means to a run: a folder each
hume                       the names of the old package
planning                   items to jobs, and why
state                      the SQLite file: what was planned, sent and answered
engine                     plan and state to finished jobs
results                    raw answers to tables, reports and summaries
emulator                   the stand-in server
control                    the socket of a run that goes on
wiring, api                picks the concrete classes; what can be done with a manifest
cli                        the command line, on `api` alone

Names below are imported when they are first used, so that `import hume_runner` costs nothing.
"""

from __future__ import annotations

from hume_runner._version import __version__
from hume_runner.hume import moved as _moved

# That of `typing`, whose import takes longer than all else here: until it is over, the command's Ctrl-C is a traceback.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from hume_runner.api import (
        Cancel,
        ManifestLike,
        Planned,
        RunResult,
        Status,
        Validated,
        Verified,
        compare,
        models,
        plan,
        plot_groups,
        plot_timeline,
        pull_models,
        read_results,
        run,
        status,
        validate,
        verify,
        verify_models,
    )
    from hume_runner.emulator.server import Emulator
    from hume_runner.errors import ApiError, HumeRunnerError
    from hume_runner.hume.configs import (
        BurstConfig,
        FaceConfig,
        FacemeshConfig,
        LanguageConfig,
        ModelConfigBase,
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
    from hume_runner.results.compare.base import Comparison
    from hume_runner.services.local.weights import ModelStatus

__all__ = [
    "ApiError",
    "ApiType",
    "BatchJob",
    "BatchJobDetails",
    "BatchJobState",
    "BatchJobStatus",
    "BurstConfig",
    "Cancel",
    "Comparison",
    "Emulator",
    "FaceConfig",
    "FacemeshConfig",
    "HumeBatchClient",
    "HumeClientException",
    "HumeRunnerError",
    "LanguageConfig",
    "Manifest",
    "ManifestLike",
    "ModelConfigBase",
    "ModelStatus",
    "ModelType",
    "NerConfig",
    "Planned",
    "ProsodyConfig",
    "RunResult",
    "Status",
    "TranscriptionConfig",
    "Validated",
    "Verified",
    "__version__",
    "compare",
    "load_manifest",
    "models",
    "plan",
    "plot_groups",
    "plot_timeline",
    "pull_models",
    "read_results",
    "run",
    "status",
    "validate",
    "verify",
    "verify_models",
]

_HOMES = {
    "ApiError": "errors",
    "ApiType": "hume.legacy",
    "BatchJob": "hume.job",
    "BatchJobDetails": "hume.job",
    "BatchJobState": "hume.job",
    "BatchJobStatus": "hume.job",
    "BurstConfig": "hume.configs",
    "Cancel": "api",
    "Comparison": "results.compare.base",
    "Emulator": "emulator.server",
    "FaceConfig": "hume.configs",
    "FacemeshConfig": "hume.configs",
    "HumeBatchClient": "hume.legacy",
    "HumeClientException": "hume.exceptions",
    "HumeRunnerError": "errors",
    "LanguageConfig": "hume.configs",
    "Manifest": "manifest.model",
    "ManifestLike": "api",
    "ModelConfigBase": "hume.configs",
    "ModelStatus": "services.local.weights",
    "ModelType": "hume.configs",
    "NerConfig": "hume.configs",
    "Planned": "api",
    "ProsodyConfig": "hume.configs",
    "RunResult": "api",
    "Status": "api",
    "TranscriptionConfig": "hume.configs",
    "Validated": "api",
    "Verified": "api",
    "compare": "api",
    "load_manifest": "manifest.load",
    "models": "api",
    "plan": "api",
    "plot_groups": "api",
    "plot_timeline": "api",
    "pull_models": "api",
    "read_results": "api",
    "run": "api",
    "status": "api",
    "validate": "api",
    "verify": "api",
    "verify_models": "api",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        where = f": {_moved.MOVED[name]}" if name in _moved.MOVED else ""
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{where}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{home}"), name)
    if name == "models":
        # Scripts say `hume.models.config.FaceConfig` and `hume.models.ModelType`, and `import hume_runner as hume`.
        value.config = import_module(f"{__name__}.hume.configs")
        value.ModelType = value.config.ModelType
    globals()[name] = value  # the next use does not come here
    return value


_moved.put_up()


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__} - {"TYPE_CHECKING"})

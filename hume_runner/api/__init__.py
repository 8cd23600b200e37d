"""The runner from Python: `run`, `plan`, `validate`, `status`, `verify`, `compare`; all that the command line needs.

A manifest is a path, or a mapping with the members that the file would have; relative paths in a mapping are relative
to the working directory. What the command line says with `--output-dir`, `--state` and `--endpoint` are keywords here.
Expected errors are HumeRunnerErrors with a `hint` and the `exit_code` that the command would end with.

What only some commands need is imported inside functions: `validate` stands on this package, and its start-up is
measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hume_runner.api.comparing import compare, read_results
from hume_runner.api.control import Cancel
from hume_runner.api.control import Control as Control
from hume_runner.api.control import Post as Post
from hume_runner.api.functions import plan, run, status, validate, verify
from hume_runner.api.looking import OpenPlan as OpenPlan
from hume_runner.api.looking import Seen as Seen
from hume_runner.api.measurers import models, pull_models, verify_models
from hume_runner.api.opening import examine as examine
from hume_runner.api.opening import read_plan as read_plan
from hume_runner.api.plotting import plot_groups, plot_timeline
from hume_runner.api.project import Project as Project
from hume_runner.api.values import JobStatus, Planned, RunResult, Status, Validated, Verified
from hume_runner.api.values import ManifestLike as ManifestLike

if TYPE_CHECKING:
    from hume_runner.results.compare.base import Comparison
    from hume_runner.services.local.pull import Licence as Licence
    from hume_runner.services.local.pull import Step as Step
    from hume_runner.services.local.weights import FileStatus as FileStatus
    from hume_runner.services.local.weights import ModelStatus as ModelStatus

__all__ = [
    "Cancel",
    "Comparison",
    "JobStatus",
    "Planned",
    "RunResult",
    "Status",
    "Validated",
    "Verified",
    "compare",
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

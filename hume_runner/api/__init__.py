"""The runner from Python: `run`, `plan`, `validate`, `status`, `verify`, `compare`; all that the command line needs.

A manifest (`ManifestLike`) is a path, or a mapping with the members that the file would have; relative paths in a
mapping are relative to the working directory. A mapping holds text, numbers, true and false, None, lists and mappings;
what derives from their types, tuples and other sequences, paths, numpy's numbers and arrays and pandas' columns are
taken for these. Anything else is refused by its member: as a problem of the manifest where YAML can write it down (a
set, bytes, a date, nan), as a UsageError where it cannot. Problems of a mapping name members, and no line.

What the command line says with `--output-dir`, `--state`, `--endpoint`, `--shard`, `--limit` and `--select` are
keywords here, and hints, which are written for the command line, mean these by such names. Expected errors are
HumeRunnerErrors with a `hint` and the `exit_code` that the command would end with.

What is promised is in `__all__`; the other names, and the modules beside this one, are the command line's, and may
change with it. All names are imported when they are first used, each from the module that it is written in: a command,
or a script, loads what it needs of the package and no more.

functions.py      `run`, `plan`, `status`; validating.py, verifying.py, comparing.py, measurers.py, plotting.py: others
values.py         what they give; control.py: what ends a run; asking.py and commanding.py: what is asked of it
project.py        what they stand on: a manifest (opening.py), its files (inputs.py, kept_files.py) and this machine
running.py        around a run, and reporting.py: who hears of it; planned.py, looking.py: a plan or a state while it is
                  open; saved_plans.py: one kept
remote_state.py   a state in an object store: moving_state.py; merging.py, mending.py, adopting.py: a state that is
                  written without a run
rebuilding.py     outputs by hand: tables.py, reports.py
beginning.py      a first manifest: found_sources.py, proposed_models.py, list_troubles.py, migrating.py
doctor.py         is all there; unready.py: what is not; emulating.py: the stand-in
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hume_runner.api.comparing import compare, read_results
    from hume_runner.api.control import Cancel
    from hume_runner.api.control import Control as Control
    from hume_runner.api.control import Post as Post
    from hume_runner.api.functions import plan, run, status
    from hume_runner.api.looking import OpenPlan as OpenPlan
    from hume_runner.api.looking import Seen as Seen
    from hume_runner.api.measurers import models, pull_models, verify_models
    from hume_runner.api.opening import examine as examine
    from hume_runner.api.plotting import plot_groups, plot_timeline
    from hume_runner.api.project import Project as Project
    from hume_runner.api.saved_plans import read_plan as read_plan
    from hume_runner.api.validating import validate
    from hume_runner.api.values import JobSaid, ManifestLike, Planned, Reason, RunResult, Status, Validated, Verified
    from hume_runner.api.values import JobStatus as JobStatus
    from hume_runner.api.verifying import verify
    from hume_runner.machine import Machine as Machine
    from hume_runner.manifest.published import schema_text as schema_text
    from hume_runner.migration.manifest import Migrated as Migrated
    from hume_runner.planning.model import Summary
    from hume_runner.results.agreement import Agreement, Coefficient
    from hume_runner.results.compare.base import ColumnsTogether, Comparison, Side, TablesTogether, Unmatched
    from hume_runner.results.options import TableOptions as TableOptions
    from hume_runner.results.read import Results
    from hume_runner.results.verify import Checked, Verdict
    from hume_runner.services.local.model_files import File as ModelFile
    from hume_runner.services.local.model_files import Member as PackedFile
    from hume_runner.services.local.model_files import Model
    from hume_runner.services.local.pull import Licence, Step
    from hume_runner.services.local.weights import FileStatus, ModelStatus
    from hume_runner.services.local.weights import Verdict as FileVerdict
    from hume_runner.state.lock import Holder
    from hume_runner.state.rows import Counts

__all__ = [
    "Agreement",
    "Cancel",
    "Checked",
    "Coefficient",
    "ColumnsTogether",
    "Comparison",
    "Counts",
    "FileStatus",
    "FileVerdict",
    "Holder",
    "JobSaid",
    "Licence",
    "ManifestLike",
    "Model",
    "ModelFile",
    "ModelStatus",
    "PackedFile",
    "Planned",
    "Reason",
    "Results",
    "RunResult",
    "Side",
    "Status",
    "Step",
    "Summary",
    "TablesTogether",
    "Unmatched",
    "Validated",
    "Verdict",
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

# The values of which results are made, and where each is written down.
PARTS = {
    "Agreement": "results.agreement:Agreement",
    "Checked": "results.verify:Checked",
    "Coefficient": "results.agreement:Coefficient",
    "ColumnsTogether": "results.compare.base:ColumnsTogether",
    "Counts": "state.rows:Counts",
    "FileStatus": "services.local.weights:FileStatus",
    "FileVerdict": "services.local.weights:Verdict",
    "Holder": "state.lock:Holder",
    "JobSaid": "api.values:JobSaid",
    "Licence": "services.local.pull:Licence",
    "Model": "services.local.model_files:Model",
    "ModelFile": "services.local.model_files:File",
    "PackedFile": "services.local.model_files:Member",
    "Reason": "api.values:Reason",
    "Results": "results.read:Results",
    "Side": "results.compare.base:Side",
    "Step": "services.local.pull:Step",
    "Summary": "planning.model:Summary",
    "TablesTogether": "results.compare.base:TablesTogether",
    "Unmatched": "results.compare.base:Unmatched",
    "Verdict": "results.verify:Verdict",
}
_HOMES = PARTS | {
    "Cancel": "api.control:Cancel",
    "Comparison": "results.compare.base:Comparison",
    "Control": "api.control:Control",
    "JobStatus": "api.values:JobStatus",
    "Machine": "machine:Machine",
    "ManifestLike": "api.values:ManifestLike",
    "Migrated": "migration.manifest:Migrated",
    "ModelStatus": "services.local.weights:ModelStatus",
    "OpenPlan": "api.looking:OpenPlan",
    "Planned": "api.values:Planned",
    "Post": "api.control:Post",
    "Project": "api.project:Project",
    "RunResult": "api.values:RunResult",
    "Seen": "api.looking:Seen",
    "Status": "api.values:Status",
    "TableOptions": "results.options:TableOptions",
    "Validated": "api.values:Validated",
    "Verified": "api.values:Verified",
    "compare": "api.comparing:compare",
    "examine": "api.opening:examine",
    "models": "api.measurers:models",
    "plan": "api.functions:plan",
    "plot_groups": "api.plotting:plot_groups",
    "plot_timeline": "api.plotting:plot_timeline",
    "pull_models": "api.measurers:pull_models",
    "read_plan": "api.saved_plans:read_plan",
    "read_results": "api.comparing:read_results",
    "run": "api.functions:run",
    "schema_text": "manifest.published:schema_text",
    "status": "api.functions:status",
    "validate": "api.validating:validate",
    "verify": "api.verifying:verify",
    "verify_models": "api.measurers:verify_models",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, member = home.partition(":")
    value = getattr(import_module(f"hume_runner.{module}"), member)
    globals()[name] = value  # the next use does not come here
    return value

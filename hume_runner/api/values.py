"""What the functions give: frozen values, typed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hume_runner.errors import HumeRunnerError, Problem
from hume_runner.frozen import frozen

if TYPE_CHECKING:
    from hume_runner.engine.merge import MergedShard, Unmeasured
    from hume_runner.planning.model import Summary
    from hume_runner.results.verify import Checked
    from hume_runner.state.lock import Holder
    from hume_runner.state.rows import Counts


# A path, or a mapping with the members that the file would have.
ManifestLike = str | PathLike[str] | Mapping[str, Any]


@frozen
class RunResult:
    """How a run ended. Times are Unix seconds; `exit_code` and `error` are those of the command.

    `counts.items` and `counts.jobs` are numbers by status, `requests` by kind. `summary` is the text for people.
    `billed_seconds` is what the state knows as billed, None where nothing is billed by the second.
    """

    name: str
    outputs: Path
    run_id: str
    started_at: float
    ended_at: float
    exit_code: int
    error: HumeRunnerError | None
    counts: Counts
    requests: Mapping[str, int]
    summary: str
    billed_seconds: float | None = None

    def _repr_html_(self) -> str:
        """What a notebook shows of it."""
        from hume_runner.notebook import result_page

        return result_page(self)


@frozen
class Reason:
    """Why so many items are planned as they are. `action`: as in the summary, or `will_fail`; `removed` and
    `done`: why outputs are written anew."""

    action: str
    reason: str
    items: int


@frozen
class Merged:
    """What came of bringing shards together. `unmeasured`: items of parts that are missing or not finished; `items`:
    numbers by status in the whole."""

    state: Path
    outputs: Path
    shards: tuple[MergedShard, ...]
    unmeasured: tuple[Unmeasured, ...]
    items: Mapping[str, int]


@frozen
class Pulled:
    """A remote state that is here as well now. `holder`: who runs it; `aside`: a file that was here and went another
    way, under its new name; `more`: whether the one here has what the store does not."""

    place: str
    state: Path
    holder: Holder | None
    aside: tuple[Path, ...] = ()
    more: bool = False


@frozen
class Pushed:
    """A state here that a store has as well now; `pushed` is False where it had all of it. `aside`: the file that was
    here and went another way, of which nothing was put there, under its new name."""

    place: str
    state: Path
    pushed: bool
    aside: tuple[Path, ...] = ()


@frozen
class Planned:
    """What a run would do. `upload_bytes`: of all the jobs that it would submit; `reasons` as `OpenPlan` has them."""

    name: str
    api: str
    endpoint: str
    summary: Summary
    upload_bytes: int
    reasons: tuple[Reason, ...] = ()


@frozen
class Validated:
    """What is wrong with one manifest; `items` counts what it lists by kind, as far as that is known.

    `warnings` tell of items that will fail by themselves, of what patterns pass over, and of models that are not ready
    here; `unseen` counts entries that were not looked at, each of which may be any number of items. `exit_code`: 65 for
    a wrong manifest, 66 for a missing source.
    """

    path: str
    problems: tuple[Problem, ...]
    items: Counter[str]
    exit_code: int
    warnings: tuple[str, ...] = ()
    unseen: int = 0


@frozen
class Status:
    """Where a manifest stands. `state`: its file, or the URI of its place in an object store; `lock`: who runs it now;
    `items` and `jobs`: numbers by status."""

    name: str
    state: Path | str
    simulated: bool | None
    lock: Holder | None
    items: Mapping[str, int]
    jobs: Mapping[str, int]


@frozen
class JobStatus:
    """One job: its name as people see it, the service's name for it, how far it is, how many sources it carries."""

    number: int
    name: str
    key: str
    remote_id: str | None
    status: str
    sources: int
    error: str | None


@frozen
class JobSaid:
    """What the service says, in words, of a job that it took from us."""

    number: int
    remote_id: str
    says: str


@frozen
class Verified:
    """Outputs against the hashes in the state: files by verdict, and the first thousand that are not the same.

    With `remote`, `jobs` counts those of which the service says the same as the state ("agree") and those of which it
    does not ("disagree"); `disagree` are the first thousand of these. Without it, both are empty.
    """

    counts: Mapping[str, int]
    wrong: tuple[Checked, ...]
    exit_code: int
    error: HumeRunnerError | None = None  # what could not be repaired
    jobs: Mapping[str, int] = field(default_factory=dict)
    disagree: tuple[JobSaid, ...] = ()

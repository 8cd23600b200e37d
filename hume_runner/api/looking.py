"""A plan and a state while they are open: counts at once, jobs and items streamed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hume_runner.amounts import counted
from hume_runner.api.inputs import refuse_obstacles
from hume_runner.api.opening import told_closed, told_twin
from hume_runner.api.remote_state import opened_state, state_of_the_whole
from hume_runner.api.values import JobStatus, Reason, Status
from hume_runner.errors import HumeRunnerError
from hume_runner.frozen import frozen
from hume_runner.registry import load, machines, registered
from hume_runner.results.due import refuse_others_due
from hume_runner.services.jobs import job_name
from hume_runner.settings import mask_secrets
from hume_runner.sources.left_out import LeftOut
from hume_runner.state.connection import guarded
from hume_runner.state.paths import Paths
from hume_runner.state.store import Store

if TYPE_CHECKING:
    from hume_runner.api.project import Project
    from hume_runner.endpoint import Endpoint
    from hume_runner.engine.mend import Lacking
    from hume_runner.manifest.model import Manifest
    from hume_runner.planning.model import Decision, PlannedJob, Summary
    from hume_runner.planning.prepare import Plan
    from hume_runner.state.lock import Holder
    from hume_runner.state.reader import StateReader


@contextmanager
def opened_plan(project: Project, endpoint: Endpoint, *, retry_failed: bool) -> Iterator[OpenPlan]:
    """The plan against the state as it is now; see `Project.planning`."""
    from hume_runner.api.planned import planned
    from hume_runner.engine.apart import refuse_other_kinds, refuse_others_outputs

    manifest, paths, now = project.manifest, project.paths, project.machine.now()
    with ExitStack() as stack:
        store, _ = stack.enter_context(opened_state(project))
        refuse_others_outputs(
            store, paths.state, paths.outputs, manifest=manifest.name, embedded=endpoint.embedded, home=paths.remote
        )
        host = endpoint.service.endpoint
        refuse_other_kinds(store, host, here=endpoint.here, machines=machines(), outputs=paths.outputs)
        serial = store.serial
        seen = (store.path if paths.remote is not None else None) or paths.state
        blocked = _blocked(store, paths)  # asked before answers are given up, as a run asks
        store, found = _taken_stock(project, store, endpoint, stack, now)
        whole = stack.enter_context(state_of_the_whole(project, to_run=False))
        _refuse_beside_shards(project, store, knows=whole or seen)
        left_out = LeftOut()
        plan = stack.enter_context(
            planned(
                manifest,
                store,
                endpoint,
                retry_failed=retry_failed,
                now=now,
                selection=project.selection,
                whole=whole,
                left_out=left_out,
            )
        )
        told = list(filter(None, (told_closed(manifest), told_twin(project.paths), left_out.told())))
        if not project.selection.flags and manifest.events:
            from hume_runner.results.event_sources import check_sources

            intervals = project.says().intervals
            told += check_sources(intervals, plan.absent(intervals.by_item), plan.ids)
        plan.count()
        if doubtful := store.doubtful():
            told.append(
                f"{counted(doubtful, 'item')} may have been paid for already, and what was agreed to was not sent: "
                "a run asks (exit 9), `--pay-again` sends"
            )
        lost = 0 if endpoint.here else len(found.lost)
        plan.summary = replace(plan.summary, answers_again=found.again, answers_lost=lost)
        besides = _Besides(
            warnings=tuple(told),
            cautions=tuple(_cautions(manifest, plan)),
            renewed=tuple(plan.renewed()),
            refusal=_refusal(project, store, plan.summary) or blocked,
        )
        yield OpenPlan(project, endpoint.name, plan, store, serial=serial, besides=besides)


def _refuse_beside_shards(project: Project, store: StateReader, *, knows: Path) -> None:
    """A plan of what other parts hold, which a run would refuse, is the plan of nothing: it would pay for that again.
    `knows`: the state of the whole, or a copy of it. Raises: UsageError."""
    from hume_runner.state.shards import check_merged, check_shard

    paths, shard = project.paths, project.selection.shard
    whole = paths.state if paths.whole is None else paths.whole / "state.sqlite3"
    with guarded(paths.outputs):
        check_merged(paths.whole or paths.outputs, whole, shard, knows=knows)
    check_shard(store, shard)


def _blocked(store: StateReader, paths: Paths) -> HumeRunnerError | None:
    """What stands in the place of an answer's folder."""
    from hume_runner.state.in_the_way import refuse_for_answers

    try:
        refuse_for_answers(paths.outputs, store.is_recorded)
    except HumeRunnerError as error:
        return error
    return None


def _refusal(project: Project, store: StateReader, summary: Summary) -> HumeRunnerError | None:
    """What a run of this plan would be refused for, before it measures anything, and what is no fault of the plan."""
    from hume_runner.state.in_the_way import refuse_links

    paths = project.paths
    try:
        refuse_obstacles(project.manifest, paths)
        with guarded(paths.outputs):
            refuse_links(paths.outputs)
        refuse_others_due(store, paths.outputs, project.manifest)
        found = registered(project.manifest.service.api)
        if found is not None and found.requires is not None and summary.jobs:
            load(found.requires)(project.manifest.settings["models"])
    except HumeRunnerError as error:
        return error
    return None


def _cautions(manifest: Manifest, plan: Plan) -> Iterator[str]:
    """What people have to know of their media before they are measured."""
    found = registered(manifest.service.api)
    media = any(entry.kind != "text" for entry in manifest.sources)
    if found is not None and found.cautions is not None and media and plan.summary.jobs:
        changed = any(one.action == "changed" and "models." in one.reason for one in plan.reasons)
        yield from load(found.cautions)(manifest.settings["models"], changed=changed)


def _taken_stock(
    project: Project, store: StateReader, endpoint: Endpoint, stack: ExitStack, now: float
) -> tuple[StateReader, Lacking]:
    """The state as a run would plan with it, and what of its answers is lacking: what is measured here is measured
    again where its answer is lost."""
    from hume_runner.engine.mend import Mended, give_up_lost, lacking

    found = lacking(store, endpoint.service, project.paths.outputs)
    if found.lost and project.paths.remote is not None:
        from hume_runner import wiring
        from hume_runner.state.remote.answers import lie_there

        there = lie_there(wiring.driver(project.paths, project.machine), store, found.lost)
        found = replace(
            found, again=found.again + len(there), lost=tuple(one for one in found.lost if one not in there)
        )
    if not (endpoint.here and found.lost):
        return store, found
    copy = stack.enter_context(Store.apart(store))
    give_up_lost(copy, Mended(lost=found.lost), now, pays=False)
    return copy, found


@frozen
class _Besides:
    """What is to be known besides the plan itself. `cautions`: what people have to know of their media before it;
    `renewed`: why, and for how many items, outputs are written anew although nothing is measured for them; `refusal`:
    of the run, which would measure nothing."""

    warnings: tuple[str, ...]
    cautions: tuple[str, ...]
    renewed: tuple[tuple[Decision, int], ...]
    refusal: HumeRunnerError | None


class OpenPlan:
    """A plan while it is open: `summary`, and jobs and items as streams."""

    def __init__(
        self, project: Project, endpoint: str, plan: Plan, store: StateReader, *, serial: int, besides: _Besides
    ) -> None:
        """`store` is what was planned with, which may be a copy; `serial` that of the state itself."""
        self.manifest = project.manifest
        self.selection = project.selection
        self.endpoint = endpoint
        self.warnings = besides.warnings
        self.cautions = besides.cautions
        self.refusal = besides.refusal
        self._renewed = besides.renewed
        self._serial = serial
        self._plan = plan
        self._store = store

    @property
    def summary(self) -> Summary:
        return self._plan.summary

    @property
    def here(self) -> bool:
        """Whether this machine measures."""
        found = registered(self.manifest.service.api)
        return found is not None and found.here

    @property
    def writes_anew(self) -> bool:
        """Whether a run would write outputs anew, with ids and labels as the manifest has them now."""
        return bool(self._renewed)

    @property
    def upload_bytes(self) -> int:
        return self._plan.upload_bytes

    def reasons(self, most: int = 20) -> list[Reason]:
        """Why items are sent although something is known of them, why those that failed are not, and why some will
        fail: by reason, the most frequent of each first."""
        found: dict[str, Counter[str]] = {}
        for decision, number in self._plan.reasons.items():
            found.setdefault(str(decision.action), Counter())[decision.reason] += number
        for decision, number in self._renewed:
            found.setdefault(str(decision.action), Counter())[decision.reason] += number
        found["will_fail"] = self._plan.will_fail()
        if self.summary.failed:
            told = self._plan.failures
            found["failed"] = Counter(self._store.failures()) if told is None else told
        return [
            Reason(action=action, reason=mask_secrets(reason), items=number)
            for action, counts in found.items()
            for reason, number in counts.most_common(most)
        ]

    @property
    def basis(self) -> Mapping[str, Any]:
        """What `run --plan` compares, to refuse a plan whose ground has moved."""
        return {
            "lineage": self._store.lineage,
            "serial": self._serial,
            "scan": self._plan.scan.digest,
            "retry_failed": self._plan.retry_failed,
            **({"selection": self.selection.document()} if self.selection.flags else {}),
        }

    def jobs(self) -> Iterator[PlannedJob]:
        """The jobs that a run would submit, streamed."""
        return self._plan.jobs()

    def items(self) -> Iterator[tuple[str, str, Decision]]:
        """(id, kind, decision) of every item, then of the removed ones, streamed."""
        return self._plan.items()


class Seen:
    """A state while it is looked at."""

    def __init__(self, project: Project, store: StateReader, holder: Holder | None) -> None:
        self._project = project
        self._store = store
        self._holder = holder

    @property
    def status(self) -> Status:
        counts = self._store.counts()
        return Status(
            name=self._project.manifest.name,
            state=self._project.paths.remote or self._project.paths.state,
            simulated=self._store.simulated(),
            lock=self._holder,
            items=dict(counts.items),
            jobs=dict(counts.jobs),
        )

    @property
    def here(self) -> bool:
        """Whether this machine measures."""
        return self._project.here

    def jobs(self) -> Iterator[JobStatus]:
        """Every job, streamed."""
        for row in self._store.jobs():
            yield JobStatus(
                number=row.number,
                name=job_name(row.number),
                key=row.key,
                remote_id=row.remote_id,
                status=str(row.status),
                sources=row.sources,
                error=mask_secrets(row.error) if row.error else None,
            )

    @property
    def left_out(self) -> int:
        """Items that the manifest listed besides, when a run was about some of it. What a shard leaves out is no loss:
        the other shards have it."""
        return 0 if self._project.selection.shard else self._store.never_chosen

    @property
    def told_jobs(self) -> Mapping[str, int]:
        """Jobs by status as people count them."""
        from hume_runner.results.summary import told_jobs

        return told_jobs(self._store.counts().jobs, self._store.of_media())

    def failures(self) -> Mapping[str, int]:
        """Failed items by reason, the most frequent first."""
        return self._store.failures()

    def duplicates(self) -> Iterable[tuple[str, int]]:
        """(remote id, number of the job that it duplicates) of what was paid twice."""
        return self._store.duplicates()

    def perhaps_paid_twice(self) -> Iterable[tuple[str, int]]:
        """(remote id, number of the job that it may be) of what may have been paid twice, as somebody agreed."""
        return self._store.perhaps_paid_twice()

    def export(self) -> Iterator[tuple[str, Iterator[Mapping[str, Any]]]]:
        """(table, rows as JSON values) of the whole state, streamed."""
        return self._store.export()

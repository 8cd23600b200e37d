"""One manifest, where its files are, and the machine that it runs on: what every function and command stands on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import field, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from hume_runner import installing
from hume_runner.api.inputs import refuse_found
from hume_runner.api.looking import OpenPlan, Seen, opened_plan
from hume_runner.api.opening import examine
from hume_runner.api.remote_state import opened_state
from hume_runner.api.values import ManifestLike
from hume_runner.errors import HumeRunnerError, ManifestError, MissingExtra, Problem, UsageError
from hume_runner.frozen import frozen
from hume_runner.machine import Machine
from hume_runner.manifest.load import check_told
from hume_runner.manifest.published import foreign_to
from hume_runner.planning.selection import EVERYTHING, Selection
from hume_runner.registry import all_registered, registered
from hume_runner.results.from_state import StateResults
from hume_runner.settings import Masker, read_key
from hume_runner.state.paths import Paths
from hume_runner.state.reader import StateReader

if TYPE_CHECKING:
    from hume_runner.computing.choose import Cluster
    from hume_runner.computing.remote import Place
    from hume_runner.endpoint import Endpoint
    from hume_runner.manifest.model import Manifest
    from hume_runner.results.intervals import ManifestSays
    from hume_runner.results.mirror import Mirror


@frozen
class Project:
    """One manifest, where its files are, and the machine that it runs on."""

    manifest: Manifest
    paths: Paths
    machine: Machine = field(repr=False)
    shown: str  # the manifest as the caller named it
    selection: Selection = EVERYTHING

    @classmethod
    def open(
        cls,
        manifest: ManifestLike,
        *,
        output_dir: str | PathLike[str] | None = None,
        state: str | PathLike[str] | None = None,
        endpoint: str | None = None,
        machine: Machine | None = None,
        shard: str | None = None,
        limit: int | None = None,
        select: str | None = None,
    ) -> Project:
        """`shard` (`2/4`), `limit` and `select` say which of the items it is about; a shard has a state and an output
        directory of its own. Raises: ManifestError with every problem; UsageError."""
        selection = Selection.of(shard=shard, limit=limit, select=select)
        examined = examine(manifest, output_dir=output_dir, endpoint=endpoint)
        if examined.manifest is None:
            raise ManifestError(examined.problems)
        paths = Paths.of(examined.manifest, state, selection.shard)
        check_told("the output directory", paths.outputs)  # where links lead
        check_told("the state", paths.state)
        return cls(
            manifest=examined.manifest,
            paths=paths,
            machine=machine or Machine.this(),
            shown=str(manifest) if isinstance(manifest, str | PathLike) else "MANIFEST",
            selection=selection,
        )

    @property
    def masker(self) -> Masker:
        """What keeps this manifest's secrets out of all that leaves us. One that cannot be read cannot get out."""
        secrets = []
        for where in filter(None, (self.manifest.service.api_key, self.manifest.notify.callback_secret)):
            with suppress(HumeRunnerError):
                secrets.append(read_key(env=where.env, file=where.file, environ=self.machine.environ).value)
        return Masker(secrets)

    @property
    def shard_flags(self) -> list[str]:
        """What a command has to say to be about the same state."""
        return ["--shard", str(self.selection.shard)] if self.selection.shard else []

    @property
    def keeps_answers(self) -> bool:
        """Whether what was measured can be fetched again."""
        found = registered(self.manifest.service.api)
        return found is not None and found.keeps_answers

    @property
    def here(self) -> bool:
        """Whether this machine measures, so that what is lost is measured again for nothing."""
        found = registered(self.manifest.service.api)
        return found is not None and found.here

    def endpoint(self, place: Place | None = None) -> Endpoint:
        """The service; nothing is connected before its first request. `place`: a cluster that works for it."""
        from hume_runner import wiring

        return wiring.endpoint(self.manifest, self.paths, self.machine, place)

    def place(self, cluster: Cluster, *, warn: Callable[[str], None]) -> Place:
        """The cluster that somebody named; not connected yet. `warn` is called in a thread of its own.
        Raises: UsageError, MissingExtra."""
        from hume_runner.computing.choose import place_of

        api = self.manifest.service.api
        found = registered(api)
        if found is None or not found.computes:
            raise UsageError(
                f"{self.manifest.path.name}: --cluster: {api} has no work for a cluster: media are sent as they are",
                hint="leave --cluster out",
            )
        return place_of(cluster, wait_s=self.machine.settings.cluster_wait_s, warn=warn)

    def with_bill(self, max_billable_seconds: float) -> Project:
        """The same with a cap on its bill. Raises: UsageError where the API bills nothing by the second: such a cap
        would protect nobody."""
        manifest = self.manifest
        fault = foreign_to(manifest.service.api, "execution", "max_billable_seconds")
        if fault is not None:
            raise UsageError(
                f"{manifest.path.name}: --max-billable-seconds: {fault[0]}",
                hint="leave --max-billable-seconds out, or set service.api: "
                + " or ".join(one.api for one in all_registered() if one.bills),
            )
        execution = replace(manifest.execution, max_billable_seconds=max_billable_seconds)
        return replace(self, manifest=replace(manifest, execution=execution))

    def need_extras(self, *, to_run: bool = False) -> None:
        """What the outputs need is missed before anything is sent, not after everything was paid. What is measured here
        costs nothing: `to_run`, it is measured all the same. Raises: MissingExtra."""
        lacking = self.lacking_extras()
        if lacking and not (to_run and self.here):
            raise MissingExtra(lacking[0], f"outputs.{lacking[0]} in {self.manifest.path.name}")

    def lacking_extras(self) -> list[str]:
        """The extras that the outputs need and that are not installed; named as the outputs are."""
        outputs = self.manifest.outputs
        return installing.lacking(*(name for name in ("tables", "report") if getattr(outputs, name)))

    def mirror(self) -> Mirror | None:
        """The copy of the outputs in a store, if the manifest asks for one. A shard has none: what it is merged into
        has."""
        from hume_runner.results.mirror import Mirror

        target = self.manifest.outputs.remote
        if target is None or self.paths.whole is not None:
            return None
        machine = self.machine
        return Mirror(
            target,
            self.paths.outputs,
            manifest=self.manifest.name,
            clock=machine.now,
            open_store=machine.open_store,
        )

    @contextmanager
    def planning(self, *, retry_failed: bool = False) -> Iterator[OpenPlan]:
        """The plan against the state as it is now, for as long as the block lasts; jobs and items are streamed.

        Raises what a run would: UsageError, LostAnswerNeedsDecision where state and manifest do not go together.
        """
        with self.endpoint() as endpoint, opened_plan(self, endpoint, retry_failed=retry_failed) as plan:
            yield plan

    # -- looking

    @contextmanager
    def look(self) -> Iterator[Seen]:
        """The state as it is at one moment, for as long as the block lasts; works while a run goes on."""
        with opened_state(self) as (store, holder):
            yield Seen(self, store, holder)

    def need_state(self, what: str) -> None:
        """Raises: UsageError if nothing ever ran."""
        if not self.paths.state.exists():
            how = "run" if self.paths.remote is None else "state pull"
            raise UsageError(f"{self.paths.state}: {what}", hint=f"hume-runner {how} {self.shown}")

    def results(self) -> StateResults:
        """The results, from the state and the raw answers. Raises: UsageError if it never ran."""
        manifest, paths = self.manifest, self.paths
        try:
            store = StateReader.peek(paths.state, name=manifest.name)
        except FileNotFoundError:
            raise UsageError(f"{paths.state}: there are no results yet", hint=f"hume-runner run {self.shown}") from None
        return StateResults(
            store, paths.outputs, api=manifest.service.api, name=manifest.name, settings=manifest.settings
        )

    def says(self) -> ManifestSays:
        """What outputs need of the manifest. Raises: ManifestError, SourceError for its lists of events."""
        from hume_runner.results.intervals import ManifestSays

        return ManifestSays.of(self.manifest)


def open_all(
    manifests: Sequence[ManifestLike],
    *,
    output_dir: str | PathLike[str] | None = None,
    state: str | PathLike[str] | None = None,
    endpoint: str | None = None,
    machine: Machine | None = None,
    shard: str | None = None,
    limit: int | None = None,
    select: str | None = None,
) -> list[Project]:
    """Every manifest, or all problems of all of them: nothing is begun before the last one is known to be good.

    Raises: ManifestError; UsageError, also where two of them would write to one place.
    """
    found: list[Project] = []
    problems: list[Problem] = []
    for one in manifests:
        try:
            found.append(
                Project.open(
                    one,
                    output_dir=output_dir,
                    state=state,
                    endpoint=endpoint,
                    machine=machine,
                    shard=shard,
                    limit=limit,
                    select=select,
                )
            )
        except ManifestError as error:
            problems += error.problems
    if problems:
        raise ManifestError(problems)
    for project in found:
        refuse_found(project.manifest, project.paths.state, hint="name another --state")
    _keep_apart(found)
    return found


def _keep_apart(found: Sequence[Project]) -> None:
    directories: dict[Path, str] = {}
    for project in found:
        path = project.manifest.path
        other = directories.setdefault(project.paths.outputs, str(path))
        if other != str(path):
            raise UsageError(
                f"{path} and {other} share the output directory {project.manifest.outputs.directory}",
                hint="give each manifest an outputs.directory of its own",
            )

"""One manifest, where its files are, and the machine that it runs on: what every function and command stands on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import field, replace
from importlib.util import find_spec
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from hume_runner import events, wiring
from hume_runner.api.control import Control
from hume_runner.api.looking import OpenPlan, Seen, opened_plan
from hume_runner.api.opening import examine
from hume_runner.api.remote_state import opened_state, release, state_of_the_whole
from hume_runner.api.values import ManifestLike, Merged, RunResult
from hume_runner.errors import (
    HumeRunnerError,
    ManifestError,
    MissingExtra,
    StateError,
    UsageError,
)
from hume_runner.frozen import frozen
from hume_runner.manifest.load import check_told
from hume_runner.manifest.published import foreign_to
from hume_runner.planning.selection import EVERYTHING, Selection
from hume_runner.registry import all_registered, registered
from hume_runner.results import derived
from hume_runner.results.options import PLAIN, TableOptions
from hume_runner.state.paths import Paths

if TYPE_CHECKING:
    from hume_runner.computing.choose import Cluster
    from hume_runner.computing.remote import Place
    from hume_runner.engine.adopt import Adopted
    from hume_runner.manifest.model import Manifest
    from hume_runner.planning.saved import SavedPlan
    from hume_runner.results.audit import RemoteSays
    from hume_runner.results.from_state import StateResults
    from hume_runner.results.intervals import ManifestSays
    from hume_runner.results.mirror import Mirror
    from hume_runner.results.verify import Checked
    from hume_runner.settings import Masker
    from hume_runner.state.lock import Holder
    from hume_runner.state.store import JobRow, Store
    from hume_runner.wiring import Machine


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
            machine=machine or wiring.Machine.this(),
            shown=str(manifest) if isinstance(manifest, str | PathLike) else "MANIFEST",
            selection=selection,
        )

    @property
    def masker(self) -> Masker:
        return wiring.masker(self.manifest, self.machine)

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

    def endpoint(self, place: Place | None = None) -> wiring.Endpoint:
        """The service; nothing is connected before its first request. `place`: a cluster that works for it."""
        return wiring.Endpoint(self.manifest, self.paths, self.machine, place)

    def place(self, cluster: Cluster, *, warn: Callable[[str], None]) -> Place:
        """The cluster that somebody named; not connected yet. Raises: UsageError, MissingExtra."""
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
        needed = {"tables": ("pyarrow", "msgspec")} if outputs.tables else {}
        if outputs.report:
            needed["report"] = ("jinja2", "msgspec")
        return [extra for extra, modules in needed.items() if any(find_spec(module) is None for module in modules)]

    # -- running

    def run(
        self,
        *,
        on_event: events.Report,
        control: Control,
        warn: Callable[[str], None],
        detach: bool = False,
        retry_failed: bool = False,
        pay_again: bool = False,
        saved_plan: SavedPlan | None = None,
        cluster: Cluster | None = None,
    ) -> RunResult:
        """Run to the end; see `run` in `hume_runner.api`."""
        from hume_runner.api.running import run_project

        return run_project(
            self,
            on_event=on_event,
            control=control,
            warn=warn,
            detach=detach,
            retry_failed=retry_failed,
            pay_again=pay_again,
            saved_plan=saved_plan,
            cluster=cluster,
        )

    def mirror(self) -> Mirror | None:
        """The copy of the outputs in a store, if the manifest asks for one. A shard has none: what it is merged into
        has."""
        from hume_runner.results.mirror import Mirror

        target = self.manifest.outputs.remote
        if target is None or self.paths.whole is not None:
            return None
        return Mirror(target, self.paths.outputs, manifest=self.manifest.name, clock=self.machine.now)

    def check_copy(self) -> str | None:
        """The place in a store where a copy of the outputs is kept; None where none is. Raises: UsageError if it is
        somebody else's, StoreError if it cannot be reached."""
        from hume_runner.state.store import Store

        mirror = self.mirror()
        if mirror is None:
            return None
        try:
            with Store.peek(self.paths.state, name=self.manifest.name) as store:
                lineage = store.lineage
        except FileNotFoundError:
            lineage = ""
        mirror.check(lineage)
        return self.manifest.outputs.remote

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

    def check_files(self) -> Iterator[Checked]:
        """Every output beside the hash in the state, streamed."""
        from hume_runner.results.verify import verify as verify_files
        from hume_runner.state.store import Store

        with Store.peek(self.paths.state, name=self.manifest.name) as store:
            yield from verify_files(store, self.paths.outputs, self.paths.state, name=self.manifest.name)
            mirror = self.mirror()
            if mirror is not None:
                yield from mirror.verify(store)

    def stale(self) -> list[str]:
        """The groups of derived files that were made from an earlier state than this one."""
        from hume_runner.results.derived import marks
        from hume_runner.state.store import Store

        with Store.peek(self.paths.state, name=self.manifest.name) as store:
            return sorted(group for group, mark in marks(store).items() if mark.serial != store.serial)

    def check_remote(self) -> Iterator[tuple[JobRow, RemoteSays]]:
        """Every job that the service took, beside the service's word on it, streamed."""
        from hume_runner.results.audit import compare_remote
        from hume_runner.state.store import Store

        if self.here:
            return  # nobody else knows of them
        with Store.peek(self.paths.state, name=self.manifest.name) as store, self.endpoint() as endpoint:
            yield from compare_remote(store, endpoint.service)

    def results(self) -> StateResults:
        """The results, from the state and the raw answers. Raises: UsageError if it never ran."""
        from hume_runner.results.from_state import StateResults
        from hume_runner.state.store import Store

        manifest, paths = self.manifest, self.paths
        try:
            store = Store.peek(paths.state, name=manifest.name)
        except FileNotFoundError:
            raise UsageError(f"{paths.state}: there are no results yet", hint=f"hume-runner run {self.shown}") from None
        return StateResults(
            store, paths.outputs, api=manifest.service.api, name=manifest.name, settings=manifest.settings
        )

    # -- mending

    @contextmanager
    def _writing(self) -> Iterator[Store]:
        from hume_runner.state.lock import StateLock
        from hume_runner.state.store import Store

        keeper = wiring.keeper(self.paths, self.manifest.name, self.machine, lambda event: None)
        with StateLock(self.paths.state), keeper.own(self.paths.state) as kept:
            with Store.create_or_open(
                self.paths.state,
                disk=self.machine.disk,
                name=self.manifest.name,
                lineage=self.machine.new_id(),
                mask=self.masker.keys,
                shipper=kept.shipper,
            ) as store:
                yield store
                unsettled = kept.settle(store)
            if unsettled is not None:
                raise unsettled

    def repair(self, *, on_event: events.Report, warn: Callable[[str], None]) -> HumeRunnerError | None:
        """Fetch again what is harmed and costs nothing, and make again what is derived; what could not be is returned.

        Raises: StateError.
        """
        from hume_runner.engine.mend import Mender
        from hume_runner.results.finish import Finisher
        from hume_runner.state.connection import guarded
        from hume_runner.state.lock import OutputsLock
        from hume_runner.state.outputs_owner import OutputsOwner

        outputs, machine = self.paths.outputs, self.machine
        owner = OutputsOwner(outputs)
        with guarded(outputs):
            machine.disk.make_directory(outputs)
        with self._writing() as store, OutputsLock(outputs), self.endpoint() as endpoint, guarded(outputs):
            name, state, home = self.manifest.name, self.paths.state, self.paths.remote
            owner.check(manifest=name, state=state, lineage=store.lineage, home=home)
            mender = Mender(
                store, endpoint.service, machine.disk, outputs, report=on_event, clock=machine.now, here=self.here
            )
            mirror = self.mirror()
            if mirror is not None:
                mirror.check(store.lineage)
                mirror.restore(store, machine.disk)
            mended = mender.mend(thorough=True)
            finisher = Finisher(self.manifest, outputs, machine.disk, warn=warn)
            finisher.rebuild(store, mended.harmed, machine.now())
            # Only now is it known that no file of a person's is there.
            owner.record(machine.disk, manifest=name, state=state, lineage=store.lineage, home=home)
            if mirror is not None:
                mirror.repair(store)
            return mended.error

    def adopt(self, names: Sequence[str], *, simulated: bool | None = None) -> Iterator[Adopted]:
        """Bring jobs under the manifest's state, planning it first where that never happened; one by one. `names`: ids
        of jobs at the service, and files with answers, of which nobody is asked. `simulated`: whether the scores in
        files are made up; None where nobody knows. Raises: UsageError."""
        from hume_runner.engine.adopt import adopt_all
        from hume_runner.engine.adopt_files import FileAdopter, is_file
        from hume_runner.engine.rescue import take_in
        from hume_runner.state.lock import OutputsLock
        from hume_runner.state.outputs_owner import OutputsOwner
        from hume_runner.state.shards import note_shard

        if simulated is not None and not any(is_file(name) for name in names):
            raise UsageError(
                "whether scores are made up is said of files, and none is named",
                hint="leave --measured and --simulated out: of its jobs the service tells it",
            )
        manifest, paths, machine = self.manifest, self.paths, self.machine
        for folder in (paths.state.parent, paths.outputs):
            machine.disk.make_directory(folder)
        owner = OutputsOwner(paths.outputs)
        with self._writing() as store, OutputsLock(paths.outputs), self.endpoint() as endpoint:
            owner.check(manifest=manifest.name, state=paths.state, lineage=store.lineage, home=paths.remote)
            store.recover(machine.now())
            take_in(store, machine.now())
            with (
                state_of_the_whole(self, to_run=False) as whole,
                wiring.planned(
                    manifest,
                    store,
                    endpoint,
                    retry_failed=False,
                    now=machine.now(),
                    selection=self.selection,
                    whole=whole,
                ) as plan,
            ):
                plan.apply()
            note_shard(store, self.selection.shard, manifest.service.api, paths.outputs)
            owner.record(
                machine.disk, manifest=manifest.name, state=paths.state, lineage=store.lineage, home=paths.remote
            )
            if endpoint.name == wiring.EMULATOR:
                if simulated is False:
                    raise UsageError(
                        "the manifest rehearses, and the files are said to be measured",
                        hint="name the host in service.endpoint (nobody is asked of files), or leave --measured out",
                    )
                simulated = True
            files = FileAdopter(
                store=store,
                service=endpoint.service,
                disk=machine.disk,
                outputs=paths.outputs,
                simulated=simulated,
                now=machine.now,
            )
            yield from files.adopt_all([name for name in names if is_file(name)])
            yield from adopt_all(store, endpoint.service, [name for name in names if not is_file(name)], machine.now)

    def merge(
        self,
        states: Sequence[str | PathLike[str]],
        *,
        take_over: bool,
        warn: Callable[[str], None],
        on_event: events.Report = lambda event: None,
    ) -> Merged:
        """Bring shards into the manifest's one state and output directory, and make what is derived. Sends nothing.

        Raises: UsageError, StateLocked, StateError; then nothing was merged.
        """
        from hume_runner.api.merging import merge_shards

        return merge_shards(self, [Path(state) for state in states], take_over=take_over, warn=warn, on_event=on_event)

    def unlock(self) -> Holder | None:
        """Release a lock whose owner is dead; who that was, None if nobody holds it. Raises: StateLocked."""
        from hume_runner.state.lock import StateLock

        here = StateLock(self.paths.state).clear() if self.paths.state.parent.exists() else None
        return here if self.paths.remote is None else release(self)

    def says(self) -> ManifestSays:
        """What outputs need of the manifest. Raises: ManifestError, SourceError for its lists of events."""
        from hume_runner.results.intervals import ManifestSays

        return ManifestSays.of(self.manifest)

    def mark_derived(self, group: str, paths: Iterable[Path], *, serial: int, options: TableOptions = PLAIN) -> None:
        """Record outputs that were made by hand as a run does, so that runs keep them and `verify` knows them.

        Without a word where the state cannot be written now: the files are good, and nobody waits for a lock for them.
        """
        from hume_runner.state.answers import harmed_answers
        from hume_runner.state.lock import StateLock
        from hume_runner.state.store import Store

        manifest, where = self.manifest, self.paths
        with contextlib.suppress(StateError, OSError), StateLock(where.state):
            if not where.state.exists():
                return
            with Store.create_or_open(where.state, disk=self.machine.disk, name=manifest.name, lineage="") as store:
                harmed = [one.answer.path for one in harmed_answers(store, where.outputs)]
                says = self.says()
                by = derived.maker(manifest.settings, (*says.makers, *harmed))
                now = self.machine.now()
                derived.record(
                    store, where.outputs, group, tuple(paths), serial=serial, by=by, now=now, options=options
                )
                self._describe(store, says, harmed)

    def _describe(self, store: Store, says: ManifestSays, harmed: Sequence[str]) -> None:
        """Say what the columns of the tables mean, beside them."""
        from hume_runner.results.from_state import StateResults
        from hume_runner.results.package.write import renew

        manifest, outputs = self.manifest, self.paths.outputs
        results = StateResults(store, outputs, api=manifest.service.api, name=manifest.name, settings=manifest.settings)
        disk, now = self.machine.disk, self.machine.now()
        renew(store, results, outputs, disk, says=says, harmed=harmed, now=now)

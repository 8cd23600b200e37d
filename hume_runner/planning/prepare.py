"""From sources to a plan: read what has to be read, compare with the state, decide about each item, pack the jobs.

Nothing here sends a request, and nothing is written but a scratch file, so `plan` and `run` share all of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any

from hume_runner import small_json
from hume_runner.errors import (
    Problem,
    SourceError,
)
from hume_runner.frozen import frozen
from hume_runner.manifest.model import Manifest
from hume_runner.manifest.schema import default_at
from hume_runner.manifest.shown import quoted
from hume_runner.planning.diff import NOT_MEASURED, Again, again, decide
from hume_runner.planning.fingerprint import (
    canonical,
    changed_settings,
    job_key,
    packing,
    result_settings,
)
from hume_runner.planning.former import completed, recognise_former
from hume_runner.planning.model import SUBMITS, Action, Decision, PlannedJob, Summary
from hume_runner.planning.staged import (
    PlanReader,
    PlanStore,
    Scanned,
    Staged,
    parse_place,
)
from hume_runner.planning.tally import Tally
from hume_runner.services.base import Planner
from hume_runner.services.jobs import Draft, PlanItem
from hume_runner.services.packing import PlainJobs, pack_plain

_MOST_PROBLEMS = 100
_MOST_ALIKE = 10_000
_MOST_REASONS = 1_000
_MOST_NAMED = 3


@frozen
class Options:
    """What changes a plan beside the manifest. `now` is Unix seconds, for links that expire."""

    retry_failed: bool
    real_endpoint: bool
    now: float


class Plan:
    """The comparison of one scan with one state. Holds counts only; jobs and items are streamed when asked for."""

    def __init__(
        self, manifest: Manifest, scan: Scanned, store: PlanReader, service: Planner, options: Options
    ) -> None:
        self.manifest = manifest
        self.scan = scan
        self._store = store
        self._service = service
        self._options = options
        self._settings = result_settings(manifest)
        self._packing = packing(manifest)
        self.summary = Summary()
        self.upload_bytes = 0
        self.reasons: Counter[Decision] = Counter()  # of what is sent, where it is not simply new
        self.failures: Counter[str] | None = None  # by reason, of what is not tried again; None: as the state has them
        self._hopeless: dict[str, str] = {}  # item -> why it will fail, of the first ones
        self._counted_once = False  # the jobs are packed, and kept
        self._attached = False
        self._nothing = False  # as the state's own counts say
        self._lacking = False  # some item has a part that is in no job

    def __enter__(self) -> Plan:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._store.detach()
        self.scan.close()

    def decide(self) -> Plan:
        """Decide about every item; no job is packed yet."""
        self._nothing = self._nothing_to_plan()
        if self._nothing:
            return self
        self._attach()
        recognise_former(self._store, self._service, self._settings)
        counts = dict.fromkeys(Action, 0)
        counts[Action.NEW], counts[Action.DONE] = self._store.sort_out(real_endpoint=self._options.real_endpoint)
        self.failures = Counter()
        repeated = self._store.repeated()
        batch: list[tuple[int, int, bool]] = []
        for staged, decision in self._decisions(all_of_them=False):
            counts[decision.action] += 1
            if decision.action is Action.FAILED:
                self.failures[staged.known.reason or "unknown"] += 1
            if decision.action in SUBMITS and decision is not NOT_MEASURED:
                known = decision in self.reasons or len(self.reasons) < _MOST_REASONS
                self.reasons[decision if known else Decision(decision.action, "other reasons")] += 1
            if decision.action in SUBMITS and staged.ord not in repeated:
                self._lacking = self._lacking or staged.known.lacking
                given_up = again(staged.known, real_endpoint=self._options.real_endpoint)
                batch.append((staged.ord, given_up, staged.known.carried > 0 and given_up is not Again.ALL))
                if len(batch) >= 5_000:
                    self._store.want(batch)
                    batch.clear()
        self._store.want(batch)
        counts[Action.REMOVED] = 0 if self.scan.partial else self._store.removed_number()
        self.summary = Summary(**{str(action): number for action, number in counts.items()})
        return self

    def _attach(self) -> None:
        if not self._attached:
            self._store.attach(self.scan.hand_over())
            self._attached = True

    def absent(self, ids: Iterable[str]) -> list[str]:
        """Those that no item of the manifest has, once it is decided."""
        return self._store.absent(ids, staged=not self._nothing)

    def ids(self) -> Iterator[str]:
        """The id of every item that is planned, streamed; once it is decided."""
        return self._store.ids(staged=not self._nothing)

    def under_way(self, size: int) -> Iterator[bytes]:
        """So many bytes of the key of every item that a run would send or may have at the service, streamed; once it is
        decided."""
        return self._store.under_way(staged=not self._nothing, size=size)

    def will_fail(self) -> Counter[str]:
        """Why items that are sent will surely fail, of the first ten thousand; once the jobs are packed."""
        return Counter(self._hopeless.values())

    def count(self) -> None:
        """Pack the jobs and make the summary whole, for who only looks. Raises: SourceError for items that cannot be
        sent as they are."""
        batch: list[PlannedJob] = []
        for job in self._planned():
            batch.append(job)
            if len(batch) >= 5_000:
                self._store.keep_jobs(batch)
                batch.clear()
        if not self._nothing:
            self._store.keep_jobs(batch)
            self._counted_once = True

    def _planned(self) -> Iterator[PlannedJob]:
        """The jobs that a run would send, streamed; with the last of them the summary is whole."""
        if self.unchanged:
            return self._kept()
        return self._counted_plain() or map(_planned_job, self._counted())

    def _kept(self) -> Iterator[PlannedJob]:
        """The state's own planned jobs, which an unchanged plan keeps as they are.

        What is packed anew may be other jobs than those: of a job between two others that is done, of halves of one
        that was refused, of media that were prepared. A run sends these, so these are what it is told to cost.
        """
        if self._nothing:
            return
        if not self._store.wants_plain_ones_only():
            problems: list[Problem] = []
            for _ in self._checked(problems):
                pass
            if problems:
                raise SourceError(problems)
        tally = Tally()
        for number, job, prepare in self._store.planned_jobs():
            # The bill of what is not prepared yet, or packed of several, is made of its media.
            if prepare or (job.billable_seconds is not None and job.sources > 1):
                for draft in self._again(number, prepare=prepare):
                    tally.add(draft)
                tally.jobs += 1
            else:
                tally.add_sent(job)
            yield job
        self._tell(tally)

    def _again(self, number: int, *, prepare: bool) -> Iterator[Draft]:
        """A planned job as it was packed, with what nobody keeps of that: its requests, and its bill unpacked."""
        members = self._store.load_job(number).members
        if not prepare:
            return self._service.recompile(members)
        return self._service.compile(
            replace(member.item, carried=tuple(one.detail for one in member.carried)) for member in members
        )

    def _checked(self, problems: list[Problem]) -> Iterator[PlanItem]:
        """The wanted items; what cannot be sent as it is goes to `problems` instead."""
        refuse, hopeless_of, now = self._service.refuse, self._service.hopeless, self._options.now
        for item in self._store.wanted():
            refused = refuse(item, now)
            if refused is not None:
                if len(problems) < _MOST_PROBLEMS:
                    problems.append(parse_place(self._store.place_of(item.key) or ":0:0\t").problem(*refused))
                continue
            hopeless = hopeless_of(item)
            if hopeless is not None and len(self._hopeless) < _MOST_ALIKE:
                self._hopeless[item.id] = hopeless[1]
            yield item

    def _counted(self) -> Iterator[Draft]:
        """The jobs, packed anew and streamed; with the last of them the summary is whole."""
        tally = Tally()
        for draft in self._drafts():
            tally.add(draft)
            tally.jobs += 1
            yield draft
        self._tell(tally)

    def _tell(self, tally: Tally) -> None:
        self.upload_bytes = tally.bytes
        self.summary = tally.told(self.summary)

    def _counted_plain(self) -> Iterator[PlannedJob] | None:
        """The same where only the sizes of the items matter; None where there is more to consider."""
        limits = self._service.plain_jobs
        if limits is None or self._nothing or not self._store.wants_plain_ones_only():
            return None
        return self._packed_plain(limits)

    def _packed_plain(self, limits: PlainJobs) -> Iterator[PlannedJob]:
        jobs = total = 0
        for keys, size in pack_plain(self._store.wanted_sizes(), limits):
            jobs += 1
            total += size
            yield PlannedJob(key=job_key(keys), sources=len(keys), bytes=size, billable_seconds=None)
        self.upload_bytes = total
        self.summary = replace(self.summary, jobs=jobs, requests=jobs)

    def _nothing_to_plan(self) -> bool:
        """The short way for a manifest that was planned before and has no item left to submit: the state's own counts
        are the summary, and a million items need not be compared one by one."""
        options, store = self._options, self._store
        if options.retry_failed or store.meta("scan") != self.scan.digest:
            return False
        if options.real_endpoint and store.any_simulated():
            return False
        items = store.selected_numbers
        # An item that is at the service may have parts besides that are not.
        if items["pending"] or store.any_planned():
            return False
        self.summary = Summary(
            done=items["done"],
            failed=items["failed"],
            in_flight=items["in_flight"],
            ambiguous=items["ambiguous"],
        )
        return True

    def _removed(self) -> Iterator[tuple[str, str, str | None]]:
        """What is left out by a limit or an expression is not removed; who looks at a part cannot tell."""
        return iter(()) if self.scan.partial else self._store.removed()

    def _decisions(self, *, all_of_them: bool = True) -> Iterator[tuple[Staged, Decision]]:
        options = self._options
        text = self._store.meta("settings")
        before = completed(small_json.kept(text), self._settings) if text else self._settings
        exact = not self._store.former_settings()
        for staged in self._store.compare(all_of_them=all_of_them):
            changes: Sequence[str] = ()
            if staged.known.outcome is None and staged.known.old_key is not None:
                changes = self._changes(staged, before, exact=exact)
            yield (
                staged,
                decide(staged.known, changes, retry_failed=options.retry_failed, real_endpoint=options.real_endpoint),
            )

    def _changes(self, staged: Staged, before: Mapping[str, Any], *, exact: bool) -> Sequence[str]:
        """Which settings differ from those that the item of this id had. `before`: what the last plan was made with;
        `exact`: that settings in the state are those of single items."""
        new = self._service.relevant(staged.kind, staged.facts, self._settings)
        known = staged.known
        if exact and known.old_settings is not None and known.old_content == known.content:
            # With who measured, which may have become another one without a word in the manifest.
            old = small_json.kept(known.old_settings)
        else:
            old = self._service.relevant(staged.kind, staged.facts, before)
        return changed_settings(old, new, default_of=partial(default_at, self._service.api))

    def _drafts(self) -> Iterator[Draft]:
        """The jobs, packed as they are asked for. Raises, with the last: SourceError for items that cannot be sent as
        they are."""
        if self._nothing:
            return
        problems: list[Problem] = []
        yield from self._service.compile(self._checked(problems))
        if problems:
            raise SourceError(problems)

    def jobs(self) -> Iterator[PlannedJob]:
        """The jobs that a run would plan, as people and programs see them, streamed."""
        return self._store.kept_jobs() if self._counted_once else self._planned()

    def items(self) -> Iterator[tuple[str, str, Decision]]:
        """(id, kind, decision) of every item, then of the removed ones, streamed."""
        self._attach()
        for staged, decision in self._decisions():
            problem = staged.problem or self._hopeless.get(staged.id)
            if problem and decision.action in SUBMITS:
                yield staged.id, staged.kind, Decision(decision.action, f"will fail: {problem}")
            else:
                yield staged.id, staged.kind, decision
        for name, kind, now in self._removed():
            yield name, kind, Decision(Action.REMOVED, _fate(now))

    def renewed(self) -> Iterator[tuple[Decision, int]]:
        """What a run would only write anew: why, and for how many items. A part of a manifest does not tell."""
        if self._nothing or self.scan.partial:
            return
        numbers = {True: 0, False: 0}
        for name, _, now in self._store.removed() if self.summary.removed else ():
            numbers[now is not None] += 1
            if numbers[now is not None] <= _MOST_NAMED:
                yield Decision(Action.REMOVED, f"{quoted(name)} is {_fate(now)}"), 1
        for is_renamed, words in ((True, "more that are listed under other ids"), (False, "more that are not listed")):
            if (more := numbers[is_renamed] - _MOST_NAMED) > 0:
                yield Decision(Action.REMOVED, words), more
        if number := self._store.relabelled_number():
            yield Decision(Action.DONE, "has other labels now"), number
        if (number := self._store.added_number() - numbers[True]) > 0:
            yield Decision(Action.DONE, "is measured already, under another id"), number

    @property
    def retry_failed(self) -> bool:
        return self._options.retry_failed

    @property
    def unchanged(self) -> bool:
        """Whether the state was planned from exactly these items, packed as they would be now, and none is to be tried
        again."""
        if self._nothing:
            return True
        summary = self.summary
        nothing_again = summary.changed == 0 and not (self._options.retry_failed and summary.retry)
        return (
            nothing_again
            and not self._lacking
            and self._store.meta("scan") == self.scan.digest
            # Of what a version before planned nobody knows how it was packed.
            and self._store.meta("packing") == self._packing
        )

    def apply(self, store: PlanStore) -> None:
        """Make the plan the plan of the `store` it was compared with: its items, and its jobs in place of planned ones
        that were never sent.

        An unchanged manifest keeps its planned jobs as they are, so that a run that was broken off goes on with the
        same jobs. Where packing changes, what was sent and is planned again is packed anew like the rest: it was
        refused, or proven not to be there, else it would not be planned.

        The summary is whole afterwards. Raises: SourceError for items that cannot be sent as they are; then nothing is
        changed.
        """
        sources = self.scan.sources
        if self.unchanged:
            self.count()
            if sources is not None and self._store.meta("sources") != sources:
                store.remember(sources=sources)
            return
        facts = {
            "scan": self.scan.digest,
            "settings": canonical(self._settings),
            "sources": sources,
            "packing": self._packing,
        }
        if self.scan.partial and self._store.meta("settings") is not None:
            # Those of what is left out: a later plan of it names what changed since.
            del facts["settings"]
        store.replace_plan(self._counted(), facts=facts, keep=self.scan.partial)


def _fate(now: str | None) -> str:
    """What became of an item that the state lists; `now`: the id under which the same is listed."""
    if now is None:
        return "not listed any more; what was measured of it stays, and counts if it is listed again"
    return f"listed as {quoted(now)} now, with its results"


def _planned_job(draft: Draft) -> PlannedJob:
    return PlannedJob(
        key=job_key([member.item.key for member in draft.members]),
        sources=len(draft.members),
        bytes=draft.size_bytes,
        billable_seconds=draft.billable_seconds,
    )

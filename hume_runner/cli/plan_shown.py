"""A plan as people read it, as text and as Markdown, each streamed, and the sum of several."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from hume_runner.amounts import counted, seconds_text, size_text
from hume_runner.cli.streams import Writer
from hume_runner.errors import HumeRunnerError
from hume_runner.settings import mask_secrets

if TYPE_CHECKING:
    from hume_runner.api import OpenPlan
    from hume_runner.api.values import Reason

_MOST_LINES = 50
_MOST_REASONS = 5  # of each action
_LONGEST_REASON = 160
_COUNTS = ("new", "changed", "retry", "in_flight", "ambiguous", "done", "failed", "removed")
# By whether outputs are written anew.
_NO_MORE = {
    False: "a run would do nothing",
    True: "a run would measure nothing, and write the outputs as the manifest is now",
}
_BEGUN = ("in_flight", "ambiguous")
_SUMMED = (*_COUNTS, "jobs", "requests", "unmeasured")
# `models.face.fps_pred: 3 -> 2`, as one of several changes.
_CHANGE = re.compile(r"(?<![^ ])([\w.]+): (\S.*?) -> ")
_MARKUP = re.compile(r"([\\`*\[\]|])")


class ShownPlan:
    """One plan while it is open."""

    def __init__(self, plan: OpenPlan, *, items: bool) -> None:
        self._manifest = plan.manifest
        self._endpoint = plan.endpoint
        self._plan = plan
        self._items = items

    def as_text(self, out: Writer) -> None:
        manifest, summary = self._manifest, self._plan.summary
        out.write(f"{manifest.name}: {manifest.service.api} at {self._endpoint}\n")
        if self._plan.selection.flags:
            out.write(f"  only   {shlex.join(self._plan.selection.flags)}\n")
        counts = [(name, getattr(summary, name)) for name in _COUNTS if getattr(summary, name)]
        told_counts = ", ".join(f"{number:,} {self._words(name)}" for name, number in counts)
        out.write(f"  items  {told_counts or 'none'}\n")
        for number, reason in enumerate(self._plan.reasons(_MOST_REASONS)):
            out.write(f"  {'' if number else 'why':<6} {_reason_line(reason)}\n")
        if summary.jobs:
            told = "to measure, {} to read" if self._here else "to submit, {} to upload"
            jobs = summary.requests or summary.jobs  # media become pieces, each of which is a job in the end
            out.write(f"  jobs   {jobs:,} {told.format(size_text(self._plan.upload_bytes))}\n")
        if summary.billable_seconds is not None:
            out.write(f"  bill   {_bill(summary.billable_seconds, summary.billable_seconds_unpacked)}\n")
        if summary.unmeasured:
            out.write(f"         {_links(summary.unmeasured)}\n")
        out.writelines(f"  answers  {told}\n" for told in _answers(self._plan))
        if self._items:
            out.writelines(
                f"  {decision.action!s:<9} {name}  ({mask_secrets(self._reason(decision.action, decision.reason))})\n"
                for name, _, decision in self._plan.items()
            )
        out.writelines(f"  note   {told}\n" for told in self._plan.cautions)
        if not summary.unfinished:
            out.write(f"  {_NO_MORE[self._plan.writes_anew]}\n")

    def as_markdown(self, out: Writer) -> None:
        manifest, summary = self._manifest, self._plan.summary
        out.write(f"### Plan for `{manifest.name}`\n\n{manifest.service.api} at `{self._endpoint}`\n\n")
        if self._plan.selection.flags:
            flags = shlex.join(self._plan.selection.flags).replace("`", "'")
            out.write(f"Only `{flags}`.\n\n")
        counts = [(name, getattr(summary, name)) for name in _COUNTS if getattr(summary, name)]
        out.write("| items | number |\n| --- | ---: |\n")
        out.writelines(f"| {self._words(name)} | {number:,} |\n" for name, number in counts or [("none", 0)])
        if reasons := self._plan.reasons(_MOST_REASONS):
            out.write("\n| why | items |\n| --- | ---: |\n")
            out.writelines(
                f"| {_cell(f'{_words(one.action)}: {_readable(one.reason)}')} | {one.items:,} |\n" for one in reasons
            )
        out.write(f"\n{'. '.join(self._totals()) or _NO_MORE[self._plan.writes_anew].capitalize()}.\n")
        out.writelines(f"\nNote: {_cell(told)}.\n" for told in self._plan.cautions)
        if self._items:
            self._table(out)

    def _totals(self) -> Iterator[str]:
        summary = self._plan.summary
        if summary.jobs:
            size = size_text(self._plan.upload_bytes)
            requests = counted(summary.requests, "request")
            yield (
                f"{counted(summary.requests, 'job')} to measure, {size} to read"
                if self._here
                else f"{counted(summary.jobs, 'job')} to submit, {requests}, {size} to upload"
            )
        elif self._here and (summary.in_flight or summary.ambiguous):
            yield "What a run began is measured to its end"
        elif summary.in_flight or summary.ambiguous:
            yield "Nothing more to submit: answers are waited for"
        if summary.billable_seconds is not None:
            yield f"Bill: {_bill(summary.billable_seconds, summary.billable_seconds_unpacked)}"
        if summary.unmeasured:
            yield _links(summary.unmeasured)
        yield from (f"Answers: {told}" for told in _answers(self._plan))

    def _table(self, out: Writer) -> None:
        out.write("\n| item | action | why |\n| --- | --- | --- |\n")
        for number, (name, _, decision) in enumerate(self._plan.items()):
            if number == _MOST_LINES:
                out.write("| … | | `--format json --items` lists all |\n")
                break
            reason = mask_secrets(self._reason(decision.action, decision.reason))
            out.write(f"| {_cell(name)} | {decision.action} | {_cell(reason)} |\n")

    @property
    def _here(self) -> bool:
        return self._plan.here

    def _words(self, name: str) -> str:
        return "begun and not finished" if self._here and name in _BEGUN else _words(name)

    def _reason(self, action: str, reason: str) -> str:
        """Where this machine measures, no service has what a run began."""
        return "begun by a run, and not finished" if self._here and action in _BEGUN else reason


class Totals:
    """The sum of several plans. Bills are of one kind: seconds."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(("manifests", *_SUMMED), 0)
        self.unfinished = 0
        self.anew = False
        self._bytes = 0
        self._bill: float | None = None
        self._unpacked = 0.0

    def add(self, plan: OpenPlan) -> None:
        summary = plan.summary
        self.counts["manifests"] += 1
        for name in _SUMMED:
            self.counts[name] += getattr(summary, name)
        self.unfinished += summary.unfinished
        self.anew = self.anew or plan.writes_anew
        self._bytes += plan.upload_bytes
        if summary.billable_seconds is not None:
            self._bill = (self._bill or 0.0) + summary.billable_seconds
            self._unpacked += summary.billable_seconds_unpacked or 0.0

    def text(self, given: int) -> str:
        """For people; programs add up themselves. `given`: how many manifests were to be planned."""
        planned = self.counts["manifests"]
        of = counted(planned, "manifest")
        if planned < given:
            of = f"{planned} of {counted(given, 'manifest')} ({given - planned} refused)"
        line = f"{of}: {counted(self.unfinished, 'item')} to do in {counted(self.counts['jobs'], 'job')}"
        if self.counts["jobs"]:
            line += f", {size_text(self._bytes)} of media"
        if self._bill is not None:
            line += f"; bill {_bill(self._bill, self._unpacked)}"
        if self.counts["unmeasured"]:
            line += f"; {_links(self.counts['unmeasured'])}"
        return line


def refusal(name: str, error: HumeRunnerError) -> str:
    """In Markdown, that there is no plan for a manifest, and why."""
    told = "\n".join(f"- {_cell(mask_secrets(line))}" for line in str(error).splitlines()[:_MOST_LINES])
    return f"### No plan for `{name}`\n\n{told}\n"


def _bill(seconds: float, unpacked: float | None) -> str:
    return f"{seconds_text(seconds)} billable seconds ({seconds_text(unpacked or 0)} without packing)"


def _reason_line(reason: Reason) -> str:
    before = {"changed": "", "removed": "", "done": "", "will_fail": "will fail: "}.get(
        reason.action, f"{_words(reason.action)}: "
    )
    return f"{reason.items:,} × {before}{_readable(reason.reason)}"


def _readable(reason: str) -> str:
    line = " ".join(_CHANGE.sub(r"\1 \2 → ", reason).split())
    return line if len(line) <= _LONGEST_REASON else f"{line[: _LONGEST_REASON - 1]}…"


def _links(number: int) -> str:
    what = "link has no known length before it is" if number == 1 else "links have no known length before they are"
    return f"{number:,} {what} fetched, and {'is' if number == 1 else 'are'} not in the bill"


def _answers(plan: OpenPlan) -> Iterator[str]:
    """What a run would do about answers on disk that are not what they were."""
    if number := plan.summary.answers_again:
        yield f"{number:,} missing or changed on disk; a run has {'it' if number == 1 else 'them'} again, at no cost"
    if number := plan.summary.answers_lost:
        yield f"{number:,} missing or changed on disk, and not to be had again: a run asks what to do, and ends with 9"


def _words(name: str) -> str:
    told = {"in_flight": "in flight", "ambiguous": "ambiguous (the service will be asked)", "will_fail": "will fail"}
    return told.get(name, name)


def _cell(text: str) -> str:
    """Text that comes from anywhere, in a table that a forge may show: no markup, no link, and nobody is called."""
    plain = _MARKUP.sub(r"\\\1", text).replace("<", "&lt;").replace("@", "&#64;")
    return " ".join(plain.splitlines())

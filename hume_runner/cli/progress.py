"""What a person sees while a run works: a progress bar on a terminal, plain lines elsewhere, JSON Lines with --json."""

from __future__ import annotations

import json
import time
from typing import IO, TYPE_CHECKING, Any, cast

from hume_runner import events
from hume_runner.amounts import counted, seconds_text
from hume_runner.cli.streams import Canvas
from hume_runner.settings import mask_secrets

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from hume_runner.cli.console import Console
    from hume_runner.cli.metrics import Metrics

# Events that are worth a line of their own, with the words for it.
_LINES = {
    "lost": "{job}: the answer was lost; asking the service whether it has the job",
    "found": "{job}: the service has it, as {remote_id}",
    "not_there": "{job}: the service does not have it; sending it again",
    "undecided": "{message}",
    "agreed": "{message}",
    "adopted": "{items} already at the service and paid for, in {jobs}: fetching the answers",
    "paid_twice": "{job}: the service has taken it as {remote_id} as well: paid twice",
    "no_list": "{message}",
    "ordered": "{message}",
    "no_state": "{message}",
    "not_settled": "{message}",
    "mended": "{job}: {path} {harm}; it is there again, and cost nothing",
    "answer_lost": "{message}",
    "rescued": "{job}: what an earlier run put into {path} is in the state now",
    "rescue_unused": "{job}: {path} holds an answer that no job here waits for; it stays there",
    "state_awaited": "{place}: held by {owner}; it is taken over unless its lock moves within {seconds:.0f} s",
    "state_put_aside": "{path}: an earlier state of this folder; the remote one went on without it, and counts",
    "gone": "{job}: measured as {remote_id}, and the answer is lost: counted in the bill and sent again ({message})",
    "item_failed": "failed: {message}",
    "medium_noted": "note: {message}",
    "refused": "{job}: not taken yet: {message}",
    "split": "{job}: refused as a whole, trying its halves: {message}",
    "job_failed": "{job}: failed: {message}",
    "early": "{job}: {message}",
    "no_artifacts": "{job}: the service has no artifacts of it; its predictions are fetched without",
    "fetch_failed": "{job}: {message}; trying again",
    "poll_failed": "cannot ask how far the jobs are: {message}; trying again",
    "interrupted": "{signal}: submitting nothing more, finishing what is on its way{again}",
    "abandoned": "{signal}: left{price}",
}
_DETAILS = {
    "submitted": "{job}: submitted as {remote_id}",
    "ended": "{job}: ended, fetching its answer",
    "not_measured": "{job}: {item}: not measured: {message}",
}
_EVERY_S = 5.0
_REPEAT_S = 10.0


class RunProgress:
    """Receives the engine's events, for `with`."""

    def __init__(self, console: Console, name: str, *, here: bool = False, metrics: Metrics | None = None) -> None:
        """`here`: it is measured on this machine, and nothing is submitted to anybody. `metrics` hear of it as well."""
        self._metrics = metrics
        self._here = here
        self._console = console
        self._name = name
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._jobs = self._done = self._submitted = 0
        self._last_line = time.monotonic()
        self._said: dict[str, float] = {}
        self._lines: set[str] = set()  # messages that were printed as they are

    def __enter__(self) -> RunProgress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def has_said(self, text: str) -> bool:
        """Whether a line said just this, or lines said all of what is summed up in it."""
        masked = mask_secrets(text)
        return masked in self._lines or any(masked.startswith(f"{line}; and ") for line in self._lines)

    def __call__(self, event: events.Event) -> None:
        """One event of the engine."""
        match event:
            case events.Planned():
                self._planned(event)
            case events.Submitted():
                self._submitted += 1
            case events.MediaPrepared():
                self._jobs += event.jobs - event.expected
            case events.Split():
                self._jobs += 1  # its halves finish, and it does not
            case events.JobFinished() | events.JobFailed():
                self._done += 1
        if self._metrics is not None:
            self._metrics.event(event)
        if self._console.log is not None:
            told = {name: value for name, value in events.document(event).items() if value not in ("", None)}
            self._console.record("event", f"{event.name} {json.dumps(told, ensure_ascii=False, default=dict)}")
        if self._console.json:
            self._console.event(event.name, **_shown(events.document(event)))
        elif not isinstance(event, events.Planned):
            self._say(event)
        if isinstance(event, events.JobFinished | events.JobFailed):
            self._advance()

    def _planned(self, event: events.Planned) -> None:
        self._jobs = event.total or event.jobs
        if self._console.json:
            return
        if not event.unfinished:
            failed = f"; {event.failed} failed before (--retry-failed tries them again)" if event.failed else ""
            self._console.note(f"{self._name}: nothing to do, {_are(event.done)} measured{failed}")
            return
        to_send = event.new + event.changed + event.retry
        waiting = f", {event.in_flight} on their way" if event.in_flight else ""
        lost = f", {event.ambiguous} to ask about" if event.ambiguous else ""
        jobs = counted(self._jobs if self._here else event.jobs, "job")
        what = f"{'to measure' if self._here else 'to submit'} in {jobs}"
        self._console.note(
            f"{self._name}: {counted(to_send, 'item')} {what}{waiting}{lost}, {event.done:,} measured already"
        )
        if self._console.progress and not self._console.quiet and self._console.err.isatty():
            self._start_bar()

    def _start_bar(self) -> None:
        from rich.console import Console as RichConsole
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("jobs"),
            TimeElapsedColumn(),
            console=RichConsole(file=cast("IO[str]", Canvas(self._console.err))),
            transient=True,
        )
        self._task = self._bar.add_task(self._name, total=self._jobs or None)
        self._bar.start()

    def _say(self, event: events.Event) -> None:
        facts = events.document(event)
        words = _LINES.get(event.name)
        if isinstance(event, events.Interrupted | events.Abandoned):
            facts = _of_interrupt(facts)
        elif isinstance(event, events.Adopted):
            facts = {"items": _are(event.items), "jobs": counted(event.jobs, "job")}
        if words is not None:
            # Many jobs hear the same complaint: people read it once, and again if it goes on.
            complaint = f"{event.name} {facts.get('message', facts)}"
            now = time.monotonic()
            if now - self._said.get(complaint, -_REPEAT_S) >= _REPEAT_S:
                self._said[complaint] = now
                line = mask_secrets(words.format(**facts))
                if not self._console.quiet and words == "{message}":
                    self._lines.add(line)
                self._console.note(line)
        elif event.name in _DETAILS:
            self._console.detail(_DETAILS[event.name].format(**facts))

    def _advance(self) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self._done, total=max(self._jobs, self._done))
        elif not self._console.json and time.monotonic() - self._last_line >= _EVERY_S:
            self._last_line = time.monotonic()
            jobs = counted(max(self._jobs, self._done), "job")
            self._console.note(f"{self._name}: {self._done:,} of {jobs} finished")


def _are(items: int) -> str:
    return f"{counted(items, 'item')} {'is' if items == 1 else 'are'}"


def _of_interrupt(facts: dict[str, Any]) -> dict[str, Any]:
    """The words of an interrupt. `billable_seconds`: the bill of what is on its way, 0 where nothing is billed by the
    second; what is brings its answer once, and whoever does not wait for it pays again."""
    requests, seconds = facts.get("requests"), facts.get("billable_seconds")
    reader = facts["signal"] == "SIGPIPE"
    price = ""
    if requests and seconds:
        price = f": {counted(requests, 'request')}, {seconds_text(seconds)} billable seconds, will be paid again"
    again = "" if reader else f"; once more leaves at once{price}"
    return {
        "signal": "the reader of our output went away" if reader else facts["signal"],
        "price": price,
        "again": again,
    }


def _shown(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: mask_secrets(value) if isinstance(value, str) else value for name, value in facts.items()}

"""What a person sees while a run works: lines that are drawn anew on a terminal, plain ones elsewhere, JSON Lines with
--json."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hume_runner import events
from hume_runner.amounts import counted, seconds_text
from hume_runner.cli.run_shown import RunShown
from hume_runner.cli.told_errors import without_secrets
from hume_runner.settings import mask_secrets

if TYPE_CHECKING:
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
    "not_told": "{message}",
    "mended": "{job}: {path} {harm}; it is there again, and cost nothing",
    "answer_lost": "{message}",
    "rescued": "{job}: what an earlier run put into {path} is in the state now",
    "rescue_unused": "{job}: {path} holds an answer that no job here waits for; it stays there",
    "state_awaited": "{place}: held by {owner}; it is taken over unless its lock moves within {seconds:.0f} s",
    "state_put_aside": "{path}: another state of this folder; the remote one went on without it, and counts",
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
# The same where this machine measures, and no service is told or asked anything.
_LINES_HERE = {
    "interrupted": "{signal}: beginning nothing more, and giving up what is being measured, which the next run measures"
    "{again}",
    "not_there": "{job}: was broken off; it is measured anew",
}
_DETAILS = {
    "submitted": "{job}: submitted as {remote_id}",
    "ended": "{job}: ended, fetching its answer",
    "not_measured": "{job}: {item}: not measured: {message}",
}
# What may happen to every job or item of a long run: so many lines of a kind, then how many more there were. With `-v`,
# and in the log, there are all of them.
_MOST_ALIKE = 8
_MORE = {
    "mended": "and {number} more files of answers: they are there again, and cost nothing",
    "lost": "and {number} more answers were lost; asking the service whether it has the jobs",
    "found": "and {number} more that the service has",
    "not_there": "and {number} more that the service does not have; sending them again",
    "rescued": "and {number} more that an earlier run put beside the state",
    "item_failed": "and {number} more items failed; `hume-runner status MANIFEST` counts them by reason",
    "medium_noted": "and {number} more notes on media",
    "refused": "and {number} more that are not taken yet",
    "split": "and {number} more that were refused as a whole",
    "early": "and {number} more answers that came too early",
    "no_artifacts": "and {number} more without artifacts",
    "fetch_failed": "and {number} more failures to fetch an answer; trying again",
}
_REPEAT_S = 10.0
_AT_ONCE_S = 0.4
# Plain lines: the first after so long, later ones ever more rarely.
_FIRST_S, _RAREST_S = 5.0, 60.0
# What is told every second, or passes in a moment: a program is told of it so often.
_OFTEN = (events.Phase, events.Counted, events.Working, events.SourcesRead, events.Writing)
_TOLD_EVERY_S = 10.0


class RunProgress:
    """Receives the engine's events, for `with`."""

    def __init__(
        self,
        console: Console,
        name: str,
        *,
        here: bool = False,
        metrics: Metrics | None = None,
        warn: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`here`: it is measured on this machine, and nothing is submitted to anybody. `metrics` hear of it as well.
        `warn` says a warning, of which programs are told nothing then; without it the console does, and they are."""
        self._metrics = metrics
        self._here = here
        self._console = console
        self._warn = console.warning if warn is None else warn
        self._name = name
        self._clock = clock
        self._began = clock()
        self._shown = RunShown(name=name, began_at=self._began, here=here)
        self._draws = False
        self._line_at = self._began + _FIRST_S
        self._told: dict[type[events.Event], float] = {}
        self._said: dict[str, float] = {}
        self._lines: set[str] = set()  # messages that were printed as they are
        self._alike: Counter[str] = Counter()  # lines by the name of their event

    def __enter__(self) -> RunProgress:
        console = self._console
        self._draws = console.progress and not console.json and not console.quiet and console.can_draw(console.err)
        if self._draws:
            console.draw(self._drawn, console.err)
        return self

    def __exit__(self, *_: object) -> None:
        self._tell_more()
        self._console.stop_drawing()

    def _tell_more(self) -> None:
        """How much was not told line by line, since it was last told."""
        for name, number in self._alike.items():
            if number > _MOST_ALIKE:
                self._console.note(_MORE[name].format(number=f"{number - _MOST_ALIKE:,}"))
                self._alike[name] = _MOST_ALIKE

    def _drawn(self, width: int) -> list[str]:
        """What is drawn; nothing for a run that is over in a moment."""
        now = self._clock()
        if now - self._began < _AT_ONCE_S:
            return []
        return self._shown.lines(now, width, ascii_only=self._console.shows_ascii(self._console.err))

    def has_said(self, text: str) -> bool:
        """Whether a line said just this, or lines said all of what is summed up in it."""
        masked = mask_secrets(text)
        return masked in self._lines or any(masked.startswith(f"{line}; and ") for line in self._lines)

    def __call__(self, event: events.Event) -> None:
        """One event of the engine."""
        if isinstance(event, events.Warned):
            self._warn(event.message)
            return
        if isinstance(event, events.Counted) and event.final:
            return  # the command has the result, and tells it at its end
        self._shown.hear(event, self._clock())
        if self._metrics is not None:
            self._metrics.event(event)
        if not isinstance(event, _OFTEN) or self._is_due(type(event)):
            self._record(event)
        if self._console.json:
            return
        if isinstance(event, events.Phase):
            self._tell_more()
        if isinstance(event, events.Planned):
            self._planned(event)
        else:
            self._say(event)
        if not self._draws:
            self._now_and_then()

    def _is_due(self, kind: type[events.Event]) -> bool:
        now = self._clock()
        if now - self._told.get(kind, self._began) < _TOLD_EVERY_S:
            return False
        self._told[kind] = now
        return True

    def _record(self, event: events.Event) -> None:
        """For programs, and for the log."""
        if self._console.log is not None:
            told = {name: value for name, value in events.document(event).items() if value not in ("", None)}
            self._console.record("event", f"{event.name} {json.dumps(told, ensure_ascii=False, default=dict)}")
        if self._console.json:
            self._console.event(replace(event, **without_secrets(events.document(event))))

    def _planned(self, event: events.Planned) -> None:
        if not event.unfinished:
            failed = f"; {event.failed:,} failed before" if event.failed else ""
            self._console.note(f"{self._name}: nothing to do, {_are(event.done)} measured{failed}")
            return
        to_send = event.new + event.changed + event.retry
        jobs = counted((event.to_finish if self._here else event.requests) or event.jobs, "job")
        parts = []
        if to_send or not (event.in_flight or event.ambiguous):
            parts.append(f"{counted(to_send, 'item')} {'to measure' if self._here else 'to submit'} in {jobs}")
        if event.in_flight:
            parts.append(f"{counted(event.in_flight, 'item')} on {'its' if event.in_flight == 1 else 'their'} way")
        if event.ambiguous and self._here:
            parts.append(f"{counted(event.ambiguous, 'item')} to measure anew, since a run broke off")
        elif event.ambiguous:
            parts.append(f"{counted(event.ambiguous, 'item')} to ask about")
        if event.done:
            parts.append(f"{event.done:,} measured already")
        self._console.note(f"{self._name}: {', '.join(parts)}")

    def _say(self, event: events.Event) -> None:
        facts = events.document(event)
        words = (_LINES_HERE if self._here else {}).get(event.name, _LINES.get(event.name))
        if isinstance(event, events.Interrupted | events.Abandoned):
            facts = _of_interrupt(facts)
        elif isinstance(event, events.Adopted):
            facts = {"items": _are(event.items), "jobs": counted(event.jobs, "job")}
        if words is not None:
            # Many jobs hear the same complaint: people read it once, and again if it goes on.
            complaint = f"{event.name} {facts.get('message', facts)}"
            now = self._clock()
            if now - self._said.get(complaint, -_REPEAT_S) >= _REPEAT_S:
                self._said[complaint] = now
                self._alike[event.name] += event.name in _MORE and not self._console.verbose
                if self._alike[event.name] > _MOST_ALIKE:
                    return
                line = mask_secrets(words.format(**facts))
                if not self._console.quiet and words == "{message}":
                    self._lines.add(line)
                self._console.note(line)
        elif event.name in _DETAILS:
            self._console.detail(_DETAILS[event.name].format(**facts))

    def _now_and_then(self) -> None:
        """A plain line where nothing is drawn: soon at first, and rarely in a log that runs for hours."""
        now = self._clock()
        if now >= self._line_at:
            self._line_at = now + min(_RAREST_S, max(_FIRST_S, (now - self._began) / 4))
            self._console.note(self._shown.line(now))


def warnings_to(console: Console) -> events.Report:
    """What hears a command that is no run, which tells of nothing else."""

    def hear(event: events.Event) -> None:
        if isinstance(event, events.Warned):
            console.warning(event.message)

    return hear


def _are(items: int) -> str:
    return f"{counted(items, 'item')} {'is' if items == 1 else 'are'}"


def _of_interrupt(facts: dict[str, Any]) -> dict[str, Any]:
    """The words of an interrupt. `billable_seconds`: the bill of what is on its way, 0 where nothing is billed by the
    second; what is brings its answer once, and whoever does not wait for it pays again."""
    requests, seconds = facts.get("requests"), facts.get("billable_seconds")
    unheard = {
        "SIGPIPE": "the reader of our output went away",
        "output": "standard output takes no more",
    }.get(facts["signal"])
    price = ""
    if requests and seconds:
        price = f": {counted(requests, 'request')}, {seconds_text(seconds)} billable seconds, will be paid again"
    again = "" if unheard else f"; once more leaves at once{price}"
    return {
        "signal": unheard or facts["signal"],
        "price": price,
        "again": again,
    }

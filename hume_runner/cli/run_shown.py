"""How far a run is, as lines of a given width. Pure: events go in, text comes out.

Below a hundred columns nothing is left out but the name and the length of the bar: what does not fit goes on another
line.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from hume_runner import events
from hume_runner.amounts import counted, size_text

PHASES = {
    "reading": "reading the sources",
    "planning": "planning",
    "asking": "asking the service what it has already",
    "working": "starting",
    "writing": "writing the outputs",
    "telling": "telling notify.callback_url",
    "merging": "merging shards",
}
_LONGEST_NAME = 24
_LONGEST_BAR = 40
_INDENT = "  "
# An estimate from less than this says nothing.
_TELLING_S = 3.0
# So long a rate is averaged.
_RATE_OVER_S = 5.0


@dataclass(slots=True, kw_only=True)
class RunShown:
    """What events told of a run. Times are seconds by one monotonic clock, from the run's begin.

    Items and jobs are those of all runs where items are meant, and of this one where jobs are: what earlier runs sent
    finishes in this one, too.
    """

    name: str
    began_at: float
    here: bool = False
    phase: str = ""
    read: int = 0
    working_at: float | None = None
    jobs: int = 0
    jobs_done: int = 0
    items: int = 0
    items_done: int = 0
    items_failed: int = 0
    now_doing: events.Working | None = None
    writes: events.Writing | None = None
    _certain_at: float = 0.0  # when it is known what became of submissions without an answer
    _before: Mapping[str, int] = field(default_factory=dict)  # the state's counts when the jobs began
    _planned: tuple[int, int] = (0, 0)  # (done, failed) when the jobs began
    _sent: list[tuple[float, int]] = field(default_factory=list)  # (when, bytes), the last few

    def hear(self, event: events.Event, now: float) -> None:
        match event:
            case events.Phase(phase=phase):
                self.phase, self.writes = phase, None
                if phase == "working":
                    self.working_at = now
            case events.Writing():
                self.writes = event
            case events.SourcesRead(items=items):
                self.read = items
            case events.Planned():
                self._hear_plan(event)
            case events.MediaPrepared():
                self.jobs += event.jobs - event.expected
            case events.Split():
                self.jobs += 1  # its halves finish, and it does not
            case events.JobFinished() | events.JobFailed():
                self.jobs_done += 1
                self.jobs = max(self.jobs, self.jobs_done)
                if isinstance(event, events.JobFinished):
                    # Ahead of the next count, so that jobs and items are those of one moment.
                    self.items_done = min(self.items - self.items_failed, self.items_done + event.items)
            case events.Counted(items=counts):
                self._hear_counts(counts)
            case events.Working():
                self.now_doing = event
                self._certain_at = now + (event.certain_in_s or 0.0)
                self._sent = [one for one in self._sent if now - one[0] <= _RATE_OVER_S] + [(now, event.sent_bytes)]

    def _hear_plan(self, event: events.Planned) -> None:
        self.jobs = event.to_finish or event.jobs
        self.items = event.total
        self.items_done, self.items_failed = self._planned = event.done, event.failed

    def _hear_counts(self, counts: Mapping[str, int]) -> None:
        # A plan of some of the items counts those; the state counts all that it knows.
        self._before = self._before or dict(counts)
        done, failed = self._planned
        self.items_done = done + counts.get("done", 0) - self._before.get("done", 0)
        self.items_failed = failed + counts.get("failed", 0) - self._before.get("failed", 0)

    # -- as text

    def lines(self, now: float, width: int, *, ascii_only: bool = False) -> list[str]:
        """What is drawn: at most `width` columns, and room for what the terminal echoes of a Ctrl-C."""
        width = max(20, width - 4)
        name = _cut(self.name, _LONGEST_NAME, ascii_only=ascii_only)
        clock = _clock(now - self.began_at)
        if self.working_at is None or self.phase != "working":
            return list(_wrapped([f"{name}: {self._words(': ')}", clock], width, "  "))
        share = self.jobs_done / self.jobs if self.jobs else 0.0
        left = self.time_left(now)
        end = f" {share:>4.0%}  {clock}" + (f"  {left}" if left else "")
        length = min(_LONGEST_BAR, width - len(name) - len(end) - 1)
        head = f"{name} {_bar(share, length, ascii_only=ascii_only)}{end}" if length >= 8 else f"{name}{end}"
        return [head, *(_INDENT + line for line in _wrapped(list(self._facts(now)), width - len(_INDENT), ", "))]

    def line(self, now: float) -> str:
        """The same in one line, for where nothing can be drawn."""
        if self.working_at is None or self.phase != "working":
            return f"{self.name}: {self._words(', ')}"
        left = self.time_left(now)
        return f"{self.name}: so far {', '.join([*self._facts(now), *([left] if left else [])])}"

    def _words(self, between: str) -> str:
        """What the run does where it does not work on jobs."""
        words = PHASES.get(self.phase, "starting")
        if self.phase == "reading" and self.read:
            return f"{words}{between}{self.read:,} so far"
        if self.phase not in ("writing", "merging") or self.writes is None:
            return words
        done, total = self.writes.done, self.writes.total
        unit = "answer" if self.phase == "merging" else "job" if total is not None else "file"
        far = f", {done:,} of {counted(total, unit)}" if total is not None else f", {counted(done, unit)}"
        return f"{words}{between}{self.writes.what}{far if done else ''}"

    def _facts(self, now: float) -> Iterator[str]:
        yield f"{self.jobs_done:,} of {counted(self.jobs, 'job')}"
        yield f"{self.items_done:,} of {counted(self.items, 'item')}"
        if self.items_failed:
            yield f"{self.items_failed:,} failed"
        doing = self._still_doing()
        if doing is None:
            return
        if doing.asked_about:
            certain = self._certain_at - now
            when = f"certain in {_about(certain)}" if certain > 0 else "asking the service"
            yield f"{counted(doing.asked_about, 'submission')} without an answer ({when})"
        for number, what in ((doing.preparing, "preparing"), (doing.uploading, self._uploading())):
            if number:
                yield f"{number:,} {what}"
        if doing.measuring:
            yield f"{doing.measuring:,} measuring"
        if doing.fetching:
            received = f" ({size_text(doing.received_bytes)} received)" if doing.received_bytes else ""
            yield f"{doing.fetching:,} fetching{received}"

    def _still_doing(self) -> events.Working | None:
        """What goes on, without what finished since it was told: no more jobs than are left."""
        doing = self.now_doing
        if doing is None:
            return None
        left = max(0, self.jobs - self.jobs_done)
        counts: dict[str, int] = {}
        # What finishes was furthest; a submission without an answer does not for a while.
        for stage in ("asked_about", "preparing", "uploading", "measuring", "fetching"):
            counts[stage] = min(left, getattr(doing, stage))
            left -= counts[stage]
        return replace(doing, **counts)

    def _uploading(self) -> str:
        if self.now_doing is None or not self.now_doing.sent_bytes:
            return "uploading"
        rate = self.sent_per_s
        return f"uploading ({size_text(self.now_doing.sent_bytes)} sent" + (
            f", {size_text(round(rate))}/s)" if rate else ")"
        )

    @property
    def sent_per_s(self) -> float:
        """Bytes a second over the last seconds."""
        if len(self._sent) < 2:
            return 0.0
        (first_at, first), (last_at, last) = self._sent[0], self._sent[-1]
        return (last - first) / (last_at - first_at) if last_at > first_at else 0.0

    def time_left(self, now: float) -> str:
        """About how long it takes, from what this run has finished; empty where nothing tells."""
        # What nobody knows to be there is not worked on: its time is told by itself.
        to_do = self.jobs - self.jobs_done - (self.now_doing.asked_about if self.now_doing else 0)
        if self.working_at is None or not self.jobs_done or to_do <= 0:
            return ""
        worked = now - self.working_at
        if worked < _TELLING_S:
            return ""
        return f"about {_about(worked * to_do / self.jobs_done)} left"


def _wrapped(parts: list[str], width: int, between: str) -> Iterator[str]:
    """The parts in as few lines as hold them."""
    line = ""
    for part in parts:
        longer = f"{line}{between}{part}" if line else part
        if line and len(longer) > width:
            yield line + between.rstrip()
            line = part
        else:
            line = longer
    yield line[:width]


def _bar(share: float, length: int, *, ascii_only: bool) -> str:
    full = min(length, int(share * length))
    return ("#" * full + "-" * (length - full)) if ascii_only else ("━" * full + "─" * (length - full))


def _cut(text: str, most: int, *, ascii_only: bool) -> str:
    if len(text) <= most:
        return text
    return text[: most - 3] + "..." if ascii_only else text[: most - 1] + "…"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _about(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{round(seconds / 3600)} h"

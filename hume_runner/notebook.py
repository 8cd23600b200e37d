"""What a notebook shows: how far a run is, while it works, and its result as a small page."""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hume_runner import events

if TYPE_CHECKING:
    from hume_runner.api.values import RunResult

_EVERY_S = 0.25
_MOST_NOTES = 8
_STYLE = "font-family:system-ui,sans-serif;font-size:13px;line-height:1.5"


def shell() -> Any | None:
    """The notebook's shell; None in a terminal, a script and everywhere else. Imports nothing that is not there."""
    module = sys.modules.get("IPython")
    found = module.get_ipython() if module is not None else None
    return found if found is not None and hasattr(found, "kernel") else None


class NotebookProgress:
    """Takes a run's events and redraws one cell's output in place."""

    def __init__(self, name: str) -> None:
        from IPython.display import HTML, display

        self._html = HTML
        self._name = name
        self._jobs = self._finished = self._failed = 0
        self._notes: list[str] = []
        self._drawn = 0.0
        self._handle = display(HTML(self._page()), display_id=True)

    def __call__(self, event: events.Event) -> None:
        match event:
            case events.Planned():
                self._jobs = event.to_finish or event.jobs
            case events.JobFinished(failed=failed):
                self._finished += 1
                self._failed += failed
            case events.JobFailed():
                self._finished += 1
            case events.ItemFailed(message=message):
                self._note(f"failed: {message}")
            case events.Lost(job=job):
                self._note(f"{job}: the answer was lost; asking the service whether it has the job")
            case events.Stopping(message=message):
                self._note(message)
        if time.monotonic() - self._drawn >= _EVERY_S:
            self.draw()

    def draw(self) -> None:
        """Show how far it is now."""
        self._drawn = time.monotonic()
        if self._handle is not None:
            self._handle.update(self._html(self._page()))

    def _note(self, text: str) -> None:
        self._notes = [*self._notes, text][-_MOST_NOTES:]

    def _page(self) -> str:
        jobs = max(self._jobs, self._finished)
        notes = "".join(f"<div>{html.escape(note)}</div>" for note in self._notes)
        return (
            f'<div style="{_STYLE}"><b>{html.escape(self._name)}</b> '
            f'<progress value="{self._finished}" max="{max(1, jobs)}" aria-label="jobs finished"></progress> '
            f"{self._finished} of {jobs} jobs{notes}</div>"
        )


def result_page(result: RunResult) -> str:
    """A finished run for a notebook: what was measured, what failed, where the outputs are."""
    items: Mapping[str, int] = result.counts.items
    rows = {
        "items": f"{items.get('done', 0):,} of {items.get('total', 0):,} measured"
        + (f", {items['failed']:,} failed" if items.get("failed") else ""),
        "jobs": ", ".join(f"{number:,} {status}" for status, number in result.counts.jobs.items() if number) or "none",
        "time": f"{result.ended_at - result.started_at:.1f} s",
        "outputs": str(result.outputs),
        "exit code": str(result.exit_code),
    }
    if result.error is not None:
        rows["error"] = str(result.error) + (f" Next: {result.error.hint}" if result.error.hint else "")
    if "SIMULATED" in result.summary:
        rows["scores"] = "SIMULATED: the emulator measured nothing"
    left = ' style="text-align:left"'
    cells = "".join(
        f"<tr><th{left}>{html.escape(name)}</th><td{left}>{html.escape(text)}</td></tr>" for name, text in rows.items()
    )
    return f'<table style="{_STYLE}"><caption{left}><b>{html.escape(result.name)}</b></caption>{cells}</table>'

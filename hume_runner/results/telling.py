"""What of the outputs is written, told as it begins and now and then; and that a manifest is finished."""

from __future__ import annotations

from collections.abc import Callable

from hume_runner import events

_EVERY_S = 1.0


class Callback:
    """Tells the manifest's callback that it is finished. `report` hears that this begins: a receiver that does not
    answer is asked again for a while."""

    def __init__(self, post: Callable[[bytes], None], report: events.Report) -> None:
        self._post = post
        self._report = report

    def __call__(self, body: bytes) -> None:
        self._report(events.Phase(phase="telling"))
        self._post(body)


class Telling:
    """`report` hears of it; `clock` counts seconds, so that many small steps are told of rarely."""

    def __init__(self, report: events.Report, clock: Callable[[], float]) -> None:
        self._report = report
        self._clock = clock
        self._what = ""
        self._done = 0
        self._total: int | None = None
        self._due = 0.0

    def begin(self, what: str, total: int | None = None) -> None:
        """This is written from now on, in so many steps as far as that is known."""
        self._what, self._done, self._total = what, 0, total
        self._tell()

    def step(self, number: int = 1) -> None:
        """So many more steps of it are done."""
        self._done += number
        if self._clock() >= self._due:
            self._tell()

    def _tell(self) -> None:
        self._due = self._clock() + _EVERY_S
        self._report(events.Writing(what=self._what, done=self._done, total=self._total))

"""Before a run ends it looks once more for what it lost, or was refused, and sent again: what the service took all the
same was paid for, and is told (`reactions/settling.py`)."""

from __future__ import annotations

from hume_runner.engine.errands import Errand, Looked
from hume_runner.engine.evidence import Evidence
from hume_runner.engine.reactions import settling
from hume_runner.services.jobs import SubmitResult
from hume_runner.services.lost import LostJob


class LastLook:
    """`refused_too`: whether the service may have what it refused for now."""

    def __init__(self, evidence: Evidence, *, refused_too: bool) -> None:
        self._evidence = evidence
        self._refused_too = refused_too
        self._lost: dict[int, LostJob] = {}  # what is sent again
        self._refused: dict[int, LostJob] = {}  # what was refused for now, and is sent again once it is accepted

    def note(self, number: int, result: SubmitResult, *, told_before: bool) -> None:
        """What came of a submission. `told_before`: its id is another job's."""
        match settling.noted(result, number, self._refused, told_before=told_before, refused_too=self._refused_too):
            case settling.Noted.LOST:
                self._lost[number] = self._evidence.of(number)
            case settling.Noted.REFUSED:
                self._refused[number] = self._evidence.of(number)
            case settling.Noted.SENT_AGAIN:
                self._lost.setdefault(number, self._refused.pop(number))
            case settling.Noted.NOTHING:
                pass

    def lost(self, number: int) -> None:
        """What a look did not show: it may be sent again."""
        if number not in self._lost:
            self._lost[number] = self._evidence.of(number)

    def errand(self) -> Errand | None:
        """What looks, in a worker; None where nothing is to be looked for."""
        undecided = self._evidence.undecided()
        sent_again = [lost for number, lost in self._lost.items() if number not in undecided]
        if not sent_again:
            return None
        look = self._evidence.question(sent_again)
        return lambda: Looked(look(sent_again))

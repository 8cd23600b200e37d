"""Before a run ends it looks once more for what it lost, or was refused, and sent again: what the service took all the
same was paid for, and is told (`reactions/settling.py`)."""

from __future__ import annotations

from hume_runner.engine.errands import Errand, Looked
from hume_runner.engine.evidence import Evidence
from hume_runner.services.jobs import Accepted, Answered, Refused, SubmitResult, Unknown
from hume_runner.services.lost import LostJob

# So many submissions that were refused for now are looked for once more at the end of a run.
_MOST_REFUSED = 100


class LastLook:
    """`refused_too`: whether the service may have what it refused for now."""

    def __init__(self, evidence: Evidence, *, refused_too: bool) -> None:
        self._evidence = evidence
        self._refused_too = refused_too
        self._lost: dict[int, LostJob] = {}  # what is sent again
        self._refused: dict[int, LostJob] = {}  # what was refused for now, and is sent again once it is accepted

    def note(self, number: int, result: SubmitResult, *, told_before: bool) -> None:
        """What came of a submission. `told_before`: its id is another job's."""
        match result:
            case Accepted() if not told_before:
                if number in self._refused:
                    self._lost.setdefault(number, self._refused.pop(number))
            case Accepted() | Unknown():
                self._lost[number] = self._evidence.of(number)
            case Refused(temporary=True):
                if self._refused_too and len(self._refused) < _MOST_REFUSED and number not in self._refused:
                    self._refused[number] = self._evidence.of(number)
            case Answered() | Refused():
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

"""The installed command from its first moment to its last: what a signal does before `main` listens, and after it.

A Ctrl-C in the first tenth of a second falls into imports, one in the last into what Python tidies up. Neither may show
a traceback, and the exit code tells of both. So this comes before all other imports, and has next to none itself.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]  # half of the time until we listen is that of its wrapper
import atexit
import os
import sys

TYPE_CHECKING = False  # `typing` would be imported before somebody listens
if TYPE_CHECKING:
    from collections.abc import Callable

# 128 + the signal's number, as shells report it; a hang-up is an orderly end like SIGTERM's.
EXIT_CODES = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 143}
# Of the garbage collector; the interpreter's own, 700, is for programs that import less. What is imported stays to the
# end: to go through it on the way costs a tenth of the start, and a tenth of a second at the end.
_OBJECTS_BETWEEN_COLLECTIONS = 100_000


class _Ends:
    """Leaves at once, with the exit code that is known or else the signal's: nothing is begun, or all is said."""

    def __init__(self) -> None:
        self.code: int | None = None
        self.leave: Callable[[int], object] = os._exit
        self._codes = {int(getattr(signal, name)): code for name, code in EXIT_CODES.items() if hasattr(signal, name)}

    def listen(self) -> None:
        # What was ignored on purpose stays so, and what is not Python's (None) is its owner's.
        ours = [one for one in self._codes if signal.getsignal(one) not in (signal.SIG_IGN, None)]
        for number in ours:
            signal.signal(number, self._leave)
        # The first to be registered is the last to be called. From then on Python gives every signal back to the
        # system, which would end us by it, but one that is ignored.
        atexit.register(self._ignore, ours)

    def _leave(self, number: int, frame: object) -> None:
        del frame
        self.leave(self._codes[number] if self.code is None else self.code)

    @staticmethod
    def _ignore(numbers: list[int]) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)


def entry_point() -> None:
    """The installed command."""
    ends = _Ends()
    ends.listen()
    import gc

    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    from hume_runner.cli.console import Console
    from hume_runner.cli.main import main
    from hume_runner.cli.streams import fill_closed_descriptors, result_stream
    from hume_runner.guests import GUESTS

    ends.leave = GUESTS.leave
    fill_closed_descriptors()
    ends.code = main(sys.argv[1:], Console(out=result_stream(), err=sys.stderr, answers=sys.stdin))
    gc.freeze()
    if GUESTS.came:
        # All is said and written. What a package or an executor left running, or registered for the end, may tidy up
        # after itself (the workers of a pool end by that), and neither holds the command for long nor changes its code.
        GUESTS.leave_soon(ends.code)
    sys.exit(ends.code)

"""How far a state knows what was sent: the run that sent last, and how many submissions it had sent by then.

Each run that sends has a name that no other has. With the intent of each submission the state counts one more for that
name, and only then the run's note says so too, and only then the request leaves. So a state that has counted as far as
a note tells has seen all that this note's run sent; one that was put back, made anew or copied meanwhile has not.
"""

from __future__ import annotations

import json

from hume_runner import small_json

# The name of the fact that a state keeps about it.
FACT = "sent"
NOTHING = "0" * 32
# Of so many runs that sent something a state knows how far; an older one counts as not seen.
_RUNS = 32


def counted(kept: str | None, run: str) -> str:
    """What a state keeps, with one submission more of this run (16 hexadecimal digits)."""
    runs = _runs(kept)
    runs[run] = runs.pop(run, 0) + 1
    return json.dumps(dict([*runs.items()][-_RUNS:]))


def last(kept: str | None) -> str:
    """How far a state knows what was sent, as a text of one length."""
    *_, (run, number) = [("", 0), *_runs(kept).items()]
    return f"{run}{number:016x}" if run else NOTHING


def has(kept: str | None, sent: str) -> bool:
    """Whether a state knows as much as that."""
    return sent == NOTHING or _runs(kept).get(sent[:16], 0) >= int(sent[16:], 16)


def _runs(kept: str | None) -> dict[str, int]:
    runs: dict[str, int] = {} if kept is None else small_json.kept(kept)
    return runs

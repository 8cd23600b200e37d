"""Settle submissions whose answer was lost, by asking the service what it has: evidence, not absence. Pure.

What one look proves is the service's to say (`services.lost.Look`); what follows from it is decided here.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Collection, Sequence
from dataclasses import field

from hume_runner.frozen import frozen
from hume_runner.http.backoff import doubled
from hume_runner.services.lost import Candidate, Look

_MOST_TYPED = 5  # jobs that a command names


@frozen
class Found:
    """The earliest job that carries what was lost; `others` carry the same and were paid for as well."""

    chosen: Candidate
    others: tuple[str, ...]


@frozen
class Gone:
    """It was measured and billed, and its answer cannot be had any more."""

    chosen: Candidate


@frozen(kw_only=False)
class Wait:
    """Nothing is known yet: look again."""


@frozen(kw_only=False)
class NotThere:
    """The service does not have it, and had the time to take it."""


@frozen
class Ask:
    """The time is over, and what the looks show proves nothing: a person has to decide. `why` says what was lacking;
    `may_be`: what is accounted for once that is decided, because it may be it and there is nothing else it may be;
    `named`: all that may be it."""

    why: str
    may_be: tuple[str, ...] = ()
    named: tuple[str, ...] = field(default=(), compare=False)


Settled = Found | Gone | Wait | NotThere | Ask


def settle(
    look: Look,
    known: Collection[str],
    *,
    waited_s: float,
    wait_s: float,
    running_s: float = math.inf,
    put_off_s: float = 0.0,
) -> Settled:
    """What a look means, `waited_s` after the end of the request. `known`: those of its candidates that another job of
    ours holds.

    Not there counts only after `wait_s`, and only if the look could have shown it. What is measured at the moment is
    waited for until `running_s`. `put_off_s`: so much longer nobody is asked, because others that are about to be sent
    will tell whether the list shows what it must.
    """
    settled = _settle(look, known, waited_s=waited_s, wait_s=0.0 if look.final else wait_s, running_s=running_s)
    return Wait() if isinstance(settled, Ask) and waited_s < wait_s + put_off_s else settled


def _settle(look: Look, known: Collection[str], *, waited_s: float, wait_s: float, running_s: float) -> Settled:
    free = [one for one in look.candidates if one.remote_id not in known]
    sure = [one for one in free if not one.maybe]
    if running := [one.remote_id for one in sure if one.running]:
        if waited_s < max(wait_s, running_s):
            return Wait()
        return Ask(
            why=f"what fits it is being measured, as {_some(running)}, and comes to no end",
            may_be=tuple(running) if look.most is not None and len(free) <= look.most else (),
            named=tuple(running),
        )
    if look.most is not None and len(sure) > look.most:
        if waited_s < wait_s:
            return Wait()  # one of them may be another that is about to be known as lost
        names = _some([one.remote_id for one in sure])
        return Ask(
            why=f"{len(sure)} that the service measured about then fit ({names}), and nothing tells which was this one"
        )
    if sure:
        sure.sort(key=lambda one: (one.shut, one.created_at or 0.0, one.remote_id))
        if sure[0].gone:
            return Gone(chosen=sure[0])
        return Found(chosen=sure[0], others=tuple(one.remote_id for one in sure[1:] if not one.shut))
    if waited_s < wait_s:
        return Wait()
    if free:
        why = look.why or f"the service has {free[0].remote_id}, and nothing tells whether it is this one"
        named = tuple(dict.fromkeys(one.remote_id for one in free if one.remote_id))
        alone = look.most is not None and len(free) <= look.most
        return Ask(why=why, may_be=tuple(one.remote_id for one in free if one.remote_id and alone), named=named)
    if not look.conclusive:
        return Ask(why=look.why or "the service's list proves nothing")
    return NotThere()


def _some(names: Sequence[str]) -> str:
    return ", ".join(sorted(names)[:3]) + (", …" if len(names) > 3 else "")


def adopt_command(remote_ids: Sequence[str]) -> str:
    """What brings these jobs here, to be typed; with a word in their place where nobody knows which."""
    ids = [shlex.quote(one) for one in remote_ids[:_MOST_TYPED]] or ["REMOTE_ID"]
    return f"`hume-runner adopt MANIFEST {' '.join(ids)}`" + (" …" if len(remote_ids) > _MOST_TYPED else "")


def next_look_s(looks: int, *, waited_s: float, wait_s: float, running_s: float = 0.0) -> float:
    """Seconds until the next look: often at first, when a late job would show, and once right after each wait."""
    ahead = [max(0.05, end - waited_s) for end in (wait_s, running_s) if end > waited_s]
    return min([doubled(looks, first=0.25, most=10.0), *ahead])

"""The protocol of the remote state, searched in small worlds; and each of its safeguards, taken away."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hume_runner.state.remote import protocol
from hume_runner.state.remote.protocol import (
    HEAD,
    Absent,
    Create,
    Entry,
    Head,
    Key,
    Lock,
    Read,
    Remove,
    Step,
    Steps,
    Swap,
    Upto,
    Written,
    append,
    entry_key,
    write,
)
from tests.state.remote.model import Rules, Search, Violation, protocol_with
from tests.tiers import sampled

# Each is searched whole. The large ones take minutes.
QUICK = [
    Rules(crashes=1, unsure=0, lost=1, compactions=0),
    Rules(crashes=0, unsure=0, lost=1, compactions=1),
    Rules(crashes=1, unsure=1, lost=0, compactions=0),
]
LARGE = [
    Rules(crashes=1, unsure=1, lost=1, compactions=1),
    Rules(crashes=2, unsure=0, lost=1, compactions=1, runners=3),
    Rules(crashes=1, unsure=0, lost=1, compactions=1, contents=2),
    Rules(crashes=0, unsure=2, lost=0, compactions=1),
    Rules(crashes=1, unsure=1, lost=0, compactions=0, runners=3),
]


def _told(rules: Rules) -> str:
    return ",".join(
        f"{name}={getattr(rules, name)}" for name in "runners contents crashes unsure lost compactions".split()
    )


@sampled(1)
@pytest.mark.parametrize("rules", QUICK, ids=_told)
def test_no_order_of_events_loses_or_repeats_anything(rules: Rules) -> None:
    search = Search(rules).run()
    assert search.states > 1_000


@pytest.mark.soak
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("rules", LARGE, ids=_told)
def test_no_order_of_events_in_a_larger_world_does(rules: Rules) -> None:
    search = Search(rules).run()
    assert search.states > 1_000
    print(f"{search.states:,} states, 0 violations, 0 stuck: {_told(rules)}")


# -- each safeguard is needed ------------------------------------------------------------------------------------------


def _without(step: Step) -> tuple[Step, ...]:
    return tuple(one for one in protocol.SUBMISSION if one != step)


def _claim_of_anything(lock: Lock) -> Steps[tuple[Head, Any]]:
    """Claims over whoever was there, also over a later owner."""
    while True:
        seen = yield Read(HEAD)
        if isinstance(seen, Absent):
            head = Head(epoch=lock.epoch)
            came = yield Create(HEAD, head)
        else:
            head = replace(seen.body, epoch=lock.epoch)
            came = yield Swap(HEAD, seen.tag, head)
        if isinstance(came, Written):
            return head, came.tag


def _gather_without_seals(lock: Lock, head: Head) -> Steps[tuple[tuple[Upto, Any], ...]]:
    found: tuple[tuple[Upto, Any], ...] = ()
    for epoch in range(max(1, head.covers.epoch), lock.epoch):
        number = head.covers.number if epoch == head.covers.epoch else 0
        while not isinstance(seen := (yield Read(entry_key(epoch, number + 1))), Absent):
            number += 1
            found += ((Upto(epoch, number), seen.body.facts),)
    return found


def _clear_with_seals(covered: tuple[Upto, ...]) -> Steps[None]:
    yield from protocol.clear(covered)
    for place in covered:
        yield Remove(entry_key(place.epoch, place.number + 1))


def _one_numbering(number: int) -> Key:
    return Key("entry", 1, number)


def _append_anywhere(lock: Lock, number: int, facts: Any) -> Steps[None]:
    yield from write(Create(_one_numbering(number), Entry(owner=lock.owner, facts=facts)))


def _gather_anywhere(lock: Lock, head: Head) -> Steps[tuple[tuple[Upto, Any], ...]]:
    """All epochs number their entries alike, and a seal is covered and removed as any other."""
    found: tuple[tuple[Upto, Any], ...] = ()
    number = head.covers.number
    while True:
        seen = yield Read(_one_numbering(number + 1))
        number += 1
        if isinstance(seen, Absent):
            seal = Entry(owner=lock.owner, seal=True)
            yield from write(Create(_one_numbering(number), seal))
            return (*found, (Upto(1, number), ()))
        found += ((Upto(1, number), seen.body.facts or ()),)


def _compact_anywhere(lock: Lock, head: Head, tag: Any, data: Any, number: int) -> Steps[tuple[Head, Any]]:
    head = replace(head, epoch=lock.epoch, data=data, covers=Upto(1, number))
    return head, (yield from write(Swap(HEAD, tag, head)))


def _clear_anywhere(covered: tuple[Upto, ...]) -> Steps[None]:
    for place in covered:
        yield Remove(_one_numbering(place.number))


NAIVE = {
    "no intent before the request": (Rules(unsure=0, compactions=0, order=_without(Step.INTEND)), "I"),
    "the whole request at once": (Rules(unsure=0, compactions=0, order=_without(Step.CONFIRM)), "I"),
    "confirmed before the request is sent": (
        Rules(
            unsure=0,
            compactions=0,
            order=(Step.INTEND, Step.CONFIRM, Step.SEND_MOST, Step.SEND_LAST, Step.ACCEPT),
        ),
        "I2",
    ),
    "no wait for half-sent requests": (Rules(unsure=0, compactions=0, waits_for_half_open=False), "I2"),
    "no wait for a late acceptance": (Rules(unsure=0, compactions=0, waits_for_acceptance=False), "I2"),
    "writes without a condition": (Rules(lost=0, conditional=False), "I"),
    "absent without a look": (Rules(unsure=0, compactions=0, looks=False), "I2"),
    "a claim that does not compare epochs": (
        Rules(runners=3, unsure=0, lost=0, crashes=0, part=protocol_with(claim=_claim_of_anything)),
        "I3",
    ),
    "no seal": (Rules(unsure=0, lost=0, part=protocol_with(gather=_gather_without_seals)), "I"),
    "seals that are deleted": (Rules(unsure=0, lost=0, part=protocol_with(clear=_clear_with_seals)), "I"),
    "one numbering for all epochs": (
        Rules(
            unsure=0,
            lost=0,
            one_writer=False,  # whose an entry is cannot be seen from where it is
            part=protocol_with(
                append=_append_anywhere,
                gather=_gather_anywhere,
                compact=_compact_anywhere,
                clear=_clear_anywhere,
                start=lambda covered: covered[-1].number if covered else 0,
            ),
        ),
        "I2",
    ),
}


@sampled(3)
@pytest.mark.parametrize("name", NAIVE)
def test_without_it_something_is_lost_or_paid_twice(name: str) -> None:
    rules, invariant = NAIVE[name]
    with pytest.raises(Violation) as found:
        Search(rules).run(400_000)
    assert found.value.args[0].startswith(invariant)


def test_the_parts_of_an_order_are_the_order() -> None:
    order = protocol.SUBMISSION
    parts = (
        *protocol.before_sending(order),
        Step.SEND_MOST,
        *protocol.before_the_last_byte(order),
        Step.SEND_LAST,
        *protocol.after_the_answer(order),
    )
    assert parts == order
    assert append is protocol.append

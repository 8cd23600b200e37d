"""Small worlds in which the protocol of the remote state is tried in every order.

A world is a store, a host that measures, and a few runners, each a generator of `protocol` with what it was told.
From every state all things that can happen next are tried: a runner takes its next step; a write times out and lands
later, or never; an answer is lost; the host takes a request long after it was sent; a runner vanishes with its disk. A
pause is a runner that takes no step for a while, so that every pause is in there as well.

States that cannot be told apart are visited once: a runner is known by where its generators stand and what their
variables hold. Tags are the bodies themselves, as a store's tags are that are made from the content.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, NamedTuple

from hume_runner.state.remote import protocol
from hume_runner.state.remote.protocol import (
    HEAD,
    LOCK,
    SUBMISSION,
    Absent,
    Create,
    Entry,
    Found,
    Head,
    Moved,
    NotOurs,
    NotWritten,
    Read,
    Remove,
    Step,
    Stood,
    Swap,
    Upto,
    Watch,
    Written,
)

# -- what a runner asks of the host ------------------------------------------------------------------------------------


class SendMost(NamedTuple):
    content: int
    nonce: str


class SendLast(NamedTuple):
    nonce: str


class Look(NamedTuple):
    nonce: str


class Choose(NamedTuple):
    what: str


class Answer(NamedTuple):
    nonce: str


class NoAnswer(NamedTuple):
    pass


class Closed(NamedTuple):
    """The host closed the half-sent request: it never has the whole of it."""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What is built, and what may go wrong how often. Each safeguard can be taken away."""

    runners: int = 2
    contents: int = 1
    unsure: int = 1  # writes whose answer is lost: they landed, land later, or never do
    lost: int = 1  # answers of the host that are lost, or requests that it takes late
    crashes: int = 1
    compactions: int = 1  # by each runner
    order: tuple[Step, ...] = SUBMISSION
    waits_for_half_open: bool = True
    waits_for_acceptance: bool = True
    conditional: bool = True
    looks: bool = True
    one_writer: bool = True  # whether that is looked at
    part: Any = field(default=None, repr=False)  # other functions than the protocol's own


# -- one runner --------------------------------------------------------------------------------------------------------


def known_facts(data: Any, entries: Any) -> frozenset[Any]:
    facts = frozenset(data or ())
    for _, more in entries:
        facts |= frozenset(more)
    return facts


def open_intents(facts: frozenset[Any]) -> list[tuple[int, str]]:
    settled = {nonce for kind, _, nonce in facts if kind != "intent"}
    return sorted((content, nonce) for kind, content, nonce in facts if kind == "intent" and nonce not in settled)


def is_accepted(facts: frozenset[Any], content: int) -> bool:
    return any(kind == "accepted" and about == content for kind, about, _ in facts)


def runner(rules: Rules, owner: str) -> protocol.Steps[str]:
    """A whole run: take the state, settle what is open, submit what is not accepted, give the state back."""
    part, compactions = rules.part or protocol_with(), rules.compactions
    try:
        lock, tag = yield from part.take(owner)
        head, facts, covered = yield from begin(part, lock)
        number = part.start(covered)
        while True:
            if compactions and (covered or number) and (yield Choose("compact")):
                compactions -= 1
                head = yield from part.compact(lock, *head, facts, number)
                yield from part.clear(covered)
                covered = ()
            if open_intents(facts):
                facts = yield from settle(part, rules.looks, lock, number + 1, facts)
                number += 1
            elif all(is_accepted(facts, content) for content in range(rules.contents)):
                break
            else:
                before = number
                lock, tag, number, facts = yield from submit(part, rules, lock, tag, number, facts)
                covered += tuple(Upto(lock.epoch, n) for n in range(before + 1, number + 1))
        yield from part.release(lock, tag)
    except NotOurs:
        return "exit 6"
    return "done"


def begin(part: Any, lock: Any) -> protocol.Steps[tuple[Any, frozenset[Any], tuple[Upto, ...]]]:
    head, tag = yield from part.claim(lock)
    entries = yield from part.gather(lock, head)
    return (head, tag), known_facts(head.data, entries), tuple(place for place, _ in entries)


def settle(part: Any, looks: bool, lock: Any, number: int, facts: frozenset[Any]) -> protocol.Steps[frozenset[Any]]:
    """An intent without an answer: ask the host."""
    content, nonce = open_intents(facts)[0]
    found = (yield Look(nonce)) if looks else False
    fact = ("accepted" if found else "absent", content, nonce)
    yield from part.append(lock, number, (fact,))
    return facts | {fact}


def submit(
    part: Any, rules: Rules, lock: Any, tag: Any, number: int, facts: frozenset[Any]
) -> protocol.Steps[tuple[Any, Any, int, frozenset[Any]]]:
    """One submission, in the order that the rules say."""
    content = next(one for one in range(rules.contents) if not is_accepted(facts, one))
    nonce = f"{lock.epoch}.{number}"
    answer: Any = None
    for step in rules.order:
        match step:
            case Step.INTEND:
                number += 1
                yield from part.append(lock, number, (("intent", content, nonce),))
            case Step.SEND_MOST:
                yield SendMost(content, nonce)
            case Step.CONFIRM:
                lock, tag = yield from part.beat(lock, tag)
            case Step.SEND_LAST:
                answer = yield SendLast(nonce)
            case Step.ACCEPT if isinstance(answer, Answer):
                number += 1
                yield from part.append(lock, number, (("accepted", content, nonce),))
                facts |= {("accepted", content, nonce)}
    return lock, tag, number, facts | {("intent", content, nonce)}


# -- the world ---------------------------------------------------------------------------------------------------------


class Actor(NamedTuple):
    """`told`: what it was told so far; `at`: the number of where it stands, which is all that counts; `asks`: what it
    wants next, None once it is over; `sealed`: the epoch that it owns, once it has sealed those before."""

    told: tuple[Any, ...]
    at: int
    asks: Any
    sealed: int = 0
    ended: str = ""


class Half(NamedTuple):
    """A request without its last byte. `lock`: as it was when most of it was sent."""

    actor: int
    content: int
    nonce: str
    lock: int  # the number of its body


_NUMBERS: dict[Any, int] = {}
_VALUES: list[Any] = []


def numbered(value: Any) -> int:
    """A small number for a value, as hashing deep values again and again is what takes the time."""
    number = _NUMBERS.get(value)
    if number is None:
        number = _NUMBERS[value] = len(_VALUES)
        _VALUES.append(value)
    return number


class World(NamedTuple):
    objects: frozenset[tuple[Any, int]]  # (key, number of the body)
    pending: frozenset[int]  # numbers of writes that may land still
    half: frozenset[Half]
    sent: frozenset[tuple[int, str]]  # whole requests of which nobody knows whether the host takes them
    accepted: frozenset[tuple[int, str]]
    ready: int  # the highest epoch whose owner has sealed all before it
    unsure: int
    lost: int
    crashes: int
    actors: tuple[Actor, ...]

    def at(self, key: Any) -> Any:
        return next((_VALUES[body] for where, body in self.objects if where == key), None)

    def key(self) -> Any:
        return (*self[:-1], tuple(actor.at for actor in self.actors))


class Violation(AssertionError):
    """An invariant does not hold; `.args[0]` begins with its name."""


def _stands(generator: Any) -> Any:
    places = []
    while generator is not None and getattr(generator, "gi_frame", None) is not None:
        frame = generator.gi_frame
        held = {n: tuple(v) if isinstance(v, list) else v for n, v in frame.f_locals.items() if n not in _OWN}
        places.append((frame.f_code.co_name, frame.f_lasti, tuple(sorted(held.items(), key=_name))))
        generator = generator.gi_yieldfrom
    return tuple(places)


# Who it is and what it is made of stay the same; what came last is of no account once it was looked at, or is in what
# is asked for.
_OWN = frozenset({"rules", "part", "looks", "owner", "seen", "came", "content"})


def _name(item: tuple[str, Any]) -> str:
    return item[0]


def _is_over(late: Create | Swap, key: Any, body: Any) -> bool:
    if late.key != key:
        return False
    return late.tag != body if isinstance(late, Swap) else bool(getattr(body, "seal", True))


class Search:
    """All that can happen in one small world. `states`: how many were seen."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._moves: dict[Any, Actor] = {}
        self.states = 0

    def run(self, most: int = 10_000_000) -> Search:
        """Raises: Violation at the first state in which an invariant does not hold."""
        first = self._first()
        seen = {first.key()}
        queue = [first]
        while queue:
            world = queue.pop()
            following = list(self._next(world))
            if all(actor.asks is None for actor in world.actors) and not world.sent:
                self._check_end(world)
            elif not following:
                raise Violation(f"I4: stuck: {[actor.asks for actor in world.actors]}")
            for then in following:
                key = then.key()
                if key not in seen:
                    seen.add(key)
                    if len(seen) > most:
                        raise AssertionError(f"more than {most:,} states: the world is too large")
                    self._check(then)
                    queue.append(then)
        self.states = len(seen)
        return self

    def _first(self) -> World:
        rules = self._rules
        actors = tuple(self._actor(number, ()) for number in range(rules.runners))
        self._first_at = [actor.at for actor in actors]
        return World(
            frozenset(), frozenset(), frozenset(), frozenset(), frozenset(), 0, rules.unsure, rules.lost,
            rules.crashes, actors,
        )  # fmt: skip

    def _actor(self, number: int, told: tuple[Any, ...]) -> Actor:
        generator = runner(self._rules, f"r{number}")
        try:
            asks = next(generator)
            for came in told:
                asks = generator.send(came)
        except StopIteration as over:
            return Actor((), numbered((number, over.value)), None, 0, over.value)
        # Whoever chooses, looks or sends has sealed what was before.
        lock = generator.gi_frame.f_locals.get("lock")
        sealed = lock.epoch if isinstance(asks, Choose | Look | SendMost) and lock is not None else 0
        return Actor(told, numbered((number, _stands(generator), asks)), asks, sealed)

    # -- what can happen

    def _next(self, world: World) -> Iterator[World]:
        for number, actor in enumerate(world.actors):
            if actor.asks is None:
                continue
            if number and world.actors[number - 1].at == self._first_at[number - 1]:
                break  # they are all alike: the first one begins first
            for then, came in self._outcomes(world, number, actor.asks):
                yield self._told(then, number, came)
            if world.crashes and actor.told:
                gone = Actor((), numbered((number, "gone")), None, 0, "gone")
                half = frozenset(one for one in world.half if one.actor != number)
                yield self._with(world, number, gone)._replace(crashes=world.crashes - 1, half=half)
        for late in world.pending:
            op = _VALUES[late]
            if self._may_land(world, op):
                yield self._landed(world._replace(pending=world.pending - {late}), op)
        for one in world.sent:
            left = world._replace(sent=world.sent - {one})
            yield left
            yield left._replace(accepted=world.accepted | {one})

    def _with(self, world: World, number: int, actor: Actor) -> World:
        return world._replace(actors=(*world.actors[:number], actor, *world.actors[number + 1 :]))

    def _told(self, world: World, number: int, came: Any) -> World:
        before = world.actors[number]
        move = (number, before.at, came)
        actor = self._moves.get(move)
        if actor is None:
            actor = self._moves[move] = self._actor(number, (*before.told, came))
        return self._with(world, number, actor)._replace(ready=max(world.ready, actor.sealed))

    def _outcomes(self, world: World, number: int, op: Any) -> Iterator[tuple[World, Any]]:
        match op:
            case Read(key):
                body = world.at(key)
                yield world, Absent() if body is None else Found(body, body)
            case Create() | Swap():
                may = self._may_land(world, op)
                yield (self._landed(world, op), Written(op.body)) if may else (world, NotWritten())
                if world.unsure:
                    fewer = world._replace(unsure=world.unsure - 1)
                    if may:
                        yield self._landed(fewer, op), NotWritten()
                    yield fewer._replace(pending=fewer.pending | {numbered(op)}), NotWritten()
            case Remove(key):
                yield world._replace(objects=frozenset(one for one in world.objects if one[0] != key)), None
            case Watch(tag):
                body = world.at(LOCK)
                yield (world, Moved(body)) if body != tag else (self._stood(world), Stood())
            case SendMost(content, nonce):
                half = Half(number, content, nonce, numbered(world.at(LOCK)))
                yield world._replace(half=world.half | {half}), None
            case SendLast(nonce):
                yield from self._sent_last(world, number, nonce)
            case Look(nonce):
                if self._rules.waits_for_acceptance and any(one[1] == nonce for one in world.sent):
                    return  # it waits
                yield world, any(one[1] == nonce for one in world.accepted)
            case Choose():
                yield world, False
                yield world, True
            case _:
                raise AssertionError(op)

    def _stood(self, world: World) -> World:
        """The lock has not moved for so long that whatever was confirmed before is closed by the host."""
        if not self._rules.waits_for_half_open:
            return world
        now = numbered(world.at(LOCK))
        return world._replace(half=frozenset(one for one in world.half if one.lock == now))

    def _sent_last(self, world: World, number: int, nonce: str) -> Iterator[tuple[World, Any]]:
        mine = next((one for one in world.half if one.actor == number and one.nonce == nonce), None)
        if mine is None:
            yield world, Closed()
            return
        request = (mine.content, mine.nonce)
        left = world._replace(half=world.half - {mine})
        taken = left._replace(accepted=world.accepted | {request})
        yield taken, Answer(nonce)
        if world.lost:
            yield taken._replace(lost=world.lost - 1), NoAnswer()
            yield left._replace(lost=world.lost - 1, sent=world.sent | {request}), NoAnswer()

    # -- the store

    def _may_land(self, world: World, op: Create | Swap) -> bool:
        there = world.at(op.key)
        if not self._rules.conditional:
            return True
        return there is None if isinstance(op, Create) else there == op.tag

    def _landed(self, world: World, op: Create | Swap) -> World:
        head = world.at(HEAD)
        # An attempt of an entry that has landed long ago may land again once that is covered and removed.
        fresh = head is None or Upto(op.key.epoch, op.key.number) > head.covers
        entry = isinstance(op.body, Entry) and not op.body.seal
        if entry and fresh and op.key.epoch < world.ready and self._rules.one_writer:
            raise Violation(f"I3: an entry of epoch {op.key.epoch} lands when {world.ready} has sealed it")
        before = world.at(op.key)
        if isinstance(op.body, Head) and before is not None and op.body.epoch < before.epoch:
            raise Violation(f"I3: epoch {op.body.epoch} writes the head over that of {before.epoch}")
        objects = frozenset(one for one in world.objects if one[0] != op.key) | {(op.key, numbered(op.body))}
        pending = world.pending
        if pending and self._rules.conditional:
            # What was to be written over a version that is gone never lands: no body comes back.
            pending = frozenset(one for one in pending if not _is_over(_VALUES[one], op.key, op.body))
        return world._replace(objects=objects, pending=pending)

    # -- the invariants

    def _check(self, world: World) -> None:
        contents = [content for content, _ in world.accepted]
        if len(set(contents)) < len(contents):
            raise Violation(f"I1: accepted twice: {sorted(world.accepted)}")
        facts = self._record(world)
        for content, nonce in world.accepted:
            kinds = {kind for kind, _, about in facts if about == nonce}
            if not kinds or "absent" in kinds:
                raise Violation(f"I2: {nonce} of {content} is accepted, and the record says {kinds or 'nothing'}")

    def _record(self, world: World) -> frozenset[Any]:
        """What the next runner reads: the snapshot, and the entries that it does not cover."""
        head = world.at(HEAD)
        covers = head.covers if head is not None else Upto()
        entries = [
            (None, body.facts)
            for key, body in ((key, _VALUES[number]) for key, number in world.objects)
            if isinstance(body, Entry) and not body.seal and Upto(key.epoch, key.number) > covers
        ]
        return known_facts(head.data if head is not None else None, entries)

    def _check_end(self, world: World) -> None:
        """Nobody is left: one more runner without any trouble gets all of it done."""
        finisher = Search(replace(self._rules, runners=self._rules.runners + 1, compactions=0))
        number = self._rules.runners
        world = world._replace(
            unsure=0, lost=0, crashes=0, actors=(*world.actors, finisher._actor(number, ()))
        )  # fmt: skip
        while world.actors[number].asks is not None:
            then, came = next(finisher._outcomes(world, number, world.actors[number].asks))
            world = finisher._told(then, number, came)
            finisher._check(world)
        facts = self._record(world)
        if world.actors[number].ended != "done":
            raise Violation(f"I4: the last runner ends with {world.actors[number].ended}")
        if not all(is_accepted(facts, content) for content in range(self._rules.contents)):
            raise Violation("I4: the last runner leaves something undone")


# -- the same without a safeguard --------------------------------------------------------------------------------------


_PARTS = ("take", "claim", "gather", "append", "beat", "compact", "clear", "release")


def _from_one(covered: tuple[Upto, ...]) -> int:
    """Each epoch numbers its own entries."""
    del covered
    return 0


def protocol_with(**parts: Callable[..., Any]) -> Any:
    """The protocol with some of its functions replaced."""
    functions = {name: parts.get(name, getattr(protocol, name)) for name in _PARTS}
    return SimpleNamespace(**functions, start=parts.get("start", _from_one))

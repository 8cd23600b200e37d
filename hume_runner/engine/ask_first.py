"""Before anything is submitted: is the key good, and is some of it at the service already, paid for?"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import field, replace
from pathlib import Path

from hume_runner import events
from hume_runner.engine.apart import measured_already
from hume_runner.engine.download import REQUEST, AskedSource, Described, described
from hume_runner.engine.environment import Environment
from hume_runner.engine.reconcile import adopt_command
from hume_runner.engine.survey import Taken, adopt_what_is_there
from hume_runner.errors import (
    ApiError,
    AuthError,
    Discontinued,
    HostUnknown,
    HumeRunnerError,
    LostAnswerNeedsDecision,
    ServiceRefused,
    ServiceUnavailable,
)
from hume_runner.frozen import frozen
from hume_runner.http.backoff import doubled
from hume_runner.manifest.model import Manifest
from hume_runner.planning.scan import key_of
from hume_runner.services.base import ListingUnsupported
from hume_runner.state.reader import StateReader
from hume_runner.state.store import Store

# A header tells whole seconds, and an answer takes its time.
_CLOCKS_AGREE_S = 10.0
# 2020, in Unix seconds: no service of this kind was there. (Some refuse a time before 1970, which margins would make.)
_BEFORE_ANY = 1_577_836_800.0
# How soon it is looked again at what was not settled at the start, and how seldom in the end.
_LOOK_AGAIN_S, _LOOK_AGAIN_MOST_S = 0.5, 10.0


@frozen
class Asked:
    """`error`: why the run cannot go on; a decision that a person has to take holds back only what is planned.

    `agreed`: why all that is planned may be paid for already, with the remote ids that this is about, where somebody
    agreed to that. See `record_agreed`.
    """

    error: HumeRunnerError | None = None
    agreed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def ask_first(manifest: Manifest, outputs: Path, store: Store, env: Environment, *, pay_again: bool) -> Asked:
    """Before anything is submitted: is the key good, and is some of it at the service already, paid for?

    Raises: StateError.
    """
    endpoint = env.service.endpoint
    strays = {} if env.here else _stray_answers(outputs, store, endpoint, env.service.answer_names(artifacts=True))
    if strays:
        env.report(events.NoState(message=_knows_nothing(outputs, strays)))
    looks_back = manifest.execution.look_back_s > 0
    undecided: LostAnswerNeedsDecision | None = None
    agreed: dict[str, tuple[str, ...]] = {}
    shown: dict[Path, str] = {}
    try:
        if looks_back:
            taken = _survey(manifest, store, env, frozenset(strays.values()), pay_again=pay_again)
            undecided = _looked_back(taken, store, env, agreed, pay_again=pay_again)
            if env.service.keeper is None:
                visible = (folder for folder, one in strays.items() if one in taken.shown)
                abouts = ((one, _planned_source(described(outputs / one), store, endpoint)) for one in visible)
                shown = {folder: about for folder, about in abouts if about}
            strays = {folder: one for folder, one in strays.items() if one not in taken.shown or folder in shown}
        else:
            env.service.greet()
    except ListingUnsupported as none:
        if looks_back and not pay_again:
            undecided = _without_a_list(env, none)
        if undecided is None:
            env.report(events.NoList(message="the service lists no jobs: what an earlier state sent cannot be seen"))
    except (AuthError, Discontinued) as error:
        return Asked(error=ServiceRefused(str(error), hint=error.hint))
    except ServiceRefused as error:
        return Asked(error=error)
    except HostUnknown as error:
        return Asked(error=ServiceUnavailable(str(error), hint=f"{error.hint}; nothing was sent"))
    except ApiError as error:
        hint = "nothing was sent; run the same command again later"
        why = f"the service does not tell what it has already: {error}"
        return Asked(error=ServiceUnavailable(why, hint=hint))
    if undecided is None and strays and looks_back:
        undecided = _what_lies_there(outputs, strays, store, env, agreed, shown=shown, pay_again=pay_again)
    if undecided is not None:
        return Asked(error=undecided)
    if env.service.simulated and store.any_measured():
        return Asked(error=measured_already(store, "an emulator"))
    return Asked(agreed=agreed)


def record_agreed(asked: Asked, store: Store, env: Environment, *, partial: bool) -> None:
    """Before anything is sent: what is to be sent is in doubt from here on until the service has it, and who does not
    agree once more is asked about what is left. `partial`: who agreed to a part is asked about the rest as well, which
    is not planned now."""
    for doubt, remote_ids in asked.agreed.items():
        store.record_agreed_to_all(env.service.endpoint, remote_ids, env.clock(), doubt=doubt, whole=not partial)


def _looked_back(
    taken: Taken, store: StateReader, env: Environment, agreed: dict[str, tuple[str, ...]], *, pay_again: bool
) -> LostAnswerNeedsDecision | None:
    """What is there already was adopted; what cannot be told for sure is for a person to decide."""
    if taken.jobs:
        env.report(events.Adopted(jobs=taken.jobs, items=taken.items))
    unsettled = taken.unsettled
    unsure = taken.unsure or (str(unsettled) if unsettled is not None and not unsettled.slow else "")
    if not unsure or not store.any_planned():
        return None
    doubt = f"what this key has paid for already cannot be told for sure: {unsure}"
    if pay_again:
        env.report(events.Agreed(job="", message=f"{doubt}; all that is left is sent as agreed"))
        agreed[doubt] = (*(unsettled.missing if unsettled is not None else ()), *taken.doubted)
        return None
    adopt = f"{adopt_command(taken.doubted)} brings a job here; " if env.service.keeper is not None else ""
    return LostAnswerNeedsDecision(
        doubt, hint=adopt + "`--pay-again` measures what is left; execution.look_back: 0 never asks"
    )


def _without_a_list(env: Environment, none: ListingUnsupported) -> LostAnswerNeedsDecision | None:
    """Whether what was measured before is paid for once more for good, and nothing would tell of it."""
    if env.service.keeper is not None:
        return None
    return LostAnswerNeedsDecision(
        f"the service lists no runs, so what this key has paid for already cannot be told: {none}",
        hint="check service.endpoint; `--pay-again` measures what is left all the same; execution.look_back: 0 "
        "never asks",
    )


def _what_lies_there(
    outputs: Path,
    strays: Mapping[Path, str],
    store: StateReader,
    env: Environment,
    agreed: dict[str, tuple[str, ...]],
    *,
    shown: Mapping[Path, str],
    pay_again: bool,
) -> LostAnswerNeedsDecision | None:
    """After the look: answers on disk of which the state knows nothing prove that something was paid for, and may be
    what is planned. Either the service does not tell of them, since it is too long ago or its list is short; or it
    does (`shown`: of which of them), and they are about a source that is planned, packed another way perhaps."""
    if not store.any_planned():
        return None
    about = next(iter(shown.values()), "")
    doubt = _knows_nothing(outputs, strays) + (
        f", about '{about}'" if about else ", and that the service does not show"
    )
    if pay_again:
        env.report(events.Agreed(job="", message=f"{doubt}; all that is planned is sent as agreed"))
        agreed[doubt] = tuple(strays.values())
        return None
    first = shlex.quote(next(iter(strays.values())))
    return LostAnswerNeedsDecision(
        f"{doubt}: what is planned may be paid for already, by a state that was lost or put back as it was before",
        hint=(
            f"`hume-runner adopt MANIFEST {first}` (and its neighbours) brings them back; of an answer that came from "
            "a file, that file in its folder does; "
            if env.service.keeper is not None
            else "put the state back from a backup: these answers are in no other place; "
        )
        + "`--pay-again` measures all of it again",
    )


def _survey(manifest: Manifest, store: Store, env: Environment, watched: Collection[str], *, pay_again: bool) -> Taken:
    """See `adopt_what_is_there`. Where the service's time, which its first answer tells, is behind the machine's, it is
    looked at once more what the service has, as far back as was meant."""
    look_back_s = manifest.execution.look_back_s

    def once(since: float) -> Taken:
        key = key_of(manifest, env.service)
        return adopt_what_is_there(store, env.service, since=since, key_of=key, clock=env.clock, watched=watched)

    def look(since: float) -> Taken:
        return once(since) if pay_again else _once_settled(lambda: once(since), env)

    since = _look_from(store, env, look_back_s, answered=False)
    taken = look(since)
    meant = _look_from(store, env, look_back_s, answered=True)
    if meant < since - _CLOCKS_AGREE_S:
        more = look(meant)
        taken = replace(
            more, jobs=taken.jobs + more.jobs, items=taken.items + more.items, shown=taken.shown | more.shown
        )
    return taken


def _once_settled(look: Callable[[], Taken], env: Environment) -> Taken:
    """What a look tells as soon as looking again tells nothing more, or nothing can be waited for any longer: then what
    still runs is for each job to be asked about, and a list that hides what is ours proves nothing at all."""
    began, told = env.monotonic(), False
    looks = jobs = items = 0
    while True:
        taken = look()
        jobs, items = jobs + taken.jobs, items + taken.items
        unsettled = taken.unsettled
        patience = env.patience
        most = 0.0 if unsettled is None else patience.settle_slow_s if unsettled.slow else patience.settle_s
        # Of what a run that is gone sent, too. What a person has to decide about is found out already.
        awaited_s = 0.0 if taken.unsure else env.awaited_s()
        left = max(most - (env.monotonic() - began), awaited_s)
        if (unsettled is None and not awaited_s) or left <= 0:
            return replace(taken, jobs=jobs, items=items)
        if not told:
            by_others = "a run that is gone may have sent some of it: waiting until the service shows it, or would have"
            what = by_others if unsettled is None else f"{unsettled}: waiting until it shows what it is"
            env.report(events.NotSettled(message=what))
            told = True
        env.sleep(min(doubled(looks, first=_LOOK_AGAIN_S, most=_LOOK_AGAIN_MOST_S), left))
        looks += 1


def _stray_answers(outputs: Path, store: StateReader, endpoint: str, answers: Collection[str]) -> Mapping[Path, str]:
    """Folder from the outputs on -> remote id, of the answers on disk that the state knows nothing of: it was lost, or
    put back as it was earlier. One that came from another endpoint, or from a file, is known; so is one that somebody
    agreed to pay for again, unless it is about something else that is planned. What cannot be looked at may be one."""
    raw = Path("raw")
    names = {REQUEST, *answers}
    try:
        folders = sorted((outputs / raw).iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError:
        return {raw: str(raw)}
    found = {}
    for folder in folders:
        if store.holds_answer(folder.name):
            continue
        try:
            stray = any(one.name in names for one in folder.iterdir())
        except NotADirectoryError:
            continue
        except OSError:
            stray = True
        if stray:
            answer = described(folder)
            if store.holds_answer(answer.remote_id) or (answer.told is not None and store.holds_answer(answer.told)):
                continue  # a copy that somebody made of one is no other
            if not _is_agreed(answer, store, endpoint):
                found[raw / folder.name] = answer.remote_id
    return found


def _is_agreed(answer: Described, store: StateReader, endpoint: str) -> bool:
    """Whether somebody agreed to pay although this may be what is planned. One that does not tell all that it is about
    may be whatever was not listed when they did."""
    if not store.is_agreed_to_all(endpoint, answer.remote_id):
        return False
    if answer.sources and all(one.content is not None for one in answer.sources):
        return not _planned_source(answer, store, endpoint)
    return store.is_agreed_for_planned(endpoint, answer.remote_id)


def _planned_source(answer: Described, store: StateReader, endpoint: str) -> str:
    """A source of this answer, as its request tells, that is planned to be sent and that nobody has agreed to pay again
    for; "" if there is none, or no telling."""
    about = (item for one in answer.sources for item in _listed_as(one, store))
    planned = (one for one in about if store.is_planned(one))
    remote_id = answer.remote_id
    return next((one for one in planned if not store.is_agreed_for_source(endpoint, remote_id, one)), "")


def _listed_as(source: AskedSource, store: StateReader) -> Iterator[str]:
    """The ids by which the manifest may list a source now: it may have been renamed since."""
    yield from source.ids
    if source.content is not None and (now := store.planned_with_content(source.content)) is not None:
        yield now


def _knows_nothing(outputs: Path, strays: Mapping[Path, str]) -> str:
    first = outputs / next(iter(strays))
    if len(strays) == 1:
        return f"{first}: an answer that this state knows nothing of"
    return f"{first} and {len(strays) - 1:,} more: answers that this state knows nothing of"


def _look_from(store: StateReader, env: Environment, look_back_s: float, *, answered: bool) -> float:
    """Since when to look, by the service's clock as well as it is known. `answered`: the service was asked something.
    If it tells no time with its answers, nobody knows what time it is, since the machine's may have been set: all is
    looked at.

    Nothing moves the moment on: what this state sent last says nothing of what an earlier life of it sent before. (An
    earlier version took consent for all that was measured until then.)
    """
    server_time = env.server_time()
    if server_time is None and answered:
        return _BEFORE_ANY
    now = server_time if server_time is not None else env.clock()
    if env.service.keeper is not None:
        return now - look_back_s
    agreed = store.meta("agreed_until")
    return max(now - look_back_s, float(agreed) if agreed is not None else now - look_back_s)

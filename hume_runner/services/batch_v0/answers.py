"""What an answer says about each member of its job."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hume_runner.http.answer import check_zip
from hume_runner.http.json_lenient import plain
from hume_runner.services.base import AnswerIncomplete, AnswerUnreadable
from hume_runner.services.batch_v0.matching import other_bytes
from hume_runner.services.batch_v0.readable import Checked, iter_checked, words_of
from hume_runner.services.batch_v0.reading import SourceResultView, read_source_result
from hume_runner.services.batch_v0.repeats import CONFLICT, Mentions, named_texts
from hume_runner.services.batch_v0.source_finder import SourceFinder
from hume_runner.services.batch_v0.words import Confirmed, another_s, confirmed
from hume_runner.services.jobs import STRICT, Job, Leniency, Outcome, PlanItem
from hume_runner.services.unreadable import UNEXPECTED
from hume_runner.services.unreadable import message as told_of

PREDICTIONS = "predictions.json"
ARTIFACTS = "artifacts.zip"


def read_outcomes(
    job: Job, path: Path, announced: Mapping[str, int], leniency: Leniency = STRICT
) -> tuple[Outcome, ...]:
    """What a predictions answer says about each member of the job.

    Raises: UnexpectedResponse if it is not whole; AnswerIncomplete if it leaves members out, and AnswerUnreadable if
    a source cannot be read, unless `leniency` takes that.
    """
    sent_as = job.matches
    told = _confirmed(job, path) if not job.nonce else Confirmed(names={}, doubtful=frozenset())
    if told.names or told.doubtful:
        kept = {at: name for at, name in sent_as.items() if at not in told.doubtful}
        job = replace(job, matches={**kept, **told.names})
    sent = (
        (member.position, member.item.kind, job.matches[member.position])
        for member in job.members
        if job.matches.get(member.position)
    )
    finder = SourceFinder(sent, ours=bool(job.nonce))
    said = _said(job, path, finder)
    outcomes = said.together(told.doubtful)
    missing = [member.position for member in job.members if member.position not in outcomes]
    expected = announced.get("predictions")
    spoilt = any(outcome.reason == UNEXPECTED for outcome in outcomes.values())
    if spoilt and not leniency.unreadable:
        raise AnswerUnreadable(next(o.message or "" for o in outcomes.values() if o.reason == UNEXPECTED))
    late = bool(missing) or (expected is not None and expected > 0 and said.predictions == 0 and not spoilt)
    if late and not leniency.missing:
        raise AnswerIncomplete(f"{len(missing)} of {len(job.members)} sources are not in the answer yet")
    for position in missing:
        outcomes[position] = Outcome(
            position=position,
            ok=False,
            reason="not_in_answer",
            message="the service finished the job, and its answer does not mention this source",
        )
    for position, name in told.names.items():
        if name != sent_as.get(position) and outcomes[position].match is None:
            outcomes[position] = replace(outcomes[position], match=plain(name))
    return tuple(_storable(outcomes[position]) for position in sorted(outcomes))


@dataclass(slots=True)
class _Said:
    """What the elements of an answer say of members, by their positions: as it was sent (`outcomes`), what cannot be
    read of it, and what is `spelt` another way than it was sent, by that name."""

    outcomes: dict[int, Outcome] = field(default_factory=dict)
    unreadable: dict[int, Outcome] = field(default_factory=dict)
    spelt: dict[int, dict[str, Outcome]] = field(default_factory=dict)
    predictions: int = 0

    def take(self, outcome: Outcome, spelt_as: str | None) -> None:
        """What one element says of a member. The first word counts."""
        position = outcome.position
        if spelt_as is not None:
            outcome = replace(outcome, match=plain(spelt_as))
            self.spelt.setdefault(position, {}).setdefault(spelt_as, outcome)
        elif outcome.reason == UNEXPECTED:
            self.unreadable[position] = outcome
        else:
            self.outcomes.setdefault(position, outcome)

    def together(self, doubtful: Collection[int]) -> dict[int, Outcome]:
        """One outcome a member that is spoken of. `doubtful`: those of which nobody knows which element is theirs."""
        outcomes = {**self.outcomes, **self.unreadable}
        outcomes |= {position: _unexpected(position, _WHOSE) for position in doubtful}
        for position, by_name in self.spelt.items():
            # What the answer names as it was sent is that; and two names for one member tell nothing.
            if position not in outcomes and len(by_name) == 1:
                outcomes.update((one.position, one) for one in by_name.values())
        return outcomes


def _said(job: Job, path: Path, finder: SourceFinder) -> _Said:
    """All that the answer says of the job's members. Raises: UnexpectedResponse if it is not whole."""
    contents = {member.position: member.item for member in job.members}
    mentions = Mentions.of((member.item.kind, job.matches.get(member.position, "")) for member in job.members)
    said = _Said()
    with path.open("rb") as file:
        for checked in iter_checked(file):
            view = read_source_result(checked.element)
            said.predictions += len(view.predictions)
            also = _spelt_names(view, finder)
            mentions.sent.update(also.keys() - mentions.sent.keys())
            mentions.add(checked.start, kind_of(view), names_of(view))
            positions = {**finder.exact, **also}
            names = {position: name for (_, name), position in also.items()}
            for outcome in _found(checked, view, positions, contents):
                said.take(outcome, names.get(outcome.position))
    for kind, name in mentions.compared(path).conflicts:
        stands_for = finder.find(kind, name)
        if stands_for is not None:
            twice = _unexpected(stands_for, CONFLICT)
            if (kind, name) in finder.exact:
                said.unreadable.setdefault(stands_for, twice)
            else:
                said.spelt.setdefault(stands_for, {})[name] = replace(twice, match=plain(name))
    return said


def _found(
    checked: Checked,
    view: SourceResultView,
    positions: Mapping[tuple[str, str], int],
    contents: Mapping[int, PlanItem],
) -> list[Outcome]:
    """What one element says, unless it cannot be read or is about something else."""
    if checked.problem is not None:
        return [_unexpected(position, checked.problem) for position in _spoken_of(view, positions)]
    odd = {
        positions["text", file]: _unexpected(positions["text", file], why)
        for file, why in checked.odd.items()
        if ("text", file) in positions
    }
    others = _of_others(view, checked.element, positions, contents)
    odd |= {position: _unexpected(position, why) for position, why in others.items()}
    return [odd.get(outcome.position, outcome) for outcome in _element_outcomes(view, positions)]


_WHOSE = "nothing in it tells which of the texts it is about"


def _confirmed(job: Job, path: Path) -> Confirmed:
    """Which names in the answer of a job that was started elsewhere stand for which of its texts."""
    texts = {
        member.position: (member.item.value, job.matches.get(member.position, ""))
        for member in job.members
        if member.item.kind == "text" and member.item.id
    }
    words: dict[str, list[str]] = {}
    if texts:
        with path.open("rb") as file:
            for checked in iter_checked(file):
                if checked.problem is None and checked.element["source"].get("type") == "text":
                    for name, found in words_of(checked.element).items():
                        words.setdefault(name, found)
                    for name, _ in _errors_of(checked.element):
                        words.setdefault(name, [])
    return confirmed(texts, words)


def _errors_of(element: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    return read_source_result(element).errors


def _of_others(
    view: SourceResultView,
    element: Mapping[str, Any],
    positions: Mapping[tuple[str, str], int],
    items: Mapping[int, PlanItem],
) -> dict[int, str]:
    """Of which members this element has what surely is another source's, and why: other bytes, another text."""
    if view.kind == "text":
        told = ((positions.get(("text", name)), words) for name, words in words_of(element).items())
        texts = [item.value for item in items.values() if item.kind == "text" and item.id]
        return {
            position: "the words in it are those of another text"
            for position, words in told
            if position is not None and items[position].id and another_s(items[position].value, words, texts)
        }
    position = positions.get((kind_of(view), _named(view)))
    if position is None or not other_bytes(items[position].content_md5, view.md5):
        return {}
    return {position: f"its MD5 is {view.md5}, and what was sent has {items[position].content_md5}"}


def _unexpected(position: int, problem: str) -> Outcome:
    return Outcome(position=position, ok=False, reason=UNEXPECTED, message=told_of(problem))


def _storable(outcome: Outcome) -> Outcome:
    return replace(outcome, message=plain(outcome.message)) if outcome.message else outcome


def _spelt_names(view: SourceResultView, finder: SourceFinder) -> dict[tuple[str, str], int]:
    """(kind, name) -> position of the members that this element names another way than they were sent."""
    if view.kind == "text":
        names = {prediction.file for prediction in view.predictions} | {file for file, _ in view.errors}
    else:
        names = {_named(view)}
    kind = kind_of(view)
    found = {(kind, name): finder.find(kind, name) for name in names if (kind, name) not in finder.exact}
    return {key: position for key, position in found.items() if position is not None}


def kind_of(view: SourceResultView) -> str:
    """As the tables read it: a source without a type is told by what names it."""
    if view.kind != "unknown":
        return view.kind
    return "url" if view.url and not view.filename else "file"


def _named(view: SourceResultView) -> str:
    return (view.url if kind_of(view) == "url" else view.filename) or ""


def names_of(view: SourceResultView) -> list[str]:
    """By what an element names the sources that it is about, as often as it does."""
    if view.kind != "text":
        return [_named(view)]
    return named_texts([one.file for one in view.predictions], [file for file, _ in view.errors])


def _spoken_of(view: SourceResultView, positions: Mapping[tuple[str, str], int]) -> list[int]:
    """The members that an element is about: all texts share one."""
    if view.kind == "text":
        return [position for (kind, _), position in positions.items() if kind == "text"]
    position = positions.get((kind_of(view), _named(view)))
    return [] if position is None else [position]


def _element_outcomes(view: SourceResultView, positions: Mapping[tuple[str, str], int]) -> Iterator[Outcome]:
    if view.kind == "text":
        yield from _text_outcomes(view, positions)
        return
    position = positions.get((kind_of(view), _named(view)))
    if position is None:
        return
    if view.error:
        yield Outcome(position=position, ok=False, reason=reason_of(view.error), message=view.error)
    elif view.errors and not view.predictions:
        _, message = view.errors[0]
        more = f" (and {len(view.errors) - 1} more)" if len(view.errors) > 1 else ""
        yield Outcome(position=position, ok=False, reason=reason_of(message), message=message + more)
    elif view.errors:
        # Some files of an archive, or some models of one file: what was measured counts, what failed is named.
        file, message = view.errors[0]
        yield Outcome(
            position=position, ok=True, reason="partial", message=f"{len(view.errors)} errors inside: {file}: {message}"
        )
    else:
        yield Outcome(position=position, ok=True)


def _text_outcomes(view: SourceResultView, positions: Mapping[tuple[str, str], int]) -> Iterator[Outcome]:
    """All strings of a job share one element: each entry's `file` is the string's 1-based position, in any order."""
    if view.error:
        for (kind, _), position in positions.items():
            if kind == "text":
                yield Outcome(position=position, ok=False, reason=reason_of(view.error), message=view.error)
        return
    measured_files = [prediction.file for prediction in view.predictions]
    for file, message in view.errors:
        failed = positions.get(("text", file))
        if failed is not None and file not in measured_files:
            yield Outcome(position=failed, ok=False, reason=reason_of(message), message=message)
    for file in measured_files:
        measured = positions.get(("text", file))
        if measured is not None:
            yield Outcome(position=measured, ok=True)


_REASONS = (
    ("transcript confidence", "transcript_confidence"),
    ("transcribe", "transcription"),
    ("decode", "undecodable"),
    ("unsupported", "unsupported_media"),
    ("fetch", "unreachable_url"),
    ("download", "unreachable_url"),
    ("limit", "limit"),
)


def reason_of(message: str) -> str:
    """A short code for a service's error text, to count failures by; `service_error` where none fits."""
    lower = message.lower()
    return next((code for words, code in _REASONS if words in lower), "service_error")


def check_archive(path: Path) -> None:
    """Read every entry of the artifacts against its CRC, without extracting. Raises: UnexpectedResponse."""
    check_zip(path, "the artifacts")

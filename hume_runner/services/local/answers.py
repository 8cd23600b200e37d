"""What a measured piece says about its members."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hume_runner.errors import UnexpectedResponse
from hume_runner.services.jobs import Job, Leniency, Member, Outcome, PlanItem
from hume_runner.services.local.answer_form import FORMAT
from hume_runner.services.local.measurers.speech import SPEECH_LAYOUT
from hume_runner.services.local.measurers.whisper_languages import doubtful
from hume_runner.services.local.settings import TRANSCRIBES
from hume_runner.settings import masked_url

RESPONSE = "response.json"


class Answers:
    """Checks an answer as a whole and says what it tells about each member."""

    def answer_names(self, *, artifacts: bool) -> tuple[str, ...]:
        """See `Reader.answer_names`."""
        del artifacts
        return (RESPONSE,)

    def outcomes(
        self, job: Job, name: str, path: Path, announced: Mapping[str, int], leniency: Leniency
    ) -> tuple[Outcome, ...]:
        """See `Reader.outcomes`."""
        del announced, leniency
        try:
            answer = json.loads(path.read_bytes())
            sources = sources_of(answer)
        except ValueError as error:
            raise UnexpectedResponse(f"{name}: {error}") from None
        if len(sources) != len(job.members):
            raise UnexpectedResponse(f"{name}: {len(sources)} sources, and {len(job.members)} were to be measured")
        measurers = answer.get("measurers") or {}
        return tuple(_outcome(*pair, measurers) for pair in zip(job.members, sources, strict=True))


def sources_of(answer: Any) -> list[Mapping[str, Any]]:
    """The sources of an answer. Raises: ValueError for what is no answer."""
    if not isinstance(answer, dict) or answer.get("format") != FORMAT or not isinstance(answer.get("sources"), list):
        raise ValueError(f"no answer of the form {FORMAT}")
    sources: list[Mapping[str, Any]] = answer["sources"]
    return sources


def _outcome(member: Member, source: Mapping[str, Any], measurers: Mapping[str, Any]) -> Outcome:
    if source["measured"]:
        return Outcome(position=member.position, ok=True, notes=tuple(_notes(member.item, source, measurers)))
    first = next((error for error in source["errors"] if error["model"]), source["errors"][0])
    return Outcome(position=member.position, ok=False, reason=first["reason"], message=first["message"])


def _notes(item: PlanItem, source: Mapping[str, Any], measurers: Mapping[str, Any]) -> Iterator[str]:
    """What of a measured source is not measured, and what was heard as if it had been guessed."""
    # What belongs to no model was told when the medium was prepared.
    yield from (error["message"] for error in source["errors"] if error["model"])
    if doubt := doubtful(source["tables"].get(SPEECH_LAYOUT.name, ()), str(measurers.get(TRANSCRIBES, {}).get("name"))):
        yield f"{masked_url(item.value) if item.kind == 'url' else item.value}: {doubt}"

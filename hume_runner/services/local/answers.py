"""What a measured piece says about its members."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hume_runner.errors import UnexpectedResponse
from hume_runner.services.base import Job, Outcome
from hume_runner.services.local.task import FORMAT

RESPONSE = "response.json"


class Answers:
    """Checks an answer as a whole and says what it tells about each member."""

    def answer_names(self, *, artifacts: bool) -> tuple[str, ...]:
        """See `Reader.answer_names`."""
        del artifacts
        return (RESPONSE,)

    def outcomes(self, job: Job, name: str, path: Path, announced: Mapping[str, int]) -> tuple[Outcome, ...]:
        """See `Reader.outcomes`."""
        del announced
        try:
            sources = sources_of(json.loads(path.read_bytes()))
        except ValueError as error:
            raise UnexpectedResponse(f"{name}: {error}") from None
        if len(sources) != len(job.members):
            raise UnexpectedResponse(f"{name}: {len(sources)} sources, and {len(job.members)} were to be measured")
        return tuple(_outcome(member.position, source) for member, source in zip(job.members, sources, strict=True))


def sources_of(answer: Any) -> list[Mapping[str, Any]]:
    """The sources of an answer. Raises: ValueError for what is no answer."""
    if not isinstance(answer, dict) or answer.get("format") != FORMAT or not isinstance(answer.get("sources"), list):
        raise ValueError(f"no answer of the form {FORMAT}")
    sources: list[Mapping[str, Any]] = answer["sources"]
    return sources


def _outcome(position: int, source: Mapping[str, Any]) -> Outcome:
    if source["measured"]:
        return Outcome(position=position, ok=True)
    first = next((error for error in source["errors"] if error["model"]), source["errors"][0])
    return Outcome(position=position, ok=False, reason=first["reason"], message=first["message"])

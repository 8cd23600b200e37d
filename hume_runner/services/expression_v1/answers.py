"""What an answer says about what was sent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hume_runner.services.expression_v1.parts import endpoint_of, images_in
from hume_runner.services.expression_v1.readable import check_audio, check_images
from hume_runner.services.jobs import Job, Leniency, Outcome
from hume_runner.services.unreadable import UNEXPECTED, message

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
        """See `Reader.outcomes`. An answer of an unknown shape fails its members and stays in `raw/`: it was paid."""
        del name, announced, leniency
        body = path.read_bytes()
        single: Mapping[int, str] = {}
        if endpoint_of(job) == "audio":
            problem = check_audio(body)
        else:
            problem, single = check_images(body, images_in(job))
            if single and "first_frame" in job.members[0].detail:  # the frames of one video
                problem, single = next(iter(single.values())), {}
        outcomes = []
        for place, member in enumerate(job.members):
            told = problem or single.get(place)
            outcomes.append(
                Outcome(
                    position=member.position,
                    ok=told is None,
                    reason=None if told is None else UNEXPECTED,
                    message=None if told is None else message(told),
                )
            )
        return tuple(outcomes)

"""The answers to the parts of one recording, as the answer to the whole: a second reading, beside that of the rows.

Each part counts its times and ids from 0. Stitched, times are those of the recording and ids go on counting; members
that are not named here are kept as they came.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hume_runner.frozen import frozen
from hume_runner.media.cuts import Part
from hume_runner.media.wav import RATE_HZ

# Speech this close to a cut goes on across it. Voice activity is decided in steps of some 10 ms.
TOUCHING_MS = 60


@frozen
class PartAnswer:
    """A part and the service's answer to it: {"utterances": [...], "measurements": [...], ...}."""

    part: Part
    answer: Mapping[str, Any]


@frozen
class Cut:
    """A cut at `at_ms`. If it fell in speech, what people hear as one utterance are the two named here."""

    at_ms: int
    in_speech: bool
    utterance_before: int | None
    utterance_after: int | None


@frozen
class Stitched:
    """The answer to the whole recording.

    `utterances` are the API's objects and `cut_in_speech`: true on both sides of a cut that fell in speech. Their
    spans are not merged: the windows and scores near such a cut cannot be recovered.
    """

    utterances: tuple[dict[str, Any], ...]
    measurements: tuple[dict[str, Any], ...]
    cuts: tuple[Cut, ...]


def stitch(answers: Sequence[PartAnswer]) -> Stitched:
    """Stitch all parts of one recording, in any order.

    Raises: ValueError where parts are missing, come twice or do not meet; KeyError for an answer without its members.
    """
    ordered = sorted(answers, key=lambda answered: answered.part.first_sample)
    _check_complete(ordered)
    utterances: list[dict[str, Any]] = []
    measurements: list[dict[str, Any]] = []
    first_ids: list[int] = []
    for answered in ordered:
        first_ids.append(len(utterances))
        offset, base = answered.part.offset_ms, len(utterances)
        utterances += (_moved(one, offset, base) | {"cut_in_speech": False} for one in answered.answer["utterances"])
        measurements += (
            _moved(one, offset, base) | {"measurement_id": number}
            for number, one in enumerate(answered.answer["measurements"], len(measurements))
        )
    cuts = tuple(_cuts(ordered, utterances, first_ids))
    for cut in cuts:
        if cut.in_speech:
            for touched in (cut.utterance_before, cut.utterance_after):
                assert touched is not None
                utterances[touched]["cut_in_speech"] = True
    return Stitched(utterances=tuple(utterances), measurements=tuple(measurements), cuts=cuts)


def _check_complete(ordered: Sequence[PartAnswer]) -> None:
    expected = 0
    for number, answered in enumerate(ordered):
        if answered.part.index != number or answered.part.first_sample != expected:
            raise ValueError(f"part {number} of the recording is missing or there twice")
        expected += answered.part.samples


def _moved(one: Mapping[str, Any], offset_ms: int, first_utterance: int) -> dict[str, Any]:
    return dict(one) | {
        "utterance_id": one["utterance_id"] + first_utterance,
        "audio_start_ms": one["audio_start_ms"] + offset_ms,
        "audio_end_ms": one["audio_end_ms"] + offset_ms,
    }


def _cuts(
    ordered: Sequence[PartAnswer], utterances: Sequence[Mapping[str, Any]], first_ids: Sequence[int]
) -> Iterator[Cut]:
    ends = [*first_ids[1:], len(utterances)]
    for number in range(1, len(ordered)):
        at_ms = ordered[number].part.first_sample * 1000 // RATE_HZ
        before = ends[number - 1] - 1 if ends[number - 1] > first_ids[number - 1] else None
        after = first_ids[number] if ends[number] > first_ids[number] else None
        in_speech = (
            before is not None
            and after is not None
            and utterances[before]["audio_end_ms"] >= at_ms - TOUCHING_MS
            and utterances[after]["audio_start_ms"] <= at_ms + TOUCHING_MS
        )
        yield Cut(at_ms=at_ms, in_speech=in_speech, utterance_before=before, utterance_after=after)

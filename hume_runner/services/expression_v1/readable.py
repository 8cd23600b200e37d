"""What an answer of expression-v1 must be like to be read, as its readers see it: the check at fetching."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any

from hume_runner.errors import UnexpectedResponse
from hume_runner.http.json_lenient import LenientReader
from hume_runner.http.json_stream import JsonReader, project, whole
from hume_runner.services.expression_v1.reading import read_audio_answer, read_video_answer

_LARGEST = 2**63 - 1


def check_audio(body: bytes) -> str | None:
    """What is wrong with the answer to an audio upload; None if it can be read."""
    try:
        reader = LenientReader(BytesIO(body))
        reader.skip_mark()
        document = reader.value()
        problem = reader.take_problem()
        if problem is not None:
            return problem
        if reader.peek():
            return "something follows the measurement"
        answer = read_audio_answer(_object(document))
    except UnexpectedResponse as error:
        return str(error)
    numbers = [n for one in answer.utterances for n in (one.utterance_id, one.audio_start_ms, one.audio_end_ms)]
    for one in answer.measurements:
        numbers += (one.measurement_id, one.utterance_id, one.audio_start_ms, one.audio_end_ms)
    return _too_large(numbers)


def check_images(body: bytes, sent: int) -> tuple[str | None, dict[int, str]]:
    """(what is wrong with the whole answer to an upload of `sent` images, what is wrong with single ones by place)."""
    bad: dict[int, str] = {}

    def image(reader: JsonReader) -> Any:
        value = reader.value()
        assert isinstance(reader, LenientReader)
        problem = reader.take_problem()
        return value if problem is None else UnexpectedResponse(problem)

    try:
        reader = LenientReader(BytesIO(body))
        reader.skip_mark()
        document = _object(project(reader, {"measurements": (image,), "*": whole}))
        problem = reader.take_problem()
        if problem is not None:
            return problem, {}
        if reader.peek():
            return "something follows the measurement", {}
        found = document.get("measurements")
        images = found if isinstance(found, list) else []
        whole_problem = _image_problem({**document, "measurements": [] if isinstance(found, list) else found})
    except UnexpectedResponse as error:
        return str(error), {}
    if whole_problem is None and len(images) != sent:
        whole_problem = f"the answer speaks of {len(images)} images, and {sent} were sent"
    if whole_problem is not None:
        return whole_problem, {}
    for place, one in enumerate(images):
        told = str(one) if isinstance(one, Exception) else _image_problem({**document, "measurements": [one]})
        if told:
            bad[place] = told
    return None, bad


def _object(document: Any) -> Mapping[str, Any]:
    if not isinstance(document, dict):
        raise UnexpectedResponse("the measurement is not an object")
    return document


def _image_problem(document: Mapping[str, Any]) -> str | None:
    try:
        answer = read_video_answer(document)
    except UnexpectedResponse as error:
        return str(error)
    numbers = [image.frame_id for image in answer.measurements]
    numbers += [face.face_id for image in answer.measurements for face in image.faces if face.face_id is not None]
    return _too_large(numbers)


def _too_large(numbers: list[int]) -> str | None:
    return "a number is too large" if any(abs(number) > _LARGEST for number in numbers) else None

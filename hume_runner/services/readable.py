"""What an answer must be like to be read, with the standard library alone: the check at fetching.

What the readers of tables refuse fails when it is fetched, and its source alone: the same members, the same types. What
passes here has rows; tests hold both against each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from io import BytesIO
from typing import Any, BinaryIO, Final

from hume_runner.client.json_lenient import LenientReader, kept_of, plain
from hume_runner.client.json_stream import WINDOW_BYTES, JsonReader, Shape, kind, project, whole
from hume_runner.errors import UnexpectedResponse

UNEXPECTED = "unexpected_answer"
UNREADABLE = "the answer about this source cannot be read"  # how such a message begins

_MODELS = frozenset(("face", "burst", "prosody", "language", "ner", "facemesh"))


def message(problem: str) -> str:
    """How a source is told of that fails for its answer."""
    return plain(f"{UNREADABLE}: {problem}")


# Of an element that is large: all but what its models say.
_LARGE: Final[Shape] = {
    "source": whole,
    "error": whole,
    "results": {
        "errors": whole,
        "predictions": (
            {
                "file": whole,
                "file_type": whole,
                "models": {"*": {"grouped_predictions": ({"id": kind, "predictions": kind},)}},
            },
        ),
    },
}


def iter_checked(stream: BinaryIO | Iterable[bytes]) -> Iterator[tuple[Mapping[str, Any], str | None]]:
    """Each element of batch-v0's predictions, without what the models of large ones say, and what is wrong with it.

    An element that does not say whose it is, is left out. Memory holds a window and the names of one source's files,
    however large its answer is. Raises: UnexpectedResponse if the answer as a whole is damaged.
    """
    reader = LenientReader(stream)
    for _ in reader.whole_array():
        piece = reader.raw_within(WINDOW_BYTES)
        element = project(reader, _LARGE) if piece is None else reader.decoded(piece)
        problem = reader.take_problem()
        if problem is not None and piece is not None:
            element = kept_of(piece, {"source": whole})
        if isinstance(element, dict) and isinstance(element.get("source"), dict):
            yield element, problem or problem_of(element)


def problem_of(element: Mapping[str, Any]) -> str | None:
    """What of an element has another type than it must have; None if nothing has."""
    source, results = element.get("source"), element.get("results")
    if not isinstance(source, dict) or not isinstance(source.get("type", ""), str):
        return "source is not an object with a type"
    for name in ("url", "filename"):
        if not isinstance(source.get(name), str | None):
            return f"source.{name} is not text"
    if results is None:
        return None
    if not isinstance(results, dict):
        return "results is not an object"
    if not isinstance(results.get("errors"), list | None):
        return "results.errors is not a list"
    predictions = results.get("predictions")
    if not isinstance(predictions, list | None):
        return "results.predictions is not a list"
    return next((told for one in predictions or () if (told := _prediction(one))), None)


def _prediction(prediction: Any) -> str | None:
    if not isinstance(prediction, dict):
        return "a prediction is not an object"
    if not isinstance(prediction.get("file"), str | None):
        return "a prediction's file is not text"
    models = prediction.get("models")
    if not isinstance(models, dict | None):
        return "a prediction's models are not an object"
    # What a model of another name holds is nothing that a table here is made of.
    known = ((name, model) for name, model in (models or {}).items() if name in _MODELS)
    return next((told for name, model in known if (told := _model(name, model))), None)


def _model(name: str, model: Any) -> str | None:
    if model is None:
        return None
    groups = model.get("grouped_predictions") if isinstance(model, dict) else model
    if not isinstance(model, dict) or not isinstance(groups, list | None):
        return f"the model {name} is not an object with a list of grouped_predictions"
    for group in groups or ():
        if not isinstance(group, dict) or not isinstance(group.get("predictions"), list | None):
            return f"a group of the model {name} is not an object with a list of predictions"
    return None


# -- expression-v1 -----------------------------------------------------------------------------------------------------

_LARGEST = 2**63 - 1


def check_audio(body: bytes) -> str | None:
    """What is wrong with the answer to an audio upload; None if it can be read."""
    from hume_runner.client.expression_v1_reading import read_audio_answer

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
    from hume_runner.client.expression_v1_reading import read_video_answer

    try:
        answer = read_video_answer(document)
    except UnexpectedResponse as error:
        return str(error)
    numbers = [image.frame_id for image in answer.measurements]
    numbers += [face.face_id for image in answer.measurements for face in image.faces if face.face_id is not None]
    return _too_large(numbers)


def _too_large(numbers: list[int]) -> str | None:
    return "a number is too large" if any(abs(number) > _LARGEST for number in numbers) else None

"""What an answer of batch-v0 must be like to be read, with the standard library alone: the check at fetching.

What the readers of tables refuse fails when it is fetched, and its source alone: the same members, the same types. What
passes here has rows; tests hold both against each other. A value of another type than its column would be an empty cell
that nobody told of: it fails its source too. A null is none, and what nothing here names goes to `extra`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, BinaryIO, Final

from hume_runner.frozen import frozen
from hume_runner.http.json_lenient import LenientReader, kept_of
from hume_runner.http.json_stream import WINDOW_BYTES, JsonReader, Shape, kind, project, whole
from hume_runner.services.unreadable import kind_told

# -- rows --------------------------------------------------------------------------------------------------------------

_Check = Callable[[Any], str | None]  # what is wrong with a value, in words


def _number(value: Any) -> str | None:
    # Asked of every score of every answer, so the usual ones come first.
    if type(value) is float or value is None:
        return None
    if type(value) is not int:
        return f"is {kind_told(value)}, not a number"
    try:
        float(value)
    except OverflowError:
        return "is too large a number"
    return None


def _text(value: Any) -> str | None:
    return None if value is None or isinstance(value, str) else f"is {kind_told(value)}, not text"


def _whole(value: Any) -> str | None:
    """Whatever number it is: one that no column holds goes to `extra`."""
    if value is None or type(value) is int or type(value) is float:
        return None
    return f"is {kind_told(value)}, not a number"


def _scores(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, list):
        return f"is {kind_told(value)}, not a list of scores"
    for one in value:
        if not isinstance(one, dict):
            return "has a score that is not an object"
        if told := _number(one.get("score")):
            return f"has the score of {str(one.get('name'))[:60]!r}, which {told}"
        if told := _text(one.get("name")):
            return f"has a score whose name {told}"
    return None


def _members(value: Any, checks: Mapping[str, _Check]) -> str | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        return f"is {kind_told(value)}, not an object"
    for name, check in checks.items():
        if (one := value.get(name)) is not None and (told := check(one)):
            return f"has {name}, which {told}"
    return None


_box = partial(_members, checks=dict.fromkeys("xywh", _number))
_interval = partial(_members, checks={"begin": _number, "end": _number})
_span = partial(_members, checks={"begin": _whole, "end": _whole})
_HEARD: Final[dict[str, _Check]] = {"time": _interval, "confidence": _number, "speaker_confidence": _number}
_metadata = partial(_members, checks={"confidence": _number, "detected_language": _text})


def _each(names: str, check: _Check) -> dict[str, _Check]:
    return dict.fromkeys(names.split(), check)


# What the columns of a model are made of.
_ROWS: Final[Mapping[str, Mapping[str, _Check]]] = {
    "face": {
        "frame": _whole,
        "box": _box,
        **_each("time prob", _number),
        **_each("emotions facs descriptions", _scores),
    },
    "burst": {"time": _interval, **_each("emotions descriptions", _scores)},
    "prosody": {"text": _text, **_HEARD, "emotions": _scores},
    "language": {"text": _text, "position": _span, **_HEARD, **_each("emotions sentiment toxicity", _scores)},
    "ner": {
        **_each("entity uri link_word", _text),
        **_each("entity_confidence support", _number),
        **_HEARD,
        "position": _span,
        "emotions": _scores,
    },
    "facemesh": {"emotions": _scores},
}
# The model whose rows together say all the words that it was given.
_WORDS: Final = "language"
# The models with a transcript, whose metadata has columns too.
_TRANSCRIBED = frozenset(("prosody", "language", "ner"))


class _Wrong(str):
    """Stands for rows that were let go: what was wrong with one of them."""

    __slots__ = ()


def row_problem(model: str, row: Any) -> str | None:
    """What of one prediction of a known model has another type than its column; None if nothing has."""
    if isinstance(row, _Wrong):
        return str(row)
    told = _members(row, _ROWS[model]) if row is not None else "is null, not an object"
    return f"a prediction of the model {model} {told}" if told else None


def metadata_problem(model: str, metadata: Any) -> str | None:
    """The same of what a model says about all its predictions."""
    told = _metadata(metadata) if model in _TRANSCRIBED else None
    return f"the metadata of the model {model} {told}" if told else None


# -- the whole ---------------------------------------------------------------------------------------------------------


class _Let(list[_Wrong]):
    """Stands for all rows of a large answer: what was wrong with one of them, and the words that they were about."""

    __slots__ = ("words",)

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []


# Given a model, what is to look at the rows of one of its groups.
Watch = Callable[[str], Callable[[Any], None]]


def _rows(model: str, watch: Watch | None = None) -> Callable[[JsonReader], Any]:
    """The rows of a model, one after another: looked at, and let go but for the words that they are about."""

    def look_at(reader: JsonReader) -> Any:
        if reader.peek() != b"[":
            return kind(reader)
        let = _Let()
        seen = watch(model) if watch is not None else None
        for _ in reader.array():
            row = reader.value()
            if seen is not None:
                seen(row)
            if not let and (told := row_problem(model, row)):
                let.append(_Wrong(told))
            if model == _WORDS and isinstance(row, dict) and isinstance(words := row.get("text"), str):
                let.words.append(words)
        return let

    return look_at


def _large(watch: Watch | None = None) -> Shape:
    """Of an element that is large: all but what its models say."""
    models: Shape = {
        "*": kind,
        **{
            model: {"metadata": whole, "grouped_predictions": ({"id": kind, "predictions": _rows(model, watch)},)}
            for model in _ROWS
        },
    }
    return {
        "source": whole,
        "error": whole,
        "results": {"errors": whole, "predictions": ({"file": whole, "file_type": whole, "models": models},)},
    }


_LARGE: Final = _large()


@frozen(kw_only=False)
class Checked:
    """An element of an answer, what is wrong with it, and where it begins (byte).

    `odd`: of the element that all texts share, what is wrong with single ones, by their position as it is written.
    """

    element: Mapping[str, Any]
    problem: str | None
    start: int
    odd: Mapping[str, str]


def iter_checked(stream: BinaryIO | Iterable[bytes], watch: Watch | None = None) -> Iterator[Checked]:
    """Each element of batch-v0's predictions, without what the models of large ones say, and what is wrong with it.

    An element that does not say whose it is, is left out. Memory holds a window and the names of one source's files,
    however large its answer is. `watch` sees every row of a known model. Raises: UnexpectedResponse if the answer as a
    whole is damaged.
    """
    reader = LenientReader(stream)
    large = _LARGE if watch is None else _large(watch)
    for _ in reader.whole_array():
        start = reader.position
        piece = reader.raw_within(WINDOW_BYTES)
        element = project(reader, large) if piece is None else reader.decoded(piece)
        problem = reader.take_problem()
        if problem is not None and piece is not None:
            element = kept_of(piece, {"source": whole})
        if isinstance(element, dict) and isinstance(element.get("source"), dict):
            problem = problem or problem_of(element)
            odd = _odd(element) if problem is None else {}
            if odd and element["source"].get("type") != "text":
                problem, odd = next(iter(odd.values())), {}
            if watch is not None and piece is not None and problem is None:
                _show(element, watch)
            yield Checked(element, problem, start, odd)


def _show(element: Mapping[str, Any], watch: Watch) -> None:
    for prediction in (element.get("results") or {}).get("predictions") or ():
        for name, model in (prediction.get("models") or {}).items():
            for group in (model or {}).get("grouped_predictions") or () if name in _ROWS else ():
                seen = watch(name)
                for row in group.get("predictions") or ():
                    seen(row)


def words_of(element: Mapping[str, Any]) -> dict[str, list[str]]:
    """The words that an element of a known shape measured, in their order, by the file that they are of; of what tells
    none, there is an empty list, and what is odd in it tells none."""
    words: dict[str, list[str]] = {}
    for prediction in (element.get("results") or {}).get("predictions") or ():
        found: list[str] = []
        for group in _list(_dict(_dict(prediction.get("models")).get(_WORDS)).get("grouped_predictions")):
            rows = _dict(group).get("predictions")
            if isinstance(rows, _Let):
                found += rows.words
            else:
                told = (_dict(row).get("text") for row in _list(rows))
                found += [text for text in told if isinstance(text, str)]
        name = prediction.get("file") or ""
        if not isinstance(name, str):
            continue
        if words.get(name) != found:  # the same said again
            words[name] = words.get(name, []) + found
    return words


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _odd(element: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with the rows of an element of a known shape, by the file that they are of."""
    odd: dict[str, str] = {}
    for prediction in (element.get("results") or {}).get("predictions") or ():
        for name, model in (prediction.get("models") or {}).items():
            if name in _ROWS and model is not None and (told := _odd_model(name, model)):
                odd.setdefault(prediction.get("file") or "", told)
    return odd


def _odd_model(name: str, model: Mapping[str, Any]) -> str | None:
    if told := metadata_problem(name, model.get("metadata")):
        return told
    rows = (row for group in model.get("grouped_predictions") or () for row in group.get("predictions") or ())
    return next((told for row in rows if (told := row_problem(name, row))), None)


def problem_of(element: Mapping[str, Any]) -> str | None:
    """What of an element's frame has another type than it must have; None if nothing has."""
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
    known = ((name, model) for name, model in (models or {}).items() if name in _ROWS)
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

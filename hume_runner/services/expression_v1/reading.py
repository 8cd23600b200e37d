"""What the Expression Measurement API's answers and runs say, member by member; nothing here talks to anybody.

Unknown members are ignored, because answers may gain some at any time. In a measurement a member that is due and
missing is an error that names it: a half-read answer would pass for a whole one. A run is read leniently; only its id
is needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import field
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeVar

from hume_runner.errors import UnexpectedResponse
from hume_runner.frozen import frozen
from hume_runner.http.answer import parse_json
from hume_runner.services.unreadable import kind_told

T = TypeVar("T")

# (name, probability) as the service orders them. A name that is absent was below a cutoff, which is not zero.
Scores = tuple[tuple[str, float], ...]


@frozen
class Utterance:
    """A passage of speech. Times are milliseconds from the start of the upload."""

    utterance_id: int
    audio_start_ms: int
    audio_end_ms: int


@frozen
class AudioMeasurement:
    """One window of an utterance; it may end a little after it. `trigger`: "interval", "speech_ended", or newer."""

    measurement_id: int
    utterance_id: int
    audio_start_ms: int
    audio_end_ms: int
    trigger: str
    expressions: Scores
    voice_attributes: Scores


@frozen
class AudioAnswer:
    request_id: str
    run_id: str
    audio_duration_ms: int
    utterances: tuple[Utterance, ...]
    measurements: tuple[AudioMeasurement, ...]


@frozen
class Face:
    """`bbox` is x0, y0, x1, y1 in pixels of the image as it was sent. The last three are None if it was only found."""

    bbox: tuple[float, float, float, float]
    confidence: float
    face_id: int | None
    expressions: Scores | None
    descriptions: Scores | None


@frozen
class ImageMeasurement:
    """`frame_id` is the image's position in the request, from 0."""

    frame_id: int
    faces: tuple[Face, ...]


@frozen
class VideoAnswer:
    request_id: str
    run_id: str
    frames: int
    measurements: tuple[ImageMeasurement, ...]
    face_state: str | None


@frozen
class RunView:
    """The record of one request. Times are Unix seconds by the service's clock; None where it says nothing.

    `status` is "live", "ended", "errored" or newer; `mode` "file" or "realtime"; `endpoint` "audio" or "video"; each ""
    where it is missing. A list may give no `run_id` either. `raw` is the whole record, unknown members included.
    """

    run_id: str
    user_id: str = ""
    status: str = ""
    endpoint: str = ""
    mode: str = ""
    started_at: float | None = None
    ended_at: float | None = None
    bytes_received: int | None = None
    metered_seconds: float | None = None
    raw: Mapping[str, Any] = field(default_factory=dict)


# -- measurements ------------------------------------------------------------------------------------------------------


def read_audio_answer(body: bytes | Mapping[str, Any]) -> AudioAnswer:
    """The answer to an audio upload.

    Shape: {"request_id", "run_id", "received": {"audio_duration_ms"}, "utterances": [{"utterance_id", "audio_start_ms",
    "audio_end_ms"}], "measurements": [{"measurement_id", "utterance_id", "audio_start_ms", "audio_end_ms", "trigger",
    "expressions": [{"name", "probability"}], "voice_attributes": [the same]}]}.
    Raises: UnexpectedResponse, naming the member.
    """
    answer = _Object.of(body)
    return AudioAnswer(
        request_id=answer.text("request_id"),
        run_id=answer.text("run_id"),
        audio_duration_ms=answer.object("received").whole("audio_duration_ms"),
        utterances=answer.each("utterances", _utterance),
        measurements=answer.each("measurements", _audio_measurement),
    )


def read_video_answer(body: bytes | Mapping[str, Any]) -> VideoAnswer:
    """The answer to an upload of images.

    Shape: {"request_id", "run_id", "received": {"frames"}, "measurements": [{"frame_id", "faces": [{"bbox": [x0, y0,
    x1, y1], "confidence", "face_id"?, "expressions"?: [{"name", "probability"}], "descriptions"?: [the same]}]}],
    "face_state"?}. Raises: UnexpectedResponse, naming the member.
    """
    answer = _Object.of(body)
    return VideoAnswer(
        request_id=answer.text("request_id"),
        run_id=answer.text("run_id"),
        frames=answer.object("received").whole("frames"),
        measurements=answer.each("measurements", _image_measurement),
        face_state=answer.text("face_state") if answer.has("face_state") else None,
    )


def _utterance(raw: _Object) -> Utterance:
    return Utterance(
        utterance_id=raw.whole("utterance_id"),
        audio_start_ms=raw.whole("audio_start_ms"),
        audio_end_ms=raw.whole("audio_end_ms"),
    )


def _audio_measurement(raw: _Object) -> AudioMeasurement:
    return AudioMeasurement(
        measurement_id=raw.whole("measurement_id"),
        utterance_id=raw.whole("utterance_id"),
        audio_start_ms=raw.whole("audio_start_ms"),
        audio_end_ms=raw.whole("audio_end_ms"),
        trigger=raw.text("trigger"),
        expressions=raw.each("expressions", _score),
        voice_attributes=raw.each("voice_attributes", _score),
    )


def _image_measurement(raw: _Object) -> ImageMeasurement:
    return ImageMeasurement(frame_id=raw.whole("frame_id"), faces=raw.each("faces", _face))


def _face(raw: _Object) -> Face:
    corners = raw.list("bbox")
    if len(corners) != 4:
        raw.refuse("bbox", f"has {len(corners)} numbers, not 4")
    x0, y0, x1, y1 = (raw.number_of(value, f"bbox[{index}]") for index, value in enumerate(corners))
    return Face(
        bbox=(x0, y0, x1, y1),
        confidence=raw.number("confidence"),
        face_id=raw.whole("face_id") if raw.has("face_id") else None,
        expressions=raw.each("expressions", _score) if raw.has("expressions") else None,
        descriptions=raw.each("descriptions", _score) if raw.has("descriptions") else None,
    )


def _score(raw: _Object) -> tuple[str, float]:
    return raw.text("name"), raw.number("probability")


@frozen(kw_only=False)
class _Object:
    """An object of an answer and where it stands, so that an error can name the member."""

    members: Mapping[str, Any]
    path: str = ""

    @classmethod
    def of(cls, body: bytes | Mapping[str, Any]) -> _Object:
        value = parse_json(body, where="the measurement") if isinstance(body, bytes) else body
        if not isinstance(value, Mapping):
            raise UnexpectedResponse(f"the measurement is {kind_told(value)}, not an object")
        return cls(value)

    def refuse(self, name: str, what: str) -> NoReturn:
        place = f"{self.path}.{name}" if self.path else name
        raise UnexpectedResponse(f"the measurement's {place} {what}")

    def has(self, name: str) -> bool:
        """Whether a member is there and not null."""
        return self.members.get(name) is not None

    def _due(self, name: str) -> Any:
        if name not in self.members:
            self.refuse(name, "is missing")
        return self.members[name]

    def text(self, name: str) -> str:
        value = self._due(name)
        return value if isinstance(value, str) else self.refuse(name, f"is {kind_told(value)}, not text")

    def whole(self, name: str) -> int:
        number = self.number(name)
        return int(number) if number == int(number) else self.refuse(name, "is not a whole number")

    def number(self, name: str) -> float:
        return self.number_of(self._due(name), name)

    def number_of(self, value: Any, name: str) -> float:
        number = _finite(value)
        return self.refuse(name, f"is {kind_told(value)}, not a number") if number is None else number

    def list(self, name: str) -> list[Any]:
        value = self._due(name)
        return value if isinstance(value, list) else self.refuse(name, f"is {kind_told(value)}, not a list")

    def object(self, name: str) -> _Object:
        value = self._due(name)
        if not isinstance(value, Mapping):
            self.refuse(name, f"is {kind_told(value)}, not an object")
        return _Object(value, f"{self.path}.{name}" if self.path else name)

    def each(self, name: str, read: Callable[[_Object], T]) -> tuple[T, ...]:
        found = []
        for index, value in enumerate(self.list(name)):
            if not isinstance(value, Mapping):
                self.refuse(f"{name}[{index}]", f"is {kind_told(value)}, not an object")
            place = f"{self.path}.{name}[{index}]" if self.path else f"{name}[{index}]"
            found.append(read(_Object(value, place)))
        return tuple(found)


def _finite(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


# -- runs --------------------------------------------------------------------------------------------------------------


def read_run(raw: Any) -> RunView:
    """A run from the list or the get operation.

    Shape: {"run_id", "user_id", "status", "endpoint", "mode", "started_at", "ended_at", "bytes_received",
    "metered_seconds", …}, times in RFC 3339. Raises: UnexpectedResponse if there is no run_id.
    """
    run = read_listed_run(raw) if isinstance(raw, Mapping) else None
    if run is None or not run.run_id:
        raise UnexpectedResponse("the service sent a run without a run_id")
    return run


def read_listed_run(raw: Mapping[str, Any]) -> RunView:
    """A run as a list gives it: `run_id` is "" where it gives none, so that nobody can ask about it."""
    received = _finite(raw.get("bytes_received"))
    return RunView(
        run_id=_text(raw, "run_id"),
        user_id=_text(raw, "user_id"),
        status=_text(raw, "status"),
        endpoint=_text(raw, "endpoint"),
        mode=_text(raw, "mode"),
        started_at=parse_instant(raw.get("started_at")),
        ended_at=parse_instant(raw.get("ended_at")),
        bytes_received=None if received is None else int(received),
        metered_seconds=_finite(raw.get("metered_seconds")),
        raw=raw,
    )


def _text(raw: Mapping[str, Any], name: str) -> str:
    value = raw.get(name)
    return value if isinstance(value, str) else ""


def parse_instant(value: Any) -> float | None:
    """Unix seconds of an RFC 3339 time; UTC where it names no zone. None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        instant = datetime.fromisoformat(value.strip().upper())
        return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def instant(seconds: float, *, round_up: bool = False) -> str:
    """Unix seconds as RFC 3339 in UTC to the millisecond, rounded down unless told otherwise."""
    # By way of microseconds: a time read from text is a little off as a float, and must not lose its millisecond.
    microseconds = round(seconds * 1_000_000)
    ms = -(-microseconds // 1000) if round_up else microseconds // 1000
    moment = datetime.fromtimestamp(ms // 1000, UTC).replace(microsecond=ms % 1000 * 1000)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""The six models: which rows each gives for one file, and the predictions answer as a stream of bytes.

Structure and times are real where the file was read: face frames at `fps_pred` over its real frames, segments within
its real length, the real words of a text. Scores are simulated.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from hume_runner.emulator.batch_v0.rows import BurstRow, FacemeshRow, FaceRow, LanguageRow, NerRow, ProsodyRow, Row
from hume_runner.emulator.batch_v0.sources import FileFacts, SourceFacts
from hume_runner.emulator.batch_v0.transcript import Segment, Word, confidence_of, entities, segments, spoken, written
from hume_runner.emulator.scores import fingerprint, float32, integer, number

T = TypeVar("T")
_UNKNOWN_FPS = 30.0


def shuffled(items: Sequence[T], *parts: object) -> list[T]:
    """The items in an order that is fixed by `parts` and is never the given one (two or more items)."""
    order = list(range(len(items)))
    random.Random(fingerprint("order", *parts)).shuffle(order)  # noqa: S311 - reproducible, not secret
    if len(order) > 1 and order == sorted(order):
        order.append(order.pop(0))
    return [items[at] for at in order]


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One file under one request: everything that the answer says about it."""

    file: FileFacts
    request: dict[str, Any]
    seed: int

    @cached_property
    def _key(self) -> bytes:
        return fingerprint(self.seed, self.file.digest)

    @cached_property
    def _transcription(self) -> dict[str, Any] | None:
        """The options, or None where transcription is off or the file has no speech to transcribe."""
        if "transcription" not in self.request:
            return {"confidence_threshold": 0.5, "identify_speakers": False, "language": None}
        options: dict[str, Any] | None = self.request["transcription"]
        return options

    @cached_property
    def _words(self) -> list[Word]:
        if self.file.file_type == "text":
            return written(self.file.text or "")
        return spoken(self.file.digest, self.file.duration_s)

    @property
    def _confidence(self) -> float:
        return confidence_of(self.file.digest, silent=self.file.silent)

    @cached_property
    def error(self) -> str | None:
        """Why the file as a whole has no predictions, or None."""
        if self.file.error is not None:
            return self.file.error
        if self._transcribed and self._transcription is not None:
            threshold = self._transcription["confidence_threshold"]
            if self._confidence < threshold:
                return (
                    f"unable to transcribe file: transcript confidence ({self._confidence!r}) "
                    f"below threshold value ({threshold!r})"
                )
        return None

    @property
    def _transcribed(self) -> bool:
        """Whether a model that was asked for feeds on the transcript of this recording."""
        models = self.request["models"]
        windowed = models["prosody"] is None or models["prosody"]["window"] is not None
        wanted = models["language"] is not None or models["ner"] is not None or not windowed
        return self.file.has_audio and self._transcription is not None and wanted

    def models(self) -> list[str]:
        """The models that run on this file, alphabetically."""
        heard = self.file.has_audio
        read = self.file.file_type == "text" or (heard and self._transcription is not None)
        fits = {
            "burst": heard,
            "face": self.file.file_type in ("image", "video", "video_no_audio"),
            "facemesh": self.file.file_type == "mediapipe_facemesh",
            "language": read,
            "ner": read,
            "prosody": heard,
        }
        return [name for name, runs in fits.items() if runs and self.request["models"][name] is not None]

    def metadata(self, model: str) -> dict[str, Any] | None:
        """Transcript confidence and language, for the models that feed on a transcript of a recording."""
        if not self.file.has_audio or model not in ("language", "ner", "prosody") or self._transcription is None:
            return None
        return {"confidence": self._confidence, "detected_language": self._transcription["language"] or "en"}

    def rows(self, model: str) -> Iterator[Row]:
        """The model's predictions in the order of time."""
        options = self.request["models"][model]
        match model:
            case "burst":
                return self._bursts()
            case "face":
                return self._faces(options)
            case "facemesh":
                return (FacemeshRow(key=self._key, group="unknown", place=at) for at in range(self.file.faces))
            case "language":
                return self._language(options)
            case "ner":
                return self._ner(options)
            case _:
                return self._prosody(options)

    def _group(self, options: dict[str, Any], speaker: int) -> str:
        return f"spk_{speaker}" if options["identify_speakers"] and self.file.has_audio else "unknown"

    def _faces(self, options: dict[str, Any]) -> Iterator[Row]:
        fps = self.file.fps or _UNKNOWN_FPS
        people = 1 + (integer(self._key, "people", 0, 3) == 3)
        switches = {name: options[name] is not None for name in ("facs", "descriptions")}
        for place, frame in enumerate(_sampled(self.file.frames, fps, options["fps_pred"])):
            for person in range(people):
                # The second person comes late and leaves early.
                inside = person == 0 or 0.2 * self.file.frames <= frame <= 0.8 * self.file.frames
                prob = float32(_certainty(self._key, person, frame))
                box = self._box(person, people, frame / fps)
                if inside and prob >= options["prob_threshold"] and min(box[2:]) >= options["min_face_size"]:
                    yield FaceRow(
                        key=self._key,
                        group=f"face_{person}" if options["identify_faces"] else "unknown",
                        # Without ids both people are `unknown`; the place still tells their scores apart.
                        place=place * people + person,
                        frame=frame,
                        time_s=frame / fps,
                        prob=prob,
                        box=box,
                        **switches,
                    )

    def _box(self, person: int, people: int, at_s: float) -> tuple[float, float, float, float]:
        """A box inside the picture, in the person's own vertical strip, that drifts a little with time."""
        strip = self.file.width / people
        height = min(self.file.height * number(self._key, f"height{person}", 0.65, 0.85), strip)
        width = height * 0.78
        drift = 0.5 + 0.4 * number(self._key, f"drift{person}/{int(at_s)}", -1, 1)
        x = person * strip + (strip - width) * drift
        y = (self.file.height - height) * number(self._key, f"top{person}", 0.1, 0.5)
        return float32(x), float32(y), float32(width), float32(height)

    def _bursts(self) -> Iterator[Row]:
        """About one sound in eight seconds, each about a second long."""
        at_s, place = number(self._key, "burst", 0.0, 2.0), 0
        while at_s + 1.0 <= self.file.duration_s and not self.file.silent:
            begin_s = float(int(at_s))
            yield BurstRow(key=self._key, group="unknown", place=place, begin_s=begin_s, end_s=begin_s + 1.0)
            place += 1
            at_s += number(self._key, f"burst/{place}", 4.0, 12.0)

    def _prosody(self, options: dict[str, Any]) -> Iterator[Row]:
        if options["window"] is not None:
            spans = _windows(self.file.duration_s, options["window"]["length"], options["window"]["step"])
            for place, (begin_s, end_s) in enumerate(spans):
                yield ProsodyRow(
                    key=self._key,
                    group="unknown",
                    place=place,
                    text=None,
                    begin_s=begin_s,
                    end_s=end_s,
                    confidence=None,
                )
            return
        # Without transcription the granularity is ignored: stretches of voice, without words.
        worded = self._transcription is not None
        granularity = options["granularity"] if worded else "utterance"
        parts = segments(self._words, granularity, by_speaker=options["identify_speakers"])
        for place, part in enumerate(parts):
            assert part.begin_s is not None
            assert part.end_s is not None
            yield ProsodyRow(
                key=self._key,
                group=self._group(options, part.speaker),
                place=place,
                text=part.text if worded else None,
                begin_s=part.begin_s,
                end_s=part.end_s,
                confidence=part.confidence if worded else None,
            )

    def _language(self, options: dict[str, Any]) -> Iterator[Row]:
        if self.file.file_type == "text" and options["granularity"] == "conversational_turn":
            text = self.file.text or ""
            parts: Iterable[Segment] = [Segment(text, 0, len(text), None, None, 0, None)] if text.strip() else []
        else:
            parts = segments(self._words, options["granularity"], by_speaker=options["identify_speakers"])
        for place, part in enumerate(parts):
            yield LanguageRow(
                key=self._key,
                group=self._group(options, part.speaker),
                place=place,
                segment=part,
                sentiment=options["sentiment"] is not None,
                toxicity=options["toxicity"] is not None,
            )

    def _ner(self, options: dict[str, Any]) -> Iterator[Row]:
        for place, word in enumerate(entities(self._words)):
            yield NerRow(
                key=self._key,
                group=self._group(options, word.speaker),
                place=place,
                segment=Segment(
                    word.text, word.begin, word.end, word.begin_s, word.end_s, word.speaker, word.confidence
                ),
                entity_confidence=float32(number(self._key, f"entity/{word.text}", 0.6, 0.999)),
                support=float(integer(self._key, f"support/{word.text}", 1, 5000)),
            )


def _certainty(key: bytes, person: int, frame: int) -> float:
    """Detection probability; one frame in twenty of the second person falls below the default threshold."""
    if person and integer(key, f"blur/{person}/{frame}", 1, 20) == 1:
        return number(key, f"prob/{person}/{frame}", 0.9, 0.989)
    return number(key, f"prob/{person}/{frame}", 0.9921, 0.9999)


def _sampled(frames: int, fps: float, wanted_fps: float) -> Iterator[int]:
    """Frame numbers `wanted_fps` times a second, never one twice; 0 means every frame."""
    stride = 1.0 if wanted_fps <= 0 else max(1.0, fps / wanted_fps)
    at = 0
    while (frame := round(at * stride)) < frames:
        yield frame
        at += 1


def _windows(duration_s: float, length_s: float, step_s: float) -> Iterator[tuple[float, float]]:
    """Whole windows within the recording; a recording that is shorter than one gets one window of its own length."""
    if duration_s < length_s:
        yield 0.0, duration_s
        return
    at = 0
    while (begin_s := at * step_s) + length_s <= duration_s + 1e-9:
        yield begin_s, begin_s + length_s
        at += 1


def counts(sources: Iterable[SourceFacts], request: dict[str, Any], seed: int) -> tuple[int, int]:
    """How many predictions and how many errors the answer holds."""
    predictions = errors = 0
    for source in sources:
        errors += source.error is not None
        for file in source.files:
            measurement = Measurement(file=file, request=request, seed=seed)
            if measurement.error is not None:
                errors += 1
                continue
            predictions += sum(1 for model in measurement.models() for _ in measurement.rows(model))
    return predictions, errors


def source_object(source: SourceFacts, request: dict[str, Any]) -> dict[str, Any]:
    """The `source` member: the URL as submitted, the part's facts, or just `text`."""
    match source.kind:
        case "url":
            return {"type": "url", "url": request["urls"][source.index]}
        case "file":
            return {"type": "file", **request["files"][source.index]}
        case _:
            return {"type": "text"}


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def render(
    sources: Sequence[SourceFacts],
    request: dict[str, Any],
    seed: int,
    *,
    shown: dict[str, Any] | None = None,
    blame: str = "",
) -> Iterator[bytes]:
    """The predictions answer, piece by piece. Sources, strings and group ids come in an order of their own.

    `shown`: the request as the host spells it in `source`. `blame` follows the text of each error.
    """
    mark = [file.digest for source in sources for file in source.files]
    for at, source in enumerate(shuffled(sources, seed, *mark)):
        opening = (
            ("," if at else "[") + '{"source":' + _json(source_object(source, request if shown is None else shown))
        )
        if source.error is not None:
            yield (opening + ',"error":' + _json(source.error + blame) + "}").encode()
            continue
        yield (opening + ',"results":{"predictions":[').encode()
        yield from _render_files(source, request, seed, blame)
    yield b"]" if sources else b"[]"


def _render_files(source: SourceFacts, request: dict[str, Any], seed: int, blame: str) -> Iterator[bytes]:
    errors: list[dict[str, str]] = []
    separator = ""
    for file in shuffled(source.files, seed, "files", *(file.digest for file in source.files)):
        measurement = Measurement(file=file, request=request, seed=seed)
        if measurement.error is not None:
            errors.append({"message": measurement.error + blame, "file": file.name})
            continue
        yield f'{separator}{{"file":{_json(file.name)},"file_type":{_json(file.file_type)},"models":{{'.encode()
        separator = ","
        for at, model in enumerate(measurement.models()):
            yield (("," if at else "") + f'"{model}":').encode()
            yield from _render_model(measurement, model)
        yield b"}}"
    yield ('],"errors":' + _json(errors) + "}}").encode()


def _render_model(measurement: Measurement, model: str) -> Iterator[bytes]:
    groups: dict[str, list[Row]] = {}
    for row in measurement.rows(model):
        groups.setdefault(row.group, []).append(row)
    yield f'{{"metadata":{_json(measurement.metadata(model))},"grouped_predictions":['.encode()
    for at, group in enumerate(shuffled(list(groups), measurement.file.digest)):
        yield (("," if at else "") + f'{{"id":"{group}","predictions":[').encode()
        for index, row in enumerate(groups[group]):
            yield (("," if index else "") + row.json()).encode()
        yield b"]}"
    yield b"]}"

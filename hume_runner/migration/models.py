"""The models of a batch-v0 manifest as those of expression-v1, and notes on what is not the same any more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Final, Literal

from hume_runner.frozen import frozen
from hume_runner.manifest.written import yaml_value

Verdict = Literal["changed", "none"]

TIMER_MS: Final = (3000, 10_000)  # what measurement_timer_ms may be
MOST_FPS: Final = 120

_COMMENT_COLUMN = 36
_SPEAKERS: Final = "speakers are not told apart"
_MODELS_WITHOUT_EQUIVALENT: Final[Mapping[str, str]] = {
    "language": "no words are measured, neither spoken nor written; sentiment and toxicity go with it",
    "ner": "no entities are found",
    "facemesh": "no landmarks are taken; only pictures",
}
_FACE_OPTIONS: Final[Mapping[str, str]] = {
    "prob_threshold": "models.video.face.threshold is on another scale; its default of 0.9 holds",
    "facs": "no action units; descriptions are the nearest",
    "save_faces": "no crops are kept; the boxes say where they are in the frames",
}


@frozen
class Note:
    """What became of one member: `changed` into something that is not quite the same, or left out as it has `none`.

    `member` is the path in the old manifest, `becomes` the member of the new one ("" for `none`), `why` a sentence
    for the person who has to decide whether that is good enough.
    """

    member: str
    verdict: Verdict
    becomes: str
    why: str


@frozen(kw_only=False)
class Notes:
    """Notes as they are taken."""

    taken: list[Note] = field(default_factory=list)

    def none(self, member: str, why: str) -> None:
        self.taken.append(Note(member=member, verdict="none", becomes="", why=why))

    def changed(self, member: str, becomes: str, why: str) -> None:
        self.taken.append(Note(member=member, verdict="changed", becomes=becomes, why=why))


def commented(text: str, comment: str) -> str:
    """A line of the manifest with a comment behind it."""
    return f"{text:<{_COMMENT_COLUMN - 1}} # {comment}"


def models_section(old: Mapping[str, Any], notes: Notes) -> list[str]:
    """The lines below `models:`; none if nothing of the old models has an equivalent."""
    lines: list[str] = []
    if "face" in old:
        lines += _face(old["face"], notes)
    if "prosody" in old or "burst" in old:
        lines += _speech(old, notes)
    for model, why in _MODELS_WITHOUT_EQUIVALENT.items():
        if model in old:
            notes.none(f"models.{model}", why)
    return lines


def _face(old: Mapping[str, Any], notes: Notes) -> list[str]:
    notes.changed(
        "models.face", "models.video", "other scores, only those over 0.1, and at most two faces of a picture"
    )
    fps = old.get("fps_pred", 3)
    if "fps_pred" in old and not 0 < fps <= MOST_FPS:
        fps, why = (
            (MOST_FPS, f"at most {MOST_FPS}") if fps else (3, f"0, every frame, does not exist; at most {MOST_FPS}")
        )
        notes.changed("models.face.fps_pred", "models.video.fps", why)
    tracked = old.get("identify_faces", False)
    if tracked:
        why = "ids hold within one video, and its requests go out one after another"
        notes.changed("models.face.identify_faces", "models.video.track_faces", why)
    lines = [
        "  video:",
        commented(f"    fps: {yaml_value(fps)}", "frames taken a second, as face.fps_pred; each is billed as 1/3 s"),
        commented(f"    track_faces: {yaml_value(tracked)}", "as face.identify_faces"),
    ]
    if "min_face_size" in old:
        why = "pixels of the frame that is sent, which max_width makes smaller"
        notes.changed("models.face.min_face_size", "models.video.face.min_size", why)
        lines.append(commented(f"    face: {{min_size: {max(1, old['min_face_size'])}}}", "as face.min_face_size"))
    if "descriptions" in old:
        why = "always measured, so there is nothing to turn on; 27 names, only those over 0.1"
        notes.changed("models.face.descriptions", "models.video", why)
    for option, why in _FACE_OPTIONS.items():
        # `save_faces: false` asks for nothing.
        if option in old and old[option] is not False:
            notes.none(f"models.face.{option}", why)
    return lines


def _speech(old: Mapping[str, Any], notes: Notes) -> list[str]:
    why = "sounds such as laughing are names among the expressions of speech; no spans of their own"
    prosody = old.get("prosody", {})
    if "burst" in old:
        notes.changed("models.burst", "models.audio", why)
    if "prosody" in old:
        notes.changed("models.prosody", "models.audio", "another vocabulary; only names over their threshold")
    window = prosody.get("window")
    timer, comment = TIMER_MS[0], "the finest that there is"
    if window is not None:
        step_ms = round(window.get("step", 1) * 1000)
        timer = min(max(step_ms, TIMER_MS[0]), TIMER_MS[1])
        comment = f"prosody.window.step was {step_ms} ms"
        why = f"every {timer} ms of speech, not of the recording; from 3000 to 10000"
        notes.changed("models.prosody.window.step", "models.audio.measurement_timer_ms", why)
        if "length" in window:
            notes.none("models.prosody.window.length", "a window is the utterance so far, up to 10 s of it")
    granularity = prosody.get("granularity")
    if granularity == "utterance":
        why = "utterances are found by pauses, without a transcript, and long ones are measured several times"
        notes.changed("models.prosody.granularity", "models.audio", why)
    elif granularity is not None:
        notes.none("models.prosody.granularity", f"no measurement for each {granularity.replace('_', ' ')}")
    if prosody.get("identify_speakers"):
        notes.none("models.prosody.identify_speakers", _SPEAKERS)
    return ["  audio:", commented(f"    measurement_timer_ms: {timer}", comment)]


def note_transcription(old: Mapping[str, Any], notes: Notes) -> None:
    """Transcription has no equivalent: a note for whatever was asked of it."""
    for member, value in old.items():
        if value not in (None, False):
            why = _SPEAKERS if member == "identify_speakers" else "speech is not turned into text"
            notes.none(f"transcription.{member}", why)

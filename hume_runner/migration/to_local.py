"""A batch-v0 manifest as a `local` one: open models on this machine, and what became of each member.

Pure, but for reading the old manifest. Nothing here is one of the old scores: loudness is no prosody, and no expression
is read from a face.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from hume_runner.errors import UsageError
from hume_runner.manifest.quantities import duration_s
from hume_runner.manifest.written import yaml_value
from hume_runner.migration.manifest import LEAST_JOB_TIMEOUT_S, Migrated, Migration, migrate_with
from hume_runner.migration.models import Notes, commented
from hume_runner.settings import masked_url

MOST_FPS: Final = 60
MOST_WINDOW_S: Final = 300
_SPEAKERS: Final = "speakers are not told apart"
_BURST: Final = "no open model that may be used here measures vocal bursts"
_FACE_OPTIONS: Final[Mapping[str, str]] = {
    "prob_threshold": "models.face.min_score is of another detector; its default holds",
    "facs": "no action units; named distances in the face are the nearest",
    "descriptions": "nothing is called a smile or a frown; named distances in the face are the nearest",
    "save_faces": "no crops are kept; the boxes say where they are in the pictures",
}
_LANGUAGE_OPTIONS: Final[Mapping[str, str]] = {
    "sentiment": "no scale of sentiment; the 28 labels are the nearest",
    "toxicity": "no toxicity is measured",
    "identify_speakers": _SPEAKERS,
}
_SPEECH_GRANULARITY: Final[Mapping[str, str]] = {
    "word": "words have their times, loudness and pitch stand in windows beside them",
    "utterance": "utterances are rows of their own, loudness and pitch stand in windows beside them",
    "conversational_turn": "turns are told by pauses, not by who speaks; loudness and pitch stand in windows",
}


def migrate_to_local(path: Path, *, folder: Path | None = None, endpoint: str | None = None) -> Migrated:
    """The manifest at `path` for this machine, to be written into `folder` (default: beside the old one).

    Raises: ManifestError if the old one is not valid, or if nothing in it could be measured; UsageError if it is not
    for batch-v0, or with an endpoint.
    """
    if endpoint is not None:
        raise UsageError("local measures on this machine and has no endpoint", hint="leave --endpoint out")
    return migrate_with(ToLocal, path, folder, None)


class ToLocal(Migration):
    """One manifest on its way."""

    to = "local"
    command = "migrate --to local"
    next_step = "`hume-runner models pull --manifest FILE` gets the models that it measures with."
    warning = "None of the old scores is measured: what these models tell has names and scales of its own."
    ending = "local"
    text = True
    downloads: ClassVar[str] = "the runner downloads them, to be measured here"

    def _service(self) -> list[str]:
        old = self._section("service")
        endpoint = old.get("endpoint")
        if endpoint == "emulator":
            self.notes.none("service.endpoint", "nothing is rehearsed: scores are measured, without any service")
        elif endpoint is not None:
            self.notes.none("service.endpoint", f"{masked_url(endpoint)} is not asked: it is measured on this machine")
        if "api_key" in old:
            self.notes.none("service.api_key", "no key is needed")
        for limit in old.get("limits", {}):
            self.notes.none(f"service.limits.{limit}", "nothing is sent, so no host limits it")
        if "timeout" in old:
            self.notes.none(
                "service.timeout", "no request is sent; execution.job_timeout bounds how long a piece takes"
            )
        return ["service:", commented("  api: local", "measures on this machine: no key, no bill")]

    def _models(self) -> list[str]:
        old, sources = self._section("models"), self._section("sources")
        # Left out, it is on; null turns it off.
        off = self.document.node(("transcription",)) is not None and self.document.get("transcription") is None
        media = bool(sources.get("urls") or sources.get("files"))
        written = LocalModels(
            old,
            self._section("transcription"),
            transcribes=not off,
            media=media,
            text=bool(sources.get("text")),
            notes=self.notes,
        )
        lines = list(written.lines())
        if not lines:
            raise self._refuse("models", f"{', '.join(old)}: none of these has an equivalent in local")
        if not media and not {"language", "ner"} & set(old):
            raise self._refuse("models", f"{', '.join(old)}: none of these measures a text, and nothing else is listed")
        return ["models:", *lines]

    def _transcription(self) -> None:
        """Noted where `speech` is written."""

    def _batching(self) -> None:
        for name in self._section("batching"):
            self.notes.none(f"batching.{name}", "nothing is sent; a recording is cut in pauses, texts go together")

    def _execution(self) -> list[str]:
        old = self._section("execution")
        for name in ("max_jobs_in_flight", "transfer_workers", "requests_per_second"):
            if name in old:
                self.notes.none(f"execution.{name}", "nothing waits elsewhere; execution.workers sets the pace")
        lines = [commented("  # workers: 2", "processes that measure; default: as many as there are cores")]
        timeout = old.get("job_timeout")
        if timeout is not None and duration_s(timeout) < LEAST_JOB_TIMEOUT_S:
            self.notes.none("execution.job_timeout", f"{timeout} is short for measuring minutes of a recording")
        elif timeout is not None:
            lines.append(f"  job_timeout: {yaml_value(timeout)}")
        kept = [f"  {name}: {yaml_value(old[name])}" for name in ("retry", "max_failures") if name in old]
        lines += kept
        # A section of nothing but comments would be null.
        return ["execution:", *lines] if len(lines) > 1 else ["# execution:", f"#{lines[0].replace('# ', ' ', 1)}"]


class LocalModels:
    """The lines below `models:`; what is said about each old one goes into `notes`."""

    def __init__(
        self,
        old: Mapping[str, Any],
        transcription: Mapping[str, Any],
        *,
        transcribes: bool,
        media: bool,
        text: bool,
        notes: Notes,
    ) -> None:
        self._old = old
        self._transcription = transcription
        self._hears = media and transcribes and bool({"prosody", "language", "ner"} & set(old))
        self._text = text
        self._notes = notes

    def lines(self) -> Iterator[str]:
        """In the order in which local measures."""
        if "prosody" in self._old:
            yield from self._prosody(self._old["prosody"] or {})
        if "burst" in self._old:
            self._notes.none("models.burst", _BURST)
        if self._hears:
            yield from self._speech()
        self._note_transcription()
        for model, written in (("language", self._language), ("ner", self._ner)):
            if model in self._old and (self._hears or self._text):
                yield from written(self._old[model] or {})
            elif model in self._old:
                self._notes.none(f"models.{model}", "no speech is transcribed, so there is no text")
        yield from self._faces()

    def _prosody(self, old: Mapping[str, Any]) -> Iterator[str]:
        why = "loudness in dB, pitch in Hz, pauses: no expressions of the voice, as no open model may be used for them"
        self._notes.changed("models.prosody", "models.acoustics", why)
        window = old.get("window")
        granularity = old.get("granularity")
        if window is None and granularity is not None and self._hears and granularity in _SPEECH_GRANULARITY:
            self._notes.changed("models.prosody.granularity", "models.speech", _SPEECH_GRANULARITY[granularity])
        elif granularity is not None:
            why = f"no row for each {granularity.replace('_', ' ')}; loudness and pitch stand in windows"
            self._notes.none("models.prosody.granularity", why)
        if old.get("identify_speakers"):
            self._notes.none("models.prosody.identify_speakers", _SPEAKERS)
        if window is None:
            yield commented("  acoustics: {window: 1.0}", "a row a second")
            return
        told = {"window": window.get("length", 4), "step": window.get("step", 1)}
        for name, member in (("window", "length"), ("step", "step")):
            if told[name] > MOST_WINDOW_S:
                told[name] = MOST_WINDOW_S
                why = f"at most {MOST_WINDOW_S} seconds"
                self._notes.changed(f"models.prosody.window.{member}", f"models.acoustics.{name}", why)
        yield commented(f"  acoustics: {yaml_value(told)}", "as prosody.window: seconds")

    def _speech(self) -> Iterator[str]:
        tag = self._transcription.get("language")
        spoken = None if tag is None else tag.partition("-")[0]
        if tag is not None and tag != spoken:
            why = f"{spoken}: {tag} is not told from it"
            self._notes.changed("transcription.language", "models.speech.language", why)
        if spoken == "en":
            yield commented("  speech: {model: tiny.en, language: en}", "base.en and small.en mishear less, slower")
        elif spoken is not None:
            told = {"model": "base", "language": spoken}
            yield commented(f"  speech: {yaml_value(told)}", "small and medium mishear less, slower")
        else:
            yield commented("  speech: {model: base}", "detects the language; tiny.en is quicker for English")

    def _note_transcription(self) -> None:
        for member, value in self._transcription.items():
            if value in (None, False):
                continue
            if member == "identify_speakers":
                self._notes.none("transcription.identify_speakers", _SPEAKERS)
            elif member == "confidence_threshold":
                why = "no transcript is refused; the table speech tells how sure each utterance is"
                self._notes.none("transcription.confidence_threshold", why)
            elif not self._hears:
                self._notes.none(f"transcription.{member}", "nothing that is asked for needs a transcript")

    def _language(self, old: Mapping[str, Any]) -> Iterator[str]:
        why = "28 labels of GoEmotions, English only, and not the old names"
        self._notes.changed("models.language", "models.language", why)
        granularity = old.get("granularity", "word")
        becomes = {"utterance": "utterance", "conversational_turn": "text"}.get(granularity, "sentence")
        whys = {
            "word": "sentences; no word is measured by itself",
            "utterance": "as it was heard; a written text is one utterance",
            "conversational_turn": "the whole text; of a recording, all that was heard in a piece of it",
        }
        if granularity in whys:
            self._notes.changed("models.language.granularity", "models.language.granularity", whys[granularity])
        for option, why in _LANGUAGE_OPTIONS.items():
            if old.get(option, False) is not False:
                self._notes.none(f"models.language.{option}", why)
        yield f"  language: {{granularity: {becomes}}}"

    def _ner(self, old: Mapping[str, Any]) -> Iterator[str]:
        why = "names of 18 types in English text, without scores and without an emotion towards them"
        self._notes.changed("models.ner", "models.ner", why)
        if old.get("identify_speakers"):
            self._notes.none("models.ner.identify_speakers", _SPEAKERS)
        yield "  ner: {}"

    def _faces(self) -> Iterator[str]:
        told: dict[str, Any] = {}
        if "face" in self._old:
            told |= self._face(self._old["face"] or {})
        if "facemesh" in self._old:
            self._notes.changed("models.facemesh", "models.face.landmarks", "468 points a face, of another model")
            told["landmarks"] = True
        if told:
            yield f"  face: {yaml_value(told)}"

    def _face(self, old: Mapping[str, Any]) -> Mapping[str, Any]:
        why = "boxes, head pose and named distances; no expressions, which are not read from faces here"
        self._notes.changed("models.face", "models.face", why)
        fps = old.get("fps_pred", 3)
        told: dict[str, Any] = {"fps": fps}
        if not 0 < fps <= MOST_FPS:
            told["fps"] = MOST_FPS if fps else 3
            why = f"at most {MOST_FPS}" if fps else f"0, every picture, does not exist; at most {MOST_FPS}"
            self._notes.changed("models.face.fps_pred", "models.face.fps", why)
        if "min_face_size" in old:
            told["min_size"] = max(1, old["min_face_size"])
            self._notes.changed("models.face.min_face_size", "models.face.min_size", "pixels of another detector's box")
        if old.get("identify_faces"):
            why = "tracks are always there: a face from picture to picture of one video, never who it is"
            self._notes.changed("models.face.identify_faces", "models.face", why)
        for option, why in _FACE_OPTIONS.items():
            if option in old and old[option] is not False:
                self._notes.none(f"models.face.{option}", why)
        return told


__all__: Sequence[str] = ("LocalModels", "ToLocal", "migrate_to_local")

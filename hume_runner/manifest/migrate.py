"""A batch-v0 manifest as an expression-v1 one, and what became of each member that does not carry over as it is.

Pure, but for reading the old manifest. The two APIs measure different things: what is written here asks for the nearest
that expression-v1 has, and no score of the one can be compared with a score of the other (docs/from-v0-to-v1.md).
"""

from __future__ import annotations

import os.path
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from hume_runner.errors import ManifestError, UsageError
from hume_runner.manifest.defaults import REQUEST_BYTES
from hume_runner.manifest.document import Document, path_text
from hume_runner.manifest.load import load_manifest
from hume_runner.manifest.quantities import duration_s, size_bytes
from hume_runner.manifest.shown import masked_url
from hume_runner.manifest.strict_yaml import parse
from hume_runner.manifest.written import yaml_value

Verdict = Literal["changed", "none"]

TIMER_MS: Final = (3000, 10_000)  # what measurement_timer_ms may be
MOST_FPS: Final = 120
MOST_REQUESTS_PER_SECOND: Final = 10  # not documented for this API; 600 a minute is, for its neighbour on the same host
MOST_WORKERS: Final = 4  # requests that wait for a measurement at one time
LEAST_TIMEOUT_S: Final = 60.0
LEAST_JOB_TIMEOUT_S: Final = 600.0
# What the old API took as text or landmarks: neither sound nor picture, whatever its name.
TEXT_SUFFIXES: Final = frozenset({".txt", ".json", ".csv", ".md", ".html", ".xml", ".pdf", ".docx"})
_COMMENT_COLUMN = 36
_GLOB = re.compile(r"([*?[])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What became of one member: `changed` into something that is not quite the same, or left out as it has `none`.

    `member` is the path in the old manifest, `becomes` the member of the new one ("" for `none`), `why` a sentence
    for the person who has to decide whether that is good enough.
    """

    member: str
    verdict: Verdict
    becomes: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Migrated:
    """The new manifest's text, and a note for each member that does not carry over as it is, in the old order."""

    text: str
    notes: tuple[Note, ...]


def migrate_manifest(path: Path, *, folder: Path | None = None, endpoint: str | None = None) -> Migrated:
    """The manifest at `path` for expression-v1, to be written into `folder` (default: beside the old one).

    `endpoint` replaces `service.endpoint`. Raises: ManifestError if the old one is not valid, or if nothing in it could
    be measured; UsageError if it is for expression-v1 already.
    """
    path = path.absolute()
    manifest = load_manifest(path, endpoint=endpoint)
    if manifest.service.api != "batch-v0":
        raise UsageError(f"{path.name} is for {manifest.service.api} already", hint=f"hume-runner plan {path.name}")
    document = parse(path.read_bytes(), str(path))
    move = _Move(*(os.path.normpath(place.absolute()) for place in (path.parent, folder or path.parent)))
    migration = _Migration(document, move, endpoint)
    body = [line for section in migration.sections() for line in section]
    head = _head(path.name, migration.notes)
    return Migrated(text="\n".join([*head, *body]) + "\n", notes=tuple(migration.notes))


@dataclass(frozen=True, slots=True)
class _Move:
    """Paths in a manifest are relative to its folder; this makes them mean the same from another folder."""

    old: str
    new: str

    @property
    def stays(self) -> bool:
        return self.old == self.new

    def source(self, name: str, *, pattern: bool) -> str:
        """The path or glob of a source. It may not hold `..`, so it becomes absolute where it would have to."""
        if self.stays or Path(name).is_absolute():
            return name
        way = os.path.relpath(self.old, self.new)
        folder = self.old if Path(way).parts[0] == ".." else way
        return posixpath.join(_GLOB.sub(r"[\1]", folder) if pattern else folder, name)

    def other(self, name: str) -> str:
        """Any other path."""
        if self.stays or Path(name).is_absolute():
            return name
        return os.path.relpath(Path(self.old, name), self.new)


@dataclass(slots=True)
class _Migration:
    """One manifest on its way. `sections` has to be read to its end before `notes` is complete."""

    document: Document
    move: _Move
    endpoint: str | None
    notes: list[Note] = field(default_factory=list)

    def sections(self) -> Iterator[Sequence[str]]:
        yield self._names()
        yield self._service()
        yield self._sources()
        yield self._models()
        self._transcription()
        yield self._notify()
        self._batching()
        yield self._execution()
        yield self._outputs()

    def _section(self, name: str) -> dict[str, Any]:
        found = self.document.get(name)
        return found if isinstance(found, dict) else {}

    def _none(self, member: str, why: str) -> None:
        self.notes.append(Note(member=member, verdict="none", becomes="", why=why))

    def _changed(self, member: str, becomes: str, why: str) -> None:
        self.notes.append(Note(member=member, verdict="changed", becomes=becomes, why=why))

    def _refuse(self, member: str, message: str) -> ManifestError:
        hint = "keep the manifest as it is and run it on a host that speaks the batch API"
        return ManifestError([self.document.problem((member,), message, hint, key=True)])

    def _names(self) -> list[str]:
        lines = ["version: 1", f"name: {yaml_value(self.document.get('name'))}"]
        description = self.document.get("description")
        return lines + ([f"description: {yaml_value(description)}"] if description else [])

    # -- service -------------------------------------------------------------------------------------------------------

    def _service(self) -> list[str]:
        old = self._section("service")
        lines = ["service:", "  api: expression-v1"]
        lines += self._endpoint(old.get("endpoint"))
        if "api_key" in old:
            lines.append(
                _line(f"  api_key: {yaml_value(self._secret(old['api_key']))}", "a key of this API's own host")
            )
        for limit in old.get("limits", {}):
            self._none(f"service.limits.{limit}", "recordings are split and pictures packed to what the API takes")
        lines += self._timeout("service.timeout", old.get("timeout"), LEAST_TIMEOUT_S, indent="  ")
        return lines

    def _endpoint(self, old: str | None) -> list[str]:
        if self.endpoint is not None or old == "emulator":
            return [f"  endpoint: {yaml_value(self.endpoint or old)}"]
        if old is not None:
            self._none("service.endpoint", f"{masked_url(old)} speaks the batch API; the new API has a host of its own")
        return ["  # endpoint: emulator             # rehearses offline; scores are simulated"]

    def _secret(self, old: Mapping[str, str]) -> dict[str, str]:
        return {name: self.move.other(value) if name == "file" else value for name, value in old.items()}

    def _timeout(self, member: str, value: str | None, least_s: float, *, indent: str) -> list[str]:
        """A time-out, unless it is so short that answers would be lost which are paid for."""
        if value is None:
            return []
        if duration_s(value) < least_s:
            self._none(
                member, f"{value} is short for an answer that comes after the measurement, and is billed if lost"
            )
            return []
        return [f"{indent}{member.rpartition('.')[2]}: {yaml_value(value)}"]

    # -- sources -------------------------------------------------------------------------------------------------------

    def _sources(self) -> list[str]:
        old = self._section("sources")
        kept = {
            "urls": [self._source(entry) for entry in old.get("urls", ())],
            "files": [
                self._source(entry)
                for index, entry in enumerate(old.get("files", ()))
                if not self._is_text(entry, path_text(("sources", "files", index)))
            ],
        }
        if old.get("text"):
            count = len(old["text"])
            self._none("sources.text", f"{count} {'entry' if count == 1 else 'entries'}: no text is measured")
        if kept["urls"]:
            self._changed("sources.urls", "sources.urls", "the runner downloads them; the service took the URLs itself")
        for index, entry in enumerate(old.get("files", ())):
            if isinstance(entry, dict) and "from" in entry and not self.move.stays:
                member = path_text(("sources", "files", index))
                why = f"paths in the list count from the manifest's folder, which was {_one_line(self.move.old)}"
                self._changed(member, member, why)
        if not any(kept.values()):
            raise self._refuse("sources", "holds nothing but text, which expression-v1 does not measure")
        lines = ["sources:"]
        for member, entries in kept.items():
            lines += [f"  {member}:", *(f"    - {yaml_value(entry)}" for entry in entries)] if entries else []
        return lines

    def _is_text(self, entry: Any, member: str) -> bool:
        name = entry.get("path", "") if isinstance(entry, dict) else entry
        found = Path(name).suffix.lower() in TEXT_SUFFIXES
        if found:
            self._none(member, f"a {Path(name).suffix.lower()} file is neither sound nor picture")
        return found

    def _source(self, entry: Any) -> Any:
        if isinstance(entry, str):
            return entry if "://" in entry else self.move.source(entry, pattern=True)
        moved = dict(entry)
        for name in ("path", "from"):
            if name in moved:
                moved[name] = self.move.source(moved[name], pattern=name == "path")
        return moved

    # -- models --------------------------------------------------------------------------------------------------------

    def _models(self) -> list[str]:
        old = self._section("models")
        lines: list[str] = []
        if "face" in old:
            lines += self._face(old["face"])
        if "prosody" in old or "burst" in old:
            lines += self._speech(old)
        for model, why in _MODELS_WITHOUT_EQUIVALENT.items():
            if model in old:
                self._none(f"models.{model}", why)
        if not lines:
            raise self._refuse("models", f"{', '.join(old)}: none of these has an equivalent in expression-v1")
        return ["models:", *lines]

    def _face(self, old: Mapping[str, Any]) -> list[str]:
        self._changed(
            "models.face", "models.video", "other scores, only those over 0.1, and at most two faces of a picture"
        )
        fps = old.get("fps_pred", 3)
        if "fps_pred" in old and not 0 < fps <= MOST_FPS:
            fps = MOST_FPS if fps else 3
            why = f"'every frame' has no equivalent; up to {MOST_FPS} frames a second"
            self._changed("models.face.fps_pred", "models.video.fps", why)
        tracked = old.get("identify_faces", False)
        if tracked:
            why = "ids hold within one video, and its requests go out one after another"
            self._changed("models.face.identify_faces", "models.video.track_faces", why)
        lines = [
            "  video:",
            _line(f"    fps: {yaml_value(fps)}", "frames taken a second, as face.fps_pred; each is billed as 1/3 s"),
            _line(f"    track_faces: {yaml_value(tracked)}", "as face.identify_faces"),
        ]
        if "min_face_size" in old:
            why = "pixels of the frame that is sent, which max_width makes smaller"
            self._changed("models.face.min_face_size", "models.video.face.min_size", why)
            lines.append(_line(f"    face: {{min_size: {max(1, old['min_face_size'])}}}", "as face.min_face_size"))
        if "descriptions" in old:
            why = "always measured, so there is nothing to turn on; 27 names, only those over 0.1"
            self._changed("models.face.descriptions", "models.video", why)
        for option, why in _FACE_OPTIONS.items():
            # `save_faces: false` asks for nothing.
            if option in old and old[option] is not False:
                self._none(f"models.face.{option}", why)
        return lines

    def _speech(self, old: Mapping[str, Any]) -> list[str]:
        why = "sounds such as laughing are names among the expressions of speech; no spans of their own"
        prosody = old.get("prosody", {})
        if "burst" in old:
            self._changed("models.burst", "models.audio", why)
        if "prosody" in old:
            self._changed("models.prosody", "models.audio", "another vocabulary; only names over their threshold")
        window = prosody.get("window")
        timer, comment = TIMER_MS[0], "the finest that there is"
        if window is not None:
            step_ms = round(window.get("step", 1) * 1000)
            timer = min(max(step_ms, TIMER_MS[0]), TIMER_MS[1])
            comment = f"prosody.window.step was {step_ms} ms"
            why = f"every {timer} ms of speech, not of the recording; from 3000 to 10000"
            self._changed("models.prosody.window.step", "models.audio.measurement_timer_ms", why)
            if "length" in window:
                self._none("models.prosody.window.length", "a window is the utterance so far, up to 10 s of it")
        granularity = prosody.get("granularity")
        if granularity == "utterance":
            why = "utterances are found by pauses, without a transcript, and long ones are measured several times"
            self._changed("models.prosody.granularity", "models.audio", why)
        elif granularity is not None:
            self._none("models.prosody.granularity", f"no measurement for each {granularity.replace('_', ' ')}")
        if prosody.get("identify_speakers"):
            self._none("models.prosody.identify_speakers", _SPEAKERS)
        return ["  audio:", _line(f"    measurement_timer_ms: {timer}", comment)]

    def _transcription(self) -> None:
        for member, value in self._section("transcription").items():
            if value not in (None, False):
                why = _SPEAKERS if member == "identify_speakers" else "speech is not turned into text"
                self._none(f"transcription.{member}", why)

    # -- the rest ------------------------------------------------------------------------------------------------------

    def _notify(self) -> list[str]:
        old = self._section("notify")
        if old.get("email"):
            self._none("notify.email", "no mail is sent; notify.callback_url can tell a server of your own")
        if "callback_url" not in old:
            return []
        why = "posted by the runner, once, when the manifest is finished; the body is its summary"
        self._changed("notify.callback_url", "notify.callback_url", why)
        comment = "  # callback_secret: {env: NAME}     # signs it"
        return ["notify:", f"  callback_url: {yaml_value(old['callback_url'])}", comment]

    def _batching(self) -> None:
        old = self._section("batching")
        if "max_sources" in old:
            self._none("batching.max_sources", "was sources in a job; here it would be pictures in a request")
        if "max_bytes" in old:
            why = f"was {size_bytes(old['max_bytes']):,} bytes in a job; here a request's body holds {REQUEST_BYTES:,}"
            self._none("batching.max_bytes", why)

    def _execution(self) -> list[str]:
        old = self._section("execution")
        lines = ["execution:"]
        if "max_jobs_in_flight" in old:
            self._none("execution.max_jobs_in_flight", "no jobs wait at the service; transfer_workers sets the pace")
        workers = self._at_most(
            "transfer_workers", old.get("transfer_workers", 8), MOST_WORKERS, "transfer_workers" in old
        )
        lines.append(_line(f"  transfer_workers: {workers}", "requests that are measured at one time"))
        if "requests_per_second" in old:
            pace = self._at_most("requests_per_second", old["requests_per_second"], MOST_REQUESTS_PER_SECOND, True)
            lines.append(f"  requests_per_second: {yaml_value(pace)}")
        else:
            lines.append(f"  requests_per_second: {MOST_REQUESTS_PER_SECOND}")
        lines += self._timeout("execution.job_timeout", old.get("job_timeout"), LEAST_JOB_TIMEOUT_S, indent="  ")
        lines += [f"  {name}: {yaml_value(old[name])}" for name in ("retry", "max_failures") if name in old]
        lines.append(_line("  max_billable_seconds: null", "a number here is never exceeded; `plan` shows the bill"))
        lines.append(_line("  on_lost_answer: resubmit", "pays again for an answer that was lost; or stop"))
        return lines

    def _at_most(self, name: str, value: Any, most: int, given: bool) -> Any:
        if value <= most:
            return value
        if given:
            why = f"{yaml_value(value)} is lowered to {most}: the service measures while the request waits"
            self._changed(f"execution.{name}", f"execution.{name}", why)
        return most

    def _outputs(self) -> list[str]:
        old = self._section("outputs")
        directory = Path(old.get("directory", f"results/{self.document.get('name')}"))
        ending = directory.name not in ("", "..")
        directory = directory.with_name(f"{directory.name}-v1") if ending else directory / "expression-v1"
        if "directory" in old:
            why = "a folder of its own, so that old results and their state stay as they are"
            self._changed("outputs.directory", "outputs.directory", why)
        if old.get("artifacts"):
            self._none("outputs.artifacts", "no archive exists; outputs.tables: [csv] writes the numbers as CSV")
        kept = [f"  {name}: {yaml_value(old[name])}" for name in ("tables", "report") if name in old]
        return ["outputs:", f"  directory: {yaml_value(self.move.other(str(directory)))}", *kept]


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


def _line(text: str, comment: str) -> str:
    return f"{text:<{_COMMENT_COLUMN - 1}} # {comment}"


def _head(name: str, notes: Sequence[Note]) -> Iterator[str]:
    yield f"# Made from {yaml_value(name)} by `hume-runner migrate`. `hume-runner plan` shows what it would cost."
    yield "# Scores of the two APIs cannot be compared, even where they share a name."
    for verdict, title in (("changed", "Changed:"), ("none", "No equivalent, left out:")):
        found = [note for note in notes if note.verdict == verdict]
        yield from ["#", f"# {title}"] if found else []
        for note in found:
            yield f"#   {note.member}{_arrow(note)}: {_one_line(note.why)}"


def _arrow(note: Note) -> str:
    return f" -> {note.becomes}" if note.becomes not in ("", note.member) else ""


def _one_line(text: str) -> str:
    # Text from the old manifest must not end the comment that it stands in.
    return "".join(letter if letter.isprintable() else "?" for letter in text)

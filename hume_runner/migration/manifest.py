"""A batch-v0 manifest as an expression-v1 one, and what became of each member that does not carry over as it is.

Pure, but for reading the old manifest. The two APIs measure different things: what is written here asks for the nearest
that expression-v1 has, and no score of the one can be compared with a score of the other (docs/from-v0-to-v1.md).
"""

from __future__ import annotations

import os.path
import posixpath
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final

from hume_runner.errors import ManifestError, UsageError
from hume_runner.frozen import frozen
from hume_runner.manifest.defaults import most_bytes
from hume_runner.manifest.document import Document, path_text
from hume_runner.manifest.load import load_manifest
from hume_runner.manifest.model import Limits
from hume_runner.manifest.quantities import duration_s, size_bytes
from hume_runner.manifest.strict_yaml import parse
from hume_runner.manifest.written import yaml_value
from hume_runner.migration.models import Note, Notes, commented, models_section, note_transcription
from hume_runner.settings import masked_url

# What becomes what.
_FROM: Final = "batch-v0"
_NARROW: Final = 60  # columns
_TO: Final = "expression-v1"

MOST_REQUESTS_PER_SECOND: Final = 10  # not documented for this API; 600 a minute is, for its neighbour on the same host
MOST_WORKERS: Final = 4  # requests that wait for a measurement at one time
LEAST_TIMEOUT_S: Final = 60.0
LEAST_JOB_TIMEOUT_S: Final = 600.0
# What the old API took as text or landmarks: neither sound nor picture, whatever its name.
TEXT_SUFFIXES: Final = frozenset({".txt", ".json", ".csv", ".md", ".html", ".xml", ".pdf", ".docx"})
_GLOB = re.compile(r"([*?[])")


__all__ = ["Migrated", "Migration", "Note", "migrate_manifest", "migrate_with"]


@frozen
class Migrated:
    """The new manifest's text, and a note for each member that does not carry over as it is, in the old order."""

    text: str
    notes: tuple[Note, ...]


def migrate_manifest(path: Path, *, folder: Path | None = None, endpoint: str | None = None) -> Migrated:
    """The manifest at `path` for expression-v1, to be written into `folder` (default: beside the old one).

    `endpoint` replaces `service.endpoint`. Raises: ManifestError if the old one is not valid, or if nothing in it could
    be measured; UsageError if it is not for batch-v0.
    """
    return migrate_with(Migration, path, folder, endpoint)


def migrate_with(kind: type[Migration], path: Path, folder: Path | None, endpoint: str | None) -> Migrated:
    """As `migrate_manifest`, for the API that `kind` is of."""
    path = path.absolute()
    manifest = load_manifest(path, endpoint=endpoint)
    if manifest.service.api == kind.to:
        raise UsageError(f"{path.name} is for {kind.to} already", hint="hume-runner plan MANIFEST")
    if manifest.service.api != _FROM:
        raise UsageError(f"{path.name} is for {manifest.service.api}, not for {_FROM}", hint="write a manifest by hand")
    document = parse(path.read_bytes(), str(path))
    move = _Move(*(os.path.normpath(place.absolute()) for place in (path.parent, folder or path.parent)))
    migration = kind(document, move, endpoint)
    body = [line for section in migration.sections() for line in section]
    notes = tuple(migration.notes.taken)
    return Migrated(text="\n".join([*_head(kind, path.name, notes), *body]) + "\n", notes=notes)


@frozen(kw_only=False)
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


@dataclass
class Migration:
    """One manifest on its way. `sections` has to be read to its end before `notes` is complete."""

    to: ClassVar[str] = _TO
    command: ClassVar[str] = "migrate"
    next_step: ClassVar[str] = "`hume-runner plan` shows what it would cost."
    warning: ClassVar[str] = "Scores of the two APIs cannot be compared, even where they share a name."
    ending: ClassVar[str] = "v1"  # of the output directory
    text: ClassVar[bool] = False  # whether it is measured
    downloads: ClassVar[str] = "the runner downloads them; the service took the URLs itself"

    document: Document
    move: _Move
    endpoint: str | None
    notes: Notes = field(default_factory=Notes)

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
                commented(f"  api_key: {yaml_value(self._secret(old['api_key']))}", "a key of this API's own host")
            )
        for limit in old.get("limits", {}):
            self.notes.none(f"service.limits.{limit}", "recordings are split and pictures packed to what the API takes")
        lines += self._timeout("service.timeout", old.get("timeout"), LEAST_TIMEOUT_S, indent="  ")
        return lines

    def _endpoint(self, old: str | None) -> list[str]:
        if self.endpoint is not None or old == "emulator":
            return [f"  endpoint: {yaml_value(self.endpoint or old)}"]
        if old is not None:
            self.notes.none(
                "service.endpoint", f"{masked_url(old)} speaks the batch API; the new API has a host of its own"
            )
        return ["  # endpoint: emulator             # rehearses offline; scores are simulated"]

    def _secret(self, old: Mapping[str, str]) -> dict[str, str]:
        return {name: self.move.other(value) if name == "file" else value for name, value in old.items()}

    def _timeout(self, member: str, value: str | None, least_s: float, *, indent: str) -> list[str]:
        """A time-out, unless it is so short that answers would be lost which are paid for."""
        if value is None:
            return []
        if duration_s(value) < least_s:
            self.notes.none(
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
        if self.text:
            kept["text"] = [entry if isinstance(entry, str) else self._source(entry) for entry in old.get("text", ())]
        elif old.get("text"):
            count = len(old["text"])
            self.notes.none("sources.text", f"{count} {'entry' if count == 1 else 'entries'}: no text is measured")
        if kept["urls"]:
            self.notes.changed("sources.urls", "sources.urls", self.downloads)
        for index, entry in enumerate(old.get("files", ())):
            if isinstance(entry, dict) and "from" in entry and not self.move.stays:
                member = path_text(("sources", "files", index))
                why = f"paths in the list count from the manifest's folder, which was {_one_line(self.move.old)}"
                self.notes.changed(member, member, why)
        if not any(kept.values()):
            what = "files of text" if self.text else "text"
            raise self._refuse("sources", f"holds nothing but {what}, which {self.to} does not measure")
        lines = ["sources:"]
        for member, entries in kept.items():
            lines += [f"  {member}:", *(f"    - {yaml_value(entry)}" for entry in entries)] if entries else []
        return lines

    def _is_text(self, entry: Any, member: str) -> bool:
        name = entry.get("path", "") if isinstance(entry, dict) else entry
        found = Path(name).suffix.lower() in TEXT_SUFFIXES
        if found:
            self.notes.none(member, f"a {Path(name).suffix.lower()} file is neither sound nor picture")
        return found

    def _source(self, entry: Any) -> Any:
        if isinstance(entry, str):
            return entry if "://" in entry else self.move.source(entry, pattern=True)
        moved = dict(entry)
        for name in ("path", "from"):
            if name in moved:
                moved[name] = self.move.source(moved[name], pattern=name == "path")
        return moved

    # -- the rest ------------------------------------------------------------------------------------------------------

    def _models(self) -> list[str]:
        old = self._section("models")
        lines = models_section(old, self.notes)
        if not lines:
            raise self._refuse("models", f"{', '.join(old)}: none of these has an equivalent in expression-v1")
        return ["models:", *lines]

    def _transcription(self) -> None:
        note_transcription(self._section("transcription"), self.notes)

    def _notify(self) -> list[str]:
        old = self._section("notify")
        if old.get("email"):
            self.notes.none("notify.email", "no mail is sent; notify.callback_url can tell a server of your own")
        if "callback_url" not in old:
            return []
        why = "posted by the runner, once, when the manifest is finished; the body is its summary"
        self.notes.changed("notify.callback_url", "notify.callback_url", why)
        comment = "  # callback_secret: {env: NAME}     # signs it"
        return ["notify:", f"  callback_url: {yaml_value(old['callback_url'])}", comment]

    def _batching(self) -> None:
        old = self._section("batching")
        if "max_sources" in old:
            self.notes.none("batching.max_sources", "was sources in a job; here it would be pictures in a request")
        if "max_bytes" in old:
            most = most_bytes(_TO, Limits())
            why = f"was {size_bytes(old['max_bytes']):,} bytes in a job; here a request's body holds {most:,}"
            self.notes.none("batching.max_bytes", why)

    def _execution(self) -> list[str]:
        old = self._section("execution")
        lines = ["execution:"]
        if "max_jobs_in_flight" in old:
            self.notes.none(
                "execution.max_jobs_in_flight", "no jobs wait at the service; transfer_workers sets the pace"
            )
        workers = self._at_most(
            "transfer_workers", old.get("transfer_workers", 8), MOST_WORKERS, "transfer_workers" in old
        )
        lines.append(commented(f"  transfer_workers: {workers}", "requests that are measured at one time"))
        if "requests_per_second" in old:
            pace = self._at_most("requests_per_second", old["requests_per_second"], MOST_REQUESTS_PER_SECOND, True)
            lines.append(f"  requests_per_second: {yaml_value(pace)}")
        else:
            lines.append(f"  requests_per_second: {MOST_REQUESTS_PER_SECOND}")
        lines += self._timeout("execution.job_timeout", old.get("job_timeout"), LEAST_JOB_TIMEOUT_S, indent="  ")
        lines += [f"  {name}: {yaml_value(old[name])}" for name in ("retry", "max_failures") if name in old]
        lines.append(
            commented("  max_billable_seconds: null", "a number here is never exceeded; `plan` shows the bill")
        )
        lines.append(commented("  on_lost_answer: resubmit", "pays again for an answer that was lost; or stop"))
        return lines

    def _at_most(self, name: str, value: Any, most: int, given: bool) -> Any:
        if value <= most:
            return value
        if given:
            why = f"{yaml_value(value)} is lowered to {most}: the service measures while the request waits"
            self.notes.changed(f"execution.{name}", f"execution.{name}", why)
        return most

    def _outputs(self) -> list[str]:
        old = self._section("outputs")
        directory = Path(old.get("directory", f"results/{self.document.get('name')}"))
        ending = directory.name not in ("", "..")
        directory = directory.with_name(f"{directory.name}-{self.ending}") if ending else directory / self.to
        if "directory" in old:
            why = "a folder of its own, so that old results and their state stay as they are"
            self.notes.changed("outputs.directory", "outputs.directory", why)
        if old.get("artifacts"):
            self.notes.none("outputs.artifacts", "no archive exists; outputs.tables: [csv] writes the numbers as CSV")
        kept = [f"  {name}: {yaml_value(old[name])}" for name in ("tables", "report") if name in old]
        return ["outputs:", f"  directory: {yaml_value(self.move.other(str(directory)))}", *kept]


def _head(kind: type[Migration], name: str, notes: Sequence[Note]) -> Iterator[str]:
    yield from _comment(f"Made from {yaml_value(name)} by `hume-runner {kind.command}`. {kind.next_step}")
    yield from _comment(kind.warning)
    for verdict, title in (("changed", "Changed:"), ("none", "No equivalent, left out:")):
        found = [note for note in notes if note.verdict == verdict]
        yield from ["#", f"# {title}"] if found else []
        for note in found:
            yield f"#   {note.member}{_arrow(note)}: {_one_line(note.why)}"


def _comment(text: str) -> list[str]:
    """A comment in lines that a narrow terminal shows whole; a word that is longer stays in one piece."""
    wrapper = textwrap.TextWrapper(_NARROW, initial_indent="# ", subsequent_indent="# ")
    wrapper.break_long_words = wrapper.break_on_hyphens = False
    return wrapper.wrap(text)


def _arrow(note: Note) -> str:
    return f" -> {note.becomes}" if note.becomes not in ("", note.member) else ""


def _one_line(text: str) -> str:
    # Text from the old manifest must not end the comment that it stands in.
    return "".join(letter if letter.isprintable() else "?" for letter in text)

"""What is found in folders, media files and lists for a new manifest: lines for each member of `sources`."""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from hume_runner import small_json
from hume_runner.amounts import counted
from hume_runner.api.list_troubles import EXCEL, blank_rows, decodes, sample
from hume_runner.errors import Problem, SourceError, UsageError, refuse_scarce
from hume_runner.regular_files import open_regular
from hume_runner.sources.encodings import HEAD_BYTES, NotDecodable, chosen
from hume_runner.sources.globbing import is_glob, matching_files
from hume_runner.sources.separators import NAMES as SEPARATORS
from hume_runner.sources.separators import clean, declared, written
from hume_runner.spelling import is_whole, stored_path
from hume_runner.state.pinned import resolved
from hume_runner.stores.address import is_remote
from hume_runner.stores.opening import open_store

AUDIO = frozenset({".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a", ".aac"})
VIDEO = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi"})
PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".heic", ".gif", ".bmp", ".tif", ".tiff"})
LISTS = frozenset({".csv", ".tsv", ".jsonl", ".txt"})
_TABLES = frozenset({".csv", ".tsv", ".jsonl"})
_LOOKED_AT = 50
_MOST_OFFERED = 20
_URL = re.compile(r"https?://\S+", re.IGNORECASE)
# What people call the column; the first is what a list needs no word for.
_COLUMNS: dict[str, tuple[str, ...]] = {
    "urls": ("url", "link", "uri", "href"),
    "files": ("path", "file", "filename", "file_name", "filepath", "recording", "audio", "video", "clip", "image"),
    "text": (
        "text", "comment", "comments", "answer", "response", "utterance", "sentence", "message", "content", "statement",
        "transcript", "review", "feedback", "kommentar", "antwort", "freitext",
    ),
}  # fmt: skip
_IDS = (
    "id", "item_id", "participant", "participant_id", "subject", "subject_id", "respondent", "respondent_id", "pid",
    "case", "case_id", "code", "key", "uuid", "visit", "number", "nr", "no",
)  # fmt: skip


@dataclass(slots=True)
class Findings:
    """Lines for each member of `sources`, and what kinds of media were seen. `offered`: lists that lie beside media,
    by member; whether they are meant, only a person knows. `told`: what was taken for granted."""

    urls: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    media: set[str] = field(default_factory=set)  # of "audio", "video", "pictures"
    offered: list[tuple[str, str]] = field(default_factory=list)
    told: list[str] = field(default_factory=list)


def place(text: str) -> Path | str:
    """What `look` takes: the URI of a place in an object store as it is written, as a path has no two slashes."""
    return text if is_remote(text) else stored_path(Path(text))


def look(path: Path | str, folder: Path, findings: Findings, *, labels: str | None = None) -> None:
    """Add what `path` holds; `labels`: a pattern for the names of files. Raises SourceError if that is nothing to
    measure; for a place in a store as `open_store`, and StoreError."""
    if isinstance(path, str):
        _look_into_store(path, findings, labels)
        return
    suffix = path.suffix.lower()
    if path.is_dir():
        _look_into(path, folder, findings, labels)
    elif not path.is_file():
        raise _nothing(path, "there is no such file or folder", "check the name")
    elif suffix in LISTS:
        member, line = _list_line(path, folder, findings.told)
        findings.media |= _media_of_list(path)
        getattr(findings, member).append(line)
    elif _medium(suffix):
        findings.media.add(_medium(suffix))
        findings.files.append(_entry(_escaped(_from_here(path, folder)), labels))
    else:
        kinds = ", ".join(sorted(AUDIO | VIDEO | PICTURES | LISTS))
        raise _nothing(path, "is of no kind that is known here", f"known are {kinds}; or write the manifest by hand")


def _look_into_store(uri: str, findings: Findings, labels: str | None) -> None:
    """What a store lists there: one object, a glob as it is, or all that lies below."""
    store, key = open_store(uri)
    suffix = PurePosixPath(key).suffix
    if suffix.lower() in LISTS:
        raise _nothing(uri, "is a list, and lists are read from this disk", "copy it here, and name the copy")
    if _medium(suffix) and not key.endswith("/"):
        if not is_glob(key):
            store.head(key)
        findings.media.add(_medium(suffix))
        findings.files.append(_entry(uri, labels))
        return
    below = uri.rstrip("/")
    if is_glob(key):
        raise _nothing(
            uri, "does not say which media it means", f"write {below.partition('*')[0]}**/*.wav, or a folder"
        )
    found = {PurePosixPath(info.key).suffix for info in store.list(key.rstrip("/"))}
    known = [one for one in sorted(found) if _medium(one)]
    if not known:
        raise _nothing(uri, "holds no audio, video or pictures", "name a folder with media")
    base = f"{store.root}/{_escaped(key.rstrip('/'))}".rstrip("/")
    for suffix in known:
        findings.media.add(_medium(suffix))
        findings.files.append(_entry(f"{base}/**/*{suffix}", _pattern_for(suffix, labels, findings)))


def _pattern_for(suffix: str, labels: str | None, findings: Findings) -> str | None:
    """The pattern for files of one ending; where it is another than was given, that is told."""
    pattern = _fitting(labels, suffix)
    if pattern != labels:
        findings.told.append(f"names of {suffix} files are read as {pattern!r}: the pattern's ending is not theirs")
    return pattern


def _look_into(path: Path, folder: Path, findings: Findings, labels: str | None) -> None:
    # Globs tell upper from lower case, so the endings are kept as they stand in the names.
    names = list(matching_files("**/*", str(path.absolute()), lambda _: None))
    known = [suffix for suffix in sorted({Path(name).suffix for name in names}) if _medium(suffix)]
    told: list[str] = []
    lists = _lists_among(names, folder, told)
    if not known and not lists:
        raise _nothing(
            path, "holds no audio, video or pictures, and no list of them", "name a folder with media, or a list"
        )
    base = _escaped(_from_here(path, folder))
    for suffix in known:
        findings.media.add(_medium(suffix))
        pattern = _pattern_for(suffix, labels, findings)
        findings.files.append(_entry(f"**/*{suffix}" if base == "." else f"{base}/**/*{suffix}", pattern))
    if known:
        findings.offered += lists
        return
    findings.told += told
    for member, line in lists:
        getattr(findings, member).append(line)


def _fitting(labels: str | None, suffix: str) -> str | None:
    """The pattern for files of one ending: without the ending of another kind, as then any fits."""
    if labels is None:
        return None
    stem, dot, ending = labels.rpartition(".")
    other = dot and _medium(f".{ending}") and f".{ending}" != suffix
    return stem if other else labels


def _lists_among(names: list[str], folder: Path, told: list[str]) -> list[tuple[str, str]]:
    """The tables among files that have a column of texts, paths or URLs: what they are, and the line for each."""
    found: list[tuple[str, str]] = []
    for name in names:
        if Path(name).suffix.lower() in _TABLES and len(found) < _MOST_OFFERED:
            try:
                found.append(_list_line(Path(name), folder, told))
            except (SourceError, UsageError):
                continue  # some other table
    return found


def _entry(path: str, labels: str | None) -> str:
    return yaml_text(path) if labels is None else f"{{path: {yaml_text(path)}, labels_from: {yaml_text(labels)}}}"


def _list_line(path: Path, folder: Path, told: list[str]) -> tuple[str, str]:
    """Which member of `sources` a list belongs to, and its line. `told` gets what was taken for granted."""
    member, more = _list_of(path, folder, told)
    return member, f"{{from: {yaml_text(_from_here(path, folder))}{more}}}"


def _nothing(path: Path | str, message: str, hint: str) -> SourceError:
    return SourceError([Problem(file=str(path), line=None, column=None, path="", message=message, hint=hint)])


def _medium(suffix: str) -> str:
    for name, suffixes in (("audio", AUDIO), ("video", VIDEO), ("pictures", PICTURES)):
        if suffix.lower() in suffixes:
            return name
    return ""


def _from_here(path: Path, folder: Path) -> str:
    """Relative to the manifest's folder; absolute where that would need a `..`."""
    absolute = resolved(path) if ".." in path.parts else path.absolute()
    try:
        name = absolute.relative_to(resolved(folder) if ".." in folder.parts else folder).as_posix()
    except ValueError:
        name = absolute.as_posix()
    if not is_whole(name):
        raise UsageError(f"the name {name!r} is not UTF-8", hint="rename it, or use a glob written by hand")
    return name


def _escaped(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)


def yaml_text(text: str) -> str:
    # JSON's double quotes are YAML's: no name can be misread.
    return json.dumps(text, ensure_ascii=False)


def _codec(path: Path) -> tuple[str, bool]:
    """The encoding of a list, and whether the manifest has to name it. Raises SourceError if it cannot be read."""
    try:
        with open_regular(path) as file:
            encoding = chosen(file.read(HEAD_BYTES), None)
        if isinstance(encoding, NotDecodable):
            raise _nothing(path, encoding.message, encoding.hint)
        if decodes(path, encoding.codec):
            return encoding.codec, False
        if encoding.codec == "utf-8" and decodes(path, EXCEL):
            return EXCEL, True
    except OSError as error:
        refuse_scarce(error)
        raise _nothing(path, f"cannot be read: {error.strerror}", "check the file's permissions") from None
    raise _nothing(path, f"is not {encoding.name} text", "save it as UTF-8")


def _lines(path: Path) -> list[str]:
    """The first lines of a list that are not blank. Raises SourceError if it cannot be read as text."""
    codec, _ = _codec(path)
    try:
        with open_regular(path) as file:
            text = io.TextIOWrapper(file, encoding=codec, newline="")
            found = [line.strip("\r\n") for _, line in zip(range(_LOOKED_AT), text, strict=False) if line.strip()]
    except OSError as error:
        refuse_scarce(error)
        raise _nothing(path, f"cannot be read: {error.strerror}", "check the file's permissions") from None
    if not found:
        raise _nothing(path, "is empty", "write one source a line")
    return found


def _list_of(path: Path, folder: Path, told: list[str]) -> tuple[str, str]:
    """Which member of `sources` a list file belongs to, and what its entry says besides `from`."""
    lines, (codec, named_codec) = _lines(path), _codec(path)
    encoded = f", encoding: {codec}" if named_codec else ""
    if named_codec:
        told.append(
            f"{path} is not UTF-8 and is taken for {codec}, as Excel saves it: check that {sample(path, codec)!r} "
            "reads right"
        )
    if path.suffix.lower() == ".txt":
        return _member_of(path, [line.strip() for line in lines], folder), encoded
    columns, separator = _column_names(path, lines)
    member, column = _meant(columns)
    if member is None or column is None:
        names = ", ".join(columns[:20])
        raise UsageError(
            f"{path} has no column url, path or text; it has {names}", hint="rename the column that holds them"
        )
    said = [] if separator is None else [written(separator)]
    if column != _COLUMNS[member][0]:
        said.append(f"column: {_plain(column)}")
    named = _id_column(path, lines, columns, separator)
    if named is not None:
        said.append(f"id_column: {_plain(named)}")
    mark = separator or declared(lines[0]) or ("\t" if path.suffix.lower() == ".tsv" else ",")
    if blank := blank_rows(path, codec, column, mark):
        told.append(f"{path}: {counted(blank, 'row')} without {column}, passed over: blank: skip")
        said.append("blank: skip")
    return member, "".join(f", {one}" for one in said) + encoded


def _meant(columns: list[str]) -> tuple[str | None, str | None]:
    """The member of `sources` and the column that holds it: by the names that lists use, then by those people use."""
    for column, member in ((names[0], member) for member, names in _COLUMNS.items()):
        if column in columns:
            return member, column
    plain = {column.strip().lower(): column for column in reversed(columns)}
    for member, names in _COLUMNS.items():
        for name in names:
            if name in plain:
                return member, plain[name]
    return None, None


def _id_column(path: Path, lines: list[str], columns: list[str], separator: str | None) -> str | None:
    """A column that people call an id and whose first values all differ; None where the list has its own `id`."""
    if "id" in columns or path.suffix.lower() == ".jsonl":
        return None
    plain = {column.strip().lower(): at for at, column in reversed(list(enumerate(columns)))}
    mark = separator or declared(lines[0]) or ("\t" if path.suffix.lower() == ".tsv" else ",")
    rows = [row for row in csv.reader(lines, delimiter=mark) if len(row) == len(columns)][1:]
    for name in _IDS:
        at = plain.get(name)
        if at is not None:
            values = [row[at].strip() for row in rows]
            if values and all(values) and len(set(values)) == len(values):
                return columns[at]
    return None


def _plain(column: str) -> str:
    """A column's name as YAML: bare where nothing can be misread."""
    return column if re.fullmatch(r"[A-Za-z][A-Za-z_]*", column) and column.lower() not in _WORDS else yaml_text(column)


# Bare words that YAML takes for something else.
_WORDS = frozenset({"yes", "no", "on", "off", "true", "false", "null", "y", "n"})


def _member_of(path: Path, lines: list[str], folder: Path) -> str:
    """What the lines of a txt list are, by most of them. A path that is misspelt, or a URL without its scheme, does not
    make texts of all the others: texts cost money, and the list's check names the line. Raises UsageError where a few
    lines are URLs or paths and most are not."""
    urls = sum(1 for line in lines if _URL.fullmatch(line))
    paths = sum(1 for line in lines if not _URL.fullmatch(line) and _is_path(line, folder))
    if 2 * (urls + paths) >= len(lines) and urls + paths:
        return "urls" if urls >= paths else "files"
    if not urls + paths:
        return "text"
    word = "URLs" if urls >= paths else "paths of media"
    message = f"{path} has texts and {word}: {urls + paths} of its first {len(lines)} lines"
    raise UsageError(message, hint="put each kind into a list of its own")


def _is_path(line: str, folder: Path) -> bool:
    plain = line.strip("\"'")
    if _medium(PurePosixPath(plain).suffix):
        return True
    try:
        return (folder / plain).is_file()
    except (OSError, ValueError):
        return False


def _column_names(path: Path, lines: list[str]) -> tuple[list[str], str | None]:
    """The columns or members of a list, and the separator if the file's ending does not tell it."""
    suffix = path.suffix.lower()
    if suffix == ".jsonl":
        try:
            record = small_json.parsed(lines[0])
        except ValueError:
            raise _nothing(path, "is not JSON Lines", "write one JSON object a line") from None
        return (list(record) if isinstance(record, dict) else []), None
    usual = "\t" if suffix == ".tsv" else ","
    said = declared(lines[0])
    rest = lines if said is None else lines[1:]
    for separator in dict.fromkeys((said or usual, *SEPARATORS)):
        try:
            columns = clean(next(csv.reader(rest[:1], delimiter=separator), []))
        except csv.Error:
            continue
        if _meant(columns)[0] is not None and (len(columns) > 1 or separator == usual):
            return columns, None if separator == (said or usual) else separator
    return clean(next(csv.reader(rest[:1], delimiter=said or usual), [])), None


def _media_of_list(path: Path) -> set[str]:
    """Kinds of media that the endings in a list suggest."""
    endings = re.findall(r"\.[A-Za-z0-9]{3,4}(?=[\"',\t?#]|$)", "\n".join(_lines(path)), re.MULTILINE)
    return {_medium(ending) for ending in endings} - {""}

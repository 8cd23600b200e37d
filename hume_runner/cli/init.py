"""`init`: a commented manifest from folders, media files, and lists of URLs, paths or texts."""

from __future__ import annotations

import argparse
import csv
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from hume_runner.amounts import counted
from hume_runner.api import validate
from hume_runner.cli.console import Console
from hume_runner.cli.proposed_models import model_lines
from hume_runner.errors import ManifestError, Problem, SourceError, UsageError, lacks_room
from hume_runner.registry import Registered, Starter, all_registered, registered
from hume_runner.regular_files import open_regular
from hume_runner.sources.encodings import HEAD_BYTES, NotDecodable, chosen
from hume_runner.sources.globbing import matching_files
from hume_runner.sources.separators import NAMES as SEPARATORS
from hume_runner.sources.separators import clean, declared, written

AUDIO = frozenset({".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a", ".aac"})
VIDEO = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi"})
PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".heic", ".gif", ".bmp", ".tif", ".tiff"})
LISTS = frozenset({".csv", ".tsv", ".jsonl", ".txt"})
_LOOKED_AT = 50
_URL = re.compile(r"https?://\S+", re.IGNORECASE)
_COLUMNS = {"url": "urls", "path": "files", "text": "text"}


@dataclass(slots=True)
class Findings:
    """Lines for each member of `sources`, and what kinds of media were seen."""

    urls: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    media: set[str] = field(default_factory=set)  # of "audio", "video", "pictures"


def configure(parser: argparse.ArgumentParser) -> None:
    apis = tuple(one.api for one in all_registered() if one.starter is not None)
    parser.add_argument("paths", nargs="+", metavar="PATH", type=Path, help="folder, media file, list or text file")
    here = next((one.api for one in all_registered() if one.here and one.api in apis), apis[0])
    parser.add_argument("--api", choices=apis, default=here, help=f"which service measures (default: {here})")
    parser.add_argument("--out", metavar="FILE", type=Path, help="where to write it (default: print it)")


def run(args: argparse.Namespace, console: Console) -> int:
    """Write the manifest, then judge it as `validate` does."""
    out: Path | None = args.out
    if console.json and out is None:
        raise UsageError("init --json needs --out, as the manifest is not JSON", hint="add --out FILE")
    if out is not None and (out.exists() or out.is_symlink()):
        raise UsageError(f"{out} exists already and is not overwritten", hint="choose another name, or remove it")
    folder = (out.parent if out is not None else Path()).absolute()
    findings = Findings()
    for path in args.paths:
        _look(path, folder, findings)
    text = compose(findings, api=args.api, name=_name(args.paths[0]), endpoint=args.endpoint)
    if out is None:
        console.out.write(text)
        return 0
    _write(out, text)
    return _report(out, console)


def _write(out: Path, text: str) -> None:
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        if lacks_room(error):
            raise
        raise UsageError(f"{out} cannot be written: {error.strerror}", hint="choose another place") from error


def _report(out: Path, console: Console) -> int:
    verdict = validate(out)
    if console.json:
        console.counts = {"problems": len(verdict.problems), "items": verdict.items.total()}
        console.ending = {"path": str(out)}
    else:
        console.result(f"wrote {out}: {counted(verdict.items.total(), 'item')}")
    if verdict.exit_code:
        raise (ManifestError if verdict.exit_code == 65 else SourceError)(verdict.problems)
    console.note(f"next: hume-runner plan {out}")
    return 0


def _look(path: Path, folder: Path, findings: Findings) -> None:
    """Add what `path` holds. Raises SourceError if it holds nothing to measure."""
    suffix = path.suffix.lower()
    if path.is_dir():
        _look_into(path, folder, findings)
    elif not path.is_file():
        raise _nothing(path, "there is no such file or folder", "check the name")
    elif suffix in LISTS:
        member, more = _list_of(path, folder)
        findings.media |= _media_of_list(path)
        getattr(findings, member).append(f"{{from: {_yaml(_from_here(path, folder))}{more}}}")
    elif _medium(suffix):
        findings.media.add(_medium(suffix))
        findings.files.append(_yaml(_escaped(_from_here(path, folder))))
    else:
        kinds = ", ".join(sorted(AUDIO | VIDEO | PICTURES | LISTS))
        raise _nothing(path, "is of no kind that is known here", f"known are {kinds}; or write the manifest by hand")


def _nothing(path: Path, message: str, hint: str) -> SourceError:
    return SourceError([Problem(file=str(path), line=None, column=None, path="", message=message, hint=hint)])


def _medium(suffix: str) -> str:
    for name, suffixes in (("audio", AUDIO), ("video", VIDEO), ("pictures", PICTURES)):
        if suffix.lower() in suffixes:
            return name
    return ""


def _look_into(path: Path, folder: Path, findings: Findings) -> None:
    # Globs tell upper from lower case, so the endings are kept as they stand in the names.
    suffixes = sorted({Path(name).suffix for name in matching_files("**/*", str(path.absolute()), lambda _: None)})
    known = [suffix for suffix in suffixes if _medium(suffix)]
    if not known:
        raise _nothing(path, "holds no audio, video or pictures", "name a folder with media, or a list of URLs")
    base = _escaped(_from_here(path, folder))
    for suffix in known:
        findings.media.add(_medium(suffix))
        findings.files.append(_yaml(f"**/*{suffix}" if base == "." else f"{base}/**/*{suffix}"))


def _from_here(path: Path, folder: Path) -> str:
    """Relative to the manifest's folder; absolute where that would need a `..`."""
    absolute = path.resolve() if ".." in path.parts else path.absolute()
    try:
        name = absolute.relative_to(folder.resolve() if ".." in folder.parts else folder).as_posix()
    except ValueError:
        name = absolute.as_posix()
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UsageError(f"the name {name!r} is not UTF-8", hint="rename it, or use a glob written by hand") from None
    return name


def _escaped(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)


def _yaml(text: str) -> str:
    # JSON's double quotes are YAML's: no name can be misread.
    return json.dumps(text, ensure_ascii=False)


def _lines(path: Path) -> list[str]:
    """The first lines of a list that are not blank. Raises SourceError if it cannot be read as text."""
    try:
        with open_regular(path) as file:
            encoding = chosen(file.read(HEAD_BYTES), None)
            if isinstance(encoding, NotDecodable):
                raise _nothing(path, encoding.message, encoding.hint)
            file.seek(0)
            text = io.TextIOWrapper(file, encoding=encoding.codec, newline="")
            found = [line.strip("\r\n") for _, line in zip(range(_LOOKED_AT), text, strict=False) if line.strip()]
    except UnicodeDecodeError:
        raise _nothing(path, "is not UTF-8 text", "save it as UTF-8") from None
    except OSError as error:
        raise _nothing(path, f"cannot be read: {error.strerror}", "check the file's permissions") from None
    if not found:
        raise _nothing(path, "is empty", "write one source a line")
    return found


def _list_of(path: Path, folder: Path) -> tuple[str, str]:
    """Which member of `sources` a list file belongs to, and what its entry says besides `from`."""
    lines = _lines(path)
    if path.suffix.lower() == ".txt":
        return _member_of(path, [line.strip() for line in lines], folder), ""
    columns, separator = _column_names(path, lines)
    for column, member in _COLUMNS.items():
        if column in columns:
            return member, "" if separator is None else f", {written(separator)}"
    names = ", ".join(columns[:20])
    raise UsageError(
        f"{path} has no column url, path or text; it has {names}", hint="rename the column that holds them"
    )


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
            record = json.loads(lines[0])
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
        if set(_COLUMNS) & set(columns):
            return columns, None if separator == (said or usual) else separator
    return clean(next(csv.reader(rest[:1], delimiter=said or usual), [])), None


def _media_of_list(path: Path) -> set[str]:
    """Kinds of media that the endings in a list suggest."""
    endings = re.findall(r"\.[A-Za-z0-9]{3,4}(?=[\"',\t?#]|$)", "\n".join(_lines(path)), re.MULTILINE)
    return {_medium(ending) for ending in endings} - {""}


def _name(path: Path) -> str:
    slug = re.sub(r"[^a-z0-9._-]+", "-", path.absolute().stem.lower()).strip("-._")
    return slug[:63] or "measurement"


def compose(findings: Findings, *, api: str, name: str, endpoint: str | None) -> str:
    """The manifest's text. Raises UsageError for texts with an API that measures none."""
    found = registered(api)
    assert found is not None
    if findings.text and "text" not in found.kinds:
        others = " or ".join(f"--api {one.api}" for one in all_registered() if "text" in one.kinds)
        raise UsageError(f"{api} measures no text", hint=f"use {others} for texts")
    if endpoint and found.here:
        others = " or ".join(f"--api {one.api}" for one in all_registered() if not one.here)
        raise UsageError(f"{api} measures on this machine and has no endpoint", hint=f"add {others}")
    starter = found.starter or Starter(models=())
    return (
        "\n".join(
            [
                *_head(found, name, endpoint),
                *_sources(findings),
                "models:",
                *model_lines(found, _seen(findings)),
                *starter.tail,
                "outputs:",
                f"  directory: {_yaml('results/' + name)}",
            ]
        )
        + "\n"
    )


def _head(found: Registered, name: str, endpoint: str | None) -> Iterator[str]:
    if found.here:
        yield "# Check with `hume-runner validate`, see what is to do with `hume-runner plan`, then `hume-runner run`."
    else:
        yield "# Check with `hume-runner validate`, see cost and jobs with `hume-runner plan`, then `hume-runner run`."
    yield "# Every member is described by `hume-runner schema`."
    if found.here:
        hosted = (one for one in all_registered() if one.starter and not one.here)
        told = (f"`--api {one.api}`" + " (which rehearses first)" * _rehearses(one) for one in hosted)
        yield f"# For a rehearsal with simulated scores or a hosted service instead: {' or '.join(told)}."
    yield "version: 1"
    yield f"name: {_yaml(name)}"
    yield "service:"
    if found.here:
        yield f"  {f'api: {found.api}':<36} # measures on this machine: no key, no bill"
        return
    yield f"  api: {found.api}"
    if endpoint:
        yield f"  endpoint: {_yaml(endpoint)}"
    elif _rehearses(found):
        yield "  endpoint: emulator               # rehearses offline; scores are simulated. Or the https URL of a host"
    else:
        yield "  # endpoint: emulator             # rehearses offline; scores are simulated"
    yield "  api_key: {env: HUME_API_KEY}     # or {file: path}; the key itself never stands here"


def _rehearses(found: Registered) -> bool:
    return found.starter is not None and found.starter.rehearses


def _sources(findings: Findings) -> Iterator[str]:
    yield "sources:                           # an entry may be {path: …, id: …, labels: {…}}"
    for member in ("urls", "files", "text"):
        lines = getattr(findings, member)
        if lines:
            yield f"  {member}:"
            yield from (f"    - {line}" for line in lines)


def _seen(findings: Findings) -> set[str]:
    """Kinds of what is to be measured; of a list that does not tell, sound and pictures."""
    seen = set(findings.media) or ({"audio", "video"} if findings.urls or findings.files else set())
    return seen | ({"text"} if findings.text else set())

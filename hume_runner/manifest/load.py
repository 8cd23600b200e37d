"""Reads a manifest: bytes -> document -> checked -> Manifest, or every problem at once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path, PurePath
from typing import Any

from hume_runner import small_json
from hume_runner.errors import ManifestError, NotRegular, Problem, UsageError, refuse_scarce
from hume_runner.frozen import frozen
from hume_runner.manifest.addresses import endpoint_fault
from hume_runner.manifest.build import build, source_entries
from hume_runner.manifest.checks import check
from hume_runner.manifest.document import Document, ordered
from hume_runner.manifest.mapping import FILE, document_of
from hume_runner.manifest.model import Manifest, SourceEntry
from hume_runner.manifest.published import foreign_to
from hume_runner.manifest.schema import IS_MISSING, schema_problems
from hume_runner.manifest.strict_yaml import MOST_BYTES, TOO_LARGE, parse
from hume_runner.regular_files import open_regular
from hume_runner.settings import masked_url
from hume_runner.spelling import is_whole, stored_path

_ENDINGS = (".yaml", ".yml")
_OF_A_RUN = "run.json"
_NO_TEXT = "its path is no text in UTF-8, and has to be told in outputs and commands"


@frozen
class Examined:
    """A manifest as far as it can be understood: `manifest` is None exactly when there are problems.

    `entries` are the sources without a problem of their own, so that a missing file can be reported beside a
    misspelt member. `upload_bytes` is the largest file that may be uploaded whole, None for no limit.
    """

    path: Path
    problems: tuple[Problem, ...]
    manifest: Manifest | None
    entries: tuple[SourceEntry, ...]


def load_manifest(
    manifest: str | os.PathLike[str] | Mapping[str, Any],
    *,
    output_dir: Path | None = None,
    endpoint: str | None = None,
) -> Manifest:
    """The manifest at a path, or one that is a mapping (its paths are relative to the current folder), with
    `--output-dir` and `--endpoint` in place of what it says.

    It is there to be looked at: what a manifest says, with its defaults. `run` and its neighbours take what this takes,
    and not what it gives.

    Raises: ManifestError with all problems; UsageError for an endpoint on the command line that cannot be.
    """
    if isinstance(manifest, Mapping):
        examined = examine_mapping(manifest, folder=Path.cwd(), output_dir=output_dir, endpoint=endpoint)
    else:
        examined = examine(Path(manifest), output_dir=output_dir, endpoint=endpoint)
    if examined.manifest is None:
        raise ManifestError(examined.problems)
    return examined.manifest


def examine(path: Path, *, output_dir: Path | None = None, endpoint: str | None = None) -> Examined:
    """Everything that can be said about the manifest at `path` without touching its sources.

    Raises: UsageError for an endpoint on the command line that cannot be.
    """
    _check_endpoint(endpoint)
    check_told("--output-dir", output_dir)
    there = stored_path(path)
    absolute = there.absolute()
    if not _can_be_told(absolute):
        return Examined(path=absolute, problems=(_untold(path),), manifest=None, entries=())
    try:
        data = _read(there)
    except OSError as error:
        refuse_scarce(error)
        return Examined(path=absolute, problems=(_unreadable(path, error),), manifest=None, entries=())
    document = parse(data, str(path))
    digest = hashlib.sha256(data).hexdigest()
    return _examined(document, digest, absolute, output_dir=output_dir, endpoint=endpoint)


def examine_mapping(
    members: Mapping[str, Any], *, folder: Path, output_dir: Path | None = None, endpoint: str | None = None
) -> Examined:
    """The same of a manifest that is a value: what is said of it names members, and no lines.

    Relative paths are relative to `folder`. Raises: UsageError for what no YAML file could hold, or such an endpoint.
    """
    _check_endpoint(endpoint)
    check_told("the current folder", folder.absolute())
    check_told("--output-dir", output_dir)
    document = document_of(members)
    # What a file's bytes are to a saved plan and to run.json.
    data = b"" if document.root is None else json.dumps(document.root.plain(), ensure_ascii=False).encode()
    if len(data) > MOST_BYTES:
        document = Document(file=FILE, root=None, problems=[document.problem((), *TOO_LARGE)])
    digest = hashlib.sha256(data).hexdigest()
    return _examined(document, digest, folder.absolute() / FILE, output_dir=output_dir, endpoint=endpoint)


def _can_be_told(path: PurePath) -> bool:
    """Whether a path is text. A system takes any bytes for a name; the state, the outputs and every command that a
    message names tell paths, and nothing else that reads them takes what is no text."""
    return is_whole(str(path))


def check_told(what: str, path: Path | None) -> None:
    """Raises: UsageError for a path that is no text."""
    if path is not None and not _can_be_told(path):
        raise UsageError(f"{what} {_shown(path)}: {_NO_TEXT}", hint="take another folder, or rename it")


def _untold(path: Path) -> Problem:
    hint = "rename it" if _can_be_told(path.absolute().parent) else "rename the folder that it is in"
    return Problem(file=_shown(path), line=None, column=None, path="", message=_NO_TEXT, hint=hint)


def _shown(path: Path) -> str:
    return str(path).encode("utf-8", "backslashreplace").decode()


def _check_endpoint(endpoint: str | None) -> None:
    if endpoint is not None:
        fault = endpoint_fault(endpoint)
        if fault:
            raise UsageError(f"--endpoint '{masked_url(endpoint)}' {fault[0]}", hint=fault[1])


def _refuse_endpoint(api: str, endpoint: str) -> None:
    fault = foreign_to(api, "service", "endpoint")
    if fault is not None:
        raise UsageError(f"--endpoint {masked_url(endpoint)}: {fault[0]}", hint="leave --endpoint out")


def _examined(
    document: Document, sha256: str, absolute: Path, *, output_dir: Path | None, endpoint: str | None
) -> Examined:
    problems = list(document.problems)
    # A member that is wrong as YAML has no value to judge: what the schema says of it would only confuse.
    reported = {problem.path for problem in problems}
    problems += [
        problem
        for problem in schema_problems(document)
        if problem.path not in reported
        and not (problem.message == IS_MISSING and problem.path.rpartition(".")[0] in reported - {""})
    ]
    reported.update(problem.path for problem in problems)
    problems += check(document, reported)
    if problems:
        reported.update(problem.path for problem in problems)
        entries = tuple(source_entries(document, absolute.parent, reported)) if document.root else ()
        return Examined(path=absolute, problems=tuple(ordered(problems)), manifest=None, entries=entries)
    if endpoint is not None:
        _refuse_endpoint(str(document.get("service", "api")), endpoint)
    manifest = build(document, path=absolute, sha256=sha256, output_dir=output_dir, endpoint=endpoint)
    return Examined(path=absolute, problems=(), manifest=manifest, entries=manifest.sources)


def _read(path: Path) -> bytes:
    # One byte more than is allowed is enough to refuse a file of any size.
    with open_regular(path) as file:
        return file.read(MOST_BYTES + 1)


def _near(path: Path) -> Path | None:
    """A manifest beside it that is called much the same."""
    with contextlib.suppress(OSError):
        names = [one.name for one in path.parent.iterdir() if one.suffix in _ENDINGS]
        same = [name for name in names if Path(name).stem == path.stem]
        for name in same or get_close_matches(path.name, names, n=1):
            return path.with_name(name)
    return None


def _made_by(outputs: Path) -> str | None:
    """The manifest that a run's outputs say they were made from; None if they do not say it, or it is not there."""
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        told = Path(small_json.read(outputs / _OF_A_RUN)["manifest"]["path"])
        return shlex.quote(str(told)) if told.is_file() else None
    return None


def _unreadable(path: Path, error: OSError) -> Problem:
    match error:
        case FileNotFoundError():
            message = "there is no such file"
            near = _near(path)
            hint = f"did you mean {near}?" if near else "check the name; a manifest is a YAML file"
            if near is None and path.suffix in _ENDINGS:
                init = f"`hume-runner init . --out {shlex.quote(str(path))}`"
                hint = f"check the name; or let {init} write one of what lies here"
        case IsADirectoryError():
            message, hint = "is a folder, not a manifest", f"hume-runner init {path} writes a manifest for it"
            if (path / _OF_A_RUN).is_file():
                message = "is a folder with a run's outputs, not a manifest"
                hint = f"name the manifest that made them: {_made_by(path) or 'its name is in run.json'}"
        case NotRegular():
            message, hint = f"is {error.strerror}", "write the manifest to a file, and name that"
        case PermissionError():
            message, hint = "may not be read", "check the file's permissions"
        case _:
            message, hint = f"cannot be read: {error.strerror or error}", "check the path"
    return Problem(file=str(path), line=None, column=None, path="", message=message, hint=hint)

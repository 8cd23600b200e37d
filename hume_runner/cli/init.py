"""`init`: a commented manifest from folders, media files, and lists of URLs, paths or texts."""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import shlex
import unicodedata
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from hume_runner import small_json
from hume_runner.amounts import counted
from hume_runner.api import Validated, validate
from hume_runner.aside import written
from hume_runner.cli.console import Console
from hume_runner.cli.found_sources import Findings, look, place, yaml_text
from hume_runner.cli.proposed_models import model_lines
from hume_runner.errors import ManifestError, SourceError, UsageError, refuse_scarce
from hume_runner.manifest.patterns import pattern_fault
from hume_runner.manifest.published import NAME as SCHEMA_NAME
from hume_runner.manifest.published import schema_text
from hume_runner.registry import Registered, Starter, all_registered, registered


def configure(parser: argparse.ArgumentParser) -> None:
    apis = tuple(one.api for one in all_registered() if one.starter is not None)
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        type=place,
        help="folder (here or in a store, s3://bucket/folder), media file, list or text file",
    )
    here = next((one.api for one in all_registered() if one.here and one.api in apis), apis[0])
    parser.add_argument("--api", choices=apis, default=here, help=f"which service measures (default: {here})")
    parser.add_argument(
        "--labels",
        metavar="PATTERN",
        type=_pattern,
        help="labels from the names of the files, as '{participant}_{wave}'; without an ending, any fits",
    )
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
        look(path, folder, findings, labels=args.labels)
    text = compose(findings, api=args.api, name=_name(args.paths[0]), endpoint=args.endpoint)
    if out is None:
        console.out.write(text)
        return 0
    _write(out, text)
    for told in findings.told:
        console.warning(told)
    return _report(out, console)


def _write(out: Path, text: str) -> None:
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        refuse_scarce(error)
        raise UsageError(f"{out} cannot be written: {error.strerror}", hint="choose another place") from error


def _write_schema(path: Path) -> bool:
    """The schema beside the manifest, for editors; a file of another kind by that name stays. Whether it is new."""
    with contextlib.suppress(OSError, ValueError):
        there = path.exists()
        if there and small_json.read(path).get("$id") != json.loads(schema_text())["$id"]:
            return False
        with written(path) as file:
            file.write(schema_text().encode())
        return not there
    return False


def _pattern(text: str) -> str:
    fault = pattern_fault(text)
    if fault is not None:
        raise argparse.ArgumentTypeError(f"{text!r} {fault[0]}: {fault[1]}")
    return text


def _report(out: Path, console: Console) -> int:
    verdict = validate(out)
    _take_back(out, verdict)
    beside = _write_schema(out.parent / SCHEMA_NAME)
    if console.json:
        console.counts = {"problems": len(verdict.problems), "items": verdict.items.total()}
        console.ending = {"path": str(out)}
    else:
        console.result(f"wrote {out}: {counted(verdict.items.total(), 'item')}")
        if beside:
            console.note(f"wrote {out.parent / SCHEMA_NAME} as well, with which editors complete it")
    if verdict.exit_code:
        raise (ManifestError if verdict.exit_code == 65 else SourceError)(verdict.problems)
    console.note(f"next: hume-runner plan {shlex.quote(str(out))}")
    return 0


def _take_back(out: Path, verdict: Validated) -> None:
    """Remove the manifest where --labels does not fit the names, so that the mended command can be given at once.
    Raises: UsageError."""
    wrong = next((one for one in verdict.problems if "labels_from" in one.message), None)
    if wrong is not None:
        out.unlink()
        raise UsageError(f"--labels: {wrong.message}; nothing was written", hint=wrong.hint)


def _name(path: Path | str) -> str:
    stem = path.absolute().stem if isinstance(path, Path) else PurePosixPath(path.partition("*")[0].rstrip("/")).stem
    slug = re.sub(r"[^a-z0-9._-]+", "-", in_ascii(stem).lower()).strip("-._")
    return slug[:63] or "measurement"


def in_ascii(text: str) -> str:
    """`Köln` as `Koeln`, `café` as `cafe`."""
    spelt = "".join(_SPELT.get(letter, letter) for letter in unicodedata.normalize("NFC", text))
    return unicodedata.normalize("NFKD", spelt).encode("ascii", "ignore").decode()


_SPELT = dict(zip("äöüÄÖÜßæøØłŁ", ("ae", "oe", "ue", "Ae", "Oe", "Ue", "ss", "ae", "o", "O", "l", "L"), strict=True))


def compose(findings: Findings, *, api: str, name: str, endpoint: str | None) -> str:
    """The manifest's text. Raises UsageError for texts with an API that measures none."""
    found = registered(api)
    assert found is not None
    if findings.text and "text" not in found.kinds:
        able = sorted((one for one in all_registered() if "text" in one.kinds), key=lambda one: not one.here)
        others = " or ".join(f"--api {one.api}" for one in able)
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
                f"  directory: {yaml_text(_directory(found, name))}",
                f"  {'tables: [csv]':<35}# or parquet, jsonl, xlsx; `hume-runner tables` makes them later, too",
                "  report: true",
            ]
        )
        + "\n"
    )


def _directory(found: Registered, name: str) -> str:
    """Where results go. What different services measure is not mixed, and a rehearsal goes before the rest."""
    return f"results/{name}" if found.here else f"results/{name}-{found.api}"


def _head(found: Registered, name: str, endpoint: str | None) -> Iterator[str]:
    yield f"# yaml-language-server: $schema={SCHEMA_NAME}"
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
    yield f"name: {yaml_text(name)}"
    yield "service:"
    if found.here:
        yield f"  {f'api: {found.api}':<36} # measures on this machine: no key, no bill"
        return
    yield f"  api: {found.api}"
    if endpoint:
        yield f"  endpoint: {yaml_text(endpoint)}"
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
        for offered, line in findings.offered:
            if offered == member:
                yield (
                    f"{'    # - ' if lines else '  # ' + member + ': '}{line if lines else '[' + line + ']'}" + _BESIDE
                )


_BESIDE = "  # lies there as well"


def _seen(findings: Findings) -> set[str]:
    """Kinds of what is to be measured; of a list that does not tell, sound and pictures."""
    seen = set(findings.media) or ({"audio", "video"} if findings.urls or findings.files else set())
    return seen | ({"text"} if findings.text else set())

"""A first manifest, commented, from what lies in folders and lists: what `hume-runner init` writes."""

from __future__ import annotations

import contextlib
import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from hume_runner import events, small_json
from hume_runner.api.found_sources import Findings, look, place, yaml_text
from hume_runner.api.proposed_models import model_lines
from hume_runner.api.validating import validate
from hume_runner.api.values import Validated
from hume_runner.aside import written
from hume_runner.errors import UsageError, refuse_scarce
from hume_runner.frozen import frozen
from hume_runner.manifest.patterns import pattern_fault
from hume_runner.manifest.published import NAME as SCHEMA_NAME
from hume_runner.manifest.published import schema_text
from hume_runner.registry import Registered, Starter, all_registered, registered


@frozen
class Proposed:
    """A manifest that is not written yet; `told`: what was taken for granted."""

    text: str
    told: tuple[str, ...]


@frozen
class Begun:
    """A manifest that was written, and what is wrong with it. `schema`: the file beside it, with which editors complete
    it, where there was none."""

    path: Path
    verdict: Validated
    schema: Path | None


def apis() -> tuple[str, ...]:
    """The services for which a manifest can be proposed."""
    return tuple(one.api for one in all_registered() if one.starter is not None)


def usual_api() -> str:
    """The one that measures on this machine, if there is one."""
    offered = apis()
    return next((one.api for one in all_registered() if one.here and one.api in offered), offered[0])


def labels_fault(pattern: str) -> str | None:
    """What is wrong with a pattern that takes labels from the names of files, and what to do; None for a good one."""
    fault = pattern_fault(pattern)
    return None if fault is None else f"{pattern!r} {fault[0]}: {fault[1]}"


def propose(
    paths: Sequence[str], *, api: str, folder: Path, labels: str | None = None, endpoint: str | None = None
) -> Proposed:
    """A manifest for what is in these folders (here or in a store), media files, lists and text files, to be written
    into `folder`. `labels`: a pattern for the names of files. Raises: SourceError, UsageError, StoreError."""
    places = [place(one) for one in paths]
    findings = Findings()
    for one in places:
        look(one, folder, findings, labels=labels)
    text = _composed(findings, api=api, name=_name(places[0]), endpoint=endpoint)
    return Proposed(text=text, told=tuple(findings.told))


def begin(out: Path, proposed: Proposed, *, on_event: events.Report) -> Begun:
    """Write it, and judge it as `validate` does; `on_event` is warned of what was taken for granted. Raises:
    UsageError where it cannot be written, or the pattern for labels does not fit the names: then nothing is left of
    it."""
    _write(out, proposed.text)
    for told in proposed.told:
        on_event(events.Warned(message=told))
    verdict = validate(out)
    _take_back(out, verdict)
    schema = out.parent / SCHEMA_NAME
    return Begun(path=out, verdict=verdict, schema=schema if _write_schema(schema) else None)


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


def _take_back(out: Path, verdict: Validated) -> None:
    """Remove the manifest where --labels does not fit the names, so that the mended command can be given at once.
    Raises: UsageError."""
    wrong = next((one for one in verdict.problems if "labels_from" in one.message), None)
    if wrong is not None:
        out.unlink()
        raise UsageError(f"--labels: {wrong.message}; nothing was written", hint=wrong.hint)


def _name(path: Path | str) -> str:
    stem = path.absolute().stem if isinstance(path, Path) else PurePosixPath(path.partition("*")[0].rstrip("/")).stem
    slug = re.sub(r"[^a-z0-9._-]+", "-", _in_ascii(stem).lower()).strip("-._")
    return slug[:63] or "measurement"


def _in_ascii(text: str) -> str:
    """`Köln` as `Koeln`, `café` as `cafe`."""
    spelt = "".join(_SPELT.get(letter, letter) for letter in unicodedata.normalize("NFC", text))
    return unicodedata.normalize("NFKD", spelt).encode("ascii", "ignore").decode()


_SPELT = dict(zip("äöüÄÖÜßæøØłŁ", ("ae", "oe", "ue", "Ae", "Oe", "Ue", "ss", "ae", "o", "O", "l", "L"), strict=True))


def _composed(findings: Findings, *, api: str, name: str, endpoint: str | None) -> str:
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

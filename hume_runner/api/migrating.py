"""A manifest of one API as one for another, or for this machine, and what does not carry over."""

from __future__ import annotations

import shlex
from dataclasses import replace
from os import PathLike
from pathlib import Path

from hume_runner.errors import HumeRunnerError, ManifestError, UsageError, refuse_scarce
from hume_runner.migration.manifest import Migrated, migrate_manifest
from hume_runner.migration.to_local import ToLocal, migrate_to_local

_TO = {"expression-v1": migrate_manifest, ToLocal.to: migrate_to_local}
TARGETS = tuple(_TO)


def migrate(
    manifest: str | PathLike[str],
    *,
    to: str = TARGETS[0],
    out: str | PathLike[str] | None = None,
    endpoint: str | None = None,
) -> Migrated:
    """The new manifest's text, written to `out` where one is named, and a note for each member that changed or has no
    equivalent. The old one is not changed. Raises: ManifestError, UsageError."""
    if to not in _TO:
        raise UsageError(f"to: {to!r} is nothing that a manifest is migrated to", hint=f"one of: {', '.join(TARGETS)}")
    if not isinstance(manifest, str | PathLike):
        raise UsageError(
            f"a manifest that is migrated is the path of a YAML file, and not of the type {type(manifest).__name__}",
            hint="what is migrated is its text: write it to a file first",
        )
    old, new = Path(manifest), None if out is None else Path(out)
    try:
        migrated = _TO[to](old, folder=new.parent if new else None, endpoint=endpoint)
    except ManifestError as error:
        raise _or_here(error, old, to) from error
    if new is not None:
        _write(new, migrated.text)
    return migrated


def _or_here(error: ManifestError, manifest: Path, to: str) -> ManifestError:
    """The same error, with the way out that this machine is, where it measures what the other API does not."""
    if to == ToLocal.to:
        return error
    try:
        migrate_to_local(manifest)
    except HumeRunnerError:
        return error
    here = f"`hume-runner migrate {shlex.quote(str(manifest))} --to local` has it measured on this machine"
    return ManifestError(replace(one, hint=f"{here}; or {one.hint}") for one in error.problems)


def _write(out: Path, text: str) -> None:
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{out} exists already and is not overwritten", hint="choose another name") from None
    except OSError as error:
        refuse_scarce(error)
        raise UsageError(f"{out} cannot be written: {error.strerror}", hint="choose another place") from error

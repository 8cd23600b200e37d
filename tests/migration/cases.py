"""A manifest of batch-v0, what becomes of it, and what is told of its members."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from hume_runner.manifest.load import load_manifest
from hume_runner.manifest.model import Manifest
from hume_runner.migration.manifest import Migrated

EXAMPLES = sorted(Path(__file__).parents[2].joinpath("manifests").glob("*.yaml"))
BASE: dict[str, Any] = {
    "version": 1,
    "name": "wave-2",
    "service": {"api": "batch-v0"},
    "sources": {"files": ["a.wav"]},
    "models": {"prosody": {}},
}


def migrated_by(migrate: Callable[[Path], Migrated], folder: Path, **members: Any) -> tuple[Migrated, Manifest]:
    """BASE with `members` in place, migrated, and the result as it loads."""
    old = folder / "old.yaml"
    old.write_text(yaml.safe_dump(BASE | members, allow_unicode=True, sort_keys=False), "utf-8")
    migrated = migrate(old)
    new = folder / "new.yaml"
    new.write_text(migrated.text, "utf-8")
    return migrated, load_manifest(new)


def notes(migrated: Migrated) -> dict[str, tuple[str, str]]:
    return {note.member: (note.verdict, note.becomes) for note in migrated.notes}

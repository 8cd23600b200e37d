"""Other manifests in a manifest's folder, and their secrets: they are no media either, and studies share a folder."""
# Plain strings and os.path here, as a Path for each of a million names costs more than all the rest.
# ruff: noqa: PTH118

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hume_runner.manifest.document import Document
from hume_runner.manifest.strict_yaml import parse
from hume_runner.regular_files import open_regular
from hume_runner.sources.inputs import SECRETS, Input

_ENDINGS: Final = (".yaml", ".yml")
_MOST_BYTES: Final = 1_000_000  # whatever is longer is no manifest that has its texts elsewhere


def neighbours(manifest: Path) -> Iterator[Input]:
    """Each of them, and what it names as a key or a secret. What cannot be read is none."""
    folder = str(manifest.parent)
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.name.lower().endswith(_ENDINGS))
    except OSError:
        return
    for name in names:
        path = Path(os.path.join(folder, name))
        document = None if name == manifest.name else _manifest(path)
        if document is not None:
            yield Input(path=path, kind="manifest")
            yield from _secrets(document, path.parent)


def _manifest(path: Path) -> Document | None:
    """None for YAML of any other kind, which may be a person's source."""
    try:
        with open_regular(path) as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError:
        return None
    if len(data) > _MOST_BYTES or b"sources" not in data or b"service" not in data:
        return None
    document = parse(data, str(path))
    members = None if document.root is None else document.root.value
    return document if isinstance(members, dict) and {"version", "service", "sources"} <= members.keys() else None


def _secrets(document: Document, folder: Path) -> Iterator[Input]:
    for name in SECRETS:
        at = (*name.split("."), "file")
        file = document.get(*at)
        if isinstance(file, str):
            yield Input(path=folder / file, kind="secret", place=document.place(at), name=".".join(at))

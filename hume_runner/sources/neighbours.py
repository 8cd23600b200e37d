"""Other manifests in a manifest's folder, and their secrets: they are no media either, and studies share a folder."""
# Plain strings and os.path here, as a Path for each of a million names costs more than all the rest.
# ruff: noqa: PTH118

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hume_runner.manifest.document import Document
from hume_runner.manifest.strict_yaml import MOST_BYTES, parse
from hume_runner.regular_files import open_regular
from hume_runner.sources.inputs import SECRETS, Input
from hume_runner.spelling import stored_path

_ENDINGS: Final = (".yaml", ".yml", ".json")
# A manifest of any size begins with what it is; of a folder of JSON no more is read.
_HEAD_BYTES: Final = 1 << 16
# The same in one that is being written, and is not YAML for the moment.
_MEMBER: Final = re.compile(r"^\s*[{,]?\s*[\"']?(service|sources)[\"']?\s*:", re.M)
_SECRET: Final = re.compile(
    r"(?:api_key|callback_secret)[\"']?\s*:\s*\{?\s*[\"']?file[\"']?\s*:\s*(\"[^\"\n]+\"|'[^'\n]+'|[^\"'{}\n#,]+)"
)


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
        if name != manifest.name:
            yield from _read_by(path)


def _read_by(path: Path) -> Iterator[Input]:
    """What another manifest is and names; nothing of a file of any other kind, which may be a person's source."""
    data = _content(path)
    if data is None:
        return
    document = parse(data, str(path))
    members = None if document.root is None else document.root.value
    if isinstance(members, dict):
        if all(name in members and isinstance(members[name].value, dict) for name in ("service", "sources")):
            yield Input(path=path, kind="manifest")
            yield from _secrets(document, path.parent)
        return
    text = _text(data)
    if {found[1] for found in _MEMBER.finditer(text)} == {"service", "sources"}:
        yield Input(path=path, kind="manifest")
        for found in _SECRET.finditer(text):
            name = found[1].strip().strip("\"'")
            yield Input(path=stored_path(path.parent / name), kind="secret", name=f"of {path.name}")


def _content(path: Path) -> bytes | None:
    """A file that may be a manifest, by how it begins."""
    try:
        with open_regular(path) as file:
            head = file.read(_HEAD_BYTES)
            text = _text(head)
            if "service" not in text and "sources" not in text:
                return None
            return head + file.read(MOST_BYTES)
    except OSError:
        return None


def _text(data: bytes) -> str:
    wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    return data.decode("utf-16" if wide else "utf-8-sig", "replace")


def _secrets(document: Document, folder: Path) -> Iterator[Input]:
    for name in SECRETS:
        at = (*name.split("."), "file")
        file = document.get(*at)
        if isinstance(file, str):
            yield Input(path=stored_path(folder / file), kind="secret", place=document.place(at), name=".".join(at))

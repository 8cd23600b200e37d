"""Writes small manifests for the tests of this folder and of sources."""

from __future__ import annotations

from pathlib import Path

HEAD = "version: 1\nname: trial\nservice: {api: batch-v0, endpoint: emulator}\nmodels: {face: {}}\n"


def write(folder: Path, sources: str, *, head: str = HEAD, name: str = "manifest.yaml") -> Path:
    """A manifest in `folder` whose `sources` section is `sources`, in YAML's flow or indented block style."""
    path = folder / name
    path.write_text(f"{head}sources: {sources}\n", encoding="utf-8")
    return path

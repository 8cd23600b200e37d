"""The manifests that people copy from are valid, and their media are what the script makes."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from hume_runner.manifest.load import load_manifest
from hume_runner.sources import expand

FOLDER = Path(__file__).parents[2] / "manifests"
EXAMPLES = sorted(FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_valid_and_all_its_sources_exist(path: Path) -> None:
    manifest = load_manifest(path)
    items = list(expand(manifest))
    assert items
    assert len({item.id for item in items}) == len(items)
    assert manifest.outputs.directory == FOLDER.parent / "results" / manifest.name


def test_the_quickstart_has_sources_of_every_kind() -> None:
    manifest = load_manifest(FOLDER / "quickstart.yaml")
    assert {item.kind for item in expand(manifest)} == {"url", "file", "text"}
    assert manifest.service.endpoint == "emulator"


@pytest.mark.sweep
def test_the_media_are_what_the_script_makes(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("make_media", FOLDER / "make_media.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.make(tmp_path)
    made = sorted(tmp_path.iterdir())
    assert made
    for path in made:
        kept = FOLDER / "media" / path.name
        if path.suffix == ".wav":
            assert kept.read_bytes() == path.read_bytes()
        else:
            # zlib's output differs between versions; header and length tell enough.
            assert kept.read_bytes()[:33] == path.read_bytes()[:33]
    assert sum(path.stat().st_size for path in (FOLDER / "media").iterdir()) < 1_000_000

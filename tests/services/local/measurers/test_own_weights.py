"""Weights that a manifest names itself: pulled by hash, measured with, told in every row."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import hume_runner
from hume_runner.manifest.load import examine_mapping
from hume_runner.services.local.measurers.base import Picture, Sound, WeightFile
from hume_runner.services.local.measurers.face import FACE, FAR, MESH, NEAR
from hume_runner.services.local.measurers.language import TABLE
from hume_runner.services.local.measurers.speech import SPEECH
from hume_runner.services.local.needs import needed
from tests.services.local.measurers.heard import need_module, recording

Weights = Callable[[Sequence[WeightFile]], Mapping[str, Path]]


def named(path: Path, called: str = "") -> dict[str, str]:
    url = f"https://models.example.org/{called or path.name}"
    return {"url": url, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def kept(paths: Sequence[Path], folder: Path) -> dict[str, Path]:
    """As `models pull` keeps them: by hash, without an ending."""
    found = {}
    for path in paths:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        found[f"own/{digest}"] = Path(shutil.copyfile(path, folder / digest))
    return found


def test_a_network_of_one_s_own_finds_what_the_same_network_finds(weights: Weights, tmp_path: Path) -> None:
    need_module("ai_edge_litert")
    data = pytest.importorskip("skimage.data")
    files = weights([NEAR, FAR, MESH])
    picture = Picture(time_s=None, rgb=data.astronaut())
    usual = [row.values for row in FACE.open({}, files).measure([picture])]
    options = {"networks": {"landmarks": named(files[MESH.name])}}
    assert jsonschema.Draft202012Validator(FACE.schema).is_valid(options)
    card = FACE.card(options)
    assert card.measured_by.startswith("own-face@")
    assert card.measured_by != FACE.card({}).measured_by
    assert [file.name for file in card.files] == [NEAR.name, FAR.name, f"own/{MESH.sha256}"]
    own = FACE.open(options, {**files, **kept([files[MESH.name]], tmp_path)})
    assert [row.values for row in own.measure([picture])] == usual
    assert len(usual) == 1
    # A network of another form is refused before anything is measured with it.
    wrong = {"networks": {"landmarks": named(files[NEAR.name])}}
    with pytest.raises(ValueError, match=r"another form: it takes \[1, 128, 128, 3\]"):
        FACE.open(wrong, {**files, **kept([files[NEAR.name]], tmp_path)})


@pytest.mark.sweep
def test_a_whisper_of_one_s_own_hears_what_the_same_one_hears(weights: Weights, tmp_path: Path) -> None:
    need_module("faster_whisper")
    usual = weights(SPEECH.card({}).files)
    parts = {Path(name).name: path for name, path in usual.items() if name.startswith("whisper-")}
    own = {part: named(next(path for name, path in parts.items() if name.startswith(part)))
           for part in ("model", "config", "tokenizer", "vocabulary")}  # fmt: skip
    options: dict[str, Any] = {"weights": own}
    assert jsonschema.Draft202012Validator(SPEECH.schema).is_valid(options)
    card = SPEECH.card(options)
    assert card.measured_by.startswith("whisper-own@1#")
    files = kept(list(parts.values()), tmp_path) | {
        name: path for name, path in usual.items() if not name.startswith("whisper-")
    }
    assert {file.name for file in card.files} <= set(files)
    sound = Sound(samples=recording("beckett.wav"))
    heard = [row.values for row in SPEECH.open(options, files).measure(sound)]
    assert heard == [row.values for row in SPEECH.open({}, usual).measure(sound)]
    assert heard
    broken = tmp_path / own["model"]["sha256"]
    broken.write_bytes(broken.read_bytes()[:1000])
    with pytest.raises(ValueError, match="whisper-own"):
        SPEECH.open(options, files)


def test_what_a_manifest_names_itself_is_pulled_by_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert TABLE.lies is not None
    table = TABLE.lies
    digest = hashlib.sha256(table.read_bytes()).hexdigest()
    networks = {part: {"url": f"https://example.org/{part}.tflite", "sha256": f"{i}" * 64}
                for i, part in enumerate(("short_range", "full_range", "landmarks"))}  # fmt: skip
    parts = {part: {"url": f"https://example.org/{part}.json", "sha256": f"a{i}" * 32}
             for i, part in enumerate(("model", "config", "tokenizer", "vocabulary"))}  # fmt: skip
    language = {"table": {"url": "https://example.org/mine.bin", "sha256": digest}}
    manifest = {
        "version": 1, "name": "own", "service": {"api": "local"}, "sources": {"text": ["What a surprise!"]},
        "models": {"face": {"networks": networks}, "speech": {"weights": parts}, "language": language},
        "outputs": {"directory": str(tmp_path / "out")},
    }  # fmt: skip
    examined = examine_mapping(manifest, folder=tmp_path, output_dir=None, endpoint=None)
    assert examined.manifest is not None, examined.problems
    wanted = {file.name: file.urls for file in needed(examined.manifest)}
    named_by_hash = {f"own/{one['sha256']}" for one in (*networks.values(), *parts.values(), language["table"])}
    assert named_by_hash <= set(wanted)
    assert wanted[f"own/{digest}"] == ("https://example.org/mine.bin",)
    # The whole way, from a folder: pulled, checked, measured with, and told in the answer.
    monkeypatch.setenv("HUME_RUNNER_MODELS", str(tmp_path / "models"))
    (tmp_path / "from").mkdir()
    shutil.copyfile(table, tmp_path / "from" / "mine.bin")
    manifest["models"] = {"language": language}
    hume_runner.pull_models(agree=True, manifest=manifest, folder=tmp_path / "from")
    assert hume_runner.run(manifest).exit_code == 0
    [answer] = (tmp_path / "out" / "raw").glob("*/response.json")
    assert f"goemotions-own@1#{digest[:8]}" in answer.read_text()

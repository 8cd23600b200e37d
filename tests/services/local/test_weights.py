from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from hume_runner.errors import MissingWeights, UsageError
from hume_runner.services.local.measurers.base import WeightFile
from hume_runner.services.local.weights import Verdict, Weights, require
from hume_runner.settings import ModelSettings
from tests.services.local.mirror import CONTENT, WEIGHTS, sha256, tiny

NEEDED = [WeightFile(name=name, sha256=sha256(content)) for name, content in CONTENT.items()]


@pytest.fixture
def weights(tmp_path: Path) -> Weights:
    """The tiny model, as somebody put it there."""
    root = tmp_path / "models"
    for name, content in CONTENT.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return Weights(root)


def test_what_is_needed_is_found_in_the_order_asked_for(weights: Weights) -> None:
    found = weights.require(reversed(NEEDED))
    assert list(found) == ["tiny/config.json", "tiny/model.bin"]
    assert found["tiny/model.bin"].read_bytes() == WEIGHTS


def test_what_is_missing_is_named_with_the_command(tmp_path: Path) -> None:
    with pytest.raises(MissingWeights) as caught:
        Weights(tmp_path).require(
            ["whisper-tiny.en/model.bin", "whisper-tiny.en/config.json", "silero-vad-v6/silero_vad_v6.onnx"]
        )
    assert str(caught.value).startswith("whisper-tiny.en/model.bin, whisper-tiny.en/config.json, silero-vad-v6/")
    assert f"not on this machine (looked in {tmp_path})" in str(caught.value)
    assert caught.value.hint == "hume-runner models pull whisper-tiny.en silero-vad-v6"
    assert caught.value.exit_code == 64


def test_many_that_are_missing_are_one_line(tmp_path: Path) -> None:
    from hume_runner.services.local import catalogue

    files = [file.name for file in catalogue.named(["en_core_web_sm"])[0].files]
    with pytest.raises(MissingWeights, match=r"and 21 more: not on this machine"):
        Weights(tmp_path).require(files)


def test_what_is_damaged_is_named_beside_what_is_missing(weights: Weights) -> None:
    (weights.root / "tiny/model.bin").write_bytes(b"x" + WEIGHTS[1:])
    (weights.root / "tiny/config.json").unlink()
    with pytest.raises(
        MissingWeights, match=r"tiny/model.bin: damaged.*; tiny/config.json: not on this machine"
    ) as caught:
        weights.require(NEEDED)
    assert "put them into" in caught.value.hint  # nobody here knows where such a model comes from


def test_what_a_manifest_named_itself_asks_for_the_manifest(tmp_path: Path) -> None:
    with pytest.raises(MissingWeights) as caught:
        Weights(tmp_path).require([f"own/{sha256(WEIGHTS)}"])
    assert caught.value.hint == "hume-runner models pull --manifest MANIFEST"
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / sha256(WEIGHTS)).write_bytes(WEIGHTS)
    assert Weights(tmp_path).require([f"own/{sha256(WEIGHTS)}"])


def test_a_measurers_name_leads_nowhere_else(weights: Weights) -> None:
    (weights.root.parent / "x").write_bytes(WEIGHTS)
    with pytest.raises(UsageError, match="cannot be"):
        weights.require([WeightFile(name="../x", sha256=sha256(WEIGHTS))])


def test_a_folder_in_the_place_of_a_file_is_not_readable(weights: Weights) -> None:
    path = weights.root / "tiny/config.json"
    path.unlink()
    path.mkdir()
    assert weights.verify(tiny("tiny/config.json")) is Verdict.UNREADABLE


def in_place(path: Path, content: bytes) -> None:
    """Other content in the same file, of the same size and as of the same time."""
    seen = path.stat()
    with path.open("rb+") as file:
        file.write(content)
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))


def test_a_file_is_hashed_once_and_read_again_only_when_it_was_written(weights: Weights) -> None:
    path = weights.root / "tiny/model.bin"
    assert weights.look(tiny()) is Verdict.UNCHECKED
    weights.require(NEEDED)
    note = weights.root / "tiny/.verified.json"
    true = note.read_text()
    note.write_text(true.replace(sha256(WEIGHTS), "0" * 64))
    assert weights.look(tiny()) is Verdict.CHANGED  # what is remembered is believed: nothing was read
    note.write_text(true)
    in_place(path, b"x")
    with pytest.raises(MissingWeights):  # written to, though size and time say nothing of it
        weights.require(NEEDED)
    in_place(path, WEIGHTS[:1])
    assert weights.require(NEEDED)


def test_a_copy_elsewhere_is_hashed_anew(weights: Weights, tmp_path: Path) -> None:
    weights.require(NEEDED)
    copy = Weights(tmp_path / "copy")
    shutil.copytree(weights.root, copy.root, copy_function=shutil.copy2)
    assert copy.look(tiny()) is Verdict.UNCHECKED
    in_place(copy.root / "tiny/model.bin", b"x")
    with pytest.raises(MissingWeights):
        copy.require(NEEDED)


def test_a_size_that_differs_is_seen_without_reading(weights: Weights) -> None:
    (weights.root / "tiny/model.bin").write_bytes(WEIGHTS[:-1])
    assert weights.look(tiny()) is Verdict.CHANGED


@pytest.mark.parametrize("note", [b"{", b"[]", b'{"model.bin": 3}', b'{"model.bin": {"sha256": 1}}', b"\xff"])
def test_a_damaged_note_means_that_the_file_is_read(weights: Weights, note: bytes) -> None:
    (weights.root / "tiny/.verified.json").write_bytes(note)
    assert weights.look(tiny()) is Verdict.UNCHECKED
    assert weights.require(NEEDED)


def test_where_no_note_can_be_written_it_works_all_the_same(weights: Weights) -> None:
    (weights.root / "tiny/.verified.json").mkdir()
    assert weights.require(NEEDED)
    assert weights.look(tiny()) is Verdict.UNCHECKED


def test_two_files_of_a_model_are_remembered_beside_each_other(weights: Weights) -> None:
    weights.require(NEEDED[:1])
    weights.require(NEEDED[1:])
    assert {weights.look(tiny(name)) for name in CONTENT} == {Verdict.SAME}


def test_the_environment_says_where_they_lie(weights: Weights, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUME_RUNNER_MODELS", str(weights.root))
    assert require(NEEDED)["tiny/model.bin"] == weights.root / "tiny/model.bin"


@pytest.mark.skipif(os.name == "nt" or not Path("/proc").exists(), reason="other systems have other cache folders")
def test_without_a_word_they_lie_in_the_users_cache_folder() -> None:
    def root(**environ: str) -> str:
        return str(ModelSettings.from_env({"HOME": "/home/ana", **environ}).root)

    assert root() == "/home/ana/.cache/hume_runner/models"
    assert root(XDG_CACHE_HOME="/var/ana") == "/var/ana/hume_runner/models"
    assert root(XDG_CACHE_HOME="relative") == "/home/ana/.cache/hume_runner/models"
    assert root(XDG_CACHE_HOME="/var/ana", HUME_RUNNER_MODELS="/models") == "/models"
    assert root(HUME_RUNNER_MODELS="models") == str(Path.cwd() / "models")

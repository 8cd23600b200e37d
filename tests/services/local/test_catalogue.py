from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

import hume_runner
from hume_runner.errors import UsageError
from hume_runner.services.local import catalogue
from hume_runner.services.local.measurers.found import own
from hume_runner.services.local.model_files import File, Model
from tests.services.local.mirror import package_of_models

OURS = catalogue.models()
FILES = [file for model in OURS.values() for file in model.files]


@pytest.fixture
def others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = package_of_models(tmp_path / "others")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(__import__("sys").modules, "tiny_models", raising=False)
    return folder


def test_every_file_has_one_name_one_hash_a_size_and_a_place_that_stays() -> None:
    assert len({file.name for file in FILES}) == len(FILES) > 20
    assert [file.name for file in FILES if not file.size_bytes] == []
    assert [file.name for file in FILES if not (file.urls or file.members)] == []
    urls = [url for file in FILES for url in file.urls]
    assert [url for url in urls if not url.startswith("https://") or "/main/" in url] == []
    requirements = {member.requirement for file in FILES for member in file.members}
    assert [one for one in requirements if "==" not in one and "@ https://" not in one] == []


def test_every_model_says_its_licence_and_where_it_is() -> None:
    assert [model.name for model in OURS.values() if not model.licence] == []
    assert [model.name for model in OURS.values() if not model.licence_url.startswith("https://")] == []


def test_what_measurers_use_at_first_is_small() -> None:
    usual = catalogue.usual()
    assert {"whisper-tiny.en", "en_core_web_sm"} <= {model.name for model in usual}
    assert sum(model.size_bytes for model in usual) < 110_000_000


def test_every_measurer_of_ours_finds_its_weights_here() -> None:
    cards = []
    # The table of `language` comes with the package.
    for measurer in (one for name, one in own().items() if name != "language"):
        asked = dict(measurer.schema).get("properties", {}).get("model", {}).get("enum", [])
        cards += [measurer.card({}), *(measurer.card({"model": name}) for name in asked)]
        for weight in measurer.card({}).files:
            model = catalogue.model_named(weight.name.partition("/")[0])
            assert model is not None, weight.name
            assert model.usual, weight.name
    needed = {(weight.name, weight.sha256) for card in cards for weight in card.files}
    assert needed - {(file.name, file.sha256) for file in FILES} == set()


def test_models_are_found_by_name_in_the_order_asked_for() -> None:
    assert [model.name for model in catalogue.named(["silero-vad-v6", "whisper-tiny.en"])] == [
        "silero-vad-v6",
        "whisper-tiny.en",
    ]
    assert [model.name for model in catalogue.named([])] == list(OURS)


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"no model 'whisper-tiny.em'") as caught:
        catalogue.named(["whisper-tiny.em"])
    assert caught.value.hint == "did you mean whisper-tiny.en?"
    with pytest.raises(UsageError, match="no file"):
        catalogue.file_named("whisper-tiny.en/pytorch_model.bin")


def test_what_a_manifest_names_itself_is_found_by_hash() -> None:
    file = catalogue.file_named(f"own/{'a' * 64}")
    assert (file.sha256, file.size_bytes) == ("a" * 64, None)
    with pytest.raises(UsageError):
        catalogue.file_named("own/../../x")


def test_another_package_adds_a_model(others: Path) -> None:
    assert catalogue.model_named("tiny") == catalogue.models()["tiny"]
    assert catalogue.file_named("tiny/config.json").size_bytes == 13


def test_another_package_takes_no_name_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = package_of_models(tmp_path / "others", name="silero-vad-v6")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(__import__("sys").modules, "tiny_models", raising=False)
    with pytest.raises(UsageError, match=r"'silero-vad-v6' of the package tiny-models cannot be used: .*taken"):
        catalogue.models()
    # Ours is found all the same.
    assert catalogue.file_named("silero-vad-v6/silero_vad_v6.onnx").size_bytes == 1_245_151


def test_a_model_is_of_its_own_files() -> None:
    file = File(name="other/model.bin", size_bytes=1, sha256="0" * 64)
    with pytest.raises(ValueError, match=r"no model"):
        Model(name="tiny", about="", licence="MIT", licence_url="", files=(file,))


@pytest.mark.sweep
def test_a_hash_stands_once_in_the_package() -> None:
    package = Path(hume_runner.__file__).parent
    found = [one for path in package.rglob("*.py") for one in re.findall(r"\b[0-9a-f]{64}\b", path.read_text("utf-8"))]
    assert len(found) > 30
    assert [one for one, number in Counter(found).items() if number > 1] == []

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.errors import ManifestError
from hume_runner.manifest.load import load_manifest
from hume_runner.manifest.patterns import pattern_fault
from hume_runner.sources import expand
from hume_runner.sources.name_pattern import name_pattern
from tests.sources.trees import tree


@pytest.mark.parametrize(
    ("pattern", "path", "labels"),
    [
        ("{participant}_{wave}.wav", "media/p07_2.wav", {"participant": "p07", "wave": 2}),
        ("{participant}_{wave}", "p07_2.wav", {"participant": "p07", "wave": 2}),
        ("{participant}_{wave}", "p07_02.wav", {"participant": "p07", "wave": "02"}),
        ("{wave}/{participant}.wav", "media/w1/p07.wav", {"wave": "w1", "participant": "p07"}),
        ("wave{wave}/{participant}", "a/wave1/p.07.wav", {"wave": 1, "participant": "p.07"}),
        ("{a}_{b}.wav", "x_y_z.wav", {"a": "x", "b": "y_z"}),
        ("{a}_{b}.wav", "x-y.wav", None),
        ("{a}_{b}.wav", "_y.wav", None),
        ("{a}_{b}.wav", "x_y.mp3", None),
        ("{ort}-{a}.wav", "Ko\u0308ln-1.wav", {"ort": "Köln", "a": 1}),
        ("({a}) [{b}].wav", "(1) [x+].wav", {"a": 1, "b": "x+"}),
    ],
)
def test_a_name_gives_its_labels(pattern: str, path: str, labels: dict[str, object] | None) -> None:
    assert name_pattern(pattern).labels(path) == labels


@pytest.mark.parametrize("pattern", ["x.wav", "{}", "{1a}", "{a}{b}", "{a}_{a}", "{a", "a}", "{a b}"])
def test_a_pattern_that_cannot_be_is_told(pattern: str) -> None:
    assert pattern_fault(pattern) is not None


word = st.text("abcXY0123456789é", min_size=1, max_size=6)


@given(st.lists(word, min_size=1, max_size=4))
def test_what_was_put_together_comes_apart(words: list[str]) -> None:
    names = [f"n{number}" for number in range(len(words))]
    pattern = "_".join(f"{{{name}}}" for name in names) + ".wav"

    found = name_pattern(pattern).labels("_".join(words) + ".wav")

    assert found is not None
    assert [str(found[name]) for name in names] == words


def manifest(folder: Path, line: str) -> Path:
    path = folder / "m.yaml"
    path.write_text(
        "version: 1\nname: m\nservice: {api: local}\nmodels: {acoustics: {}}\nsources:\n  files:\n    - " + line + "\n"
    )
    return path


def test_every_file_of_a_glob_has_its_labels_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    tree(tmp_path, "media/p10_1.wav", "media/p2_1.wav", "media/p2_2.wav")
    line = '{path: "media/*.wav", labels_from: "{who}_{wave}.wav", labels: {site: north}}'

    items = list(expand(load_manifest(manifest(tmp_path, line))))

    assert [(item.labels["who"], item.labels["wave"]) for item in items] == [("p2", 1), ("p2", 2), ("p10", 1)]
    assert {item.labels["site"] for item in items} == {"north"}


def test_a_name_that_does_not_fit_refuses_the_manifest_and_is_named(tmp_path: Path) -> None:
    tree(tmp_path, "media/p10_1.wav", "media/pilot.wav")

    with pytest.raises(ManifestError, match=r"m\.yaml:7:7: sources\.files\[0\]: the name of 'media/pilot\.wav'"):
        list(expand(load_manifest(manifest(tmp_path, '{path: "media/*.wav", labels_from: "{who}_{wave}.wav"}'))))


def test_a_wrong_pattern_is_told_at_its_place(tmp_path: Path) -> None:
    with pytest.raises(
        ManifestError, match=r"m\.yaml:7:\d+: sources\.files\[0\]\.labels_from: 'x\.wav' names no label"
    ):
        load_manifest(manifest(tmp_path, '{path: "media/*.wav", labels_from: "x.wav"}'))

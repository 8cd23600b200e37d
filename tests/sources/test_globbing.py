from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hume_runner.sources.globbing import matching_files
from tests.sources.trees import found, tree


@pytest.fixture
def media(tmp_path: Path) -> Path:
    tree(
        tmp_path, "b.wav", "a.wav", "B.WAV", "a/one.wav", "a/deep/er/two.wav", "a-b/three.wav", "notes.txt",
        ".hidden.wav", ".git/x.wav", "__MACOSX/a.wav", "take[1].wav", "z/.wav",
    )  # fmt: skip
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.wav", ["a.wav", "b.wav", "take[1].wav"]),
        ("?.wav", ["a.wav", "b.wav"]),
        ("[ab].wav", ["a.wav", "b.wav"]),
        ("[!a].wav", ["b.wav"]),
        ("**/*.wav", ["a/deep/er/two.wav", "a/one.wav", "a-b/three.wav", "a.wav", "b.wav", "take[1].wav"]),
        ("a/**", ["a/deep/er/two.wav", "a/one.wav"]),
        ("a/**/*.wav", ["a/deep/er/two.wav", "a/one.wav"]),
        ("**/deep/**/*.wav", ["a/deep/er/two.wav"]),
        ("**/**/two.wav", ["a/deep/er/two.wav"]),
        ("*/one.wav", ["a/one.wav"]),
        ("./a//*.wav", ["a/one.wav"]),
        (".git/*.wav", [".git/x.wav"]),
        (".*.wav", [".hidden.wav"]),
        ("take[[]1].wav", ["take[1].wav"]),
        ("*", ["B.WAV", "a.wav", "b.wav", "notes.txt", "take[1].wav"]),
        ("nowhere/*", []),
        ("a.wav/*", []),
    ],
)
def test_globs_mean_what_people_expect_in_a_stable_order(media: Path, pattern: str, expected: list[str]) -> None:
    assert sorted(found(pattern, media)) == sorted(expected)
    assert found(pattern, media) == found(pattern, media)


def test_files_come_sorted_part_by_part(media: Path) -> None:
    names = found("**/*.wav", media)
    assert [name.split("/") for name in names] == sorted(name.split("/") for name in names)


def test_links_are_followed_without_going_round_in_circles(tmp_path: Path) -> None:
    tree(tmp_path, "a/one.wav", "elsewhere/two.wav")
    (tmp_path / "a/up").symlink_to(tmp_path)
    (tmp_path / "a/linked.wav").symlink_to(tmp_path / "a/one.wav")
    (tmp_path / "a/other").symlink_to(tmp_path / "elsewhere")
    assert found("a/**/*.wav", tmp_path) == ["a/linked.wav", "a/one.wav", "a/other/two.wav", "a/up/elsewhere/two.wav"]


def test_a_very_deep_tree_is_walked(tmp_path: Path) -> None:
    folder = tmp_path
    for _ in range(300):
        folder = folder / "d"
    tree(folder, "a.wav")
    assert len(found("**/*.wav", tmp_path)) == 1


def test_the_folder_to_skip_is_not_entered(tmp_path: Path) -> None:
    tree(tmp_path, "a.wav", "results/raw/b.wav")
    assert found("**/*.wav", tmp_path, skip=str(tmp_path / "results")) == ["a.wav"]
    assert found("results/**/*.wav", tmp_path, skip=str(tmp_path / "results")) == ["results/raw/b.wav"]


_NAMES = st.sampled_from(["a", "b", "ab", "a.wav", "b.wav"])
_TREES = st.sets(st.lists(_NAMES, min_size=1, max_size=3).map("/".join), max_size=8)
_PATTERNS = st.lists(st.sampled_from(["*", "**", "a", "?", "*.wav", "a*"]), min_size=1, max_size=4).map("/".join)


@given(names=_TREES, pattern=_PATTERNS)
def test_globs_agree_with_pathlib(names: set[str], pattern: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("tree")
    for name in sorted(names, key=lambda name: -name.count("/")):
        path = folder / name
        if not path.exists() and not any(parent.is_file() for parent in path.parents):
            tree(folder, name)
    # pathlib's `**` at the end means folders, here files in them.
    spelled = pattern + "/*" if pattern.endswith("**") else pattern
    expected = {str(path.relative_to(folder)) for path in folder.glob(spelled) if path.is_file()}
    matched = list(matching_files(pattern, str(folder), lambda _: None))
    assert {os.path.relpath(path, folder) for path in matched} == expected
    assert len(matched) == len(set(matched))

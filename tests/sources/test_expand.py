from __future__ import annotations

from pathlib import Path

import pytest

from hume_runner.errors import ManifestError
from hume_runner.manifest.load import load_manifest
from hume_runner.sources import expand
from tests.manifest.writing import write


def test_items_come_as_urls_then_files_then_texts(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"x")
    sources = "{text: [Hello., {text: Bye., id: bye}], files: [a.wav], urls: ['https://example.org/b', 'https://h/a']}"
    found = list(expand(load_manifest(write(tmp_path, sources))))
    assert [(item.kind, item.id, item.explicit_id) for item in found] == [
        ("url", "example.org/b", False),
        ("url", "h/a", False),
        ("file", "a.wav", False),
        ("text", "text-2d8bd7d9bb", False),
        ("text", "bye", True),
    ]


def test_the_same_text_is_called_the_same_wherever_it_stands(tmp_path: Path) -> None:
    found = list(expand(load_manifest(write(tmp_path, "{text: [One., Two., {text: One., labels: {a: 1}}]}"))))
    assert found[0].id == found[2].id != found[1].id


def test_a_malformed_list_outweighs_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "l.txt").write_text("ftp://h/a\n")
    with pytest.raises(ManifestError) as caught:
        list(expand(load_manifest(write(tmp_path, "{urls: [{from: l.txt}], files: [absent.wav]}"))))
    assert len(caught.value.problems) == 2


def test_expanding_twice_gives_the_same(tmp_path: Path) -> None:
    for name in ("b.wav", "a.wav"):
        (tmp_path / name).write_bytes(b"x")
    manifest = load_manifest(write(tmp_path, "{files: ['*.wav', a.wav], text: [Hello.]}"))
    assert list(expand(manifest)) == list(expand(manifest))

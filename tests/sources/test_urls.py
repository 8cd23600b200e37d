from __future__ import annotations

from pathlib import Path

import pytest

from hume_runner.manifest.load import load_manifest
from hume_runner.sources import expand
from hume_runner.sources.urls import url_id
from tests.manifest.writing import write


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://example.org/a/b.mp4", "example.org/a/b.mp4"),
        ("HTTPS://Example.ORG/A.mp4?sig=canary#t=1", "example.org/A.mp4"),
        ("http://example.org:8080", "example.org:8080"),
        ("https://example.org/%2e%20", "example.org/%2e%20"),
        ("https://[::1]/a", "[::1]/a"),
    ],
)
def test_a_url_is_called_by_host_and_path(url: str, expected: str) -> None:
    assert url_id(url) == expected


def test_the_url_itself_is_kept_with_its_query(tmp_path: Path) -> None:
    (item,) = expand(load_manifest(write(tmp_path, "{urls: ['https://example.org/a?sig=1&x=2#f']}")))
    assert item.value == "https://example.org/a?sig=1&x=2#f"
    assert "sig" not in item.id

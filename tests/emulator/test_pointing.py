"""The page's way to point each official package at the emulator is the one that was tried with the package."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "emulator.md").read_text(encoding="utf-8")
TRIED = Path(__file__).parent / "official"


@pytest.mark.parametrize(
    ("client", "script"),
    [
        ("HumeBatchClient(key, _api_http_base_url=url)", "use_hume_0_3.py"),
        ("HumeClient(api_key=key, base_url=url)", "use_hume_0_13.py"),
        (
            'ExpressionMeasurementClientEnvironment(base=url, production=url.replace("http", "ws"))',
            "use_expression_0_1.py",
        ),
    ],
)
def test_what_the_page_shows_was_tried(client: str, script: str) -> None:
    assert re.search(rf"^\| .*`.*?{re.escape(client)}", PAGE.replace("\\|", "|"), flags=re.MULTILINE)
    assert client in (TRIED / script).read_text(encoding="utf-8")

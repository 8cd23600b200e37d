from __future__ import annotations

import pytest

from hume_runner.manifest.wording import nearest


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("langauge", "language"),
        ("Fps-Pred", "fps_pred"),
        ("fps", "fps_pred"),
        ("english", "en"),
        ("xyz", None),
    ],
)
def test_the_nearest_known_name_is_found(word: str, expected: str | None) -> None:
    assert nearest(word, ["language", "fps_pred", "en", "window"]) == expected

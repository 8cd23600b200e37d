from __future__ import annotations

import pytest

from hume_runner.emulator.batch_v0.rows import Row
from hume_runner.media.views import FileView


def test_whoever_makes_a_view_says_what_lies_where() -> None:
    assert FileView.__abstractmethods__ == {"bytes_at"}


def test_a_prediction_of_no_model_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Row(key=b"", group="a", place=0)  # type: ignore[abstract]

"""Whether an echo measures as the manifest would."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from hume_runner.services.batch_v0.echoed_settings import agreement

FACE = {"models": {"face": {"fps_pred": 1}}}


@pytest.mark.parametrize(
    ("settings", "echoed", "expected"),
    [
        (FACE, {"models": {"face": {"fps_pred": 1.0}}}, True),
        (FACE, {"models": {"face": {"fps_pred": 3}}}, False),
        (FACE, {"models": {"face": {}}}, None),
        (FACE, {"models": {}}, None),
        (FACE, {}, None),
        (FACE, {"models": {"face": {"fps_pred": 1}, "ner": None}}, True),
        (FACE, {"models": {"face": {"fps_pred": 1}, "ner": {}}}, False),
        # What nobody sent is as the service fills it in, or it is another's.
        ({"models": {"face": {}}}, {"models": {"face": {"fps_pred": 3.0, "facs": None}}}, True),
        ({"models": {"face": {}}}, {"models": {"face": {"fps_pred": 5}}}, False),
        ({"models": {"face": {}}}, {"models": {"face": {"facs": {}}}}, False),
        ({"models": {"language": {}}}, {"models": {"language": {"granularity": "sentence"}}}, False),
        ({"models": {"ner": {}}}, {"models": {"ner": {}}, "transcription": {"language": "de"}}, False),
        ({"models": {"ner": {}}}, {"models": {"ner": {}}, "transcription": {"language": None}}, True),
        ({"models": {"ner": {}}, "transcription": {"language": "de"}}, {"models": {"ner": {}}}, None),
        ({"models": {"ner": {}}, "transcription": None}, {"models": {"ner": {}}, "transcription": None}, True),
        ({"models": {"ner": {}}, "transcription": None}, {"models": {"ner": {}}}, False),
    ],
)
def test_settings_agree_differ_or_are_not_told(
    settings: Mapping[str, Any], echoed: Mapping[str, Any], expected: bool | None
) -> None:
    assert agreement(settings, echoed) is expected

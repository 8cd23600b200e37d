"""The vendor's own package for the Expression Measurement API works against `hume-runner emulate` unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.emulator.expression_api import jpeg, speech, wav
from tests.emulator.official_packages import run_script

# Each installs the vendor's packages first.
pytestmark = [pytest.mark.sweep, pytest.mark.timeout(400)]

PICTURES = 8


def test_the_official_package_does_everything(cache: Path, served: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "speech.wav").write_bytes(wav(speech(7000, 500, 4000)))
    for number in range(PICTURES):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg(number))
    seen = run_script("use_expression_0_1.py", "hume-expression-measurement==0.1.0", cache, served, tmp_path)

    assert seen["speech"]["received"] == {"audio_duration_ms": 11_500}
    assert [one["utterance_id"] for one in seen["speech"]["utterances"]] == [0, 1]
    triggers = [(one["utterance_id"], one["trigger"]) for one in seen["speech"]["measurements"]]
    assert triggers == [(0, "interval"), (0, "interval"), (0, "speech_ended"), (1, "interval"), (1, "speech_ended")]
    assert all(one["expressions"] for one in seen["speech"]["measurements"])
    assert seen["timer_10s"] == ["speech_ended", "speech_ended"]
    assert seen["silence"] == [1000, 0]

    assert seen["listed"] == seen["answered"][::-1]
    assert seen["page_sizes"] == [2, 2, 1]
    assert seen["video_run"] == ["ended", "video", 10, 10]
    assert seen["audio_run"] == 3000
    assert seen["events"] == []

    assert seen["frames"] == PICTURES
    assert seen["boxes"]
    assert all(0 <= x0 < x1 <= 320 and 0 <= y0 < y1 <= 240 for x0, y0, x1, y1 in seen["boxes"])
    # The same pictures backwards, with the state of the first time: everybody keeps the number they had.
    first, backwards = seen["face_ids"]
    assert len({number for numbers in first for number in numbers}) > 1
    assert backwards == first[::-1]

    codes = {what: error.get("code") for what, error in seen["refused"].items()}
    assert codes == {"config": "config_invalid", "png": "unsupported_media_type", "run": "not_found", "key": None}

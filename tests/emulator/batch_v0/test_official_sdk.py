"""The vendor's own packages for the batch API work against `hume-runner emulate` unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.emulator.api import wav
from tests.emulator.official_packages import run_script

# Each installs the vendor's packages first.
pytestmark = [pytest.mark.sweep, pytest.mark.timeout(400)]


def test_the_current_official_package_does_everything(cache: Path, served: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(wav(3))
    seen = run_script("use_hume_0_13.py", "hume==0.13.13", cache, served, tmp_path)
    assert set(seen["states"].values()) == {"COMPLETED"}
    assert seen["listed"] == seen["submitted"][:3]
    assert len(seen["errors"]) == 1
    assert seen["text_files"] == ["1", "2"]
    assert seen["names"] == 53
    assert seen["file_names"] == ["a.wav", "b.txt"]
    assert "url-0-a.mp4/csv/a.mp4/face.csv" in seen["archive"]
    assert seen["written"]


def test_the_legacy_official_package_does_everything(cache: Path, served: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(wav(3))
    seen = run_script("use_hume_0_3.py", "hume==0.3.7", cache, served, tmp_path)
    assert seen["states"] == ["COMPLETED", "COMPLETED", "FAILED"]
    assert seen["rehydrated"] == "COMPLETED"
    assert seen["sources"] == 2
    assert seen["file_models"] == ["language"]
    assert "url-0-a.mp4/csv/a.mp4/prosody.csv" in seen["archive"]
    assert "invalid" in seen["wrong_key"].lower()
    assert seen["unknown_job"].startswith("Could not find a job with ID")

"""The guide's scripts are what they claim: they differ in their import lines alone, and the second one runs."""

from __future__ import annotations

import json
import re
import wave
import zipfile
from pathlib import Path

import pytest

import hume_runner
from hume_runner.emulator.server import Emulator

GUIDE = (Path(__file__).parents[2] / "docs" / "migrating-from-hume-sdk.md").read_text(encoding="utf-8")
BEFORE, AFTER = re.findall(r"^```python\n(import os\n.*?)^```", GUIDE, flags=re.MULTILINE | re.DOTALL)


def _without_imports(script: str) -> list[str]:
    return [line for line in script.splitlines() if not line.startswith(("import ", "from "))]


def test_only_import_lines_change() -> None:
    assert "from hume import" in BEFORE
    assert "from hume_runner import" in AFTER
    assert _without_imports(BEFORE) == _without_imports(AFTER)


def test_the_migrated_script_runs(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with wave.open("interview.wav", "wb") as sound:
        sound.setparams((1, 2, 16000, 0, "NONE", ""))
        sound.writeframes(bytes(64000))
    names: dict[str, object] = {"__name__": "migrated"}
    exec(compile(AFTER, "after.py", "exec"), names)
    with hume_runner.HumeBatchClient("key-one", base_url=emulator.url) as client:
        names["measure"](client, ["interview.wav"])  # type: ignore[operator]
    assert re.search(r"COMPLETED after \d+ ms", capsys.readouterr().out)
    assert len(json.loads(Path("predictions.json").read_text())) == 1
    assert zipfile.is_zipfile("artifacts.zip")


def test_every_name_that_the_guide_promises_exists() -> None:
    promised = re.findall(r"`hume_runner\.(\w+)`", GUIDE)
    assert promised
    for name in promised:
        assert name in hume_runner.__all__ or name == "client"
    for name in ("BatchJob", "BatchJobDetails", "BatchJobState", "BatchJobStatus", "FaceConfig", "ModelType"):
        assert hasattr(hume_runner, name)

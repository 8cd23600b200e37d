"""The guide's scripts are what they claim: they differ in their import lines alone, and the second one runs."""

from __future__ import annotations

import json
import re
import wave
import zipfile
from pathlib import Path

import pytest
import yaml

import hume_runner
import hume_runner.hume.configs
from hume_runner.emulator.server import Emulator
from hume_runner.hume.configs import models_of
from hume_runner.hume.moved import MOVED

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
    with hume_runner.HumeBatchClient(emulator.api_key, base_url=emulator.url) as client:
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


def test_both_guides_say_what_each_client_of_a_script_becomes() -> None:
    assert {name for name in MOVED if name[0].isupper()} - set(re.findall(r"\w+", GUIDE)) == {
        "HumeVoiceClient",  # of 0.4 to 0.6, and never of the batch API
        "MicrophoneInterface",
        "VoiceConfig",
    }


ROWS = re.findall(r"^\| (`\w+Config\(.*?) \| (.*?) \|$", GUIDE, flags=re.MULTILINE)


@pytest.mark.parametrize(("script", "manifest"), ROWS, ids=[row[0].strip("`") for row in ROWS])
def test_a_configuration_and_its_line_in_a_manifest_say_the_same(script: str, manifest: str) -> None:
    """The row's codes are joined: a second one in a cell goes into the first."""
    calls, lines = re.findall("`(.*?)`", script), re.findall("`(.*?)`", manifest)
    if lines[-1] == "models":
        lines = ["models: {" + ", ".join(lines[:-1]) + "}"]
    elif "Config" not in calls[-1]:
        calls = [calls[0][:-1] + ", " + calls[1] + ")"]
        lines = [lines[0][:-2] + ", " + lines[1] + "}}"]
    made = [eval(call, vars(hume_runner.hume.configs)) for call in calls]
    told = yaml.safe_load(lines[0])
    if isinstance(made[0], hume_runner.TranscriptionConfig):
        assert told == {"transcription": made[0].to_dict()}
        told = {"models": {"prosody": {}}, **told}
    else:
        assert told == {"models": models_of(made)}
    assert (
        hume_runner.validate(
            {"version": 1, "name": "a", "service": {"api": "batch-v0"}, "sources": {"text": ["b"]}, **told}
        ).problems
        == ()
    )


def test_the_other_lines_of_the_table_are_a_manifest() -> None:
    found = re.findall(r"^\| `.*?` \| `((?:notify|service|execution): .*?)`", GUIDE, flags=re.MULTILINE)
    assert len(found) == 4
    for line in found:
        document = {
            "version": 1,
            "name": "a",
            "service": {"api": "batch-v0"},
            "sources": {"text": ["b"]},
            "models": {"language": {}},
            **yaml.safe_load(line.replace("https://…", "https://example.org")),
        }
        assert hume_runner.validate(document).problems == ()

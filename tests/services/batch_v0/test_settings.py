"""Which setting of batch-v0 touches which kind of content."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hume_runner.media.sniff import Kind
from hume_runner.services.batch_v0.planner import Drafts
from hume_runner.services.batch_v0.settings import relevant
from tests.fakes import make_manifest
from tests.media_files import picture, picture_bytes

MODELS: dict[str, Any] = {
    "face": {"fps_pred": 3, "prob_threshold": 0.9},
    "burst": {},
    "prosody": {"granularity": "word"},
    "language": {"granularity": "word", "identify_speakers": True},
    "ner": {"identify_speakers": True},
    "facemesh": {},
}
WHOLE: dict[str, Any] = {
    "models": MODELS,
    "transcription": {"language": "en"},
    "batching": {"pack_short_audio": True},
}
EVERYTHING = {"models": MODELS, "transcription": {"language": "en"}}
TEXT = {"models": {"language": {"granularity": "word"}, "ner": {}}}


@pytest.mark.parametrize(
    ("kind", "facts", "touched"),
    [
        ("url", {}, EVERYTHING),
        ("text", {}, TEXT),
        ("file", {"format": "text"}, TEXT),
        ("file", {"format": "json"}, {"models": TEXT["models"] | {"facemesh": {}}}),
        ("file", {"format": "jpeg"}, {"models": {"face": {"prob_threshold": 0.9}, "facemesh": {}}}),
        ("file", {"format": "gif"}, {"models": {"face": MODELS["face"], "facemesh": {}}}),
        ("file", {"format": "png"}, {"models": {"face": {"prob_threshold": 0.9}, "facemesh": {}}}),
        ("file", {"format": "png", "moving": True}, {"models": {"face": MODELS["face"], "facemesh": {}}}),
        (
            "file",
            {"format": "wav"},
            {
                "models": {name: MODELS[name] for name in ("burst", "prosody", "language", "ner")},
                "transcription": {"language": "en"},
            },
        ),
        ("file", {"format": "mp4"}, EVERYTHING),
        ("file", {"format": "ogg"}, EVERYTHING),
        ("file", {"format": "zip"}, EVERYTHING),
        ("file", {"format": "pdf"}, EVERYTHING),
        ("file", {"format": "unknown"}, EVERYTHING),
        ("file", {}, EVERYTHING),
    ],
)
def test_what_touches_an_item(kind: Any, facts: dict[str, Any], touched: dict[str, Any]) -> None:
    assert relevant(kind, facts, WHOLE) == touched


@pytest.mark.parametrize("form", [str(kind) for kind in Kind])
def test_models_that_do_not_apply_are_nothing_to_an_item(form: str) -> None:
    """A picture measured for faces and prosody is the picture measured for faces."""
    for kind, facts in (("file", {"format": form}), ("text", {}), ("url", {})):
        chosen = relevant(kind, facts, WHOLE)  # type: ignore[arg-type]
        assert relevant(kind, facts, chosen) == chosen  # type: ignore[arg-type]
        assert set(chosen) <= {"models", "transcription"}


def test_where_no_model_applies_no_setting_matters() -> None:
    for form, models in (("jpeg", {"prosody": {}}), ("wav", {"face": {}}), ("text", {"burst": {}})):
        assert relevant("file", {"format": form}, {"models": models, "transcription": None}) == {"models": {}}


def test_a_look_tells_the_format_from_the_bytes(tmp_path: Path) -> None:
    drafts = Drafts(make_manifest(tmp_path))
    still, moving = tmp_path / "a.wav", tmp_path / "b.png"
    still.write_bytes(picture_bytes(picture(40, 30), "PNG"))
    frames = [picture(40, 30, seed=seed) for seed in range(2)]
    moving.write_bytes(picture_bytes(frames[0], "PNG", save_all=True, append_images=frames[1:]))
    assert drafts.look(still, b"") == {"format": "png"}
    assert drafts.look(moving, b"") == {"format": "png", "moving": True}
    with pytest.raises(FileNotFoundError):
        drafts.look(tmp_path / "gone", b"")

"""Which setting of expression-v1 touches which medium, and what a look tells under other models."""

from __future__ import annotations

from typing import Any

import pytest

from hume_runner.services.expression_v1.settings import apart, chosen_sound, fit, relevant, told_service, whole

AUDIO = {"measurement_timer_ms": 3000}
FACE = {"threshold": 0.9}
VIDEO = {"face": FACE, "fps": 5, "max_width": 640, "track_faces": False}
WHOLE: dict[str, Any] = {"models": {"audio": AUDIO, "video": VIDEO}, "batching": {"pack_short_audio": True}}
STILL = {"medium": "still"}


def recording(*tracks: str, duration_ms: int = 60_000) -> dict[str, Any]:
    return {"medium": "recording", "duration_ms": duration_ms, "tracks": list(tracks)}


@pytest.mark.parametrize(
    ("kind", "facts", "touched"),
    [
        ("url", {}, WHOLE),
        ("file", STILL, {"models": {"video": {"face": FACE}}}),
        ("file", recording("sound"), {"models": {"audio": AUDIO}}),
        ("file", recording("picture"), {"models": {"video": VIDEO}}),
        ("file", recording("sound", "picture"), {"models": {"audio": AUDIO, "video": VIDEO}}),
        ("file", recording("sound", duration_ms=9_000), {"models": {"audio": AUDIO}, "batching": WHOLE["batching"]}),
        ("file", recording("sound", "picture", duration_ms=9_000), {"models": {"audio": AUDIO, "video": VIDEO}}),
        ("file", recording(), {"models": {}}),
        ("file", {"problem": "torn", "reason": "damaged"}, {"models": {}}),
    ],
)
def test_what_touches_an_item(kind: Any, facts: dict[str, Any], touched: dict[str, Any]) -> None:
    assert relevant(kind, facts, WHOLE) == touched


@pytest.mark.parametrize("facts", [STILL, recording("sound"), recording("sound", "picture"), recording()])
@pytest.mark.parametrize("models", [{"audio": {}}, {"video": {}}, {"audio": {}, "video": {}}])
def test_models_without_a_track_to_measure_are_nothing_to_an_item(facts: Any, models: Any) -> None:
    chosen = relevant("file", facts, {"models": models})
    assert relevant("file", facts, chosen | {"batching": {}}) | {"batching": 0} == chosen | {"batching": 0}
    assert relevant("file", fit(facts, models) or {}, {"models": models}) == chosen


def test_a_model_that_begins_to_apply_makes_another_item() -> None:
    for facts, without, name in ((STILL, "audio", "video"), (recording("sound"), "video", "audio")):
        before = relevant("file", facts, {"models": {without: {}}})
        assert before == {"models": {}}
        assert relevant("file", facts, {"models": {without: {}, name: {}}}) == {"models": {name: {}}}


def test_our_own_defaults_written_out_change_nothing() -> None:
    film = recording("picture")
    plain = relevant("file", film, {"models": {"video": {}}})
    written = {"fps": 3.0, "max_width": 1280, "track_faces": True, "face": {}}
    assert relevant("file", film, {"models": {"video": written}}) == plain
    for name, value in (("fps", 2), ("max_width", 640), ("track_faces", False), ("face", {"threshold": 0.9})):
        assert relevant("file", film, {"models": {"video": {name: value}}}) != plain


def test_a_look_serves_manifests_with_other_models() -> None:
    film = recording("sound", "picture")
    seen = fit(film, {"audio": {}})
    assert seen is not None
    assert (seen["sound"], seen["picture"]) == (True, False)
    again = fit(seen, {"video": {}})
    assert again is not None
    assert (again["sound"], again["picture"]) == (False, True)
    silent = fit(recording("picture"), {"audio": {}})
    assert silent is not None
    assert silent["reason"] == "no_model"
    mended = fit(silent, {"video": {}})
    assert mended is not None
    assert "problem" not in mended
    assert mended["picture"]


def test_what_could_not_be_read_or_was_seen_in_part_is_looked_at_again() -> None:
    assert fit({"problem": "a.wav: Permission denied", "reason": "unreadable"}, {"audio": {}}) is None
    assert fit({"medium": "recording", "duration_ms": 1, "sound": True, "picture": False}, {"audio": {}}) is None


def test_what_chooses_tracks_and_channels_is_for_this_program_alone() -> None:
    options = {"measurement_timer_ms": 4000, "track": 2, "channels": 1}
    assert told_service(options) == {"measurement_timer_ms": 4000}
    assert chosen_sound({"audio": options}) == (2, 1)
    assert chosen_sound({"audio": {}}) == chosen_sound({"audio": {"channels": "mix"}}) == (None, None)


def test_a_choice_among_one_and_the_default_change_no_key() -> None:
    one = {"medium": "recording", "tracks": ["sound"], "sound_tracks": 1, "channels": 1}
    two = {"medium": "recording", "tracks": ["sound"], "sound_tracks": 2, "channels": 2}
    before = {"medium": "recording", "tracks": ["sound"]}  # as earlier versions looked

    def key(facts: dict[str, Any], **options: Any) -> Any:
        return relevant("file", facts, {"models": {"audio": options}})

    for facts in (one, two, before):
        assert key(facts, channels="mix") == key(facts) == {"models": {"audio": {}}}
    assert key(one, channels=1, track=1) == key(one)
    for option in ({"channels": 1}, {"track": 1}):
        assert key(two, **option) != key(two)
    assert relevant("url", {}, {"models": {"audio": {"channels": "mix"}}}) == {"models": {"audio": {}}}


def test_each_channel_has_the_key_that_it_has_when_it_is_measured_alone() -> None:
    film = {**recording("sound", "picture"), "channels": 2, "heard_channels": 2}
    models: dict[str, Any] = {"audio": {"channels": "each"}, "video": {}}
    facts = fit(film, models)
    assert facts is not None
    items = dict(apart(facts, models))
    assert {name: (one["sound"], one["picture"]) for name, one in items.items()} == {
        "": (False, True),
        "channel-1": (True, False),
        "channel-2": (True, False),
    }
    for number in (1, 2):
        alone = {"audio": {"channels": number}}
        assert chosen_sound(models, items[f"channel-{number}"]) == (None, number)
        assert relevant("file", items[f"channel-{number}"], {"models": models}) == {"models": alone}
        assert relevant("file", film, {"models": alone}) == {"models": alone}
    assert relevant("file", items[""], {"models": models}) == {"models": {"video": {}}}
    again = fit(whole(items["channel-2"]), {"audio": {}, "video": {}})
    assert again is not None
    assert (again["sound"], again["picture"]) == (True, True)


@pytest.mark.parametrize("channels", ["mix", 2, "each"])
def test_what_is_no_call_is_one_item(channels: Any) -> None:
    models: dict[str, Any] = {"audio": {"channels": channels}}
    for facts in (STILL, {"problem": "torn", "reason": "damaged"}, {**recording("sound"), "heard_channels": 1}):
        seen = fit(facts, models) or facts
        assert [*apart(seen, models)] == [("", seen)]
        if channels == "each":
            assert relevant("file", seen, {"models": models}) == relevant("file", seen, {"models": {"audio": {}}})
    stereo = fit({**recording("sound"), "heard_channels": 2}, models) or {}
    assert len([*apart(stereo, models)]) == (2 if channels == "each" else 1)

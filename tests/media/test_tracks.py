"""Which track and which channels are heard: what players choose, every microphone alike, and never silence for speech.

Each track and channel hums a tone of its own, so that a prepared recording tells what is in it.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import pytest

from hume_runner.media.audio import PreparedAudio, prepare_audio
from hume_runner.media.problems import MediaProblem
from hume_runner.services.local import media as here
from tests.media.ffmpeg_files import ffmpeg, ramp, strength
from tests.media_files import read_wav
from tests.tiers import sampled

TONES = [300 + 100 * number for number in range(16)]
LEVEL = 0.3


def humming(channels: Sequence[int | str], *, seconds: float = 2, rate: int = 16_000) -> list[str]:
    """ffmpeg's input of channels that each hum: a number of hertz, or an expression."""
    each = "|".join(one if isinstance(one, str) else f"{LEVEL}*sin(2*PI*{one}*t)" for one in channels)
    return ["-f", "lavfi", "-i", f"aevalsrc='{each}':s={rate}:d={seconds}"]


def in_it(prepared: PreparedAudio) -> list[float]:
    """How strong each tone is, of its strength in its channel."""
    samples = read_wav(prepared.path)
    return [round(strength(samples, hz) / LEVEL, 2) for hz in TONES]


def without_places(path: Path) -> Path:
    """The WAV's mask of speaker positions becomes 0, as field recorders write it."""
    data = bytearray(path.read_bytes())
    if data[20:22] == b"\xfe\xff":
        data[40:44] = bytes(4)
    path.write_bytes(data)
    return path


# -- channels ---------------------------------------------------------------------------------------------------------


@pytest.mark.sweep
@sampled(3)
@pytest.mark.parametrize("codec", ["pcm_s16le", "pcm_s24le", "pcm_f32le"])
@pytest.mark.parametrize("channels", [2, 3, 4, 5, 6, 7, 8, 10, 12, 16])
def test_channels_without_places_all_count_alike(channels: int, codec: str, tmp_path: Path) -> None:
    ffmpeg(*humming(TONES[:channels]), "-c:a", codec, tmp_path / "a.wav")
    found = in_it(prepare_audio(without_places(tmp_path / "a.wav"), tmp_path))
    assert found[:channels] == pytest.approx([1 / channels] * channels, abs=0.02)


@sampled(2)
@pytest.mark.parametrize("name", ["a.aiff", "a.au", "a.caf", "a.mov", "a.mka"])
def test_channels_without_places_count_alike_in_other_formats(name: str, tmp_path: Path) -> None:
    codec = "pcm_s16le" if name in ("a.caf", "a.mov", "a.mka") else "pcm_s16be"
    ffmpeg(*humming(TONES[:3]), "-af", "aformat=channel_layouts=3c", "-c:a", codec, tmp_path / name)
    found = in_it(prepare_audio(tmp_path / name, tmp_path))
    assert min(found[:3]) > 0.2, found


@pytest.mark.sweep
def test_speech_in_one_of_many_channels_is_heard_and_is_no_cancelling(tmp_path: Path) -> None:
    for place in range(16):
        ffmpeg(*humming([TONES[0] if n == place else "0" for n in range(16)], seconds=0.5), tmp_path / "a.wav")
        prepared = prepare_audio(without_places(tmp_path / "a.wav"), tmp_path, name="out.wav")
        assert in_it(prepared)[0] == pytest.approx(1 / 16, abs=0.01)
        assert prepared.notes == ()


@sampled(1)
@pytest.mark.parametrize(("layout", "channels"), [("5.1", 6), ("stereo", 2), ("7.1", 8), ("quad", 4)])
def test_channels_with_places_are_mixed_as_ffmpeg_mixes_them(layout: str, channels: int, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    ffmpeg(*humming(TONES[:channels]), "-af", f"aformat=channel_layouts={layout}", path)
    ffmpeg("-i", path, "-ac", 1, "-ar", 16_000, "-c:a", "pcm_s16le", tmp_path / "its.wav")
    its = [round(strength(read_wav(tmp_path / "its.wav"), hz) / LEVEL, 2) for hz in TONES]
    assert in_it(prepare_audio(path, tmp_path)) == pytest.approx(its, abs=0.02)


@pytest.mark.sweep
@sampled(2)
@pytest.mark.parametrize("rate", [16_000, 44_100])
@pytest.mark.parametrize("channel", [1, 2, 3])
def test_one_channel_alone(channel: int, rate: int, tmp_path: Path) -> None:
    ffmpeg(*humming(TONES[:3], rate=rate), tmp_path / "a.wav")
    found = in_it(prepare_audio(tmp_path / "a.wav", tmp_path, channel=channel))
    assert found[:3] == pytest.approx([1.0 if n == channel - 1 else 0.0 for n in range(3)], abs=0.02)


@pytest.mark.sweep
def test_a_channel_or_a_track_that_is_not_there_is_said(tmp_path: Path) -> None:
    for channels in (1, 2):
        ffmpeg(*humming(TONES[:channels]), "-c:a", "pcm_s16le", "-bitexact", tmp_path / "a.wav")
        for wanted in ({"channel": 3}, {"track": 2}):
            with pytest.raises(MediaProblem) as caught:
                prepare_audio(tmp_path / "a.wav", tmp_path, name="out.wav", **wanted)
            assert caught.value.reason == "no_audio"
            assert "there " in caught.value.message


# -- channels that cancel each other ----------------------------------------------------------------------------------

_SPEECH = "0.4*sin(2*PI*300*t)*between(mod(t,3),1,1.3)"


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.wav", ()), ("a.flac", ()), ("a.mp3", ("-joint_stereo", "0", "-b:a", "192k")), ("a.m4a", ("-b:a", "192k")),
        ("a.ogg", ("-c:a", "libopus")), ("a.wav", ("-c:a", "pcm_u8")), ("a.wav", ("-c:a", "pcm_f64le")),
    ],
)  # fmt: skip
def test_a_mix_that_would_be_silent_is_taken_from_one_channel_and_said(
    name: str, options: Sequence[str], tmp_path: Path
) -> None:
    ffmpeg(*humming([f"0.8*{_SPEECH}", f"-{_SPEECH}+0.2*{_SPEECH}"], seconds=9, rate=48_000), *options, tmp_path / name)
    prepared = prepare_audio(tmp_path / name, tmp_path, name="out.wav")
    assert abs(read_wav(prepared.path)).max() > 0.25 * 32_768
    [note] = prepared.notes
    assert "cancel each other" in note


@pytest.mark.sweep
@sampled(2)
@pytest.mark.parametrize(
    "channels",
    [
        (_SPEECH, _SPEECH),
        (_SPEECH, "0"),
        ("0", "0"),
        (_SPEECH, "0.3*sin(2*PI*500*t)*between(mod(t,3),2,2.3)"),
        (_SPEECH, f"0.5*{_SPEECH}"),
        ("0.3*sin(2*PI*300*t)", "0.3*cos(2*PI*300*t)"),
    ],
)
def test_channels_that_do_not_cancel_are_mixed(channels: Sequence[str], tmp_path: Path) -> None:
    ffmpeg(*humming(channels, seconds=9), tmp_path / "a.wav")
    assert prepare_audio(tmp_path / "a.wav", tmp_path, name="out.wav").notes == ()


# -- tracks -----------------------------------------------------------------------------------------------------------


def tracks(path: Path, *dispositions: str, picture: bool = True) -> Path:
    """A file whose sound track number n hums tone n and is marked like this."""
    inputs = [option for hz in TONES[: len(dispositions)] for option in humming([hz], rate=48_000)]
    maps = [option for number in range(len(dispositions)) for option in ("-map", str(number + picture))]
    marks = [option for n, mark in enumerate(dispositions) for option in (f"-disposition:a:{n}", mark)]
    shown = ramp(seconds=2) if picture else []
    video = ["-map", "0", "-c:v", "mpeg4"] if picture else []
    ffmpeg(*shown, *inputs, *video, *maps, *marks, path)
    return path


@pytest.mark.sweep
@sampled(2)
@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.mov", "a.mka"])
@pytest.mark.parametrize(
    ("marks", "chosen"),
    [
        (("default", "0"), 1),
        (("0", "default"), 2),
        (("0", "0", "default"), 3),
        (("comment", "default"), 2),
        (("default", "default"), 1),
    ],
)
def test_the_default_track_is_measured_and_another_said(
    name: str, marks: Sequence[str], chosen: int, tmp_path: Path
) -> None:
    path = tracks(tmp_path / name, *marks, picture=name != "a.mka")
    prepared = prepare_audio(path, tmp_path)
    found = in_it(prepared)
    assert found.index(max(found)) == chosen - 1
    [note] = prepared.notes
    assert note == f"sound track {chosen} of {len(marks)} is measured"


@pytest.mark.sweep
def test_a_member_that_chooses_another_track_is_named_where_there_is_one(tmp_path: Path) -> None:
    path = tracks(tmp_path / "a.mkv", "default", "0")
    [plain] = here.sound_of(path, tmp_path)["notes"]
    assert "models.audio" not in plain
    said = prepare_audio(path, tmp_path, chosen_by="models.audio.track").notes
    assert said == (f"{plain}; `models.audio.track` chooses another",)


@pytest.mark.sweep
@sampled(2)
@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.ts"])
@pytest.mark.parametrize("track", [1, 2, 3])
def test_a_hint_chooses_the_track(name: str, track: int, tmp_path: Path) -> None:
    prepared = prepare_audio(tracks(tmp_path / name, "default", "0", "0"), tmp_path, track=track)
    found = in_it(prepared)
    assert found.index(max(found)) == track - 1
    assert prepared.notes == ()


@pytest.mark.sweep
def test_a_track_without_a_decoder_is_passed_over_for_one_that_has_one(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    both = [*humming([TONES[0]], rate=48_000), *humming([TONES[1]], rate=48_000)]
    ffmpeg(*both, "-map", 0, "-map", 1, "-c:a:0", "aac", "-c:a:1", "libopus", path)
    path.write_bytes(path.read_bytes().replace(b"A_AAC", b"A_ZZZ"))
    found = in_it(prepare_audio(path, tmp_path))
    assert found.index(max(found)) == 1


@pytest.mark.sweep
def test_a_wav_header_by_hand_with_a_mask_of_three_places_hears_all_three(tmp_path: Path) -> None:
    """Left, right and centre, as a mask says them: the centre is no channel to leave out."""
    path = tmp_path / "a.wav"
    ffmpeg(*humming(TONES[:3]), "-af", "aformat=channel_layouts=3c", path)
    data = bytearray(path.read_bytes())
    if data[20:22] == b"\xfe\xff":
        data[40:44] = struct.pack("<I", 7)
    path.write_bytes(data)
    assert min(in_it(prepare_audio(path, tmp_path))[:3]) > 0.1

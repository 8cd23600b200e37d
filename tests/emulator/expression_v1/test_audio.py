"""Recordings: what is taken, what is refused and how, and what simulated scores follow from."""

from __future__ import annotations

import io
from typing import Any

import pytest

from hume_runner.emulator.expression_v1.names import VOICE_ATTRIBUTE_CUTOFF, audio_cutoff
from hume_runner.emulator.server import Emulator
from tests.emulator.api import Api
from tests.emulator.expression_api import AUDIO, chunk, code, measured, send, speech, wav

SPEECH = speech(2500, 400, 4000, 600, 1500)


def test_an_answer_has_utterances_windows_and_sparse_ordered_scores(api: Api) -> None:
    answer = measured(api, AUDIO, [wav(SPEECH)])
    assert set(answer) == {"request_id", "run_id", "received", "utterances", "measurements"}
    assert answer["received"] == {"audio_duration_ms": 9000}
    assert [one["utterance_id"] for one in answer["utterances"]] == [0, 1, 2]
    assert [one["measurement_id"] for one in answer["measurements"]] == list(range(len(answer["measurements"])))
    ends = {one["utterance_id"]: one["audio_end_ms"] for one in answer["measurements"]}
    assert set(ends) == {0, 1, 2}
    for one in answer["measurements"]:
        for scores in (one["expressions"], one["voice_attributes"]):
            assert scores == sorted(scores, key=lambda score: (-score["probability"], score["name"]))
            assert all(round(score["probability"], 4) == score["probability"] <= 1 for score in scores)
        assert 0 < len(one["expressions"]) < 40
        assert all(score["probability"] >= audio_cutoff(score["name"]) for score in one["expressions"])
        assert all(score["probability"] >= VOICE_ATTRIBUTE_CUTOFF for score in one["voice_attributes"])


def test_the_timer_sets_how_often_speech_is_measured(api: Api) -> None:
    counts = {
        timer: len(measured(api, AUDIO, [wav(speech(9000))], {"measurement_timer_ms": timer})["measurements"])
        for timer in (3000, 4000, 10_000)
    }
    assert counts == {3000: 3, 4000: 3, 10_000: 1}


def test_headerless_samples_measure_as_the_same_samples_in_a_wav(api: Api) -> None:
    answers = [measured(api, AUDIO, [medium]) for medium in (SPEECH, wav(SPEECH))]
    assert answers[0]["measurements"] == answers[1]["measurements"]


def test_scores_follow_the_samples_of_the_window_and_not_their_place(api: Api) -> None:
    first, second = speech(1500, 700, seed=1), speech(4000, 700, seed=2)
    together = measured(api, AUDIO, [wav(first + second)])["measurements"]
    # A millisecond off any frame of ten: cut where a client would cut, in the middle of the pause.
    cut = len(first) - 351 * 32
    parts = [
        measured(api, AUDIO, [wav(part)])["measurements"] for part in ((first + second)[:cut], (first + second)[cut:])
    ]
    alone = [
        {**one, "audio_start_ms": one["audio_start_ms"] + offset, "audio_end_ms": one["audio_end_ms"] + offset}
        for offset, part in zip((0, cut // 32), parts, strict=True)
        for one in part
    ]
    ids = ("measurement_id", "utterance_id")
    assert [{key: one[key] for key in one if key not in ids} for one in together] == [
        {key: one[key] for key in one if key not in ids} for one in alone
    ]
    assert together[0]["expressions"] != together[1]["expressions"]


def test_another_seed_gives_other_scores_at_the_same_times() -> None:
    answers = []
    for seed in (0, 1):
        with Emulator(processing_time_s=0, seed=seed) as emulator, Api(emulator.url, emulator.api_key) as api:
            answers.append(measured(api, AUDIO, [wav(SPEECH)]))
    assert answers[0]["utterances"] == answers[1]["utterances"]
    assert answers[0]["measurements"][0]["expressions"] != answers[1]["measurements"][0]["expressions"]


def test_other_chunks_before_and_behind_the_samples_are_passed_over(api: Api) -> None:
    plain = wav(SPEECH)
    listed = chunk(b"RIFF", plain[8:36] + chunk(b"LIST", b"INFOx\0") + plain[36:] + chunk(b"id3 ", b"ab"))
    assert measured(api, AUDIO, [listed])["measurements"] == measured(api, AUDIO, [plain])["measurements"]


PLAIN = wav(speech(500))
EXTENSIBLE = chunk(
    b"RIFF", PLAIN[8:16] + (40).to_bytes(4, "little") + b"\xfe\xff" + PLAIN[22:36] + bytes(24) + PLAIN[36:]
)


@pytest.mark.parametrize(
    "medium",
    [
        b"",
        b"\0\0\0",
        wav(b""),
        wav(b"\0"),
        wav(SPEECH, rate=8000),
        wav(SPEECH, rate=44_100, bytes_s=88_200),
        wav(SPEECH, channels=2, block=4, bytes_s=64_000),
        wav(SPEECH, bits=8, block=1, bytes_s=16_000),
        wav(SPEECH, tag=3, bits=32, block=4, bytes_s=64_000),
        wav(SPEECH, tag=0xFFFE),
        EXTENSIBLE,
        PLAIN[:-2],
        PLAIN[:40],
        PLAIN[:12],
        PLAIN[:4] + b"\xff\xff\xff\xff" + PLAIN[8:40] + b"\xff\xff\xff\xff" + PLAIN[44:],
        chunk(b"RIFF", PLAIN[8:36]),
        chunk(b"RIFF", PLAIN[8:12] + PLAIN[36:]),
        b"RF64" + PLAIN[4:],
    ],
    ids=lambda medium: f"{len(medium)} bytes",
)
def test_what_is_no_plain_16_khz_mono_pcm_is_refused(api: Api, medium: bytes) -> None:
    assert code(send(api, AUDIO, [medium])) == (400, "audio_decode_failed")


@pytest.mark.parametrize(
    "medium",
    [
        b"fLaC" + bytes(60),
        b"OggS" + bytes(60),
        b"ID3\x04" + bytes(60),
        b"\xff\xfb\x90\x64" + bytes(60),
        b"\xff\xf3\x40\xc4" + bytes(60),
        b"\0\0\0\x20ftypM4A " + bytes(60),
        chunk(b"RIFF", b"AVI " + bytes(60)),
        chunk(b"RIFF", b"WEBP" + bytes(60)),
    ],
    ids=lambda medium: repr(medium[:12]),
)
def test_other_formats_are_told_by_content(api: Api, medium: bytes) -> None:
    assert code(send(api, AUDIO, [medium])) == (415, "unsupported_media_type")


@pytest.mark.parametrize("kind", ["adts", "mp3"])
def test_an_encoders_own_output_is_told_by_content(api: Api, kind: str) -> None:
    """AAC in ADTS is not on the service's list, so it is measured as noise; MP3 is refused."""
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format=kind) as container:
        stream: Any = container.add_stream("aac" if kind == "adts" else "libmp3lame", rate=16_000)
        stream.layout = "mono"
        for at in range(0, 16_000, 1000):
            frame = av.AudioFrame(format="s16", layout="mono", samples=1000)
            frame.planes[0].update(SPEECH[2 * at : 2 * at + 2000])
            frame.sample_rate, frame.pts = 16_000, at
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    medium = buffer.getvalue()
    answer = send(api, AUDIO, [medium[: len(medium) // 2 * 2]])
    if kind == "adts":
        assert answer.status_code == 200
    else:
        assert code(answer) == (415, "unsupported_media_type")


def test_anything_else_is_taken_as_samples_and_billed(own_api: Api) -> None:
    answer = measured(own_api, AUDIO, [b"<html>" + b"Sign in. " * 40_000])
    run = own_api.call("GET", f"/v1/expression/run/{answer['run_id']}").json()
    assert answer["received"]["audio_duration_ms"] == 11_251
    assert run["metered_seconds"] == 11.251

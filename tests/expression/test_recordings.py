"""Long recordings are cut in pauses, sent in parts and stitched to what the service says of the whole."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hume_runner.emulator.server import Emulator
from hume_runner.media.cuts import Part
from tests.expression.runs import AUDIO, Folder, from_service, measured_runs, metered
from tests.media_files import RATE_HZ, speech, write_wav
from tests.services.expression_v1.stitching import PartAnswer, Stitched, stitch
from tests.tiers import sampled

SMALL_BODY = 400_000  # some twelve seconds a part


def talk(seconds: float, *, seed: int, longest_pause: float = 1.2) -> NDArray[np.int16]:
    """Sentences of half a second to two with pauses that people make between them: one lies near every even cut."""
    chance = random.Random(seed)
    passages: list[tuple[str, float]] = []
    while sum(length for _, length in passages) < seconds:
        passages.append(("speech", round(chance.uniform(0.5, 2), 3)))
        passages.append(("pause", round(chance.uniform(0.3, longest_pause), 3)))
    return speech(passages, seed=seed)


def stitched(folder: Folder) -> Stitched:
    """The one recording of a run, put together from what lies on disk alone."""
    answers = []
    for request, answer in folder.raw():
        [source] = request["sources"]
        detail = source["detail"]
        part = Part(index=detail["part"], first_sample=detail["first"], samples=detail["samples"])
        assert detail["parts"] == len(folder.raw())
        answers.append(PartAnswer(part=part, answer=answer))
    return stitch(answers)


def plain(utterances: Any) -> list[dict[str, Any]]:
    return [{name: value for name, value in one.items() if name != "cut_in_speech"} for one in utterances]


def cut_and_uncut(folder: Folder, samples: NDArray[np.int16]) -> tuple[Stitched, dict[str, Any]]:
    """The stitched answer to a recording that was cut, and the service's answer to the same in one piece."""
    folder.path.mkdir(parents=True)
    write_wav(folder.path / "talk.wav", samples)
    folder.write({"files": ["talk.wav"]}, batching={"max_bytes": SMALL_BODY})
    assert folder.run().code == 0
    assert len(folder.raw()) > 2
    whole = Folder(path=folder.path / "whole", url=folder.url, key=folder.key)
    whole.write({"files": [str(folder.path / "talk.wav")]})
    assert whole.run().code == 0
    [(_, answer)] = whole.raw()
    return stitched(folder), answer


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_stitched_answer_is_that_of_the_uncut_recording(folder: Folder, seed: int) -> None:
    cut, whole = cut_and_uncut(folder, talk(70, seed=seed))
    assert not any(one.in_speech for one in cut.cuts)
    assert plain(cut.utterances) == whole["utterances"]
    assert list(cut.measurements) == whole["measurements"]


@pytest.mark.sweep
def test_where_a_cut_fell_in_speech_it_is_said_and_all_else_is_the_same(folder: Folder) -> None:
    samples = np.concatenate([talk(16, seed=4), speech([("speech", 25)], seed=5), talk(20, seed=6)])
    cut, whole = cut_and_uncut(folder, samples)
    places = [one.at_ms for one in cut.cuts if one.in_speech]
    assert places
    assert all(16_000 < at < 42_000 for at in places)
    spans = {(one["audio_start_ms"], one["audio_end_ms"]) for one in whole["utterances"]}
    for one in cut.utterances:
        same = (one["audio_start_ms"], one["audio_end_ms"]) in spans
        assert same is not one["cut_in_speech"]
    flagged = [one for one in cut.utterances if one["cut_in_speech"]]
    [(start, end)] = spans - {(one["audio_start_ms"], one["audio_end_ms"]) for one in cut.utterances}
    assert (flagged[0]["audio_start_ms"], flagged[-1]["audio_end_ms"]) == (start, end)


def test_every_sample_is_sent_once_and_billed_once(folder: Folder, emulator: Emulator) -> None:
    samples = talk(70, seed=8)
    folder.path.mkdir(parents=True)
    write_wav(folder.path / "talk.wav", samples)
    folder.write({"files": ["talk.wav"]}, batching={"max_bytes": SMALL_BODY})
    assert folder.run().code == 0
    runs = measured_runs(emulator.url)
    details = sorted((request["sources"][0]["detail"] for request, _ in folder.raw()), key=lambda one: one["part"])
    assert [one["first"] for one in details[1:]] == [one["first"] + one["samples"] for one in details[:-1]]
    assert details[-1]["first"] + details[-1]["samples"] == len(samples)
    expected = sum(max(10, one["samples"] / RATE_HZ) for one in details)
    assert metered(runs) == pytest.approx(expected, abs=0.01 * len(runs))
    assert folder.summary()["bill"]["billable_seconds"] == pytest.approx(metered(runs), abs=0.01 * len(runs))


@pytest.mark.sweep
def test_the_item_fails_with_the_first_part_that_fails_and_the_others_are_not_paid_again(
    folder: Folder, emulator: Emulator
) -> None:
    folder.path.mkdir(parents=True)
    write_wav(folder.path / "talk.wav", talk(40, seed=9))
    folder.write({"files": ["talk.wav"]}, batching={"max_bytes": SMALL_BODY}, execution={"transfer_workers": 1})
    error = {"type": "error", "code": "audio_decode_failed", "message": "not this one", "request_id": "0" * 32}
    emulator.inject([{"route": AUDIO, "nth": [2], "action": {"status": 400, "body": error}}])
    assert folder.run().code == 3
    [line] = folder.results().values()
    assert line["status"] == "failed"
    assert "not this one" in line["error"]
    paid = metered(measured_runs(emulator.url))
    answered = len(folder.raw())
    assert answered >= 2
    emulator.inject([])
    assert folder.run("--retry-failed").code == 0
    assert len(folder.raw()) == answered + 1
    assert [line["status"] for line in folder.results().values()] == ["done"]
    assert len(measured_runs(emulator.url)) == answered + 1
    assert metered(measured_runs(emulator.url)) < 2 * paid
    assert len(stitched(folder).cuts) == answered


def write_long(path: Path, minutes: float) -> Path:
    """A recording of that many minutes: one block of talk again and again, written piece by piece."""
    import wave

    block = talk(60, seed=11)[: 60 * RATE_HZ].tobytes()
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE_HZ, 0, "NONE", "not compressed"))
        left = round(minutes * 60 * RATE_HZ) * 2
        while left > 0:
            file.writeframesraw(block[:left])
            left -= len(block)
    return path


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_forty_minutes_are_cut_and_stitched(folder: Folder, emulator: Emulator) -> None:
    folder.path.mkdir(parents=True)
    media = write_long(folder.path / "interview.wav", 40)
    folder.write({"files": ["interview.wav"]}, execution={"max_billable_seconds": 2401})
    plan = folder.command("plan", "--json")
    assert '"billable_seconds": 2400' in plan.out
    assert folder.run().code == 0
    cut = stitched(folder)
    assert len(folder.raw()) == 4
    assert not any(one.in_speech for one in cut.cuts)
    assert metered(measured_runs(emulator.url)) == pytest.approx(2400, abs=0.01)

    from_service(emulator.url, "/_emulator/expression", {"body_bytes": 200_000_000})
    whole = uncut(folder, media)
    assert plain(cut.utterances) == whole["utterances"]
    assert list(cut.measurements) == whole["measurements"]
    media.unlink()


def uncut(folder: Folder, media: Path) -> dict[str, Any]:
    """The service's answer to the whole file, asked for without the runner."""
    import requests

    with media.open("rb") as file:
        answer = requests.post(
            folder.url + "/v1/expression/audio/file",
            files={"file": ("whole.wav", file, "audio/wav")},
            headers={"X-Hume-Api-Key": folder.key},
            timeout=300,
        )
    answer.raise_for_status()
    return answer.json()  # type: ignore[no-any-return]


@pytest.mark.sweep
@sampled(1)
@pytest.mark.parametrize("had", [1, 2])
def test_what_is_measured_of_a_recording_is_not_in_the_bill_of_the_next_plan(
    folder: Folder, emulator: Emulator, had: int
) -> None:
    folder.path.mkdir(parents=True)
    write_wav(folder.path / "talk.wav", talk(60, seed=5))
    folder.write({"files": ["talk.wav"]}, batching={"max_bytes": SMALL_BODY}, execution={"transfer_workers": 1})
    whole = planned_seconds(folder)
    emulator.inject([{"route": AUDIO, "nth": [had + 1], "action": {"status": 403}}])
    assert folder.run().code == 7
    emulator.inject([])
    paid = metered(measured_runs(emulator.url))
    assert len(measured_runs(emulator.url)) == had
    rest = planned_seconds(folder)
    assert rest == pytest.approx(whole - paid, rel=0.05)
    assert folder.run("--max-billable-seconds", str(paid + rest * 1.05)).code == 0
    assert metered(measured_runs(emulator.url)) - paid == pytest.approx(rest, rel=0.05)


def planned_seconds(folder: Folder) -> float:
    ran = folder.command("plan", "--format", "json")
    return float(json.loads(ran.out)["summary"]["billable_seconds"])

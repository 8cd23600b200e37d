"""`models.audio.channels: each`: a call with a speaker on each side is an item for each of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hume_runner
from hume_runner.emulator.server import Emulator
from tests.expression.runs import Folder, measured_runs, metered, times_measured
from tests.media.ffmpeg_files import RATE_HZ, ffmpeg
from tests.media_files import read_wav, speech, write_wav

EACH = {"audio": {"channels": "each"}}
ANA, BEN = "calls/one.wav/channel-1", "calls/one.wav/channel-2"


def call(path: Path, *, seconds: float = 12, speakers: Sequence[float] = (1.0, 6.0)) -> Path:
    """A recording with a channel for each speaker, who begins to speak at that second and stops after two."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sides = [
        speech([("pause", begin), ("speech", 2.0), ("pause", seconds - begin - 2)], seed=number)
        for number, begin in enumerate(speakers)
    ]
    names = [write_wav(path.with_name(f"side-{number}.wav"), side) for number, side in enumerate(sides)]
    inputs = [argument for name in names for argument in ("-i", name)]
    ffmpeg(*inputs, "-filter_complex", f"amerge=inputs={len(names)}", path)
    for name in names:
        name.unlink()
    return path


def begins(folder: Folder) -> dict[str, list[tuple[int | None, float]]]:
    """(channel, begin in seconds) of every utterance, by item."""
    assert folder.command("tables").code == 0
    found: dict[str, dict[int, tuple[int | None, float]]] = {}
    for row in hume_runner.read_results(folder.outputs).tables["audio"].to_pylist():
        found.setdefault(row["item_id"], {})[row["utterance_id"]] = (row["channel"], row["utterance_begin_s"])
    return {name: list(one.values()) for name, one in found.items()}


def planned(folder: Folder) -> dict[str, Any]:
    return json.loads(folder.command("plan", "--format", "json", "--items").out)  # type: ignore[no-any-return]


@pytest.mark.sweep
def test_each_speaker_of_a_call_is_an_item_with_the_times_of_the_call(folder: Folder, emulator: Emulator) -> None:
    call(folder.path / "calls" / "one.wav")
    folder.write({"files": [{"path": "calls/one.wav", "labels": {"wave": 2}}]}, models=EACH)
    plan = planned(folder)
    assert [item["id"] for item in plan["items"]] == [ANA, BEN]
    assert folder.run().code == 0
    results = folder.results()
    assert {name: (one["status"], one["labels"]) for name, one in results.items()} == {
        ANA: ("done", {"wave": 2}),
        BEN: ("done", {"wave": 2}),
    }
    found = begins(folder)
    assert [channel for channel, _ in found[ANA]] == [1]
    assert [channel for channel, _ in found[BEN]] == [2]
    assert found[ANA][0][1] == pytest.approx(1.0, abs=0.1)
    assert found[BEN][0][1] == pytest.approx(6.0, abs=0.1)
    paid = metered(measured_runs(emulator.url))
    assert paid == pytest.approx(2 * 12, abs=0.1)
    assert paid <= plan["summary"]["billable_seconds"] <= paid * 1.05


@pytest.mark.sweep
def test_a_second_run_and_a_second_plan_do_nothing(folder: Folder, emulator: Emulator) -> None:
    call(folder.path / "calls" / "one.wav")
    folder.write({"files": ["calls/*.wav"]}, models=EACH)
    assert folder.run().code == 0
    asked = emulator.requests()
    assert folder.run().code == 0
    assert emulator.requests() == asked
    assert [item["action"] for item in planned(folder)["items"]] == ["done", "done"]


@pytest.mark.sweep
def test_a_channel_that_was_measured_alone_is_not_paid_for_again(folder: Folder, emulator: Emulator) -> None:
    call(folder.path / "calls" / "one.wav")
    for channel in (2, "each", 1):
        folder.write({"files": ["calls/*.wav"]}, models={"audio": {"channels": channel}})
        assert folder.run().code == 0
    assert len(measured_runs(emulator.url)) == 2
    assert begins(folder)["calls/one.wav"][0][0] == 1


def test_a_recording_of_one_channel_stays_one_item(folder: Folder, emulator: Emulator) -> None:
    folder.path.mkdir()
    for models in ({"audio": {}}, EACH):
        write_wav(folder.path / "one.wav", speech([("pause", 0.5), ("speech", 2.0), ("pause", 9.0)]))
        folder.write({"files": ["one.wav"]}, models=models)
        assert folder.run().code == 0
        assert [*folder.results()] == ["one.wav"]
    assert len(measured_runs(emulator.url)) == 1


@pytest.mark.sweep
@pytest.mark.parametrize("name", ["a.m4a", "a.mkv", "a.flac", "a.ogg"])
def test_each_of_three_microphones_in_other_formats(name: str, folder: Folder, emulator: Emulator) -> None:
    call(folder.path / "calls" / "one.wav", speakers=(1.0, 4.0, 7.0))
    ffmpeg("-i", folder.path / "calls" / "one.wav", "-af", "channelmap=channel_layout=3.0", folder.path / name)
    folder.write({"files": [name]}, models=EACH)
    assert folder.run().code == 0
    found = begins(folder)
    assert sorted(found) == [f"{name}/channel-{number}" for number in (1, 2, 3)]
    assert [found[one][0][0] for one in sorted(found)] == [1, 2, 3]
    # AAC stores the middle first, and players put it third: channels count as they are decoded.
    assert sorted(one[0][1] for one in found.values()) == pytest.approx([1.0, 4.0, 7.0], abs=0.1)


@pytest.mark.sweep
def test_the_pictures_of_a_call_are_an_item_beside_its_channels(folder: Folder, emulator: Emulator) -> None:
    call(folder.path / "one.wav")
    ffmpeg("-f", "lavfi", "-i", "testsrc=d=12:r=5:s=128x96", "-i", folder.path / "one.wav", folder.path / "one.mp4")
    folder.write({"files": ["one.mp4"]}, models={**EACH, "video": {"fps": 1}})
    plan = planned(folder)
    assert folder.run().code == 0
    assert [*folder.results()] == ["one.mp4", "one.mp4/channel-1", "one.mp4/channel-2"]
    paid = metered(measured_runs(emulator.url))
    assert paid == pytest.approx(10 + 2 * 12, abs=0.2)
    assert paid <= plan["summary"]["billable_seconds"] <= paid * 1.05 + 10
    folder.command("tables")
    tables = hume_runner.read_results(folder.outputs).tables
    assert {row["item_id"] for row in tables["video"].to_pylist()} == {"one.mp4"}
    assert {row["item_id"] for row in tables["audio"].to_pylist()} == {"one.mp4/channel-1", "one.mp4/channel-2"}


@pytest.mark.sweep
def test_short_channels_that_are_joined_keep_their_times(folder: Folder, emulator: Emulator) -> None:
    call(folder.path / "calls" / "one.wav", seconds=6, speakers=(0.5, 3.0))
    folder.write({"files": ["calls/one.wav"]}, models=EACH, batching={"pack_short_audio": True})
    assert folder.run().code == 0
    assert len(measured_runs(emulator.url)) == 1
    found = begins(folder)
    assert [one[0] for one in found.values()] == [(1, pytest.approx(0.5, abs=0.1)), (2, pytest.approx(3.0, abs=0.1))]


@pytest.mark.sweep
def test_what_is_sent_of_a_channel_is_that_channel(folder: Folder, emulator: Emulator) -> None:
    path = call(folder.path / "calls" / "one.wav")
    for number in (1, 2):
        wanted = folder.path / f"{number}.wav"
        ffmpeg("-i", path, "-af", f"pan=mono|c0=c{number - 1}", "-ar", RATE_HZ, "-c:a", "pcm_s16le", wanted)
    assert not np.array_equal(read_wav(folder.path / "1.wav"), read_wav(folder.path / "2.wav"))
    folder.write({"files": ["calls/one.wav"]}, models=EACH)
    assert folder.run().code == 0
    once = times_measured(measured_runs(emulator.url))
    folder.write({"files": ["1.wav", "2.wav"]}, models={"audio": {}}, outputs={"directory": "other"})
    assert folder.run("--pay-again").code == 0
    assert times_measured(measured_runs(emulator.url)) == once + once


@pytest.mark.sweep
def test_a_member_of_an_archive_is_as_many_items_as_it_has_channels(folder: Folder, emulator: Emulator) -> None:
    import zipfile

    path = call(folder.path / "calls" / "one.wav")
    with zipfile.ZipFile(folder.path / "calls.zip", "w") as archive:
        archive.write(path, "monday/one.wav")
    folder.write({"files": ["calls.zip"]}, models=EACH)
    assert folder.run().code == 0
    assert [*folder.results()] == [f"calls.zip/monday/one.wav/channel-{number}" for number in (1, 2)]


def test_links_are_refused_before_anything_is_sent(folder: Folder, emulator: Emulator) -> None:
    folder.write({"urls": ["https://example.org/call.wav"]}, models=EACH)
    ran = folder.run()
    assert ran.code == 65
    assert "models.audio.channels: each makes items of files, and this manifest lists links" in ran.err
